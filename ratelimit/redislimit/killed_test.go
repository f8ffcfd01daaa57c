package redislimit_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
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

const (
	heldSlots = 8
	heldLife  = time.Second
)

// hold takes slots until there are none, says for each that it is in flight, and
// keeps them for as long as the process lives.
func hold(addr string) error {
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	c, err := redislimit.NewConcurrency(rdb, heldSlots, redislimit.WithTTL(heldLife))
	if err != nil {
		return err
	}
	for {
		ticket, err := c.Acquire(context.Background(), "k")
		if err != nil {
			return err
		}
		if !ticket.Allowed {
			break
		}
		fmt.Println("+")
	}
	fmt.Println(".")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// TestSlotsOfKilledProcessesComeBack kills processes that hold slots. What they say
// they hold counts until they are gone; Redis knows it for one TTL longer, so at no
// time may there be more of it than slots.
func TestSlotsOfKilledProcessesComeBack(t *testing.T) {
	node := testenv.RestartableRedis(t)
	rdb := redis.NewClient(&redis.Options{Addr: node.Addr()})
	t.Cleanup(func() { _ = rdb.Close() })
	const together = 4
	var most int64
	for kills := 0; kills < testenv.Scale(8, 1_000); kills += together {
		var inFlight atomic.Int64
		var wg sync.WaitGroup
		var killed []*process
		for range together {
			p := startProcess(t, "holder", node.Addr())
			killed = append(killed, p)
			wg.Go(func() {
				lines := bufio.NewScanner(p.out)
				for lines.Scan() && lines.Text() == "+" {
					inFlight.Add(1)
				}
			})
		}
		wg.Wait() // each was refused once
		most = max(most, inFlight.Load())
		require.LessOrEqual(t, inFlight.Load(), int64(heldSlots), "over-admission")
		require.Positive(t, inFlight.Load())
		for _, p := range killed {
			p.kill()
		}
		requireRecovery(t, rdb)
	}
	require.Equal(t, int64(heldSlots), most, "the slots were never all in use")
}

// requireRecovery checks by the server's clock that all slots are free one TTL
// after their holders died, and not taken for longer.
func requireRecovery(t *testing.T, rdb *redis.Client) {
	t.Helper()
	died := rdb.Time(t.Context()).Val().Add(heldLife)
	at := key("ratelimit:concurrency", "k")
	last := rdb.ZRangeWithScores(t.Context(), at, -1, -1).Val()
	if len(last) > 0 {
		require.LessOrEqual(t, int64(last[0].Score), died.UnixMicro(), "a dead process keeps its slot for longer")
	}
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for rdb.Time(t.Context()).Val().Before(died) {
		<-again.C
	}
	c := instance(t, rdb, heldSlots)
	for range heldSlots {
		ticket, err := c.Acquire(t.Context(), "k")
		require.NoError(t, err)
		require.True(t, ticket.Allowed, "a slot did not come back")
		defer ticket.Release()
	}
	require.Equal(t, int64(heldSlots), rdb.ZCard(t.Context(), at).Val())
}

// TestManyNodesAdmitWhatTheLimitSaysAndNoLess lets ten nodes ask for more than there
// is. The server's clock, read before and after, says what must have been admitted.
func TestManyNodesAdmitWhatTheLimitSaysAndNoLess(t *testing.T) {
	options := testenv.RedisOptions(t)
	rate, burst := ratelimit.PerSecond(int64(testenv.Scale(200, 1_000))), int64(testenv.Scale(1_000, 20_000))
	spacing := int64(rate.Per/time.Microsecond) / rate.Count
	lasts := time.Duration(testenv.Scale(1, 30)) * time.Second
	var admitted, full atomic.Int64
	node := func() *redislimit.Limiter {
		rdb := redis.NewClient(options)
		t.Cleanup(func() { _ = rdb.Close() })
		l, err := redislimit.NewTokenBucket(rdb, rate, redislimit.WithBurst(burst))
		require.NoError(t, err)
		return l
	}
	server := testenv.Redis(t)
	micros := func() int64 { return server.Time(t.Context()).Val().UnixMicro() }
	first := [2]int64{micros(), 0}
	require.True(t, take(t, node(), "k", burst/2).Allowed) // so that it fills up only when nobody asks for long
	admitted.Add(burst / 2)
	first[1] = micros()
	began := time.Now()
	var wg sync.WaitGroup
	for range 10 {
		l := node()
		wg.Go(func() {
			for time.Since(began) < lasts {
				d, err := l.Take(context.Background(), "k", 1)
				if err != nil {
					t.Error(err)
					return
				}
				if d.Allowed {
					admitted.Add(1)
				} else if d.RetryAfter > time.Duration(spacing)*time.Microsecond {
					t.Error("a token comes sooner than in " + d.RetryAfter.String())
				}
				if d.Allowed && d.Remaining == burst-1 {
					full.Add(1)
				}
			}
		})
	}
	wg.Wait()
	last, drained := [2]int64{}, false
	for l := node(); !drained; {
		last[0] = micros()
		if drained = !take(t, l, "k", 1).Allowed; !drained {
			admitted.Add(1)
		}
		last[1] = micros()
	}
	if full.Load() > 0 {
		t.Skip("the bucket filled up: the machine is too slow to use the rate")
	}
	least, most := burst+(last[0]-first[1])/spacing-1, burst+(last[1]-first[0])/spacing+1
	require.GreaterOrEqual(t, admitted.Load(), least)
	require.LessOrEqual(t, admitted.Load(), most)
	exact := float64(burst) + float64(last[0]-first[0])/float64(spacing)
	t.Log("admitted " + strconv.FormatInt(admitted.Load(), 10) + ", by the clock " + strconv.FormatFloat(exact, 'f', 1, 64) +
		": error " + strconv.FormatFloat(100*(float64(admitted.Load())-exact)/exact, 'f', 4, 64) + " %")
}
