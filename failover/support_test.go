package failover_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/failover"
)

var (
	errNo   = failover.Mark(errors.New("no"), failover.Rejected)
	errLate = fmt.Errorf("vendor: %w", context.DeadlineExceeded)
	errOdd  = errors.New("odd")
)

// provider answers with the error that is set, and counts its calls.
type provider struct {
	name  string
	calls atomic.Int64
	err   atomic.Pointer[error]
}

func (p *provider) answer(err error) { p.err.Store(&err) }

func (p *provider) call(context.Context) (string, error) {
	p.calls.Add(1)
	if err := p.err.Load(); err != nil && *err != nil {
		return "", *err
	}
	return p.name, nil
}

func ask(ctx context.Context, p *provider) (string, error) { return p.call(ctx) }

// fixture is a group of providers named a, b, c…
type fixture struct {
	*failover.Group[*provider]
	providers []*provider
	mu        sync.Mutex
	seen      []failover.Event
}

// group returns a group of n whose judges' open time has no jitter.
func group(t testing.TB, n int, cfg failover.Config, opts ...failover.Option) *fixture {
	t.Helper()
	f := &fixture{}
	var candidates []failover.Candidate[*provider]
	for i := range n {
		p := &provider{name: string(rune('a' + i))}
		f.providers = append(f.providers, p)
		candidates = append(candidates, failover.Candidate[*provider]{Name: p.name, Value: p})
	}
	return f.build(t, cfg, candidates, opts...)
}

func (f *fixture) build(t testing.TB, cfg failover.Config, candidates []failover.Candidate[*provider], opts ...failover.Option) *fixture {
	t.Helper()
	if cfg.Name == "" {
		cfg.Name = "test"
	}
	note := failover.OnEvent(func(e failover.Event) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.seen = append(f.seen, e)
	})
	steady := failover.WithRand(func() float64 { return 0 })
	g, err := failover.NewGroup(cfg, candidates, append([]failover.Option{note, steady}, opts...)...)
	require.NoError(t, err)
	f.Group = g
	return f
}

func (f *fixture) events() []failover.Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]failover.Event(nil), f.seen...)
}

// counts returns how often each provider was called, and starts over.
func (f *fixture) counts() []int64 {
	counts := make([]int64, len(f.providers))
	for i, p := range f.providers {
		counts[i] = p.calls.Swap(0)
	}
	return counts
}

// manual is a clock that moves when told. Its timers go off when it does.
type manual struct {
	mu     sync.Mutex
	now    time.Duration
	timers []*timer
}

type timer struct {
	at   time.Duration
	f    func()
	done bool
}

func (c *manual) Now() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *manual) AfterFunc(d time.Duration, f func()) func() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &timer{at: c.now + d, f: f}
	c.timers = append(c.timers, t)
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		stopped := !t.done
		t.done = true
		return stopped
	}
}

// pass moves the clock and calls what is due, on this goroutine.
func (c *manual) pass(d time.Duration) {
	c.mu.Lock()
	c.now += d
	var due []func()
	waiting := c.timers[:0]
	for _, t := range c.timers {
		switch {
		case t.done:
		case t.at <= c.now:
			t.done = true
			due = append(due, t.f)
		default:
			waiting = append(waiting, t)
		}
	}
	c.timers = waiting
	c.mu.Unlock()
	for _, f := range due {
		f()
	}
}
