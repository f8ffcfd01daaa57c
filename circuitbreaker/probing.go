package circuitbreaker

import "time"

// probing is the half-open state: who is probing, and what came of it. It belongs
// to one generation.
type probing struct {
	slots     []slot
	serial    uint64
	good, bad int
}

// slot is a probe under way; id 0 is none.
type slot struct {
	id    uint64
	lease time.Duration // when the probe is given up
}

func newProbing(slots int) probing { return probing{slots: make([]slot, slots)} }

// admit takes a free slot, if there is one. Probes under way and failed ones
// together stay within the failures that decide, so that a target that is still
// down costs no more calls than that.
func (p *probing) admit(set *settings, now time.Duration) (id uint64, ok bool) {
	free, busy := -1, 0
	for i := range p.slots {
		if p.slots[i].id == 0 {
			free = i
		} else {
			busy++
		}
	}
	if free < 0 || busy+p.bad >= set.ProbeFailures {
		return 0, false
	}
	p.serial++
	p.slots[free] = slot{id: p.serial, lease: now + set.Lease}
	return p.serial, true
}

// free ends the probe with that id. It reports false for one that has ended.
func (p *probing) free(id uint64) bool {
	for i := range p.slots {
		if id != 0 && p.slots[i].id == id {
			p.slots[i] = slot{}
			return true
		}
	}
	return false
}

// expire gives up the probes whose lease is over: they count as failed.
func (p *probing) expire(now time.Duration) (lost int) {
	for i := range p.slots {
		if p.slots[i].id != 0 && now >= p.slots[i].lease {
			p.slots[i] = slot{}
			lost++
		}
	}
	p.bad += lost
	return lost
}

// busy counts the probes under way.
func (p *probing) busy() int {
	n := 0
	for _, s := range p.slots {
		if s.id != 0 {
			n++
		}
	}
	return n
}
