package concurrency_test

import (
	"context"
	"fmt"

	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/concurrency"
)

func ExampleNew() {
	limiter, err := concurrency.New(2) // two calls of a user at the same time
	if err != nil {
		panic(err)
	}
	for range 3 {
		ticket, err := limiter.Acquire(context.Background(), "user:42")
		if err != nil {
			panic(err)
		}
		defer ticket.Release()
		fmt.Println(ticket.Allowed, ticket.Remaining)
	}
	// Output:
	// true 1
	// true 0
	// false 0
}

func ExampleNewAdaptive() {
	limiter, err := concurrency.NewAdaptive(concurrency.AdaptiveConfig{Max: 200})
	if err != nil {
		panic(err)
	}
	ticket, err := limiter.Acquire(context.Background(), "billing")
	if err != nil {
		panic(err)
	}
	defer ticket.Release() // ends it, unless one of the others has
	if err := callBilling(); err != nil {
		ticket.Drop() // refused for overload, or timed out
	}
	fmt.Println(limiter.Snapshot())
	// Output: 1 of 20 in flight, 0 waiting
}

func callBilling() error { return nil }

func ExampleNewBulkheads() {
	bulkheads, err := concurrency.NewBulkheads(map[string]concurrency.Budget{
		"core":   {Limit: 50, Queue: 100},
		"report": {Limit: 1},
	})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	first, _ := bulkheads.Acquire(ctx, "report")
	second, _ := bulkheads.Acquire(ctx, "report")
	core, _ := bulkheads.Acquire(ctx, "core")
	fmt.Println(first.Allowed, second.Allowed, core.Allowed)
	// Output: true false true
}

func ExampleNewTicket() {
	ticket := concurrency.NewTicket(ratelimit.Decision{Limit: 1}, func(v concurrency.Verdict) {
		fmt.Println("given back", v == concurrency.Dropped)
	})
	defer ticket.Release()
	ticket.Drop()
	// Output: given back true
}
