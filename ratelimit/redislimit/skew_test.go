package redislimit_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/concurrency"
	"github.com/bulwark-go/bulwark/ratelimit/redislimit"
)

// day is how far the clocks of two callers are from the server's.
const day = 24 * time.Hour

// bubblesBegin is what every bubble's clock shows at first.
var bubblesBegin = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// question is what a caller is asked to do next.
type question struct {
	kind     int // see asking
	cost     int64
	patience time.Duration
	cut      bool // the caller cannot reach Redis
}

// reply is all that a caller can tell of an answer, and how long it took.
type reply struct {
	ratelimit.Decision
	failed bool
	took   time.Duration
}

// asking makes a caller of one sort, in whose bubble it is used.
type asking func(t *testing.T, rdb redis.UniversalClient, clock string) func(question) (ratelimit.Decision, error)

// skewed are the callers of everything that decides in Redis.
func skewed() map[string]asking {
	all := map[string]asking{"queue": queues, "leased": leases, "multi": multis, "slots": slots, "share": partly}
	for name, algorithm := range algorithms {
		all[name] = func(t *testing.T, rdb redis.UniversalClient, clock string) func(question) (ratelimit.Decision, error) {
			l, err := algorithm.make.On(clock)(rdb, ratelimit.PerSecond(10), bursting(name, 5)...)
			require.NoError(t, err)
			return taking(t, l)
		}
	}
	return all
}

func taking(t *testing.T, l ratelimit.Limiter) func(question) (ratelimit.Decision, error) {
	return func(q question) (ratelimit.Decision, error) { return l.Take(t.Context(), "k", q.cost) }
}

func multis(t *testing.T, rdb redis.UniversalClient, clock string) func(question) (ratelimit.Decision, error) {
	m, err := redislimit.NewMulti(rdb, []ratelimit.Limit{
		named("tight", ratelimit.PerSecond(10), 5), named("wide", ratelimit.PerMinute(200), 20),
	})
	require.NoError(t, err)
	m.OnClock(clock)
	return taking(t, m)
}

func leases(t *testing.T, rdb redis.UniversalClient, clock string) func(question) (ratelimit.Decision, error) {
	l, err := redislimit.NewLeased(rdb, ratelimit.PerSecond(20), 4, redislimit.WithBurst(20))
	require.NoError(t, err)
	l.OnClock(clock)
	return taking(t, l)
}

// queues take, and wait: under a deadline by the caller's clock, or without one.
func queues(t *testing.T, rdb redis.UniversalClient, clock string) func(question) (ratelimit.Decision, error) {
	b := newLeaky(t, rdb, ratelimit.PerSecond(10))
	b.OnClock(clock)
	return func(q question) (ratelimit.Decision, error) {
		switch q.kind {
		case 0:
			return b.Take(t.Context(), "k", q.cost)
		case 1:
			return b.Wait(t.Context(), "k", q.cost)
		default:
			ctx, cancel := context.WithTimeout(t.Context(), q.patience)
			defer cancel()
			return b.Wait(ctx, "k", q.cost)
		}
	}
}

// slots take slots and give them back; some are held for so long that they are
// renewed.
func slots(t *testing.T, rdb redis.UniversalClient, clock string) func(question) (ratelimit.Decision, error) {
	c := instance(t, rdb, 6, redislimit.WithTTL(3*time.Second))
	c.OnClock(clock)
	var held []concurrency.Ticket
	t.Cleanup(func() {
		for _, ticket := range held {
			ticket.Release()
		}
	})
	return func(q question) (ratelimit.Decision, error) {
		if q.kind == 0 && len(held) > 0 {
			held[0].Release()
			held = held[1:]
		}
		ticket, err := c.Acquire(t.Context(), "k")
		if err == nil && ticket.Allowed {
			held = append(held, ticket)
		}
		return ticket.Decision, err
	}
}

// partly are the shares of callers that cannot always reach Redis.
func partly(t *testing.T, rdb redis.UniversalClient, clock string) func(question) (ratelimit.Decision, error) {
	l, err := redislimit.Make(redislimit.NewTokenBucket).On(clock)(rdb, ratelimit.PerSecond(30), redislimit.WithBurst(9))
	require.NoError(t, err)
	link := &cuttable{Limiter: l}
	share, err := ratelimit.Share(link, 3, ratelimit.WithBudget(time.Minute))
	require.NoError(t, err)
	return func(q question) (ratelimit.Decision, error) {
		link.cut = q.cut
		return share.Take(t.Context(), "k", q.cost)
	}
}

// cuttable fails while it is cut.
type cuttable struct {
	*redislimit.Limiter
	cut bool
}

var errCut = errors.New("cut off")

func (c *cuttable) Take(ctx context.Context, key string, cost int64) (ratelimit.Decision, error) {
	if c.cut {
		return ratelimit.Decision{}, errCut
	}
	return c.Limiter.Take(ctx, key, cost)
}

// caller is one process: a bubble, whose clock moves when the test says so.
type caller struct {
	asked    chan question
	answered chan reply
	passes   chan time.Duration
}

// startCaller runs a caller whose clock is off by skew until the test ends it.
func startCaller(t *testing.T, running *sync.WaitGroup, options *redis.Options, skew time.Duration, create asking, clock string) *caller {
	c := &caller{asked: make(chan question), answered: make(chan reply), passes: make(chan time.Duration)}
	running.Go(func() {
		t.Run(skew.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { c.live(t, options, skew, create, clock) })
		})
	})
	return c
}

// live answers until there are no more questions. Its channels are not the bubble's,
// so no time passes in there while it waits for them.
func (c *caller) live(t *testing.T, options *redis.Options, skew time.Duration, create asking, clock string) {
	defer close(c.answered)
	rdb := redis.NewClient(options)
	t.Cleanup(func() { _ = rdb.Close() })
	time.Sleep(day + skew)
	ask := create(t, rdb, clock)
	for {
		select {
		case d := <-c.passes:
			time.Sleep(d)
			synctest.Wait() // for what was due meanwhile
			c.answered <- reply{}
		case q, ok := <-c.asked:
			if !ok {
				return
			}
			began := time.Now()
			d, err := ask(q)
			c.answered <- reply{d, err != nil, time.Since(began)}
		}
	}
}

// ask returns false when the caller is gone.
func (c *caller) ask(q question) (reply, bool) {
	select {
	case c.asked <- q:
	case <-c.answered:
		return reply{}, false
	}
	r, ok := <-c.answered
	return r, ok
}

func (c *caller) pass(d time.Duration) {
	select {
	case c.passes <- d:
		<-c.answered
	case <-c.answered:
	}
}

// lived lets callers with these clocks live through the same events, and returns
// what they were answered. The server's clock, and how fast all of them go, is the
// same in every history.
func lived(t *testing.T, options *redis.Options, create asking, skews []time.Duration, questions int) (replies []reply) {
	t.Helper()
	rdb := redis.NewClient(options)
	t.Cleanup(func() { _ = rdb.Close() })
	require.NoError(t, rdb.FlushDB(t.Context()).Err())
	server := newClock(t, rdb, 1)
	server.set(bubblesBegin.Add(day).UnixMicro())
	var running sync.WaitGroup
	defer running.Wait()
	var callers []*caller
	for _, skew := range skews {
		c := startCaller(t, &running, options, skew, create, server.name)
		defer close(c.asked)
		callers = append(callers, c)
	}
	pass := func(d time.Duration, but int) {
		server.advance(d)
		for i, c := range callers {
			if i != but {
				c.pass(d)
			}
		}
	}
	random := rand.New(rand.NewPCG(24, 24))
	for range questions {
		if random.IntN(3) == 0 {
			pass(time.Duration(random.IntN(700))*time.Millisecond, -1)
		}
		who := random.IntN(len(callers))
		r, ok := callers[who].ask(question{
			kind: random.IntN(3), cost: 1 + random.Int64N(2), cut: random.IntN(4) == 0,
			patience: time.Duration(1+random.IntN(400)) * time.Millisecond,
		})
		if !ok {
			require.FailNow(t, "a caller ended early")
		}
		replies = append(replies, r)
		if r.took > 0 {
			pass(r.took, who) // who waited is ahead of all the others
		}
	}
	return replies
}

// TestCallersWhoseClocksDisagreeChangeNothing compares what callers are answered, to
// the microsecond, when their clocks agree with the server's and when they are a day
// before it and behind it.
func TestCallersWhoseClocksDisagreeChangeNothing(t *testing.T) {
	questions := testenv.Scale(120, 5_000)
	for name, create := range skewed() {
		t.Run(name, func(t *testing.T) {
			options := testenv.RedisOptions(t)
			want := lived(t, options, create, []time.Duration{0, 0, 0}, questions)
			admitted, failed := 0, 0
			for _, r := range want {
				if r.Allowed {
					admitted++
				}
				if r.failed {
					failed++
				}
			}
			require.Zero(t, failed)
			require.Greater(t, admitted, questions/10, "the limit is never free")
			require.Less(t, admitted, questions*9/10, "the limit is never reached")
			for _, skews := range [][]time.Duration{{-day, 0, day}, {day, -day, -day}} {
				require.Equal(t, want, lived(t, options, create, skews, questions), "%v", skews)
			}
		})
	}
}
