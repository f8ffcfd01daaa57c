package redislimit_test

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/redislimit"
)

func TestNonsenseUnderTheKeyIsATypedErrorAndStays(t *testing.T) {
	garbage := []string{"", "x", "nan", "-5", "1.5", "inf", "1 x", "1 2 3 4 5 6 7 8 9 0 1 2 3 4 x", " 1 1", strings.Repeat("9", 400) + " 1"}
	for name, algorithm := range algorithms {
		t.Run(name, func(t *testing.T) {
			rdb := testenv.Redis(t)
			l, err := algorithm.make(rdb, ratelimit.PerSecond(10))
			require.NoError(t, err)
			at := key(algorithm.prefix, "k")
			refused := func(what string) {
				d, err := l.Take(t.Context(), "k", 1)
				var state *redislimit.StateError
				require.ErrorAsf(t, err, &state, "%s", what)
				require.Equal(t, at, state.Key)
				require.NotContains(t, err.Error(), at, "a key may be personal")
				require.Zero(t, d)
			}
			require.NoError(t, rdb.RPush(t.Context(), at, "a").Err())
			refused("a list")
			require.Equal(t, int64(1), rdb.LLen(t.Context(), at).Val())
			for _, value := range garbage {
				require.NoError(t, rdb.Set(t.Context(), at, value, 0).Err())
				refused(fmt.Sprintf("%.30q", value))
				require.Equal(t, value, rdb.Get(t.Context(), at).Val())
			}
			require.NoError(t, rdb.Del(t.Context(), at).Err())
			require.NoError(t, rdb.ZAdd(t.Context(), at, redis.Z{Score: 1e18, Member: "x:y"}).Err())
			refused("a set of something else")
		})
	}
}

func TestEveryKeyExpires(t *testing.T) {
	for name, algorithm := range algorithms {
		for _, rate := range []ratelimit.Rate{ratelimit.PerSecond(1_000), ratelimit.PerHour(3), {Count: 4, Per: 400 * time.Microsecond}} {
			t.Run(name+" "+rate.String(), func(t *testing.T) {
				rdb := testenv.Redis(t)
				l, err := algorithm.make(rdb, rate)
				require.NoError(t, err)
				longest := 2*rate.Per + 1100*time.Millisecond // as long as it can matter, and the slack
				for range 20 {
					take(t, l, "k", 1)
					ttl := rdb.PTTL(t.Context(), key(algorithm.prefix, "k")).Val()
					require.Greater(t, ttl, 500*time.Millisecond, "it outlives what it counts")
					require.LessOrEqual(t, ttl, longest)
				}
			})
		}
	}
}

// A token takes less than a millisecond, or the bucket refills in less than one:
// TTLs that are cut to whole milliseconds or seconds would be 0, an error.
func TestFastRatesDoNotFail(t *testing.T) {
	for name, algorithm := range algorithms {
		if name == "sliding log" {
			continue // not for such counts
		}
		l, err := algorithm.make(testenv.Redis(t), ratelimit.PerSecond(1_000_000), bursting(name, 1)...)
		require.NoError(t, err)
		for range 20 {
			take(t, l, "k", 1)
		}
	}
}

// content is what a key holds, and how long for.
func content(t *testing.T, rdb *redis.Client, at string) any {
	t.Helper()
	if rdb.Type(t.Context(), at).Val() == "zset" {
		members, err := rdb.ZRangeWithScores(t.Context(), at, 0, -1).Result()
		require.NoError(t, err)
		return members
	}
	text, err := rdb.Get(t.Context(), at).Result()
	require.NoError(t, err)
	return text
}

func TestLookingWritesNothing(t *testing.T) {
	for name, algorithm := range algorithms {
		t.Run(name, func(t *testing.T) {
			rdb := testenv.Redis(t)
			l, c := limiter(t, rdb, algorithm.make, ratelimit.PerSecond(10), bursting(name, 10)...)
			at := key(algorithm.prefix, "k")
			take(t, l, "k", 0)
			require.Zero(t, rdb.Exists(t.Context(), at).Val())
			take(t, l, "k", 4)
			before := content(t, rdb, at)
			for _, step := range []time.Duration{0, 300 * time.Millisecond, -time.Hour, time.Hour + 30*time.Second} {
				c.advance(step)
				take(t, l, "k", 0)
				require.Equal(t, before, content(t, rdb, at))
			}
		})
	}
}

func TestTimesKeepAllTheirDigits(t *testing.T) {
	rdb := testenv.Redis(t)
	l, c := limiter(t, rdb, redislimit.NewTokenBucket, ratelimit.PerSecond(1000), redislimit.WithBurst(3))
	c.set(1_795_408_549_031_713)
	take(t, l, "k", 1)
	require.Equal(t, "1795408549032713", rdb.Get(t.Context(), key("ratelimit:bucket", "k")).Val())
	c.advance(time.Microsecond)
	require.Equal(t, 999*time.Microsecond, take(t, l, "k", 0).ResetAfter)
}

// steps are how far a server's clock is set back.
var steps = []time.Duration{time.Millisecond, 10 * time.Second, 24 * time.Hour, 20 * 365 * 24 * time.Hour}

func TestAServersClockSetBackLocksForOneWindowOnly(t *testing.T) {
	for name, algorithm := range algorithms {
		for _, step := range steps {
			t.Run(fmt.Sprint(name, " ", step), func(t *testing.T) {
				l, c := limiter(t, testenv.Redis(t), algorithm.make, ratelimit.PerSecond(10), bursting(name, 10)...)
				require.Equal(t, 10, drain(t, l, "k"))
				c.advance(-step)
				d := take(t, l, "k", 1) // somebody asks, and is refused
				require.False(t, d.Allowed, "a clock set back mints nothing")
				require.LessOrEqual(t, d.RetryAfter, 1100*time.Millisecond)
				c.advance(d.RetryAfter)
				require.True(t, take(t, l, "k", 1).Allowed, "what Redis promised holds")
				c.advance(2 * time.Second)
				require.Equal(t, 10, drain(t, l, "k"))
			})
		}
	}
}

func TestALookAfterAServersClockWasSetBackPromisesNoMoreThanAWindow(t *testing.T) {
	for name, algorithm := range algorithms {
		for _, step := range steps {
			l, c := limiter(t, testenv.Redis(t), algorithm.make, ratelimit.PerSecond(10), bursting(name, 10)...)
			require.Equal(t, 10, drain(t, l, "k"))
			c.advance(-step)
			d := take(t, l, "k", 0)
			require.Zero(t, d.Remaining, name)
			require.LessOrEqual(t, d.ResetAfter, 2*time.Second, "%s, set back by %v", name, step)
		}
	}
}

func TestAServersClockSetForwardGrantsOneBurst(t *testing.T) {
	for name, algorithm := range algorithms {
		l, c := limiter(t, testenv.Redis(t), algorithm.make, ratelimit.PerSecond(10), bursting(name, 10)...)
		require.Equal(t, 10, drain(t, l, "k"))
		c.advance(24 * time.Hour)
		require.Equal(t, 10, drain(t, l, "k"), name)
	}
}

func TestTheWholeLimitFitsIntoOneTickAndNoMore(t *testing.T) {
	for name, algorithm := range algorithms {
		l, _ := limiter(t, testenv.Redis(t), algorithm.make, ratelimit.PerSecond(300), bursting(name, 300)...)
		n := 0
		for range 500 {
			if take(t, l, "k", 1).Allowed {
				n++
			}
		}
		require.Equal(t, 300, n, name)
	}
}

func TestALoweredLimitIsInForceAtOnce(t *testing.T) {
	for name, algorithm := range algorithms {
		t.Run(name, func(t *testing.T) {
			l, c := limiter(t, testenv.Redis(t), algorithm.make, ratelimit.PerMinute(100), bursting(name, 100)...)
			require.True(t, take(t, l, "k", 90).Allowed)
			require.NoError(t, l.Retune(ratelimit.Quota{Rate: ratelimit.PerMinute(5), Burst: 5}))
			for _, cost := range []int64{0, 1, 5} {
				d := take(t, l, "k", cost)
				require.Equal(t, cost == 0, d.Allowed)
				require.Zero(t, d.Remaining, "never negative")
				require.Equal(t, int64(5), d.Limit)
				require.LessOrEqual(t, d.RetryAfter, 2*time.Minute, "usage above the limit is cut down to it")
			}
			c.advance(2 * time.Minute)
			require.Equal(t, 5, drain(t, l, "k"))
		})
	}
}

func TestARaisedLimitForgivesNothing(t *testing.T) {
	for name, algorithm := range algorithms {
		if name == "token bucket" {
			continue // what was used counts as time, see its own test
		}
		l, c := limiter(t, testenv.Redis(t), algorithm.make, ratelimit.PerMinute(10))
		require.True(t, take(t, l, "k", 6).Allowed)
		require.NoError(t, l.Retune(ratelimit.Quota{Rate: ratelimit.PerMinute(100)}))
		require.Equal(t, int64(94), take(t, l, "k", 0).Remaining, name)
		require.NoError(t, l.Retune(ratelimit.Quota{Rate: ratelimit.PerSecond(10)}))
		require.Equal(t, int64(4), take(t, l, "k", 0).Remaining, "%s: another window, the same usage", name)
		require.False(t, take(t, l, "k", 5).Allowed, name)
		require.True(t, take(t, l, "k", 4).Allowed, name)
		c.advance(2 * time.Second)
		require.Equal(t, int64(10), take(t, l, "k", 0).Remaining, name)
	}
}

func TestARetunedBucketCountsTime(t *testing.T) {
	l, c := limiter(t, testenv.Redis(t), redislimit.NewTokenBucket, ratelimit.PerSecond(10), redislimit.WithBurst(10))
	require.True(t, take(t, l, "k", 3).Allowed) // 300 ms
	require.NoError(t, l.Retune(ratelimit.Quota{Rate: ratelimit.PerSecond(20), Burst: 20}))
	require.Equal(t, int64(14), take(t, l, "k", 0).Remaining)
	require.Equal(t, ratelimit.PerSecond(20), l.Quota().Rate)
	before := l.Quota()
	var field *ratelimit.FieldError
	require.ErrorAs(t, l.Retune(ratelimit.Quota{Rate: ratelimit.PerSecond(-1)}), &field)
	require.Equal(t, before, l.Quota())

	require.NoError(t, l.Retune(ratelimit.Quota{Rate: ratelimit.PerSecond(20), Burst: 2})) // 100 ms
	d := take(t, l, "k", 1)
	require.Equal(t, ratelimit.Decision{Limit: 2, RetryAfter: 50 * time.Millisecond, ResetAfter: 100 * time.Millisecond}, d,
		"what was used is cut down to the burst")
	c.advance(d.RetryAfter)
	require.True(t, take(t, l, "k", 1).Allowed)
}

// The count of the period before times the window does not fit into the 53 bits
// of Lua's numbers here.
func TestLargeSlidingWindowsAreExact(t *testing.T) {
	rate := ratelimit.Rate{Count: 4_000_000_007, Per: 31 * 24 * time.Hour}
	l, c := limiter(t, testenv.Redis(t), redislimit.NewSlidingWindow, rate)
	model := algorithms["sliding window"].model(l.Quota())
	start := c.now.Load()
	for i, step := range []time.Duration{0, rate.Per - time.Microsecond, time.Microsecond, 7*time.Hour + 1001*time.Microsecond, rate.Per / 3, rate.Per / 2, rate.Per} {
		c.advance(step.Truncate(time.Microsecond))
		now := time.Duration(c.now.Load()-start) * time.Microsecond
		want := model.Take(now, 0).Remaining
		require.Equal(t, want, take(t, l, "k", 0).Remaining, "step %d", i)
		if want == 0 {
			continue
		}
		if want < rate.Count {
			require.False(t, take(t, l, "k", want+1).Allowed)
		}
		spend := max(want-int64(i), 1)
		require.True(t, take(t, l, "k", spend).Allowed)
		require.True(t, model.Take(now, spend).Allowed)
	}
}

// The last digits of a product of 72 bits decide: of the period before, an
// integer and a 2678400000000th part of a request still count.
func TestTheLastDigitOfALargeSlidingWindowCounts(t *testing.T) {
	const count = 4_000_000_007
	rate := ratelimit.Rate{Count: count, Per: 31 * 24 * time.Hour}
	per := rate.Per.Microseconds()
	inverse := new(big.Int).ModInverse(big.NewInt(count), big.NewInt(per))
	for rest := range int64(5) {
		part := new(big.Int).Mul(inverse, big.NewInt(rest+1))
		part.Mod(part, big.NewInt(per)) // count × part = carried × per + rest + 1
		carried := new(big.Int).Div(new(big.Int).Mul(part, big.NewInt(count)), big.NewInt(per)).Int64() + 1
		l, c := limiter(t, testenv.Redis(t), redislimit.NewSlidingWindow, rate)
		require.True(t, take(t, l, "k", count).Allowed)
		c.advance(time.Duration(2*per-part.Int64()) * time.Microsecond)
		require.Equal(t, count-carried, take(t, l, "k", 0).Remaining)
		require.False(t, take(t, l, "k", count-carried+1).Allowed)
		require.Equal(t, count-carried, take(t, l, "k", 0).Remaining, "a refused request was charged")
		require.True(t, take(t, l, "k", count-carried).Allowed)
		require.Zero(t, take(t, l, "k", 0).Remaining, "an admitted request was not charged")
	}
}

func TestKeysAreApartAndInOneSlotEach(t *testing.T) {
	rdb := testenv.Redis(t)
	secret := []byte("0123456789abcdef")
	long := strings.Repeat("x", 1<<20)
	stored := func(subject string, opts ...redislimit.Option) string {
		require.NoError(t, rdb.FlushDB(t.Context()).Err())
		l, err := redislimit.NewTokenBucket(rdb, ratelimit.PerSecond(10), opts...)
		require.NoError(t, err)
		take(t, l, subject, 1)
		keys := rdb.Keys(t.Context(), "*").Val()
		require.Len(t, keys, 1)
		return keys[0]
	}
	require.Equal(t, "ratelimit:bucket:{7:user:42}", stored("user:42"))
	require.Equal(t, "login:{1:a}", stored("a", redislimit.WithPrefix("login")))
	seen := map[string]string{}
	for _, subject := range []string{"a", "a}", "}", "{", "{a}", "1:a", "#:a", "a:", long, long + "y", "é", "\x00"} {
		k := stored(subject)
		require.Less(t, len(k), 100, "%.10q", subject)
		require.Equal(t, 1, strings.Count(k, "{"), "%q", k)
		require.Equal(t, 1, strings.Count(k, "}"), "%q", k)
		require.Empty(t, seen[k], "%.10q and another", subject)
		seen[k] = subject
	}
	phone := "+8613800000000"
	hidden := stored(phone, redislimit.WithHiddenKeys(secret))
	require.NotContains(t, hidden, phone)
	require.Equal(t, hidden, stored(phone, redislimit.WithHiddenKeys(secret)))
	require.NotEqual(t, hidden, stored(phone, redislimit.WithHiddenKeys([]byte("another 16 bytes"))))
}

func TestConstructorsNameEachBadSetting(t *testing.T) {
	rdb := testenv.Redis(t)
	for name, algorithm := range algorithms {
		_, err := algorithm.make(nil, ratelimit.Rate{Count: 0, Per: -1}, redislimit.WithBurst(-1),
			redislimit.WithPrefix("a{"), redislimit.WithHiddenKeys([]byte("short")))
		for _, text := range []string{"rate.count 0", "rate.per -1ns", "burst -1", "rdb nil", `prefix "a{"`, "secret (hidden)"} {
			require.ErrorContains(t, err, text, name)
		}
	}
	bad := map[string]func() error{
		"rate.count 2000000: must not exceed one a microsecond": func() error {
			_, err := redislimit.NewTokenBucket(rdb, ratelimit.PerSecond(2_000_000))
			return err
		},
		"burst 4294967295: must not take more than ten years": func() error {
			_, err := redislimit.NewTokenBucket(rdb, ratelimit.PerHour(1), redislimit.WithBurst(4294967295))
			return err
		},
		"burst 5: must be 0 or the rate's count": func() error {
			_, err := redislimit.NewFixedWindow(rdb, ratelimit.PerSecond(10), redislimit.WithBurst(5))
			return err
		},
		"rate.count 10001: must not exceed 10000": func() error {
			_, err := redislimit.NewSlidingLog(rdb, ratelimit.PerSecond(10_001))
			return err
		},
		"rate.count 4294967296: must not exceed 4294967295": func() error {
			_, err := redislimit.NewStrictWindow(rdb, ratelimit.PerHour(1<<32))
			return err
		},
		"limit 0": func() error { _, err := redislimit.NewConcurrency(rdb, 0); return err },
		"ttl 1ms": func() error {
			_, err := redislimit.NewConcurrency(rdb, 1, redislimit.WithTTL(time.Millisecond))
			return err
		},
		"budget 0s": func() error { _, err := redislimit.NewConcurrency(rdb, 1, redislimit.WithBudget(0)); return err },
		"chunk 6: must be from 1 to half of the burst, 5": func() error {
			_, err := redislimit.NewLeased(rdb, ratelimit.PerSecond(100), 6)
			return err
		},
		"capacity 0": func() error {
			_, err := redislimit.NewLeased(rdb, ratelimit.PerSecond(100), 5, redislimit.WithCapacity(0))
			return err
		},
		"limits 0":       func() error { _, err := redislimit.NewMulti(rdb, nil); return err },
		"limits[0].name": func() error { _, err := redislimit.NewMulti(rdb, []ratelimit.Limit{{}}); return err },
	}
	for text, run := range bad {
		err := run()
		var field *ratelimit.FieldError
		require.ErrorAs(t, err, &field, text)
		require.ErrorContains(t, err, text)
	}
}

func TestErrorsOfTheStoreAreWrapped(t *testing.T) {
	node := testenv.RestartableRedis(t)
	rdb := redis.NewClient(&redis.Options{Addr: node.Addr(), MaxRetries: -1, ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = rdb.Close() })
	l, err := redislimit.NewTokenBucket(rdb, ratelimit.PerSecond(10))
	require.NoError(t, err)
	take(t, l, "k", 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = l.Take(ctx, "k", 1)
	require.ErrorIs(t, err, context.Canceled)
	node.Stop()
	d, err := l.Take(t.Context(), "k", 1)
	require.ErrorContains(t, err, "redislimit: ")
	require.Zero(t, d)
	require.False(t, errors.Is(err, ratelimit.ErrRequest))
	closed, err := ratelimit.FailClosed(l)
	require.NoError(t, err)
	d, err = closed.Take(t.Context(), "k", 1)
	require.NoError(t, err)
	require.True(t, d.Degraded)
	require.False(t, d.Allowed)
	node.Start() // the scripts are gone
	require.True(t, take(t, l, "k", 1).Allowed)
}
