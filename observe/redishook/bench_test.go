package redishook_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/observe/prom"
	"github.com/bulwark-go/bulwark/observe/redishook"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// What the hook adds to a command and to a pipeline, with Redis left out.
func BenchmarkHook(b *testing.B) {
	metrics, err := prom.New(prometheus.NewRegistry(), prom.Config{Namespace: "bench"})
	require.NoError(b, err)
	for name, o := range map[string]observe.Observer{"nobody": nil, "prom": metrics} {
		hook := redishook.New(o)
		b.Run("observer="+name+"/command", func(b *testing.B) {
			run := hook.ProcessHook(func(context.Context, redis.Cmder) error { return nil })
			cmd := redis.NewStringCmd(context.Background(), "get", "k")
			b.ReportAllocs()
			for b.Loop() {
				_ = run(context.Background(), cmd)
			}
		})
		for _, size := range []int{1, 10, 100} {
			b.Run(fmt.Sprintf("observer=%s/pipeline=%d", name, size), func(b *testing.B) {
				run := hook.ProcessPipelineHook(func(context.Context, []redis.Cmder) error { return nil })
				cmds := make([]redis.Cmder, size)
				for i := range cmds {
					cmds[i] = redis.NewStringCmd(context.Background(), "get", "k")
				}
				b.ReportAllocs()
				for b.Loop() {
					_ = run(context.Background(), cmds)
				}
			})
		}
	}
}
