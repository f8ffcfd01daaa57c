package redislimit_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/redislimit"
)

// While a change of the limits is rolled out, instances with the old ones and with
// the new ones share the keys.

func TestAnInstanceWithFewerLimitsKeepsTheOthersUsage(t *testing.T) {
	rdb := testenv.Redis(t)
	second, hour := named("second", ratelimit.PerSecond(10), 10), named("hour", ratelimit.PerHour(10), 10)
	both, err := redislimit.NewMulti(rdb, []ratelimit.Limit{second, hour})
	require.NoError(t, err)
	fewer, err := redislimit.NewMulti(rdb, []ratelimit.Limit{second})
	require.NoError(t, err)
	at := key("ratelimit:multi", "k")

	require.True(t, take(t, fewer, "k", 1).Allowed)
	require.LessOrEqual(t, rdb.PTTL(t.Context(), at).Val(), 2*time.Second)
	require.True(t, take(t, both, "k", 5).Allowed)
	require.Greater(t, rdb.PTTL(t.Context(), at).Val(), 25*time.Minute, "half of an hour's limit is used")
	require.True(t, take(t, fewer, "k", 1).Allowed)
	require.Greater(t, rdb.PTTL(t.Context(), at).Val(), 25*time.Minute, "the usage would be forgotten early")
}

func TestAnInstanceWithALowerLimitKeepsTheOthersCounts(t *testing.T) {
	for _, step := range []time.Duration{90 * time.Second, -time.Hour} {
		t.Run(step.String(), func(t *testing.T) {
			rdb := testenv.Redis(t)
			high, c := limiter(t, rdb, redislimit.NewSlidingWindow, ratelimit.PerMinute(100))
			low, err := redislimit.Make(redislimit.NewSlidingWindow).On(c.name)(rdb, ratelimit.PerMinute(5))
			require.NoError(t, err)
			require.True(t, take(t, high, "k", 90).Allowed)
			c.advance(step)
			used := 90 // all as of now, when the clock was set back
			if step > 0 {
				used = 45 // half of the period before
			}
			d := take(t, low, "k", 1)
			require.Equal(t, step > 0, d.Allowed, "half of a full lower limit is free")
			if d.Allowed {
				require.Equal(t, int64(1), d.Remaining)
				used++
			}
			require.Equal(t, int64(100-used), take(t, high, "k", 0).Remaining, "the lower limit was stored")
		})
	}
}

func TestAnInstanceWithAnotherStrictWindowKeepsTheOthersCounts(t *testing.T) {
	rdb := testenv.Redis(t)
	high, c := limiter(t, rdb, redislimit.NewStrictWindow, ratelimit.PerMinute(100))
	low, err := redislimit.Make(redislimit.NewStrictWindow).On(c.name)(rdb, ratelimit.PerHour(5))
	require.NoError(t, err)
	require.True(t, take(t, high, "k", 90).Allowed)
	c.advance(-time.Hour) // which has to be stored, though the request is refused
	require.False(t, take(t, low, "k", 1).Allowed)
	require.Equal(t, int64(10), take(t, high, "k", 0).Remaining, "the lower limit was stored")
}
