package ratelimit_test

import (
	"context"
	"fmt"
	"time"

	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/ratelimit"
)

// show asks n times and prints whether it was admitted, and what remains.
func show(l ratelimit.Limiter, n int) {
	for range n {
		d, err := l.Take(context.Background(), "user:42", 1)
		if err != nil {
			panic(err)
		}
		fmt.Println(d.Allowed, d.Remaining)
	}
}

func ExampleNewTokenBucket() {
	limiter, err := ratelimit.NewTokenBucket(ratelimit.PerHour(10), ratelimit.WithBurst(2))
	if err != nil {
		panic(err)
	}
	show(limiter, 3)
	// Output:
	// true 1
	// true 0
	// false 0
}

func ExampleNewFixedWindow() {
	limiter, err := ratelimit.NewFixedWindow(ratelimit.PerHour(2))
	if err != nil {
		panic(err)
	}
	show(limiter, 3)
	// Output:
	// true 1
	// true 0
	// false 0
}

func ExampleNewSlidingWindow() {
	limiter, err := ratelimit.NewSlidingWindow(ratelimit.PerHour(2))
	if err != nil {
		panic(err)
	}
	show(limiter, 3)
	// Output:
	// true 1
	// true 0
	// false 0
}

func ExampleNewStrictWindow() {
	limiter, err := ratelimit.NewStrictWindow(ratelimit.PerHour(2))
	if err != nil {
		panic(err)
	}
	show(limiter, 3)
	fmt.Println(limiter.Most(time.Hour), "at most in any hour")
	// Output:
	// true 1
	// true 0
	// false 0
	// 2 at most in any hour
}

func ExampleNewSlidingLog() {
	limiter, err := ratelimit.NewSlidingLog(ratelimit.PerHour(2))
	if err != nil {
		panic(err)
	}
	show(limiter, 3)
	// Output:
	// true 1
	// true 0
	// false 0
}

func ExampleNewLeakyBucket() {
	limiter, err := ratelimit.NewLeakyBucket(ratelimit.PerSecond(100), ratelimit.WithMaxWait(time.Second))
	if err != nil {
		panic(err)
	}
	start := time.Now()
	for range 3 {
		d, err := limiter.Wait(context.Background(), "provider:aliyun", 1)
		if err != nil || !d.Allowed {
			panic("the queue is too long")
		}
	}
	fmt.Println("the third went after 20 ms:", time.Since(start) >= 20*time.Millisecond)
	// Output: the third went after 20 ms: true
}

func ExampleNewBucket() {
	bucket, err := ratelimit.NewBucket(ratelimit.PerHour(10), ratelimit.WithBurst(1))
	if err != nil {
		panic(err)
	}
	fmt.Println(bucket.Allow(), bucket.Allow())
	// Output: true false
}

func ExampleNewStriped() {
	bucket, err := ratelimit.NewBucket(ratelimit.PerSecond(1_000_000))
	if err != nil {
		panic(err)
	}
	striped, err := ratelimit.NewStriped(bucket, 64)
	if err != nil {
		panic(err)
	}
	fmt.Println(striped.Allow())
	// Output: true
}

func ExampleNewMulti() {
	limits, err := ratelimit.NewMulti([]ratelimit.Limit{
		{Name: "minute", Quota: ratelimit.Quota{Rate: ratelimit.PerMinute(10), Burst: 10}},
		{Name: "hour", Quota: ratelimit.Quota{Rate: ratelimit.PerHour(12), Burst: 12}},
	})
	if err != nil {
		panic(err)
	}
	for _, cost := range []int64{8, 3, 2} {
		d, err := limits.Take(context.Background(), "user:42", cost)
		if err != nil {
			panic(err)
		}
		fmt.Println(d.Allowed, d.Rule)
	}
	// Output:
	// true minute
	// false minute
	// true minute
}

func ExampleShare() {
	// A limiter over Redis in a service; any that tells its quota will do.
	base, err := ratelimit.NewTokenBucket(ratelimit.PerSecond(100))
	if err != nil {
		panic(err)
	}
	shared, err := ratelimit.Share(base, 3) // one of three instances
	if err != nil {
		panic(err)
	}
	limiter := ratelimit.Observe(shared, "api", observe.Nop())
	ok, err := ratelimit.Allow(context.Background(), limiter, "user:42")
	fmt.Println(ok, err)
	// Output: true <nil>
}

func ExampleFailOpen() {
	base, err := ratelimit.NewTokenBucket(ratelimit.PerSecond(100))
	if err != nil {
		panic(err)
	}
	limiter, err := ratelimit.FailOpen(base, ratelimit.WithBudget(20*time.Millisecond))
	if err != nil {
		panic(err)
	}
	fmt.Println(ratelimit.Allow(context.Background(), limiter, "user:42"))
	// Output: true <nil>
}
