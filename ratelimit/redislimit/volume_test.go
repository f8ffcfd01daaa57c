package redislimit_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/redislimit"
)

// span is the time between sending a request and having its answer: Redis decided
// somewhere within.
type span struct{ sent, got time.Duration }

// requireBound checks the windows that begin with an admission. Only those that
// lie in a window for sure are counted, so a slow machine proves less, never
// something wrong. drift is how far the server's clock may run from the test's.
func requireBound(t *testing.T, admitted []span, most func(time.Duration) int64, windows ...time.Duration) {
	t.Helper()
	const drift = time.Millisecond
	slices.SortFunc(admitted, func(a, b span) int { return int(a.sent - b.sent) })
	for _, window := range windows {
		for i, first := range admitted {
			end, sum := first.sent+window-drift, int64(0)
			for _, a := range admitted[i:] {
				if a.sent > end {
					break
				}
				if a.got <= end {
					sum++
				}
			}
			require.LessOrEqualf(t, sum, most(window), "in the window of %v from %v", window, first.sent)
		}
	}
}

type bounded interface {
	ratelimit.Limiter
	ratelimit.Bounded
}

// TestManyClientsStayWithinTheBound runs the scripts as they are, on the server's
// own clock, while the server forgets them once in each second.
func TestManyClientsStayWithinTheBound(t *testing.T) {
	const clients = 64
	rate := ratelimit.Rate{Count: 20, Per: 40 * time.Millisecond}
	calls := testenv.Scale(2_000, 2_000_000) / clients
	makes := map[string]func(redis.UniversalClient) (bounded, error){
		"leaky bucket": func(rdb redis.UniversalClient) (bounded, error) { return redislimit.NewLeakyBucket(rdb, rate) },
		"leased":       func(rdb redis.UniversalClient) (bounded, error) { return redislimit.NewLeased(rdb, rate, 1) },
	}
	for name, algorithm := range algorithms {
		makes[name] = func(rdb redis.UniversalClient) (bounded, error) { return algorithm.make(rdb, rate) }
	}
	for name, create := range makes {
		t.Run(name, func(t *testing.T) {
			options := testenv.RedisOptions(t)
			options.PoolSize = 1
			stop := forgetful(t, options)
			defer stop()
			began := time.Now()
			admitted := make([][]span, clients)
			var asked atomic.Int64
			var wg sync.WaitGroup
			for i := range clients {
				rdb := redis.NewClient(options)
				t.Cleanup(func() { _ = rdb.Close() })
				l, err := create(rdb)
				require.NoError(t, err)
				wg.Go(func() {
					for range calls {
						sent := time.Since(began)
						d, err := l.Take(context.Background(), "k", 1)
						if err != nil {
							t.Error(err)
							return
						}
						asked.Add(1)
						if d.Allowed {
							admitted[i] = append(admitted[i], span{sent, time.Since(began)})
						}
					}
				})
			}
			wg.Wait()
			elapsed := time.Since(began)
			l, err := create(testenv.Redis(t))
			require.NoError(t, err)
			all := slices.Concat(admitted...)
			require.NotEmpty(t, all)
			require.LessOrEqual(t, int64(len(all)), l.Most(elapsed+time.Millisecond))
			requireBound(t, all, l.Most, rate.Per/4, rate.Per, 3*rate.Per)
			t.Logf("asked %d times, admitted %d in %v", asked.Load(), len(all), elapsed)
		})
	}
}

// forgetful empties the script cache once in each second.
func forgetful(t *testing.T, options *redis.Options) (stop func()) {
	t.Helper()
	rdb := redis.NewClient(options)
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		again := time.NewTicker(time.Second)
		defer again.Stop()
		for {
			if err := rdb.ScriptFlush(context.Background()).Err(); err != nil {
				t.Error(err)
			}
			select {
			case <-again.C:
			case <-done:
				return
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(done)
		<-stopped
		_ = rdb.Close()
	})
}
