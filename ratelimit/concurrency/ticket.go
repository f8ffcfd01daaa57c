package concurrency

import (
	"sync/atomic"

	"github.com/bulwark-go/bulwark/ratelimit"
)

// Ticket is the right to run one call. End it exactly once, best by deferring
// Release, which also runs when the call panics; what is called after the first
// Release, Drop or Ignore does nothing, on copies neither. The zero Ticket is a
// denial.
//
// Its Decision has no RetryAfter: nobody knows when a call ends.
type Ticket struct {
	ratelimit.Decision
	slot *slot
	turn uint64
}

// Verdict is how a call ended, for limiters that learn from it.
type Verdict uint8

// The verdicts.
const (
	// Done: the call ran; its time tells of the load.
	Done Verdict = iota
	// Dropped: the other side refused for overload, or did not answer in time.
	Dropped
	// Ignored: the call tells nothing: it was cancelled, or failed early.
	Ignored
)

// Release ends a call that ran.
func (t Ticket) Release() { t.end(Done) }

// Drop ends a call that the other side refused for overload or did not answer in
// time. An [Adaptive] limit goes down.
func (t Ticket) Drop() { t.end(Dropped) }

// Ignore ends a call whose time tells nothing, such as one that was cancelled.
func (t Ticket) Ignore() { t.end(Ignored) }

// slot is what all copies of a ticket share. It is used for one ticket after the
// other; turn counts them, so that a copy of an earlier one ends nothing.
type slot struct {
	turn  atomic.Uint64
	owner owner
	pool  *pool
	ref   uint64
	start int64
}

// owner takes tickets back. ref and start are what it issued them with.
type owner interface {
	end(ref uint64, start int64, v Verdict)
}

func (t Ticket) end(v Verdict) {
	s := t.slot
	if s == nil || !s.turn.CompareAndSwap(t.turn, t.turn+1) {
		return
	}
	o, ref, start := s.owner, s.ref, s.start
	if s.pool != nil {
		s.pool.slots.Put(s)
	}
	o.end(ref, start, v)
}

// NewTicket returns an allowed Ticket for an [Acquirer] of another package: end is
// called once, by whatever ends the ticket first.
func NewTicket(d ratelimit.Decision, end func(Verdict)) Ticket {
	d.Allowed = true
	return Ticket{Decision: d, slot: &slot{owner: ending(end)}}
}

type ending func(Verdict)

func (e ending) end(_ uint64, _ int64, v Verdict) {
	if e != nil {
		e(v)
	}
}
