package redislimit_test

import (
	"math"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/redislimit"
)

func TestTheBoundOfExtremeWindowsDoesNotWrapAround(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: "nowhere:1"}) // nobody is asked
	defer func() { _ = rdb.Close() }()
	for name, algorithm := range algorithms {
		rate := ratelimit.Rate{Count: 10_000, Per: 10 * time.Millisecond} // one in each microsecond
		if name == "fixed window" || name == "sliding window" || name == "strict window" {
			rate = ratelimit.Rate{Count: math.MaxUint32, Per: math.MaxUint32}
		}
		l, err := algorithm.make(rdb, rate)
		require.NoError(t, err)
		before := int64(0)
		for _, window := range []time.Duration{1, 1000, time.Hour, 1 << 62, math.MaxInt64 - 1, math.MaxInt64} {
			most := l.Most(window)
			require.GreaterOrEqual(t, most, before, "%s: %d ns", name, window)
			require.GreaterOrEqual(t, most, int64(window/time.Microsecond), "%s: %d ns", name, window)
			before = most
		}
		require.Zero(t, l.Most(math.MinInt64), name)
	}
}

func TestNilOptionsAreRefused(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: "nowhere:1"})
	defer func() { _ = rdb.Close() }()
	rate := ratelimit.PerSecond(100)
	constructors := map[string]func(...redislimit.Option) error{
		"leaky":  func(o ...redislimit.Option) error { _, err := redislimit.NewLeakyBucket(rdb, rate, o...); return err },
		"leased": func(o ...redislimit.Option) error { _, err := redislimit.NewLeased(rdb, rate, 5, o...); return err },
		"multi": func(o ...redislimit.Option) error {
			_, err := redislimit.NewMulti(rdb, []ratelimit.Limit{named("a", rate, 10)}, o...)
			return err
		},
		"concurrency": func(o ...redislimit.Option) error {
			_, err := redislimit.NewConcurrency(rdb, 5, o...)
			return err
		},
	}
	for name, algorithm := range algorithms {
		constructors[name] = func(o ...redislimit.Option) error { _, err := algorithm.make(rdb, rate, o...); return err }
	}
	for name, create := range constructors {
		require.NoError(t, create(), name)
		var field *ratelimit.FieldError
		require.ErrorAs(t, create(redislimit.WithPrefix("p"), nil), &field, name)
		require.Equal(t, "options[1]", field.Field, name)
	}
}
