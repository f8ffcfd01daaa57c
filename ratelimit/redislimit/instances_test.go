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
