package redisquota_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/smsx/quota"
	"github.com/bulwark-go/bulwark/smsx/quota/quotatest"
	"github.com/bulwark-go/bulwark/smsx/redisquota"
)

func newQuota(t require.TestingT, rdb redis.UniversalClient, opts ...redisquota.Option) *redisquota.Quota {
	q, err := redisquota.New(rdb, opts...)
	require.NoError(t, err)
	return q
}

func TestRedisConforms(t *testing.T) {
	options := testenv.RedisOptions(t)
	options.PoolTimeout, options.ReadTimeout = 5*time.Minute, time.Minute // a thousand at once, on a slow machine
	rdb := redis.NewClient(options)
	t.Cleanup(func() { _ = rdb.Close() })
	quotatest.Test(t, func(t *testing.T) quotatest.Harness {
		require.NoError(t, rdb.FlushDB(context.Background()).Err())
		c := testenv.NewRedisClock(t, rdb)
		return quotatest.Harness{Quota: newQuota(t, rdb).OnClock(testenv.RedisClockKey), Now: c.Now, Advance: c.Advance}
	})
}

// TestRedisAndMemoryAgree walks at random through both, with a clock that jumps.
func TestRedisAndMemoryAgree(t *testing.T) {
	rdb := testenv.Redis(t)
	shanghai, err := time.LoadLocation("Asia/Shanghai")
	require.NoError(t, err)
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		require.NoError(t, rdb.FlushDB(ctx).Err())
		c := testenv.NewRedisClock(t, rdb)
		ours := newQuota(t, rdb, redisquota.WithZone(shanghai), redisquota.WithRetention(time.Hour)).OnClock(testenv.RedisClockKey)
		model, err := quota.NewMemory(quota.WithZone(shanghai), quota.WithRetention(time.Hour), quota.WithClock(c.Now))
		require.NoError(t, err)
		steps := []time.Duration{
			time.Millisecond, time.Minute, time.Hour, 26 * time.Hour, 9 * 24 * time.Hour, -time.Second, -10 * 24 * time.Hour,
		}
		tickets := []quota.Ticket{{Account: "a", ID: "none", Try: 1}}
		for i := range rapid.IntRange(1, 60).Draw(t, "length") {
			ticket := func() quota.Ticket { return rapid.SampledFrom(tickets).Draw(t, "ticket") }
			switch rapid.IntRange(0, 7).Draw(t, "what") {
			case 0, 1, 2, 3:
				n := rapid.IntRange(1, 4).Draw(t, "message")
				in := quota.Charge{
					Account: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "account"), ID: fmt.Sprint(n), Units: int64(n),
					Content:  rapid.SampledFrom([]string{"x", "x", "x", "y"}).Draw(t, "content"),
					Capacity: rapid.Int64Range(5, 9).Draw(t, "capacity"),
				}
				want, err := model.Reserve(ctx, in)
				require.NoError(t, err)
				got, err := ours.Reserve(ctx, in)
				require.NoError(t, err)
				require.Equal(t, want, got, "step %d", i)
				if got.Verdict == quota.Granted {
					tickets = append(tickets, got.Ticket)
				}
			case 4:
				at, units := ticket(), rapid.Int64Range(-1, 5).Draw(t, "units")
				require.NoError(t, model.Commit(ctx, at, units))
				require.NoError(t, ours.Commit(ctx, at, units))
			case 5, 6:
				at := ticket()
				require.NoError(t, model.Refund(ctx, at))
				require.NoError(t, ours.Refund(ctx, at))
			default:
				c.Advance(rapid.SampledFrom(steps).Draw(t, "step"))
			}
		}
		for _, key := range rdb.Keys(ctx, "quota:*").Val() {
			require.Positive(t, rdb.PTTL(ctx, key).Val(), "a key without end")
		}
	})
}

// TestNoHistoryOverspends lets clients race over few messages, who lose answers,
// retry, die and refund late, and counts apart what receivers got.
func TestNoHistoryOverspends(t *testing.T) {
	rdb := testenv.Redis(t)
	q := newQuota(t, rdb)
	const clients, messages, capacity = 4, 6, 12
	var refusals atomic.Int64
	for history := range testenv.Scale(60, 10_000) {
		account := fmt.Sprint(history)
		var world [messages]atomic.Int64
		var wg sync.WaitGroup
		for client := range clients {
			random := rand.New(rand.NewPCG(uint64(history), uint64(client)))
			wg.Go(func() {
				for range 10 {
					i := random.IntN(messages)
					units := int64(i + 1)
					d, err := q.Reserve(context.Background(), quota.Charge{
						Account: account, ID: fmt.Sprint(i), Content: "x", Units: units, Capacity: capacity,
					})
					if err != nil {
						t.Error(err)
						return
					}
					if d.Verdict != quota.Granted {
						refusals.Add(1)
						continue
					}
					switch random.IntN(5) {
					case 0:
						world[i].Store(units)
						err = q.Commit(context.Background(), d.Ticket, units)
					case 1:
						world[i].Store(units) // nobody knows
					case 2, 3:
						for range 1 + random.IntN(2) {
							err = q.Refund(context.Background(), d.Ticket)
						}
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		sent := int64(0)
		for i := range world {
			sent += world[i].Load()
		}
		require.LessOrEqual(t, sent, int64(capacity), "history %d", history)
	}
	t.Logf("%d operations at least, %d refusals", testenv.Scale(60, 10_000)*clients*10, refusals.Load())
	require.Positive(t, refusals.Load())
}

// spy is a go-redis hook that keeps every command.
type spy struct {
	mu       sync.Mutex
	commands []redis.Cmder
}

func (*spy) DialHook(next redis.DialHook) redis.DialHook { return next }

func (s *spy) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		s.mu.Lock()
		s.commands = append(s.commands, cmd)
		s.mu.Unlock()
		return next(ctx, cmd)
	}
}

func (*spy) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func TestEachOperationIsOneRoundTripInOneSlot(t *testing.T) {
	rdb, watch := testenv.Redis(t), &spy{}
	q := newQuota(t, rdb)
	in := quota.Charge{Account: "sh}op", ID: "{a", Content: "x", Units: 1, Capacity: 9}
	cycle := func() {
		for _, id := range []string{"{a", "b"} {
			in.ID = id
			d, err := q.Reserve(t.Context(), in)
			require.NoError(t, err)
			if id == "b" {
				require.NoError(t, q.Refund(t.Context(), d.Ticket))
			} else {
				require.NoError(t, q.Commit(t.Context(), d.Ticket, 1))
			}
		}
	}
	cycle()
	require.NoError(t, rdb.FlushDB(t.Context()).Err())
	rdb.AddHook(watch)
	cycle()
	require.Len(t, watch.commands, 4)
	for _, cmd := range watch.commands {
		args := cmd.Args()
		require.Equal(t, "evalsha", args[0])
		require.EqualValues(t, 2, args[2])
		require.Regexp(t, `^quota:\{#:[\w-]{24}\}$`, args[3])
		require.Regexp(t, `^quota:\{#:[\w-]{24}\}:[\w-]{24}$`, args[4])
		require.Equal(t, args[3], args[4].(string)[:len(args[3].(string))], "two tags, and so two slots")
	}
	require.ElementsMatch(t, []string{watch.commands[0].Args()[3].(string), watch.commands[0].Args()[4].(string),
		watch.commands[2].Args()[4].(string)}, rdb.Keys(t.Context(), "*").Val(), "a key that was not declared")
}

func TestTheServerTellsTheMonthNotTheCaller(t *testing.T) {
	rdb := testenv.Redis(t)
	c := testenv.NewRedisClock(t, rdb)
	c.Advance(-c.Now().Sub(time.Date(2031, 5, 31, 23, 59, 59, 0, time.UTC))) // years from the caller's time
	q := newQuota(t, rdb).OnClock(testenv.RedisClockKey)
	in := quota.Charge{Account: "a", ID: "1", Content: "x", Units: 5, Capacity: 5}
	d, err := q.Reserve(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, quota.Granted, d.Verdict)
	require.Equal(t, time.Second, d.ResetAfter)
	in.ID = "2"
	d, err = q.Reserve(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, quota.Exhausted, d.Verdict)
	c.Advance(time.Second)
	d, err = q.Reserve(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, quota.Granted, d.Verdict)
}

func TestAnotherTypeAndADeadServerAreErrors(t *testing.T) {
	rdb := testenv.Redis(t)
	q := newQuota(t, rdb)
	in := quota.Charge{Account: "shop", ID: "secret-id", Content: "x", Units: 1, Capacity: 9}
	d, err := q.Reserve(t.Context(), in)
	require.NoError(t, err)
	for _, key := range rdb.Keys(t.Context(), "*").Val() {
		require.NoError(t, rdb.Set(t.Context(), key, "x", time.Minute).Err())
	}
	_, err = q.Reserve(t.Context(), in)
	require.ErrorContains(t, err, "WRONGTYPE")
	require.Error(t, q.Commit(t.Context(), d.Ticket, 1))
	require.NoError(t, rdb.Close())
	d, err = q.Reserve(t.Context(), in)
	require.ErrorIs(t, err, redis.ErrClosed)
	require.Zero(t, d)
}

func TestNewNamesEveryViolation(t *testing.T) {
	_, err := redisquota.New(nil, redisquota.WithPrefix("{"), redisquota.WithZone(nil), redisquota.WithRetention(time.Microsecond))
	for _, field := range []string{"rdb", "prefix", "zone", "retention"} {
		require.ErrorContains(t, err, "redisquota: "+field+" = ")
	}
}
