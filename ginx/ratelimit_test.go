package ginx_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/bulwark-go/bulwark/ginx"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/rules"
	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// limited is a router whose handlers count how often they ran.
type limited struct {
	*gin.Engine
	ran int
}

func newLimited(t require.TestingT, h ...gin.HandlerFunc) *limited {
	r := &limited{Engine: gin.New()}
	require.NoError(t, r.SetTrustedProxies(nil))
	r.Use(h...)
	ok := func(c *gin.Context) {
		r.ran++
		ginx.Render(c, ginx.Result{Data: "real"})
	}
	r.GET("/", ok)
	r.POST("/", ok)
	r.GET("/health", ok)
	return r
}

// bucket grants burst at once, on a clock of the test.
func bucket(t require.TestingT, rate ratelimit.Rate, burst int64, now *time.Duration) *ratelimit.Local {
	l, err := ratelimit.NewTokenBucket(rate, ratelimit.WithBurst(burst),
		ratelimit.WithClock(func() time.Duration { return *now }))
	require.NoError(t, err)
	return l
}

// says answers what it holds.
type says struct {
	d   ratelimit.Decision
	err error
}

func (s says) Take(context.Context, string, int64) (ratelimit.Decision, error) { return s.d, s.err }

var errAway = errors.New("store is away")

func TestRequestsOverTheLimitAreRefusedInTheEnvelope(t *testing.T) {
	log, lines := newLog()
	var now time.Duration
	r := newLimited(t, ginx.AccessLog(log),
		ginx.RateLimit(bucket(t, ratelimit.PerMinute(6), 2, &now), ginx.ByIP(), ginx.WithJitter(0)))

	w := get(r, "/")
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, `"default";q=6;w=60`, w.Header().Get("RateLimit-Policy"))
	require.Equal(t, `"default";r=1;t=10`, w.Header().Get("RateLimit"))
	require.Empty(t, w.Header().Get("Retry-After"))
	get(r, "/")

	w = get(r, "/")
	require.Equal(t, http.StatusTooManyRequests, w.Code)
	require.Equal(t, reply{Code: 4, Msg: "too many requests", Data: []byte("null")}, parse(t, w))
	require.Equal(t, "10", w.Header().Get("Retry-After"))
	require.Equal(t, `"default";r=0;t=10`, w.Header().Get("RateLimit"))
	require.Equal(t, `"default";q=6;w=60`, w.Header().Get("RateLimit-Policy"))
	require.Equal(t, 2, r.ran)

	all := lines.all()
	require.Len(t, all, 3)
	require.Equal(t, logger.LevelWarn, all[2].Level, "a client mistake")

	other := httptest.NewRequest(http.MethodGet, "/", nil)
	other.RemoteAddr = "198.51.100.7:1"
	require.Equal(t, http.StatusOK, do(r, other).Code, "others have a budget of their own")
}

func TestRetryAfterIsNeverTooEarlyNorMuchTooLate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Hour
		rate := ratelimit.Rate{
			Count: rapid.Int64Range(1, 50).Draw(t, "count"),
			Per:   time.Duration(rapid.Int64Range(int64(time.Millisecond), int64(time.Hour)).Draw(t, "per")),
		}
		r := newLimited(t, ginx.RateLimit(bucket(t, rate, 1, &now), ginx.ByIP(), ginx.WithJitter(0)))
		require.Equal(t, http.StatusOK, get(r, "/").Code)
		now += time.Duration(rapid.Int64Range(0, int64(rate.Per)/rate.Count-1).Draw(t, "pause"))
		w := get(r, "/")
		require.Equal(t, http.StatusTooManyRequests, w.Code)
		after, err := strconv.Atoi(w.Header().Get("Retry-After"))
		require.NoError(t, err)
		require.GreaterOrEqual(t, after, 1)
		if after > 1 {
			now += time.Duration(after-1) * time.Second
			require.Equal(t, http.StatusTooManyRequests, get(r, "/").Code, "a second less is too early")
		}
		now += time.Second
		require.Equal(t, http.StatusOK, get(r, "/").Code)
	})
}

func TestRefusedClientsDoNotComeBackTogether(t *testing.T) {
	var now time.Duration
	tuned := bucket(t, ratelimit.PerHour(1), 1, &now)
	untuned := says{d: ratelimit.Decision{RetryAfter: time.Hour}}
	for name, c := range map[string]struct {
		limiter ratelimit.Limiter
		opts    []ginx.GuardOption
		most    int
	}{
		"a tenth of the period": {tuned, nil, 360},
		"a tenth of the time":   {untuned, nil, 360},
		"as set":                {untuned, []ginx.GuardOption{ginx.WithJitter(time.Minute)}, 60},
	} {
		r := newLimited(t, ginx.RateLimit(c.limiter, ginx.ByIP(), c.opts...))
		get(r, "/")
		seen := map[int]bool{}
		for range 100 {
			w := get(r, "/")
			after, err := strconv.Atoi(w.Header().Get("Retry-After"))
			require.NoError(t, err)
			require.GreaterOrEqual(t, after, 3600, name)
			require.LessOrEqual(t, after, 3600+c.most, name)
			seen[after] = true
		}
		require.Greater(t, len(seen), 10, name)
	}
}

func TestAFailingLimiterLetsRequestsPassAndTheLogKnows(t *testing.T) {
	log, lines := newLog()
	r := newLimited(t, ginx.AccessLog(log), ginx.RateLimit(says{err: errAway}, ginx.ByIP()))
	w := get(r, "/")
	require.Equal(t, http.StatusOK, w.Code)
	require.Empty(t, w.Header().Values("RateLimit"))
	require.Equal(t, 1, r.ran)
	require.Equal(t, logger.LevelWarn, lines.only(t).Level)
	require.Contains(t, lines.only(t).text("error"), errAway.Error())
}

func TestAFailingLimiterRefusesWhenTold(t *testing.T) {
	r := newLimited(t, ginx.RateLimit(says{err: errAway}, ginx.ByIP(), ginx.WithFailClosed()))
	w := get(r, "/")
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Equal(t, "1", w.Header().Get("Retry-After"))
	require.Equal(t, 5, parse(t, w).Code)
	require.NotContains(t, w.Body.String(), errAway.Error())
	require.Zero(t, r.ran)
}

func TestRequestsThatEndedOrAreInvalidNeverPass(t *testing.T) {
	r := newLimited(t, ginx.RateLimit(says{err: fmt.Errorf("x: %w", ratelimit.ErrRequest)}, ginx.ByIP()))
	require.Equal(t, http.StatusInternalServerError, get(r, "/").Code)

	r = newLimited(t, ginx.RateLimit(says{err: errAway}, ginx.ByIP()))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	req := httptest.NewRequest(http.MethodGet, "/", nil)
	require.Equal(t, ginx.StatusClientClosedRequest, do(r, req.WithContext(gone)).Code)
	late, stop := context.WithTimeout(t.Context(), -1)
	defer stop()
	require.Equal(t, http.StatusGatewayTimeout, do(r, req.WithContext(late)).Code)
	require.Zero(t, r.ran)
}

func TestFailurePoliciesOfTheLimiterShowAsTheyDecided(t *testing.T) {
	closed, err := ratelimit.FailClosed(says{err: errAway})
	require.NoError(t, err)
	r := newLimited(t, ginx.RateLimit(closed, ginx.ByIP()))
	w := get(r, "/")
	require.Equal(t, http.StatusServiceUnavailable, w.Code, "the client did nothing wrong")
	require.NotEmpty(t, w.Header().Get("Retry-After"))
	require.Empty(t, w.Header().Values("RateLimit"), "nobody knows")

	open, err := ratelimit.FailOpen(says{err: errAway})
	require.NoError(t, err)
	r = newLimited(t, ginx.RateLimit(open, ginx.ByIP()))
	w = get(r, "/")
	require.Equal(t, http.StatusOK, w.Code)
	require.Empty(t, w.Header().Values("RateLimit"))

	over := says{d: ratelimit.Decision{Degraded: true, Limit: 3, RetryAfter: time.Second}}
	r = newLimited(t, ginx.RateLimit(over, ginx.ByIP()))
	w = get(r, "/")
	require.Equal(t, http.StatusTooManyRequests, w.Code, "over its share")
	require.Contains(t, w.Header().Get("RateLimit"), `"default";r=0;t=`, "how the share stands is known")
	require.Equal(t, `"default";q=3`, w.Header().Get("RateLimit-Policy"))
}

func TestSkippedRequestsAreNotCounted(t *testing.T) {
	var now time.Duration
	l := bucket(t, ratelimit.PerHour(1), 1, &now)
	friend := func(c *gin.Context) bool { return c.GetHeader("X-Friend") != "" }
	r := newLimited(t, ginx.RateLimit(l, ginx.ByIP(), ginx.WithSkipRoutes("/health"), ginx.WithSkip(friend), ginx.WithSkip(nil)))
	req := httptest.NewRequest(http.MethodGet, "/", nil)
	req.Header.Set("X-Friend", "yes")
	for range 5 {
		require.Equal(t, http.StatusOK, get(r, "/health").Code)
		require.Equal(t, http.StatusOK, do(r, req).Code)
	}
	require.Equal(t, http.StatusOK, get(r, "/").Code)
	require.Equal(t, http.StatusTooManyRequests, get(r, "/").Code)
	require.Equal(t, http.StatusOK, get(r, "/health").Code)
}

func TestRequestsWithoutASubjectFollowTheirPolicy(t *testing.T) {
	for _, c := range []struct {
		policy ginx.EmptyKey
		codes  [2]int
	}{
		{ginx.RefuseEmptyKey, [2]int{400, 400}},
		{ginx.AdmitEmptyKey, [2]int{200, 200}},
		{ginx.ShareEmptyKey, [2]int{200, 429}},
		{99, [2]int{400, 400}},
	} {
		var now time.Duration
		r := newLimited(t, ginx.RateLimit(bucket(t, ratelimit.PerHour(1), 1, &now), ginx.ByUser(), ginx.WithEmptyKey(c.policy)))
		require.Equal(t, c.codes, [2]int{get(r, "/").Code, get(r, "/").Code})
	}
	r := newLimited(t, ginx.RateLimit(says{d: ratelimit.Decision{Allowed: true}}, ginx.ByUser()))
	require.Equal(t, http.StatusBadRequest, get(r, "/").Code, "the default")
}

func TestAStandInIsForReadsAndNotForCaches(t *testing.T) {
	denies := says{d: ratelimit.Decision{RetryAfter: time.Second, Limit: 1}}
	r := newLimited(t, ginx.RateLimit(denies, ginx.ByIP(), ginx.WithDefaultResult(ginx.Result{Data: "stand-in"})))
	w := get(r, "/")
	require.Equal(t, http.StatusOK, w.Code)
	require.JSONEq(t, `"stand-in"`, string(parse(t, w).Data))
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	require.Equal(t, http.StatusTooManyRequests, post(r, "/", `{}`).Code, "a write must not look as if it were done")
	require.Zero(t, r.ran)
}

func TestAnOwnRefusalDecidesTheAnswer(t *testing.T) {
	denies := says{d: ratelimit.Decision{RetryAfter: 1500 * time.Millisecond, Rule: "r"}}
	var got error
	teapot := ginx.WithRefusal(func(c *gin.Context, err error) {
		got = err
		c.String(http.StatusTeapot, "later")
	})
	r := newLimited(t, ginx.RateLimit(denies, ginx.ByIP(), teapot, ginx.WithJitter(0)))
	w := get(r, "/")
	require.Equal(t, http.StatusTeapot, w.Code)
	require.Equal(t, "2", w.Header().Get("Retry-After"))
	limit, ok := errors.AsType[*ratelimit.LimitedError](got)
	require.True(t, ok)
	require.Equal(t, "r", limit.Decision.Rule)

	silent := ginx.WithRefusal(func(*gin.Context, error) {})
	r2 := newLimited(t, ginx.RateLimit(denies, ginx.ByIP(), silent))
	require.Equal(t, http.StatusTooManyRequests, get(r2, "/").Code, "no answer is not a success")
	require.Zero(t, r.ran+r2.ran)
}

func TestAMistakeInTheSetUpIsLoud(t *testing.T) {
	for name, h := range map[string]gin.HandlerFunc{
		"limiter":  ginx.RateLimit(nil, ginx.ByIP()),
		"key":      ginx.RateLimit(says{}, nil),
		"set":      ginx.RateLimitRules(nil, ginx.SubjectOf),
		"acquirer": ginx.Concurrency(nil, ginx.ByIP()),
		"gate":     ginx.Breaker(nil),
		"group":    ginx.BreakerPerRoute(nil),
	} {
		log, lines := newLog()
		r := newLimited(t, ginx.AccessLog(log), h)
		require.Equal(t, http.StatusInternalServerError, get(r, "/").Code, name)
		require.Contains(t, lines.only(t).text("error"), name+" ")
		require.Zero(t, r.ran)
	}
}

func TestRulesLimitEachSubjectAndChangeWhileTheyRun(t *testing.T) {
	perIP := []rules.Field{rules.IP}
	set, err := rules.New([]rules.Rule{
		{Name: "vip", Match: rules.Match{User: "42"}, Unlimited: true},
		{Name: "suspects", Match: rules.Match{Method: "POST /"}, Per: perIP, Rate: ratelimit.PerHour(1)},
		{Name: "rest", Per: perIP, Rate: ratelimit.PerHour(20)},
	})
	require.NoError(t, err)
	login := func(c *gin.Context) { ginx.SetUser(c, c.GetHeader("X-User")) }
	r := newLimited(t, login, ginx.RateLimitRules(set, ginx.SubjectOf, ginx.WithSkipRoutes("/health")))
	require.Equal(t, http.StatusOK, post(r, "/", `{}`).Code)
	w := post(r, "/", `{}`)
	require.Equal(t, http.StatusTooManyRequests, w.Code)
	require.Equal(t, `"default";q=1`, w.Header().Get("RateLimit-Policy"), "the rule's name is not for its subject")
	w = get(r, "/")
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, `"default";q=2`, w.Header().Get("RateLimit-Policy"))
	vip := jsonRequest("/", nil)
	vip.Header.Set("X-User", "42")
	w = do(r, vip)
	require.Equal(t, http.StatusOK, w.Code)
	require.Empty(t, w.Header().Values("RateLimit"), "no limit, no header")
	require.Empty(t, get(r, "/health").Header().Values("RateLimit"))

	require.NoError(t, set.Replace([]rules.Rule{{Name: "all", Blocked: true}}))
	named := newLimited(t, ginx.RateLimitRules(set, ginx.SubjectOf, ginx.WithRuleNames(), ginx.WithJitter(0)))
	w = get(named, "/")
	require.Equal(t, http.StatusTooManyRequests, w.Code)
	require.Equal(t, `"all";r=0;t=3600`, w.Header().Get("RateLimit"))
	require.Equal(t, http.StatusTooManyRequests, get(r, "/").Code)
}
