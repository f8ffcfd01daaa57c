package degrade

import (
	"context"
	"sync"
	"time"

	"github.com/bulwark-go/bulwark/observe"
)

// fallback is a [Fallback] without its function: everything that needs no type
// parameter.
type fallback struct {
	cfg      FallbackConfig
	observer observe.Observer

	mu      sync.Mutex
	running int
	usual   time.Duration // what a successful primary call takes; moving average
	saved   time.Duration // what fallbacks may take
	owed    float64       // exercises, in parts
	counts  FallbackSnapshot
}

// learnFrom is how many calls the usual cost looks back on, about.
const learnFrom = 32

// earn pays the share of one call in, and learns from one that succeeded.
func (f *fallback) earn(took time.Duration, succeeded bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case !succeeded:
	case f.usual == 0:
		f.usual = took
	default:
		f.usual += (took - f.usual) / learnFrom
	}
	f.saved = min(f.saved+time.Duration(f.cfg.CostShare*float64(f.usual)), f.cfg.Burst)
}

// due tells, of one successful call, whether the fallback is to be exercised after it.
func (f *fallback) due() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.owed += max(f.cfg.Exercise, 0)
	if f.owed < 1 {
		return false
	}
	f.owed--
	return true
}

func (f *fallback) begin() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running >= f.cfg.MaxInFlight || f.saved <= 0 {
		f.counts.Refused++
		return false
	}
	f.running++
	return true
}

func (f *fallback) end(took time.Duration, answered, exercise bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running--
	f.saved -= took
	switch {
	case !answered:
		f.counts.Failed++
	case !exercise:
		f.counts.Used++
	}
	if exercise {
		f.counts.Exercised++
	}
	if answered {
		f.counts.Last = time.Now()
	}
}

// report tells the observer that the fallback is asked.
func (f *fallback) report(ctx context.Context, exercise bool) (context.Context, observe.End) {
	why := whyFailure
	if exercise {
		why = whyExercise
	}
	return f.observer.Start(ctx, observe.Operation{Kind: &fallbackKind, Values: observe.Values{f.cfg.Name, why}})
}

// Snapshot returns what the fallback has done so far.
func (f *fallback) Snapshot() FallbackSnapshot {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts
}
