package circuitbreaker

import (
	"fmt"
	"time"

	"github.com/bulwark-go/bulwark/circuitbreaker/detect"
	"github.com/bulwark-go/bulwark/internal/dispatch"
)

// machine is the state machine alone: no lock, no clock. The Breaker around it
// holds a lock and hands in the time, which makes every method one atomic step.
//
// Whatever may differ between two generations is rebuilt in enter, so that a
// result can only ever meet the state that its call was admitted by.
type machine struct {
	set *settings
	// gen counts generations; each change of state, mode or settings begins one.
	gen   uint32
	state State
	mode  Mode
	// since is when the state was entered.
	since time.Duration
	// rec is what a breaker needs once it has left Closed; nil before.
	rec *recovery
	// detector is this generation's; nil unless Closed.
	detector detect.Detector
}

// recovery is the part of a machine that a breaker which never opened does
// without.
type recovery struct {
	// until is when the open state ends, openFor how long it was drawn for.
	until, openFor time.Duration
	// hint is until when the other side asked to be left alone.
	hint time.Duration
	// reason is why the breaker last opened.
	reason string
	trips  uint64
	// failed is when a call last failed.
	failed time.Duration
	// lost counts probes that never answered.
	lost    uint64
	probing probing
	ramp    ramp
	counts  counts

	// The rest is the Breaker's, kept here for the same reason.
	events    dispatch.Queue[Transition]
	nextAsk   time.Duration // when detectors that watch time are asked next
	stopTimer func() bool
}

// counts are of rare events.
type counts struct{ stale, misused, shadowed uint64 }

// kind tells what sort of call a ticket stands for.
type kind uint8

const (
	normal kind = iota // closed
	probe              // half-open
	ramped             // ramping, or of a Throttle
	bypass             // not judged: forced-closed, or passed by Shadow
)

// recovery returns m.rec, which exists from the first transition on.
func (m *machine) recovery() *recovery {
	if m.rec == nil {
		m.rec = &recovery{}
	}
	return m.rec
}

// admit decides about one call. id identifies a probe.
func (m *machine) admit(now time.Duration) (k kind, id uint64, ok bool) {
	m.tick(now)
	switch m.state {
	case Closed:
		return normal, 0, true
	case HalfOpen:
		id, ok = m.rec.probing.admit(m.set, now)
		return probe, id, ok
	case Ramping:
		return ramped, 0, m.rec.ramp.admit(m.set.RampFailures)
	default:
		return normal, 0, false
	}
}

// hear takes the result of a call of this generation. It reports whether the
// detectors should be asked.
func (m *machine) hear(k kind, id uint64, outcome Outcome, c detect.Call) (ask bool) {
	if outcome == Neutral {
		m.withdraw(k, id)
		return false
	}
	c.Failed = outcome == Failure
	if c.Failed {
		m.recovery().failed = c.At
	}
	switch {
	case k == normal:
		ask = m.detector.Record(c)
	case k == probe:
		m.probed(id, c.Failed || m.slow(c), c.At)
	case k == ramped:
		m.climb(c.Failed || m.slow(c), c.At)
	}
	return ask
}

// withdraw forgets a call that taught nothing.
func (m *machine) withdraw(k kind, id uint64) {
	switch k {
	case probe:
		m.rec.probing.free(id)
	case ramped:
		m.rec.ramp.withdraw()
	}
}

// slow tells whether the detector calls a success bad all the same.
func (m *machine) slow(c detect.Call) bool {
	return m.set.judge != nil && m.set.judge.Bad(c)
}

// probed counts a probe's answer, and decides when it is the last one needed.
func (m *machine) probed(id uint64, bad bool, now time.Duration) {
	p := &m.rec.probing
	if !p.free(id) {
		return // given up, or ended before
	}
	if bad {
		p.bad++
	} else {
		p.good++
	}
	m.conclude(now)
}

// conclude ends the half-open state once enough probes answered.
func (m *machine) conclude(now time.Duration) {
	switch p := &m.rec.probing; {
	case p.bad >= m.set.ProbeFailures:
		m.open(now, fmt.Sprintf("%d probes failed", p.bad))
	case p.good >= m.set.ProbeSuccesses:
		if m.set.RampStart >= 1 {
			m.enter(Closed, now, "probes succeeded")
			return
		}
		m.rec.ramp = newRamp(m.set.RampStart, now)
		m.enter(Ramping, now, "probes succeeded")
	}
}

// climb counts an answer in the ramp.
func (m *machine) climb(bad bool, now time.Duration) {
	r := &m.rec.ramp
	r.answer(bad)
	if bad && r.failing(m.set.RampFailures, m.set.RampRatio) {
		m.open(now, fmt.Sprintf("%d of %d calls failed in the ramp", r.bad, r.good+r.bad))
	}
}

// tick does what is due by now. Several steps may be, when nobody called for long.
func (m *machine) tick(now time.Duration) {
	if m.mode == ForcedOpen || m.mode == ForcedClosed {
		return // an operator's word stands still
	}
	switch m.state {
	case Open:
		if now >= m.rec.until {
			m.rec.probing = newProbing(m.set.Probes)
			m.enter(HalfOpen, m.rec.until, "time to probe")
		}
	case HalfOpen:
		if lost := m.rec.probing.expire(now); lost > 0 {
			m.rec.lost += uint64(lost)
			m.conclude(now)
		}
	case Ramping:
		m.ascend(now)
	}
}

// ascend takes the ramp's steps that are due.
func (m *machine) ascend(now time.Duration) {
	r := &m.rec.ramp
	for r.step(now, m.set.RampStep) {
		if r.share >= whole {
			m.enter(Closed, r.began, "ramp finished") // when it was due, not noticed
			return
		}
	}
	if r.held && now >= r.began+m.set.RampStep+m.set.Lease {
		m.open(now, "calls in the ramp went unanswered")
	}
}

// ill asks the detector about the other side. Only a closed breaker has one.
func (m *machine) ill(now time.Duration) (evidence string, ill bool) {
	if m.state != Closed {
		return "", false
	}
	return m.detector.Ill(now)
}

// open enters Open for a time drawn anew, or as long as the other side asked for.
func (m *machine) open(now time.Duration, reason string) {
	r := m.recovery()
	last := r.openFor
	if last == 0 || (m.state == Closed && now-m.since >= m.set.ForgiveAfter) {
		last = m.set.OpenFor
	}
	// Bounding the range, not the draw: many draws at the bound would be a herd.
	longest := min(m.set.MaxOpenFor, 3*max(last, m.set.OpenFor))
	r.openFor = m.set.OpenFor + time.Duration(m.set.rand()*float64(longest-m.set.OpenFor))
	r.until = now + r.openFor
	if r.hint > r.until {
		r.until = min(r.hint, now+m.set.MaxOpenFor)
	}
	r.hint = 0
	r.trips++
	r.reason = reason
	m.enter(Open, now, reason)
}

// enter begins the next generation in state.
func (m *machine) enter(state State, now time.Duration, reason string) {
	before := m.state
	m.state, m.since = state, now
	m.begin()
	m.note(Transition{From: before, To: state, Reason: reason})
}

// begin starts a generation: what the last one heard is gone.
func (m *machine) begin() {
	m.gen++
	m.detector = nil
	if m.state == Closed {
		m.detector = m.set.detector()
	}
}

// note queues a transition for the listeners.
func (m *machine) note(t Transition) {
	if len(m.set.listeners) == 0 {
		return
	}
	t.Mode, t.Generation = m.mode, uint64(m.gen)
	r := m.recovery()
	if m.state == Open {
		t.OpenFor = r.until - m.since
	}
	r.events.Push(t)
}

// setMode changes what the operator wants.
func (m *machine) setMode(mode Mode, now time.Duration) {
	before := m.mode
	if mode == before {
		return
	}
	m.mode = mode
	switch {
	case before == ForcedClosed:
		m.enter(Closed, now, "no longer "+before.String())
	case before == ForcedOpen && mode != ForcedClosed:
		m.recovery().probing = newProbing(m.set.Probes)
		m.enter(HalfOpen, now, "no longer "+before.String())
	default:
		m.restart(now)
		m.note(Transition{From: m.state, To: m.state, Reason: mode.String()})
	}
}

// replace takes over new settings; the state stays.
func (m *machine) replace(set *settings, now time.Duration) {
	m.set = set
	m.restart(now)
}

// restart begins a generation in the same state. The calls under way will not be
// heard of any more, so nothing may wait for them: probes start over, and a ramp
// goes on from the share it has.
func (m *machine) restart(now time.Duration) {
	switch m.state {
	case HalfOpen:
		m.rec.probing = newProbing(m.set.Probes)
	case Ramping:
		share := m.rec.ramp.share
		m.rec.ramp = newRamp(m.set.RampStart, now)
		m.rec.ramp.share = max(share, m.rec.ramp.share)
	}
	m.begin()
}
