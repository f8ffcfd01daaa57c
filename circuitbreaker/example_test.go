package circuitbreaker_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/circuitbreaker/detect"
	"github.com/bulwark-go/bulwark/observe"
)

func ExampleNew() {
	breaker, err := circuitbreaker.New(
		circuitbreaker.Config{Name: "billing", OpenFor: 10 * time.Second},
		circuitbreaker.WithDetector(detect.ErrorRate(0.5, 20)),
		circuitbreaker.WithDetector(detect.Consecutive(2)),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	fetch := func(context.Context) (string, error) { return "", errors.New("connection refused") }
	for range 3 {
		order, err := circuitbreaker.Do(context.Background(), breaker, fetch)
		fmt.Printf("%q %v\n", order, errors.Is(err, circuitbreaker.ErrOpen))
	}
	fmt.Println(breaker.Snapshot().Reason)
	// Output:
	// "" false
	// "" false
	// "" true
	// 2 failures in a row
}

func ExampleBreaker_Allow() {
	breaker, err := circuitbreaker.New(circuitbreaker.Config{Name: "billing"})
	if err != nil {
		fmt.Println(err)
		return
	}
	// In middleware, where the call is not a function:
	ticket, err := breaker.Allow()
	if err != nil {
		return // answer with 503 and, from an *OpenError, Retry-After
	}
	status := 502
	if status >= 500 {
		ticket.Done(circuitbreaker.Failure)
	} else {
		ticket.Done(circuitbreaker.Success)
	}
	fmt.Println(breaker.State())
	// Output: closed
}

func ExampleNewThrottle() {
	throttle, err := circuitbreaker.NewThrottle(circuitbreaker.ThrottleConfig{Name: "search"})
	if err != nil {
		fmt.Println(err)
		return
	}
	hits, err := circuitbreaker.Do(context.Background(), throttle, func(context.Context) (int, error) { return 42, nil })
	fmt.Println(hits, err)
	// Output: 42 <nil>
}

func ExampleNewGroup() {
	shards, err := circuitbreaker.NewGroup(1000, circuitbreaker.Config{Name: "storage"},
		circuitbreaker.WithDetector(detect.Consecutive(1)))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, shard := range []string{"a", "b"} {
		breaker, err := shards.Get(shard)
		if err != nil {
			fmt.Println(err)
			return
		}
		_, _ = circuitbreaker.Do(context.Background(), breaker, func(context.Context) (int, error) {
			if shard == "b" {
				return 0, errors.New("disk on fire")
			}
			return 1, nil
		})
		fmt.Println(shard, breaker.State())
	}
	// Output:
	// a closed
	// b open
}

func ExampleNewMarks() {
	breaker, err := circuitbreaker.New(circuitbreaker.Config{Name: "users"})
	if err != nil {
		fmt.Println(err)
		return
	}
	var old interface { // what an existing interceptor asks for
		Allow() error
		MarkSuccess()
		MarkFailed()
	} = circuitbreaker.NewMarks(breaker)
	if err := old.Allow(); err == nil {
		old.MarkSuccess()
	}
	fmt.Println(breaker.State())
	// Output: closed
}

func ExampleObserve() {
	breaker, err := circuitbreaker.New(circuitbreaker.Config{Name: "billing"})
	if err != nil {
		fmt.Println(err)
		return
	}
	gate := circuitbreaker.Observe(breaker, "billing", observe.Nop()) // observe/prom or observe/otel in a service
	n, err := circuitbreaker.Do(context.Background(), gate, func(context.Context) (int, error) { return 1, nil })
	fmt.Println(n, err)
	// Output: 1 <nil>
}

func ExampleBreaker_SetMode() {
	breaker, err := circuitbreaker.New(circuitbreaker.Config{Name: "billing"})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := breaker.SetMode(circuitbreaker.ForcedOpen); err != nil {
		fmt.Println(err)
	}
	_, err = breaker.Allow()
	fmt.Println(err)
	// Output: circuitbreaker: "billing" refused the call: forced-open
}
