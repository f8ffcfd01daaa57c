package redishook_test

import (
	"context"
	"fmt"

	"github.com/alicebob/miniredis/v2"
	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/observe/redishook"
	"github.com/redis/go-redis/v9"
)

// printer is an observe.Observer that prints what ended.
type printer struct{}

func (printer) Start(ctx context.Context, op observe.Operation) (context.Context, observe.End) {
	return ctx, func(r observe.Result) {
		if op.Kind.Action == "command" {
			fmt.Println(op.Values[0], op.Values[1], r.Values[0], r.Outcome)
		}
	}
}

func ExampleNew() {
	server, err := miniredis.Run()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer rdb.Close()
	ctx := context.Background()
	rdb.Ping(ctx) // connects; the hook would show the greeting, too
	rdb.AddHook(redishook.New(printer{}, redishook.WithName("cache")))
	rdb.Get(ctx, "article:1")
	rdb.Set(ctx, "article:1", "…", 0)
	rdb.Get(ctx, "article:1")
	// Output:
	// cache get miss ok
	// cache set none ok
	// cache get hit ok
}

func ExampleDials() {
	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"redis-1:6379", "redis-2:6379"}})
	defer cluster.Close()
	cluster.AddHook(redishook.New(observe.Nop()))
	cluster.OnNewNode(func(node *redis.Client) { node.AddHook(redishook.Dials(observe.Nop())) })
}
