package redisguard_test

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/redis/go-redis/v9"

	"github.com/bulwark-go/bulwark/internal/embedded"
	"github.com/bulwark-go/bulwark/smsx/otp/guard"
	"github.com/bulwark-go/bulwark/smsx/otp/guard/redisguard"
)

func ExampleNew() {
	server, err := embedded.StartRedis(embedded.RedisConfig{}) // a service has its own
	if err != nil {
		panic(err)
	}
	defer func() { _ = server.Close() }()
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer func() { _ = rdb.Close() }()

	store, err := redisguard.New(rdb, []byte("a secret of the service's own"))
	if err != nil {
		panic(err)
	}
	// With a memory as its backup a guard goes on while Redis is away.
	g, err := guard.New(store, guard.Config{DailyCap: 20_000, Network: 2}, guard.WithBackup(guard.NewMemory()))
	if err != nil {
		panic(err)
	}
	for i := range 3 {
		d, err := g.Allow(context.Background(), fmt.Sprintf("+8613800138%03d", i), netip.MustParseAddr("192.0.2.7"))
		fmt.Printf("%v %q %v\n", d.Allowed, d.Reason, err)
	}
	// Output:
	// true "" <nil>
	// true "" <nil>
	// false "network" <nil>
}
