package degrade

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/bulwark-go/bulwark/observe"
)

// RegistryConfig holds the plain settings of a [Registry]. A zero field means its
// default.
type RegistryConfig struct {
	// Silent is for how long a fallback may go without an answer before that is
	// reported; 24 h by default.
	Silent time.Duration
	// Period is how often Run looks; 1 h by default.
	Period time.Duration
}

// Registered is a fallback of any type: what a [Registry] takes.
type Registered interface {
	Snapshot() FallbackSnapshot
	settings() FallbackConfig
}

func (f *fallback) settings() FallbackConfig { return f.cfg }

// Registry knows the fallbacks of a service: that none of them leans on what it stands
// in for, and that each of them is known to work. Create it with [NewRegistry]. It is
// safe for concurrent use.
type Registry struct {
	cfg      RegistryConfig
	observer observe.Observer

	mu      sync.Mutex
	entries []entry // in the order of their registration
}

type entry struct {
	Registered
	since time.Time
}

// NewRegistry returns an empty registry. The error names each setting that is out of
// range.
func NewRegistry(cfg RegistryConfig, opts ...RegistryOption) (*Registry, error) {
	fill(&cfg.Silent, 24*time.Hour)
	fill(&cfg.Period, time.Hour)
	r := &Registry{cfg: cfg, observer: observe.Nop()}
	for _, o := range opts {
		o.applyRegistry(r)
	}
	var v violations
	v.require(cfg.Silent >= time.Second && cfg.Silent <= longest, "Silent", cfg.Silent, "between 1s and a year")
	v.require(cfg.Period >= time.Millisecond && cfg.Period <= longest, "Period", cfg.Period, "between 1ms and a year")
	return r, errors.Join(v...)
}

// Register adds fallbacks, all of them or none. Each must say what it stands in for
// and be exercised with 0.1 % of the calls at least, have a name of its own, and not
// end up at what it stands in for: by itself, or over the fallbacks of what it uses.
// The error names each violation.
func (r *Registry) Register(fallbacks ...Registered) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	all, now := slices.Clone(r.entries), time.Now()
	var v violations
	for i, f := range fallbacks {
		if f == nil {
			v.require(false, "fallback", i, "given")
			continue
		}
		cfg := f.settings()
		v.require(find(all, cfg.Name) < 0, "fallback", fmt.Sprintf("%q", cfg.Name), "registered once")
		v.require(len(cfg.StandsInFor) > 0, "StandsInFor", fmt.Sprintf("of %q", cfg.Name), "given")
		v.require(cfg.Exercise >= 0.001, "Exercise", fmt.Sprintf("%v of %q", cfg.Exercise, cfg.Name), "at least 0.001")
		all = append(all, entry{f, now})
	}
	for _, e := range all {
		if way := circle(all, e.settings()); way != nil {
			v = append(v, fmt.Errorf("degrade: fallback %q: leads back to %q, which it stands in for, by %q",
				e.settings().Name, way[len(way)-1], way))
		}
	}
	if err := errors.Join(v...); err != nil {
		return err
	}
	r.entries = all
	return nil
}

func find(all []entry, name string) int {
	return slices.IndexFunc(all, func(e entry) bool { return e.settings().Name == name })
}

// circle returns a way from what a fallback uses to what it stands in for, over the
// fallbacks that stand in for what is on the way; nil if there is none.
func circle(all []entry, f FallbackConfig) []string {
	seen := map[string]bool{}
	var walk func(way []string) []string
	walk = func(way []string) []string {
		at := way[len(way)-1]
		if slices.Contains(f.StandsInFor, at) {
			return way
		}
		if seen[at] {
			return nil
		}
		seen[at] = true
		for _, e := range all {
			cfg := e.settings()
			if !slices.Contains(cfg.StandsInFor, at) {
				continue
			}
			for _, next := range cfg.Uses {
				if found := walk(append(way[:len(way):len(way)], next)); found != nil {
					return found
				}
			}
		}
		return nil
	}
	for _, used := range f.Uses {
		if found := walk([]string{used}); found != nil {
			return found
		}
	}
	return nil
}

// Snapshot returns what each fallback has done so far, in the order of registration.
func (r *Registry) Snapshot() []FallbackSnapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]FallbackSnapshot, len(r.entries))
	for i, e := range r.entries {
		all[i] = e.Registered.Snapshot()
	}
	return all
}

// Run checks every [RegistryConfig.Period] until ctx ends, and returns its error.
func (r *Registry) Run(ctx context.Context) error {
	ticker := time.NewTicker(r.cfg.Period)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
			r.Check(ctx)
		}
	}
}

// Check reports to the observer, and returns, the names of the fallbacks that have not
// answered for longer than [RegistryConfig.Silent]: nobody knows whether they work. Run
// does it for you.
func (r *Registry) Check(ctx context.Context) (silent []string) {
	r.mu.Lock()
	entries := r.entries
	r.mu.Unlock()
	for _, e := range entries {
		if e.silence() > r.cfg.Silent {
			name := e.settings().Name
			silent = append(silent, name)
			observe.Emit(ctx, r.observer, observe.Operation{Kind: &silentKind, Values: observe.Values{name}},
				observe.Result{Outcome: observe.Failed})
		}
	}
	return silent
}

// silence is for how long the fallback has not answered.
func (e entry) silence() time.Duration {
	last := e.Registered.Snapshot().Last
	if last.Before(e.since) {
		last = e.since
	}
	return time.Since(last)
}
