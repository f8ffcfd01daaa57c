// Package circuitbreaker_test measures Bulwark's breakers beside their peers.
package circuitbreaker_test

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/failsafe-go/failsafe-go"
	failsafebreaker "github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/go-kratos/aegis/circuitbreaker/sre"
	"github.com/sony/gobreaker/v2"
	zerobreaker "github.com/zeromicro/go-zero/core/breaker"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/circuitbreaker/detect"
)

// BenchmarkNow is what nanoseconds here should be compared with: bars are stated
// for a machine on which it takes 45 ns.
func BenchmarkNow(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_ = time.Now()
	}
}

var errDown = errors.New("down")

// call is one call through a breaker. It returns its error, so that a benchmark
// can tell admitted calls from refused ones.
type call func() error

func ours(b *testing.B, cfg circuitbreaker.Config, opts ...circuitbreaker.Option) *circuitbreaker.Breaker {
	b.Helper()
	cfg.Name = "bench"
	breaker, err := circuitbreaker.New(cfg, opts...)
	if err != nil {
		b.Fatal(err)
	}
	return breaker
}

func do(gate circuitbreaker.Gate) call {
	ctx := context.Background()
	fn := func(context.Context) (int, error) { return 1, nil }
	return func() error {
		_, err := circuitbreaker.Do(ctx, gate, fn)
		return err
	}
}

func tickets(gate circuitbreaker.Gate) call {
	return func() error {
		t, err := gate.Allow()
		if err == nil {
			t.Done(circuitbreaker.Success)
		}
		return err
	}
}

func rate() circuitbreaker.Option { return circuitbreaker.WithDetector(detect.ErrorRate(0.5, 20)) }

func slow() circuitbreaker.Option {
	return circuitbreaker.WithDetector(detect.SlowRatio(time.Second, 0.5, 20))
}

type contender struct {
	name    string
	call    call
	refuses bool
}

func closed(b *testing.B) []contender {
	throttle, err := circuitbreaker.NewThrottle(circuitbreaker.ThrottleConfig{Name: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	fn := func() (int, error) { return 1, nil }
	peer := gobreaker.NewCircuitBreaker[int](gobreaker.Settings{Name: "bench"})
	windowed := gobreaker.NewCircuitBreaker[int](gobreaker.Settings{Name: "bench", Interval: 10 * time.Second, BucketPeriod: time.Second})
	permits := failsafebreaker.NewBuilder[int]().WithFailureRateThreshold(0.5, 20, 10*time.Second).Build()
	executor := failsafe.With[int](failsafebreaker.NewBuilder[int]().WithFailureRateThreshold(0.5, 20, 10*time.Second).Build())
	aegis := sre.NewBreaker()
	zero := zerobreaker.NewBreaker()
	return []contender{
		{name: "floor=direct", call: func() error { _, err := fn(); return err }},
		{name: "bulwark=Do", call: do(ours(b, circuitbreaker.Config{}, rate()))},
		{name: "bulwark=Do,latency", call: do(ours(b, circuitbreaker.Config{}, rate(), slow()))},
		{name: "bulwark=Do,five-detectors", call: do(ours(b, circuitbreaker.Config{}, rate(), slow(),
			circuitbreaker.WithDetector(detect.Consecutive(5)), circuitbreaker.WithDetector(detect.LatencyGrowth()),
			circuitbreaker.WithDetector(detect.InFlightAge(time.Second, 10))))},
		{name: "bulwark=Allow+Done", call: tickets(ours(b, circuitbreaker.Config{}, rate()))},
		{name: "bulwark=Allow+Done,latency", call: tickets(ours(b, circuitbreaker.Config{}, rate(), slow()))},
		{name: "bulwark=Throttle", call: do(throttle)},
		{name: "gobreaker=Execute", call: func() error { _, err := peer.Execute(fn); return err }},
		{name: "gobreaker=Execute,window", call: func() error { _, err := windowed.Execute(fn); return err }},
		{name: "failsafe=Permit", call: func() error {
			if !permits.TryAcquirePermit() {
				return errDown
			}
			permits.RecordSuccess()
			return nil
		}},
		{name: "failsafe=Executor", call: func() error { _, err := executor.Get(fn); return err }},
		{name: "aegis=Allow+Mark", call: func() error {
			err := aegis.Allow()
			if err == nil {
				aegis.MarkSuccess()
			}
			return err
		}},
		{name: "go-zero=Do", call: func() error { return zero.Do(func() error { return nil }) }},
	}
}

func BenchmarkClosed(b *testing.B) {
	for _, c := range closed(b) {
		b.Run(c.name, c.serial)
	}
}

func BenchmarkClosedParallel2(b *testing.B) { parallel(b, closed(b), 2) }
func BenchmarkClosedParallel8(b *testing.B) { parallel(b, closed(b), 8) }

func (c contender) serial(b *testing.B) {
	b.ReportAllocs()
	n, failed := 0, 0
	for b.Loop() {
		n++
		if c.call() != nil {
			failed++
		}
	}
	c.verify(b, n, failed)
}

// verify fails a benchmark that did not measure what it says: all calls admitted,
// or, of those that refuse, all refused.
func (c contender) verify(b *testing.B, n, failed int) {
	if c.refuses != (failed > n/2) || !c.refuses && failed > 0 {
		b.Fatalf("%d of %d calls failed", failed, n)
	}
}

func parallel(b *testing.B, all []contender, goroutines int) {
	for _, c := range all {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(max(goroutines/runtime.GOMAXPROCS(0), 1))
			var n, failed atomic.Int64
			b.RunParallel(func(pb *testing.PB) {
				calls, errs := 0, 0
				for pb.Next() {
					calls++
					if c.call() != nil {
						errs++
					}
				}
				n.Add(int64(calls))
				failed.Add(int64(errs))
			})
			c.verify(b, int(n.Load()), int(failed.Load()))
		})
	}
}

func open(b *testing.B) []contender {
	breaker := ours(b, circuitbreaker.Config{OpenFor: time.Hour, MaxOpenFor: time.Hour}, circuitbreaker.WithDetector(detect.Consecutive(1)))
	ticket, err := breaker.Allow()
	if err != nil {
		b.Fatal(err)
	}
	ticket.Done(circuitbreaker.Failure)
	failing := func() (int, error) { return 0, errDown }
	peer := gobreaker.NewCircuitBreaker[int](gobreaker.Settings{Name: "bench", Timeout: time.Hour,
		ReadyToTrip: func(gobreaker.Counts) bool { return true }})
	_, _ = peer.Execute(failing)
	permits := failsafebreaker.NewBuilder[int]().WithDelay(time.Hour).Build()
	permits.Open()
	broken := failsafebreaker.NewBuilder[int]().WithDelay(time.Hour).Build()
	broken.Open()
	executor := failsafe.With[int](broken)
	aegis := sre.NewBreaker()
	zero := zerobreaker.NewBreaker()
	all := []contender{
		{name: "bulwark=Allow", call: func() error { _, err := breaker.Allow(); return err }},
		{name: "bulwark=Do", call: do(breaker)},
		{name: "gobreaker=Execute", call: func() error { _, err := peer.Execute(failing); return err }},
		{name: "failsafe=Permit", call: func() error {
			if permits.TryAcquirePermit() {
				return nil
			}
			return errDown
		}},
		{name: "failsafe=Executor", call: func() error { _, err := executor.Get(failing); return err }},
		{name: "aegis=failing", call: func() error { // it has no open state: this is what it does while every call fails
			if aegis.Allow() == nil {
				aegis.MarkFailed()
			}
			return errDown
		}},
		{name: "go-zero=failing", call: func() error { return zero.Do(func() error { return errDown }) }},
	}
	for i := range all {
		all[i].refuses = true
	}
	return all
}

func BenchmarkOpen(b *testing.B) {
	for _, c := range open(b) {
		b.Run(c.name, c.serial)
	}
}

func BenchmarkOpenParallel8(b *testing.B) { parallel(b, open(b), 8) }
