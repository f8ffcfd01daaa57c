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

// deliver calls the listeners with all that is queued, without the lock and in order.
// The caller holds mu; deliver releases it, also when a listener ends the goroutine.
func (b *Breaker) deliver(r *recovery) {
	defer b.mu.Unlock()
	r.events.Deliver(&b.mu, func(t *Transition) []func(Transition) {
		t.Name, t.Key = b.machine.set.Name, b.key
		return b.machine.set.listeners
	})
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
