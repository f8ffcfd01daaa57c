package circuitbreaker

import (
	"fmt"
	"strings"
)

// Standing returns the state without letting time act, unlike State.
func (b *Breaker) Standing() State { return b.machine.state }

// Current tells whether a ticket is of the present generation.
func (b *Breaker) Current(t *Ticket) bool { return t.shard.view == b.view.Load() }

// ProbesHeld counts the slots that are taken.
func (b *Breaker) ProbesHeld() int {
	if b.machine.state != HalfOpen {
		return 0
	}
	return b.machine.rec.probing.busy()
}

// Probing tells whether a ticket is a probe that holds a slot.
func (b *Breaker) Probing(t *Ticket) bool {
	if !b.Current(t) || t.kind != probe || t.done {
		return false
	}
	for _, s := range b.machine.rec.probing.slots {
		if s.id == t.id {
			return true
		}
	}
	return false
}

// Fingerprint describes all that the future of the breaker and of these tickets
// depends on, times relative to now. Two equal ones behave alike for ever.
func (b *Breaker) Fingerprint(tickets []*Ticket) string {
	var out strings.Builder
	m := &b.machine
	now := m.set.now()
	fmt.Fprint(&out, m.state, m.mode, " ")
	fmt.Fprintf(&out, "%+v ", m.detector)
	if r := m.rec; r != nil {
		switch m.state {
		case Open:
			fmt.Fprint(&out, max(r.until-now, 0))
		case HalfOpen:
			fmt.Fprint(&out, r.probing.good, r.probing.bad)
			for _, s := range r.probing.slots {
				if s.id == 0 {
					fmt.Fprint(&out, " -")
				} else {
					fmt.Fprint(&out, " ", max(s.lease-now, 0), owner(b, s.id, tickets))
				}
			}
		case Ramping:
			ramp := r.ramp
			ramp.began -= now
			fmt.Fprintf(&out, "%+v", ramp)
		}
	}
	for _, t := range tickets {
		switch {
		case t == nil:
			fmt.Fprint(&out, " idle")
		case !b.Current(t):
			fmt.Fprint(&out, " stale")
		case t.kind == probe && !b.Probing(t):
			fmt.Fprint(&out, " lost")
		default:
			fmt.Fprint(&out, " ", t.kind)
		}
	}
	return out.String()
}

// owner is which caller holds a probe; -1 when its caller is gone.
func owner(b *Breaker, id uint64, tickets []*Ticket) int {
	for i, t := range tickets {
		if t != nil && t.id == id && b.Probing(t) {
			return i
		}
	}
	return -1
}
