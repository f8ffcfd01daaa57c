// Package failover_test measures what a group of providers costs a call, beside a loop
// written by hand and beside a peer.
package failover_test

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/fallback"
	"github.com/failsafe-go/failsafe-go/retrypolicy"

	"github.com/bulwark-go/bulwark/failover"
)

// BenchmarkNow is what nanoseconds here should be compared with: bars are stated
// for a machine on which it takes 45 ns.
func BenchmarkNow(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_ = time.Now()
	}
}

var errDown = failover.Mark(errors.New("down"), failover.Rejected)

// provider answers, or refuses.
type provider struct{ down bool }

func (p *provider) send(context.Context) (int, error) {
	if p.down {
		return 0, errDown
	}
	return 1, nil
}

func send(ctx context.Context, p *provider) (int, error) { return p.send(ctx) }

// contender makes one call over three providers, and returns its error.
type contender struct {
	name string
	call func() error
}

func group(b *testing.B, cfg failover.Config, providers []*provider, opts ...failover.Option) contender {
	b.Helper()
	cfg.Name = "bench"
	var candidates []failover.Candidate[*provider]
	for i, p := range providers {
		candidates = append(candidates, failover.Candidate[*provider]{Name: string(rune('a' + i)), Value: p})
	}
	g, err := failover.NewGroup(cfg, candidates, opts...)
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	return contender{call: func() error { _, err := failover.Do(ctx, g, send); return err }}
}

func (c contender) as(name string) contender { c.name = name; return c }

// byHand is what is written where there is no library: whose turn it is, and the next
// one on an error.
func byHand(providers []*provider) func() error {
	var turn atomic.Uint64
	ctx := context.Background()
	return func() error {
		first := turn.Add(1)
		var errs []error
		for i := range providers {
			_, err := providers[(first+uint64(i))%uint64(len(providers))].send(ctx)
			if err == nil {
				return nil
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}
}

// retried is the peer's way to the next provider: a retry that turns to it.
func retried(providers []*provider) func() error {
	executor := failsafe.With[int](retrypolicy.NewBuilder[int]().WithMaxRetries(len(providers) - 1).Build())
	ctx := context.Background()
	var turn atomic.Uint64
	return func() error {
		first := turn.Add(1)
		_, err := executor.GetWithExecution(func(e failsafe.Execution[int]) (int, error) {
			return providers[(first+uint64(e.Attempts()))%uint64(len(providers))].send(ctx)
		})
		return err
	}
}

// stoodIn is the peer's other way: a fallback for the first provider that asks the
// second.
func stoodIn(providers []*provider) func() error {
	ctx := context.Background()
	executor := failsafe.With[int](fallback.NewWithFunc(func(failsafe.Execution[int]) (int, error) {
		return providers[1].send(ctx)
	}))
	return func() error {
		_, err := executor.Get(func() (int, error) { return providers[0].send(ctx) })
		return err
	}
}

func well() []*provider { return []*provider{{}, {}, {}} }

func contenders(b *testing.B) []contender {
	direct := &provider{}
	return []contender{
		{"floor=direct", func() error { _, err := direct.send(context.Background()); return err }},
		{"by-hand=loop", byHand(well())},
		group(b, failover.Config{}, well(), failover.WithRoundRobin()).as("bulwark=round-robin"),
		group(b, failover.Config{}, well(), failover.WithStickyTimeouts(3)).as("bulwark=sticky"),
		group(b, failover.Config{}, well(), failover.WithOrder()).as("bulwark=ordered"),
		group(b, failover.Config{}, well(), failover.WithWeights()).as("bulwark=weighted"),
		group(b, failover.Config{}, well(), failover.WithTwoChoices()).as("bulwark=two-choices"),
		group(b, failover.Config{}, well(), failover.WithRoundRobin(), failover.WithJudge()).as("bulwark=unjudged"),
		{"failsafe=retry", retried(well())},
		{"failsafe=fallback", stoodIn(well())},
	}
}

// BenchmarkWell is what a call costs while all providers answer.
func BenchmarkWell(b *testing.B) {
	for _, c := range contenders(b) {
		b.Run(c.name, c.serial)
	}
}

func (c contender) serial(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if err := c.call(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWellParallel8(b *testing.B) {
	for _, c := range contenders(b) {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(max(8/runtime.GOMAXPROCS(0), 1))
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if c.call() != nil {
						b.Error("failed")
						return
					}
				}
			})
		})
	}
}

// BenchmarkOneDown is what a call costs while one of three providers refuses: ours has
// taken it out, the others try it each time that it is its turn.
func BenchmarkOneDown(b *testing.B) {
	ill := func() []*provider { return []*provider{{down: true}, {}, {}} }
	for _, c := range []contender{
		{"by-hand=loop", byHand(ill())},
		group(b, failover.Config{RetryBurst: 1000}, ill(), failover.WithRoundRobin()).as("bulwark=round-robin"),
		group(b, failover.Config{RetryBurst: 1000}, ill(), failover.WithOrder()).as("bulwark=ordered"),
		{"failsafe=retry", retried(ill())},
		{"failsafe=fallback", stoodIn(ill())},
	} {
		b.Run(c.name, c.serial)
	}
}
