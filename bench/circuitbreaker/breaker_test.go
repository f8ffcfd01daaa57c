// Package circuitbreaker_test measures Bulwark's breakers beside their peers.
package circuitbreaker_test

import (
	"context"
	"errors"
	"runtime"
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

// call is one call through a breaker; what it returns is of no interest.
type call func()

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
	return func() { _, _ = circuitbreaker.Do(ctx, gate, fn) }
}

func tickets(gate circuitbreaker.Gate) call {
	return func() {
		if t, err := gate.Allow(); err == nil {
			t.Done(circuitbreaker.Success)
		}
	}
}

func rate() circuitbreaker.Option { return circuitbreaker.WithDetector(detect.ErrorRate(0.5, 20)) }

func slow() circuitbreaker.Option {
	return circuitbreaker.WithDetector(detect.SlowRatio(time.Second, 0.5, 20))
}

type contender struct {
	name string
	call call
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
		{"floor=direct", func() { _, _ = fn() }},
		{"bulwark=Do", do(ours(b, circuitbreaker.Config{}, rate()))},
		{"bulwark=Do,latency", do(ours(b, circuitbreaker.Config{}, rate(), slow()))},
		{"bulwark=Do,five-detectors", do(ours(b, circuitbreaker.Config{}, rate(), slow(),
			circuitbreaker.WithDetector(detect.Consecutive(5)), circuitbreaker.WithDetector(detect.LatencyGrowth()),
			circuitbreaker.WithDetector(detect.InFlightAge(time.Second, 10))))},
		{"bulwark=Allow+Done", tickets(ours(b, circuitbreaker.Config{}, rate()))},
		{"bulwark=Allow+Done,latency", tickets(ours(b, circuitbreaker.Config{}, rate(), slow()))},
		{"bulwark=Throttle", do(throttle)},
		{"gobreaker=Execute", func() { _, _ = peer.Execute(fn) }},
		{"gobreaker=Execute,window", func() { _, _ = windowed.Execute(fn) }},
		{"failsafe=Permit", func() {
			if permits.TryAcquirePermit() {
				permits.RecordSuccess()
			}
		}},
		{"failsafe=Executor", func() { _, _ = executor.Get(fn) }},
		{"aegis=Allow+Mark", func() {
			if aegis.Allow() == nil {
				aegis.MarkSuccess()
			}
		}},
		{"go-zero=Do", func() { _ = zero.Do(func() error { return nil }) }},
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
	for b.Loop() {
		c.call()
	}
}

func parallel(b *testing.B, all []contender, goroutines int) {
	for _, c := range all {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(max(goroutines/runtime.GOMAXPROCS(0), 1))
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					c.call()
				}
			})
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
	return []contender{
		{"bulwark=Allow", func() { _, _ = breaker.Allow() }},
		{"bulwark=Do", do(breaker)},
		{"gobreaker=Execute", func() { _, _ = peer.Execute(failing) }},
		{"failsafe=Permit", func() { _ = permits.TryAcquirePermit() }},
		{"failsafe=Executor", func() { _, _ = executor.Get(failing) }},
		{"aegis=failing", func() { // it has no open state: this is what it does while every call fails
			if aegis.Allow() == nil {
				aegis.MarkFailed()
			}
		}},
		{"go-zero=failing", func() { _ = zero.Do(func() error { return errDown }) }},
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, c := range open(b) {
		b.Run(c.name, c.serial)
	}
}

func BenchmarkOpenParallel8(b *testing.B) { parallel(b, open(b), 8) }
