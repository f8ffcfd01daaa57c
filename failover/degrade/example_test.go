package degrade_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bulwark-go/bulwark/failover/degrade"
)

func ExampleNewLevels() {
	load := 0.95
	levels, err := degrade.NewLevels(degrade.Config{Name: "api"},
		degrade.WithSignal("queue", func() (float64, bool) { return load, true }),
		degrade.OnChange(func(c degrade.Change) { fmt.Println(c.From, "to", c.To, "because of", c.Reason) }))
	if err != nil {
		fmt.Println(err)
		return
	}
	levels.Measure() // Run does it once a second
	_, err = levels.Enter(degrade.WithCriticality(context.Background(), degrade.Sheddable))
	fmt.Println(errors.Is(err, degrade.ErrShed))
	ctx, err := levels.Enter(context.Background())
	fmt.Println(degrade.FastPath(ctx), err)
	// Output:
	// 0 to 1 because of queue at 0.95
	// true
	// true <nil>
}

func ExampleNewFallback() {
	fallback, err := degrade.NewFallback(degrade.FallbackConfig{Name: "recommendations", Cost: degrade.Constant, Timeout: 50 * time.Millisecond},
		degrade.Always([]string{"bestseller"}))
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := fallback.Do(context.Background(), nil, func(context.Context) ([]string, error) {
		return nil, errors.New("database is down")
	})
	fmt.Println(result.Value(), result.Degraded(), err)
	_, fresh := result.Fresh()
	fmt.Println("to be cached:", fresh)
	// Output:
	// [bestseller] database is down <nil>
	// to be cached: false
}

func ExampleNewSwitches() {
	store := &degrade.Memory{} // or one of package redisswitch, for a fleet
	switches, err := degrade.NewSwitches(store, []string{"recommendations", "writes", "reads"}, degrade.SwitchConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = switches.Shed(context.Background(), 2, "ann", "database at its limit", time.Hour)
	fmt.Println(switches.On("recommendations"), switches.On("writes"), switches.On("reads"), err)
	// Output: false false true <nil>
}

func ExampleNewDimmer() {
	inFlight, limit := 60.0, 200.0
	dimmer, err := degrade.NewDimmer(degrade.DimmerConfig{Name: "api"},
		degrade.WithSignal("in-flight", func() (float64, bool) { return inFlight / limit, true }))
	if err != nil {
		fmt.Println(err)
		return
	}
	prefetch := degrade.WithCriticality(context.Background(), degrade.Sheddable)
	for range 100 { // calls of one period
		_, _ = dimmer.Admit(prefetch), dimmer.Admit(context.Background())
	}
	dimmer.Measure() // Run does it ten times a second
	fmt.Println(errors.Is(dimmer.Admit(prefetch), degrade.ErrShed), dimmer.Admit(context.Background()))
	// Output: true <nil>
}

func ExampleNewRegistry() {
	registry, err := degrade.NewRegistry(degrade.RegistryConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	stale, err := degrade.NewFallback(degrade.FallbackConfig{Name: "stale-page", Cost: degrade.Cached,
		StandsInFor: []string{"database"}, Uses: []string{"cache"}}, degrade.Always("page of yesterday"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fresh, err := degrade.NewFallback(degrade.FallbackConfig{Name: "read-through", Cost: degrade.Remote,
		StandsInFor: []string{"cache"}, Uses: []string{"database"}}, degrade.Always("page"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(registry.Register(stale))
	fmt.Println(registry.Register(fresh)) // when the database fails, this would ask it for what it cannot give
	// Output:
	// <nil>
	// degrade: fallback "stale-page": leads back to "database", which it stands in for, by ["cache" "database"]
	// degrade: fallback "read-through": leads back to "cache", which it stands in for, by ["database" "cache"]
}
