package redislimit_test

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bulwark-go/bulwark/internal/embedded"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/redislimit"
)

// connect stands for the client that a service has.
func connect() (rdb *redis.Client, stop func()) {
	server, err := embedded.StartRedis(embedded.RedisConfig{})
	if err != nil {
		panic(err)
	}
	rdb = redis.NewClient(&redis.Options{Addr: server.Addr(), ContextTimeoutEnabled: true})
	return rdb, func() {
		_ = rdb.Close()
		_ = server.Close()
	}
}

// show prints three decisions.
func show(limiter ratelimit.Limiter, err error) {
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 3 {
		d, err := limiter.Take(context.Background(), "user:42", 1)
		fmt.Println(d.Allowed, d.Remaining, err)
	}
}

func ExampleNewTokenBucket() {
	rdb, stop := connect()
	defer stop()
	show(redislimit.NewTokenBucket(rdb, ratelimit.PerMinute(60), redislimit.WithBurst(2)))
	// Output:
	// true 1 <nil>
	// true 0 <nil>
	// false 0 <nil>
}

func ExampleNewFixedWindow() {
	rdb, stop := connect()
	defer stop()
	show(redislimit.NewFixedWindow(rdb, ratelimit.PerHour(2), redislimit.WithPrefix("quota")))
	// Output:
	// true 1 <nil>
	// true 0 <nil>
	// false 0 <nil>
}

func ExampleNewSlidingLog() {
	rdb, stop := connect()
	defer stop()
	show(redislimit.NewSlidingLog(rdb, ratelimit.PerHour(2)))
	// Output:
	// true 1 <nil>
	// true 0 <nil>
	// false 0 <nil>
}

func ExampleNewSlidingWindow() {
	rdb, stop := connect()
	defer stop()
	show(redislimit.NewSlidingWindow(rdb, ratelimit.PerHour(2)))
	// Output:
	// true 1 <nil>
	// true 0 <nil>
	// false 0 <nil>
}

func ExampleNewStrictWindow() {
	rdb, stop := connect()
	defer stop()
	show(redislimit.NewStrictWindow(rdb, ratelimit.PerHour(2)))
	// Output:
	// true 1 <nil>
	// true 0 <nil>
	// false 0 <nil>
}

// Calls to a partner that wants them ten milliseconds apart, from all instances.
func ExampleNewLeakyBucket() {
	rdb, stop := connect()
	defer stop()
	limiter, err := redislimit.NewLeakyBucket(rdb, ratelimit.PerSecond(100), redislimit.WithMaxWait(5*time.Second))
	if err != nil {
		fmt.Println(err)
		return
	}
	began := time.Now()
	for range 4 {
		if d, err := limiter.Wait(context.Background(), "partner", 1); !d.Allowed || err != nil {
			fmt.Println(d, err)
		}
	}
	fmt.Println(time.Since(began) >= 30*time.Millisecond)
	// Output: true
}

func ExampleNewLeased() {
	rdb, stop := connect()
	defer stop()
	limiter, err := redislimit.NewLeased(rdb, ratelimit.PerSecond(10_000), 100)
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 100 { // one round trip
		if ok, err := ratelimit.Allow(context.Background(), limiter, "tenant:7"); !ok || err != nil {
			fmt.Println(ok, err)
		}
	}
	fmt.Println("at most", limiter.Most(time.Second+1), "in any second")
	// Output: at most 11000 in any second
}

func ExampleNewMulti() {
	rdb, stop := connect()
	defer stop()
	limiter, err := redislimit.NewMulti(rdb, []ratelimit.Limit{
		{Name: "steady", Quota: ratelimit.Quota{Rate: ratelimit.PerHour(1000), Burst: 100}},
		{Name: "burst", Quota: ratelimit.Quota{Rate: ratelimit.PerMinute(5), Burst: 2}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 3 {
		d, err := limiter.Take(context.Background(), "user:42", 1)
		fmt.Println(d.Allowed, d.Rule, err)
	}
	// Output:
	// true burst <nil>
	// true burst <nil>
	// false burst <nil>
}

func ExampleNewConcurrency() {
	rdb, stop := connect()
	defer stop()
	limiter, err := redislimit.NewConcurrency(rdb, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = limiter.Close() }()
	first, _ := limiter.Acquire(context.Background(), "report")
	second, _ := limiter.Acquire(context.Background(), "report")
	fmt.Println(first.Allowed, second.Allowed)
	first.Release()
	third, _ := limiter.Acquire(context.Background(), "report")
	defer third.Release()
	fmt.Println(third.Allowed)
	// Output:
	// true false
	// true
}

// When Redis is away, each of three instances spends its share of the limit.
func Example_share() {
	rdb, stop := connect()
	defer stop()
	base, err := redislimit.NewTokenBucket(rdb, ratelimit.PerMinute(60), redislimit.WithBurst(6))
	if err != nil {
		fmt.Println(err)
		return
	}
	limiter, err := ratelimit.Share(base, 3)
	if err != nil {
		fmt.Println(err)
		return
	}
	d, err := limiter.Take(context.Background(), "user:42", 1)
	fmt.Println(d.Allowed, d.Remaining, err)
	// Output: true 5 <nil>
}
