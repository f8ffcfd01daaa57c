package redislimit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/ratelimittest"
	"github.com/bulwark-go/bulwark/ratelimit/redislimit"
)

const leakyPrefix = "ratelimit:leaky"

func newLeaky(t require.TestingT, rdb redis.UniversalClient, rate ratelimit.Rate, opts ...redislimit.Option) *redislimit.LeakyBucket {
	b, err := redislimit.NewLeakyBucket(rdb, rate, opts...)
	require.NoError(t, err)
	return b
}

// leaky makes a limiter whose server's clock the test moves.
func leaky(t *testing.T, rdb redis.UniversalClient, rate ratelimit.Rate, opts ...redislimit.Option) (*redislimit.LeakyBucket, *clock) {
	t.Helper()
	c := newClock(t, rdb, 1)
	b := newLeaky(t, rdb, rate, opts...)
	b.OnClock(c.name)
	return b, c
}

func TestLeakyBucketConforms(t *testing.T) {
	for name, rate := range rates {
		t.Run(name, func(t *testing.T) {
			rdb := testenv.Redis(t)
			ratelimittest.Test(t, func() ratelimittest.Harness {
				require.NoError(t, rdb.FlushDB(context.Background()).Err())
				b, c := leaky(t, rdb, rate)
				q := ratelimit.Quota{Rate: rate, Burst: rate.Count}
				return ratelimittest.Harness{
					Limiter: b, Quota: q, Advance: c.advance, Tick: time.Microsecond, Model: ratelimittest.LeakyBucket(q), Drains: 1,
				}
			})
		})
	}
}

// ticking moves the server's clock along with that of the bubble in which the
// client is used.
type ticking struct {
	clock *clock
	mu    sync.Mutex
	start time.Time
	begin int64
}

func (k *ticking) DialHook(next redis.DialHook) redis.DialHook { return next }

func (k *ticking) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() != "evalsha" && cmd.Name() != "eval" {
			return next(ctx, cmd)
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		k.clock.set(k.begin + time.Since(k.start).Microseconds())
		return next(ctx, cmd)
	}
}

func (k *ticking) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// bubbled makes instances in a bubble, whose clock is the server's, too.
func bubbled(t *testing.T, options *redis.Options, n int, opts ...redislimit.Option) []*redislimit.LeakyBucket {
	t.Helper()
	options.PoolSize = 100
	rdb := redis.NewClient(options)
	t.Cleanup(func() { _ = rdb.Close() })
	require.NoError(t, rdb.FlushDB(t.Context()).Err())
	c := newClock(t, rdb, 1)
	hooked := redis.NewClient(options)
	t.Cleanup(func() { _ = hooked.Close() })
	hooked.AddHook(&ticking{clock: c, start: time.Now(), begin: c.now.Load()})
	instances := make([]*redislimit.LeakyBucket, n)
	for i := range instances {
		instances[i] = newLeaky(t, hooked, ratelimit.PerSecond(10), append([]redislimit.Option{redislimit.WithMaxWait(time.Minute)}, opts...)...)
		instances[i].OnClock(c.name)
	}
	return instances
}

func TestLeakyBucketConformsAsAWaiter(t *testing.T) {
	options := testenv.RedisOptions(t)
	ratelimittest.TestWaiter(t, func(t *testing.T) ratelimittest.WaiterHarness {
		return ratelimittest.WaiterHarness{Waiter: bubbled(t, options, 1)[0]}
	})
}

func TestWaitersOfManyInstancesGoInOneOrder(t *testing.T) {
	options := testenv.RedisOptions(t)
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var mu sync.Mutex
		var order []int
		var wg sync.WaitGroup
		for i, b := range bubbled(t, options, 5) {
			for j := range 4 {
				wg.Go(func() {
					d, err := b.Wait(t.Context(), "k", 1)
					if err != nil || !d.Allowed {
						t.Errorf("%+v, %v", d, err)
					}
					mu.Lock()
					defer mu.Unlock()
					order = append(order, 4*i+j)
					if got, want := time.Since(start), time.Duration(len(order)-1)*100*time.Millisecond; got != want {
						t.Errorf("the turn %d came at %v, not at %v", len(order), got, want)
					}
				})
				synctest.Wait()
			}
		}
		wg.Wait()
		for i := range order {
			require.Equal(t, i, order[i])
		}
	})
}

// turns is the reference: a list of who was given which turn.
type turns struct {
	list    []turn
	spacing time.Duration
	most    int // ahead of one that waits
}

type turn struct {
	name        string
	begin, ends time.Duration
}

func (q *turns) tail(now time.Duration) time.Duration {
	tail := now
	for _, t := range q.list {
		tail = max(tail, t.ends)
	}
	return tail
}

func (q *turns) join(name string, now time.Duration, cost int64, patience time.Duration) (time.Duration, bool) {
	q.list = slices.DeleteFunc(q.list, func(t turn) bool { return t.ends <= now })
	begin := q.tail(now)
	wait := begin - now
	if wait > patience || wait > 0 && len(q.list) > q.most {
		return wait, false
	}
	q.list = append(q.list, turn{name, begin, begin + time.Duration(cost)*q.spacing})
	return wait, true
}

func (q *turns) leave(name string) {
	q.list = slices.DeleteFunc(q.list, func(t turn) bool { return t.name == name })
}

// TestTheQueueAgreesWithItsModel drives two instances and the reference through the
// same random histories of joining, giving back and looking.
func TestTheQueueAgreesWithItsModel(t *testing.T) {
	rdb := testenv.Redis(t)
	random := rand.New(rand.NewPCG(5, 6))
	for done := 0; done < testenv.Scale(600, 250_000); {
		require.NoError(t, rdb.FlushDB(t.Context()).Err())
		n := 1 + random.Int64N(16)
		spacing := time.Duration(1+random.Int64N(1000)) * 10 * time.Microsecond
		rate := ratelimit.Rate{Count: n, Per: time.Duration(n) * spacing}
		model := turns{spacing: spacing, most: 1 + random.IntN(12)}
		one, c := leaky(t, rdb, rate, redislimit.WithMaxWaiting(model.most))
		other := newLeaky(t, rdb, rate, redislimit.WithMaxWaiting(model.most))
		other.OnClock(c.name)
		now := time.Duration(0)
		for i := range 50 {
			b := []*redislimit.LeakyBucket{one, other}[random.IntN(2)]
			if random.IntN(3) == 0 {
				step := pause(random, model.tail(now)-now, rate.Per)
				c.advance(step)
				now += step
			}
			switch random.IntN(6) {
			case 0:
				d := take(t, b, "k", 0)
				require.Equal(t, model.tail(now)-now, d.ResetAfter)
			case 1:
				cost := 1 + random.Int64N(n)
				wait, given := model.join("take", now, cost, 0)
				d := take(t, b, "k", cost)
				require.Equal(t, given, d.Allowed)
				require.Equal(t, wait, d.RetryAfter)
			case 2:
				if len(model.list) == 0 {
					continue
				}
				gone := model.list[random.IntN(len(model.list))].name
				if gone == "take" {
					continue
				}
				model.leave(gone)
				b.Leave(t.Context(), "k", gone)
				b.Leave(t.Context(), "k", gone) // the client may send it twice
			default:
				name, cost := fmt.Sprint("a-", i), 1+random.Int64N(n)
				patience := time.Duration(random.Int64N(int64(20 * spacing))).Truncate(time.Microsecond)
				wait, given := model.join(name, now, cost, patience)
				gotWait, gotGiven, err := b.Join(t.Context(), "k", name, cost, patience)
				require.NoError(t, err)
				require.Equal(t, given, gotGiven, "wait %v, patience %v", wait, patience)
				require.Equal(t, wait, gotWait)
			}
			done++
		}
	}
}

func join(t *testing.T, b *redislimit.LeakyBucket, turn string, patience time.Duration) time.Duration {
	t.Helper()
	wait, given, err := b.Join(t.Context(), "k", turn, 1, patience)
	require.NoError(t, err)
	require.True(t, given)
	return wait
}

func TestATurnThatIsAskedForTwiceIsGivenOnce(t *testing.T) {
	b, c := leaky(t, testenv.Redis(t), ratelimit.PerSecond(10))
	require.Zero(t, join(t, b, "a-1", time.Second))
	require.Equal(t, 100*time.Millisecond, join(t, b, "a-2", time.Second))
	require.Equal(t, 100*time.Millisecond, join(t, b, "a-2", time.Second))
	c.advance(30 * time.Millisecond)
	require.Zero(t, join(t, b, "a-1", time.Second))
	require.Equal(t, 70*time.Millisecond, join(t, b, "a-2", time.Second))
	require.Equal(t, 170*time.Millisecond, take(t, b, "k", 1).RetryAfter)
}

func TestATurnWithSomebodyBehindItPassesUnused(t *testing.T) {
	b, _ := leaky(t, testenv.Redis(t), ratelimit.PerSecond(10))
	for i := range 4 {
		join(t, b, fmt.Sprint("a-", i), time.Second)
	}
	b.Leave(t.Context(), "k", "a-1")
	b.Leave(t.Context(), "k", "a-2")
	require.Equal(t, 400*time.Millisecond, take(t, b, "k", 1).RetryAfter, "nobody who sleeps elsewhere can move up")
	b.Leave(t.Context(), "k", "a-3")
	require.Equal(t, 100*time.Millisecond, take(t, b, "k", 1).RetryAfter, "nobody is behind those who left before any more")
}

func TestAQueuesClockSetBackLocksForTheLongestQueueOnly(t *testing.T) {
	for _, step := range steps {
		b, c := leaky(t, testenv.Redis(t), ratelimit.PerSecond(10))
		for i := range 5 {
			join(t, b, fmt.Sprint("a-", i), time.Second)
		}
		c.advance(-step)
		_, given, err := b.Join(t.Context(), "k", "a-9", 1, 0)
		require.NoError(t, err)
		require.False(t, given, "a clock set back mints nothing")
		d := take(t, b, "k", 1)
		require.LessOrEqual(t, d.RetryAfter, 2*time.Second, "the longest wait and the largest cost")
		c.advance(d.RetryAfter)
		require.True(t, take(t, b, "k", 1).Allowed, "what Redis promised holds")
	}
}

func TestAQueuesKeyIsInOrder(t *testing.T) {
	rdb := testenv.Redis(t)
	b := newLeaky(t, rdb, ratelimit.PerSecond(1))
	at := key(leakyPrefix, "k")
	take(t, b, "k", 0)
	require.Zero(t, rdb.Exists(t.Context(), at).Val(), "a look writes nothing")
	require.True(t, take(t, b, "k", 1).Allowed)
	ttl := rdb.PTTL(t.Context(), at).Val()
	require.Greater(t, ttl, time.Second)
	require.LessOrEqual(t, ttl, 2*time.Second)
	before := rdb.ZRangeWithScores(t.Context(), at, 0, -1).Val()
	take(t, b, "k", 0)
	require.False(t, take(t, b, "k", 1).Allowed)
	require.Equal(t, before, rdb.ZRangeWithScores(t.Context(), at, 0, -1).Val(), "a denial charges nothing")
	for i, spoil := range []func(){
		func() { rdb.Set(t.Context(), at, "1", 0) },
		func() { rdb.ZAdd(t.Context(), at, redis.Z{Score: 1e18, Member: "x:y"}) },
		func() { rdb.RPush(t.Context(), at, "a-1") },
	} {
		require.NoError(t, rdb.Del(t.Context(), at).Err())
		spoil()
		var state *redislimit.StateError
		_, err := b.Take(t.Context(), "k", 1)
		require.ErrorAs(t, err, &state, "%d", i)
		_, err = b.Wait(t.Context(), "k", 1)
		require.ErrorAs(t, err, &state, "%d", i)
	}
}

func TestAQueueIsRetunedAndChecksItsSettings(t *testing.T) {
	rdb := testenv.Redis(t)
	b, c := leaky(t, rdb, ratelimit.PerHour(1))
	require.True(t, take(t, b, "k", 1).Allowed)
	require.NoError(t, b.Retune(ratelimit.Quota{Rate: ratelimit.PerSecond(10)}))
	require.Equal(t, ratelimit.Quota{Rate: ratelimit.PerSecond(10), Burst: 1}, b.Quota())
	require.Equal(t, int64(10), b.Most(time.Second))
	d := take(t, b, "k", 1)
	require.LessOrEqual(t, d.RetryAfter, 2*time.Second, "an hour's turn is cut down to the longest queue")
	c.advance(d.RetryAfter)
	require.True(t, take(t, b, "k", 1).Allowed)
	var field *ratelimit.FieldError
	require.ErrorAs(t, b.Retune(ratelimit.Quota{Rate: ratelimit.PerSecond(10), Burst: 2}), &field)
	_, err := redislimit.NewLeakyBucket(nil, ratelimit.Rate{}, redislimit.WithMaxWait(0), redislimit.WithMaxWaiting(0))
	for _, text := range []string{"rate.count 0", "rdb nil", "maxWait 0s", "maxWaiting 0"} {
		require.ErrorContains(t, err, text)
	}
}

// refusing fails the commands that give back.
type refusing struct{}

func (refusing) DialHook(next redis.DialHook) redis.DialHook { return next }

func (refusing) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "zrem" {
			cmd.SetErr(errRefused)
			return errRefused
		}
		return next(ctx, cmd)
	}
}

func (refusing) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

var errRefused = errors.New("refused")

func TestATurnThatCannotBeGivenBackIsReported(t *testing.T) {
	rdb := testenv.Redis(t)
	rdb.AddHook(refusing{})
	var reported []error
	b := newLeaky(t, rdb, ratelimit.PerMinute(1), redislimit.WithMaxWait(time.Hour),
		redislimit.WithOnFailure(func(_ context.Context, err error) { reported = append(reported, err) }))
	require.True(t, take(t, b, "k", 1).Allowed)
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	go func() {
		for { // until it has its turn
			if n, err := rdb.ZCard(ctx, key(leakyPrefix, "k")).Result(); err != nil || n > 1 {
				break
			}
		}
		cancel(gone)
	}()
	_, err := b.Wait(ctx, "k", 1)
	require.ErrorIs(t, err, gone)
	require.Len(t, reported, 1)
	require.ErrorIs(t, reported[0], errRefused)
}
