package console

import (
	"sync"
	"time"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/observe"
)

// Breakers are those that the page shows. The zero Breakers are none. They are safe
// for concurrent use.
type Breakers struct {
	mu   sync.Mutex
	list []watched
}

type watched struct {
	about   string
	breaker *circuitbreaker.Breaker
}

// Add shows a breaker; about says what it stands before.
func (b *Breakers) Add(about string, breaker *circuitbreaker.Breaker) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.list = append(b.list, watched{about, breaker})
}

// Register hands each breaker to a metrics backend's own Register.
func (b *Breakers) Register(register func(observe.Source) error) error {
	for _, w := range b.all() {
		if err := register(w.breaker); err != nil {
			return err
		}
	}
	return nil
}

func (b *Breakers) all() []watched {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]watched(nil), b.list...)
}

// breakerView is a breaker as the page shows it.
type breakerView struct {
	circuitbreaker.Snapshot
	About string
}

func (b *Breakers) look() []breakerView {
	var views []breakerView
	for _, w := range b.all() {
		views = append(views, breakerView{w.breaker.Snapshot(), w.about})
	}
	return views
}

// Good tells whether all calls pass.
func (v breakerView) Good() bool { return v.Share == 1 && v.Mode != circuitbreaker.ForcedOpen }

// Refuses tells whether none does.
func (v breakerView) Refuses() bool { return v.Share == 0 || v.Mode == circuitbreaker.ForcedOpen }

// Next says what comes when, as far as it is known.
func (v breakerView) Next() string {
	switch {
	case v.OpenFor > 0:
		return "probes in " + v.OpenFor.Round(100*time.Millisecond).String()
	case v.ProbesInFlight > 0:
		return "waits for a probe"
	default:
		return ""
	}
}
