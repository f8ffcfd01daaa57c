package circuitbreaker_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/circuitbreaker"
)

// The explorer drives the real Breaker through every interleaving of its callers
// and of time, beginning with a breaker that was just made, and compares each step
// with the model.
//
// One method call is one step. That loses nothing: Allow on the fast path is one
// load of the current view, and what it returns is the same as if nothing had
// happened since; Done on the fast path adds to a shard of the view in its ticket;
// everything else runs under the breaker's lock.
//
// Two paths that end in equal fingerprints have equal futures, so only the first
// is followed. Where the fingerprints are finitely many, that covers paths of any
// length and any number of generations.

// action is one step: of a caller, or of time.
type action struct {
	caller int // -1: time
	what   byte
}

const (
	allows    = 'a'
	succeeds  = 's'
	fails     = 'f'
	withdraws = 'n'
	dies      = 'x' // its ticket is never ended
	passes    = 't'
)

func (a action) String() string { return fmt.Sprintf("%d%c", a.caller, a.what) }

// world is a breaker, its model and its callers after some path.
type world struct {
	*pair
	callers []*call
}

func (e *explorer) replay(t *testing.T, path []action) *world {
	w := &world{pair: newPair(t, e.cfg, e.run), callers: make([]*call, e.callers)}
	for _, a := range path {
		w.act(a)
	}
	return w
}

func (w *world) act(a action) {
	if a.caller < 0 {
		w.pass(time.Second)
		return
	}
	c := w.callers[a.caller]
	if a.what == allows {
		w.callers[a.caller] = w.allow()
		return
	}
	w.callers[a.caller] = nil
	switch a.what {
	case succeeds:
		w.done(c, circuitbreaker.Success)
	case fails:
		w.done(c, circuitbreaker.Failure)
	case withdraws:
		w.done(c, circuitbreaker.Neutral)
	}
}

func (w *world) tickets() []*circuitbreaker.Ticket {
	tickets := make([]*circuitbreaker.Ticket, len(w.callers))
	for i, c := range w.callers {
		if c != nil {
			tickets[i] = c.ticket
		}
	}
	return tickets
}

func (w *world) actions() []action {
	all := []action{{-1, passes}}
	for i, c := range w.callers {
		if c == nil {
			all = append(all, action{i, allows})
			continue
		}
		for _, what := range []byte{succeeds, fails, withdraws, dies} {
			all = append(all, action{i, what})
		}
	}
	return all
}

type explorer struct {
	cfg     circuitbreaker.Config
	run     int
	callers int
	depth   int // longest path; 0 for any

	states, steps, deepest int
	edges                  map[[2]circuitbreaker.State]int
}

// explore visits all states, and checks each step.
func (e *explorer) explore(t *testing.T) {
	e.edges = map[[2]circuitbreaker.State]int{}
	seen := map[string]bool{}
	queue := [][]action{nil}
	seen[e.look(e.replay(t, nil))] = true
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		e.deepest = max(e.deepest, len(path))
		if e.depth > 0 && len(path) == e.depth {
			continue
		}
		for _, a := range e.replay(t, path).actions() {
			w := e.replay(t, path)
			e.step(t, w, path, a)
			if print := e.look(w); !seen[print] {
				seen[print] = true
				next := append(path[:len(path):len(path)], a)
				queue = append(queue, next)
				e.neverStuck(t, next)
			}
		}
	}
	e.states = len(seen)
}

func (e *explorer) look(w *world) string { return w.breaker.Fingerprint(w.tickets()) }

// step takes one more action and checks what must hold of it.
func (e *explorer) step(t *testing.T, w *world, path []action, a action) {
	e.steps++
	clear(w.edges)
	stale := a.caller >= 0 && a.what != allows && !w.breaker.Current(w.callers[a.caller].ticket)
	before := ""
	if stale {
		before = w.breaker.Fingerprint(w.ticketsBut(a.caller))
	}
	w.act(a)
	if stale && before != e.look(w) {
		require.Equal(t, before, e.look(w), "a stale result had an effect: %v %v", path, a)
	}
	if held := w.breaker.ProbesHeld(); held > e.cfg.Probes {
		require.LessOrEqual(t, held, e.cfg.Probes, "probes in flight after %v %v", path, a)
	}
	for edge, n := range w.edges {
		e.edges[edge] += n
	}
}

func (w *world) ticketsBut(caller int) []*circuitbreaker.Ticket {
	tickets := w.tickets()
	tickets[caller] = nil
	return tickets
}

// neverStuck checks that from here, if all callers hang, a half-open breaker still
// finds a way on within one lease.
func (e *explorer) neverStuck(t *testing.T, path []action) {
	w := e.replay(t, path)
	if w.breaker.Standing() != circuitbreaker.HalfOpen {
		return
	}
	w.pass(e.cfg.Lease)
	if w.breaker.State() == circuitbreaker.HalfOpen {
		_, err := w.breaker.Allow()
		require.NoError(t, err, "half-open is stuck after %v", path)
	}
}

func TestEveryInterleavingKeepsTheInvariants(t *testing.T) {
	base := circuitbreaker.Config{
		Name: "x", OpenFor: 2 * time.Second, MaxOpenFor: 2 * time.Second, ForgiveAfter: time.Hour,
		Probes: 2, ProbeSuccesses: 2, ProbeFailures: 2, Lease: 2 * time.Second,
		RampStart: 1, RampStep: time.Second, RampFailures: 2, RampRatio: 0.5,
	}
	ramp := base
	ramp.ProbeSuccesses, ramp.RampStart = 1, 0.5
	lax := base
	lax.ProbeFailures, lax.Probes = 3, 3
	const closed, open, half, ramping = circuitbreaker.Closed, circuitbreaker.Open, circuitbreaker.HalfOpen, circuitbreaker.Ramping
	cycle := [][2]circuitbreaker.State{{closed, open}, {open, half}, {half, open}, {half, closed}}
	for name, c := range map[string]struct {
		explorer
		edges [][2]circuitbreaker.State
	}{
		"three callers, any length":    {explorer{cfg: base, run: 2, callers: 3}, cycle},
		"three callers, more failures": {explorer{cfg: lax, run: 1, callers: 3, depth: longer(12, 0)}, cycle},
		"three callers with a ramp": {
			explorer{cfg: ramp, run: 1, callers: 3, depth: longer(14, 30)},
			[][2]circuitbreaker.State{{closed, open}, {open, half}, {half, open}, {half, ramping}, {ramping, open}, {ramping, closed}},
		},
		"four callers, any length": {explorer{cfg: base, run: 2, callers: 4}, cycle},
	} {
		t.Run(name, func(t *testing.T) {
			e := c.explorer
			e.explore(t)
			t.Logf("%d states, %d steps, longest path %d, transitions %v", e.states, e.steps, e.deepest, e.edges)
			for _, edge := range c.edges {
				require.NotZero(t, e.edges[edge], "%v was never taken", edge)
			}
			for edge := range e.edges {
				require.Contains(t, append(cycle, [2]circuitbreaker.State{half, ramping}, [2]circuitbreaker.State{ramping, open}, [2]circuitbreaker.State{ramping, closed}), edge)
			}
		})
	}
}

// longer is the depth for everyday, or for BULWARK_TEST_LONG.
func longer(everyday, long int) int {
	if os.Getenv("BULWARK_TEST_LONG") != "" {
		return long
	}
	return everyday
}
