package circuitbreaker

import (
	"context"
	"time"

	"github.com/bulwark-go/bulwark/observe"
)

// Transition is one change of state or mode.
type Transition struct {
	// Name is the breaker's, or its group's, and Key the one in the group.
	Name, Key string
	// From and To are the states; the same one when only the mode changed.
	From, To State
	// Mode is the one from now on.
	Mode Mode
	// Generation counts up with every transition; a replacement of settings takes
	// a number too.
	Generation uint64
	// Reason is for people.
	Reason string
	// OpenFor is how long the breaker will be open; 0 unless To is Open.
	OpenFor time.Duration
}

// dispatch calls the listeners with all that is queued, without the lock and in
// order: whoever finds events queued becomes the one goroutine that delivers them,
// until none is left. The caller holds mu; dispatch releases it.
func (b *Breaker) dispatch(r *recovery) {
	r.dispatching = true
	defer func() {
		r.dispatching = false // also after a listener's Goexit; what is left goes with the next event
		b.mu.Unlock()
	}()
	for len(r.events) > 0 {
		t := r.events[0]
		r.events = r.events[1:]
		t.Name, t.Key = b.machine.set.Name, b.key
		for _, listen := range b.machine.set.listeners {
			if !b.deliver(listen, t) {
				r.counts.panicked++
			}
		}
	}
	r.events = nil
}

// deliver calls listen without the lock.
func (b *Breaker) deliver(listen func(Transition), t Transition) bool {
	b.mu.Unlock()
	defer b.mu.Lock()
	return contained(listen, t)
}

// contained calls listen and reports whether it returned. A listener is not part
// of the call that happens to deliver to it, so its panic stays here.
func contained(listen func(Transition), t Transition) (returned bool) {
	defer func() {
		if !returned {
			_ = recover()
		}
	}()
	listen(t)
	return true
}

var transitionKind = observe.Kind{
	Component:   "circuitbreaker",
	Action:      "transition",
	Help:        "Changes of a circuit breaker's state or mode.",
	Form:        observe.Instant,
	StartLabels: []string{"name", "from", "to", "mode"},
}

func reportTransition(o observe.Observer) func(Transition) {
	o = observe.OrNop(o)
	return func(t Transition) {
		observe.Emit(context.Background(), o, observe.Operation{
			Kind:   &transitionKind,
			Values: observe.Values{t.Name, t.From.String(), t.To.String(), t.Mode.String()},
		}, observe.Result{})
	}
}
