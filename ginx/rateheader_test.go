package ginx_test

import (
	"math"
	"net/http"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bulwark-go/bulwark/ginx"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// member is a String of RFC 9651 with Integer parameters.
var member = regexp.MustCompile(`^"([ !#-\[\]-~]|\\["\\])*"(;[a-z]=(0|[1-9][0-9]{0,14}))+$`)

func TestRateHeadersAreStructuredFields(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := ratelimit.Decision{
			Allowed: rapid.Bool().Draw(t, "allowed"), Rule: rapid.String().Draw(t, "rule"),
			Limit:      rapid.Int64Range(-1, ratelimit.Unlimited-1).Draw(t, "limit"),
			Remaining:  rapid.Int64Range(-1, math.MaxInt64).Draw(t, "remaining"),
			RetryAfter: time.Duration(rapid.Int64Range(0, 1<<60).Draw(t, "retry")),
			ResetAfter: time.Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, "reset")),
		}
		name := rapid.String().Draw(t, "name")
		w := get(newLimited(t, ginx.RateLimit(says{d: d}, ginx.ByIP(), ginx.WithPolicyName(name), ginx.WithRuleNames())), "/")
		for _, key := range []string{"RateLimit", "RateLimit-Policy"} {
			require.Len(t, w.Header().Values(key), 1)
			require.Regexp(t, member, w.Header().Get(key))
		}
	})
}

func TestPoliciesTellTheRateInWholeSecondsOrNoneAtAll(t *testing.T) {
	var now time.Duration
	for rate, want := range map[ratelimit.Rate]string{
		ratelimit.PerSecond(100):                 `"a \"b\" \\ __";q=100;w=1`,
		ratelimit.PerHour(5):                     `"a \"b\" \\ __";q=5;w=3600`,
		{Count: 5, Per: 1500 * time.Millisecond}: `"a \"b\" \\ __";q=3`,
	} {
		l := bucket(t, rate, 3, &now)
		r := newLimited(t, ginx.RateLimit(l, ginx.ByIP(), ginx.WithPolicyName("a \"b\" \\ é\n")))
		require.Equal(t, want, get(r, "/").Header().Get("RateLimit-Policy"))
	}
}

func TestAPolicyFollowsItsLimitWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now time.Duration
		l := bucket(t, ratelimit.PerHour(5), 3, &now)
		r := newLimited(t, ginx.RateLimit(l, ginx.ByIP()))
		policy := func() string { return get(r, "/").Header().Get("RateLimit-Policy") }
		require.Equal(t, `"default";q=5;w=3600`, policy())
		require.NoError(t, l.Retune(ratelimit.Quota{Rate: ratelimit.PerMinute(7), Burst: 3}))
		time.Sleep(time.Second)
		require.Equal(t, `"default";q=7;w=60`, policy())
		require.NoError(t, l.Retune(ratelimit.Quota{Rate: ratelimit.PerMinute(8), Burst: 2}))
		require.Equal(t, `"default";q=8;w=60`, policy(), "another burst shows at once")
	})
}

func TestLimitsThatFollowEachOtherAreOneList(t *testing.T) {
	var now time.Duration
	wide := ginx.RateLimit(bucket(t, ratelimit.PerMinute(60), 9, &now), ginx.ByIP(), ginx.WithPolicyName("wide"))
	narrow := ginx.RateLimit(bucket(t, ratelimit.PerSecond(5), 5, &now), ginx.ByIP(), ginx.WithPolicyName("narrow"))
	again := ginx.RateLimit(bucket(t, ratelimit.PerSecond(3), 3, &now), ginx.ByIP(), ginx.WithPolicyName("narrow"))
	w := get(newLimited(t, wide, narrow, again), "/")
	require.Equal(t, []string{`"wide";q=60;w=60`, `"narrow";q=3;w=1`}, w.Header().Values("RateLimit-Policy"))
	require.Equal(t, []string{`"wide";r=8;t=1`, `"narrow";r=2;t=1`}, w.Header().Values("RateLimit"))
}

func TestRateHeadersCanStayAway(t *testing.T) {
	var now time.Duration
	r := newLimited(t, ginx.RateLimit(bucket(t, ratelimit.PerHour(1), 1, &now), ginx.ByIP(), ginx.WithoutRateHeaders()))
	get(r, "/")
	w := get(r, "/")
	require.Equal(t, http.StatusTooManyRequests, w.Code)
	require.Empty(t, w.Header().Values("RateLimit"))
	require.Empty(t, w.Header().Values("RateLimit-Policy"))
	require.NotEmpty(t, w.Header().Get("Retry-After"))
}
