package app_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/examples/webook/app"
	"github.com/bulwark-go/bulwark/examples/webook/config"
	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/rules"
)

func perIP(name string, rate ratelimit.Rate, burst int64) rules.Rule {
	return rules.Rule{Name: name, Per: []rules.Field{rules.IP}, Rate: rate, Burst: burst}
}

func TestWhoSendsTooMuchIsToldSoInTheContractsShape(t *testing.T) {
	cfg := testConfig(t)
	cfg.Limits.PerAddress = []rules.Rule{perIP("address", ratelimit.PerHour(60), 2)}
	i := start(t, cfg)
	for range 2 {
		a := i.call(t, http.MethodGet, "/hello", "", "")
		require.Equal(t, http.StatusOK, a.status)
		require.NotEmpty(t, a.header.Get("RateLimit"))
		require.NotEmpty(t, a.header.Get("RateLimit-Policy"))
	}
	a := i.call(t, http.MethodGet, "/hello", "", "")
	require.Equal(t, http.StatusTooManyRequests, a.status)
	require.Equal(t, 4, a.Code)
	require.Contains(t, a.header.Get("RateLimit"), "r=0")
	wait, err := strconv.Atoi(a.header.Get("Retry-After"))
	require.NoError(t, err)
	require.InDelta(t, 60, wait, 30, "a token a minute, and some jitter")
	require.Len(t, i.log.all(t, "http request"), 3, "one line for each request")
}

func TestGuessingPasswordsIsLimitedBeforeTheyAreLookedAt(t *testing.T) {
	cfg := testConfig(t)
	cfg.Limits.PerAddress = config.Default().Limits.PerAddress
	i := start(t, cfg)
	statuses := map[int]int{}
	for range 15 {
		statuses[i.call(t, http.MethodPost, "/users/login", "", credentials("nobody@example.com")).status]++
	}
	require.GreaterOrEqual(t, statuses[http.StatusOK], 10, "the burst")
	require.GreaterOrEqual(t, statuses[http.StatusTooManyRequests], 3)
	require.Equal(t, http.StatusOK, i.call(t, http.MethodGet, "/hello", "", "").status, "other routes have their own limit")
}

func TestEachUserHasALimitOfTheirOwn(t *testing.T) {
	cfg := testConfig(t)
	cfg.Limits.PerUser = []rules.Rule{{Name: "user", Per: []rules.Field{rules.User}, Rate: ratelimit.PerHour(10), Burst: 1}}
	i := start(t, cfg)
	ann, bo := i.login(t, "ann@example.com"), i.login(t, "bo@example.com")
	require.Equal(t, http.StatusOK, i.call(t, http.MethodGet, "/users/profile", ann.access(), "").status)
	require.Equal(t, http.StatusTooManyRequests, i.call(t, http.MethodGet, "/users/profile", ann.access(), "").status)
	require.Equal(t, http.StatusOK, i.call(t, http.MethodGet, "/users/profile", bo.access(), "").status)
}

func TestInstancesShareOneLimit(t *testing.T) {
	redis := testenv.EmbeddedRedis(t).Addr()
	cfg := testConfig(t)
	cfg.Redis.Addr, cfg.Redis.DB = redis, 0
	cfg.Session.AccessKey = logger.NewSecret(strings.Repeat("a1", 16))
	cfg.Session.RefreshKey = logger.NewSecret(strings.Repeat("b2", 16))
	cfg.Limits.PerAddress = []rules.Rule{perIP("address", ratelimit.PerHour(1), 4)}
	a, b := start(t, cfg), start(t, cfg)
	admitted := 0
	for range 4 {
		for _, i := range []*instance{a, b} {
			if i.call(t, http.MethodGet, "/hello", "", "").status == http.StatusOK {
				admitted++
			}
		}
	}
	require.Equal(t, 4, admitted)
}

const limitsFile = `limits:
  perAddress:
    - name: address
      per: [ip]
      rate: {count: %COUNT%, per: 1h}
      burst: %COUNT%
`

func TestLimitsFollowTheFileWithinASecond(t *testing.T) {
	path := filepath.Join(t.TempDir(), "webook.yaml")
	write := func(content string) {
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	}
	write(strings.ReplaceAll(limitsFile, "%COUNT%", "1"))
	loaded, err := config.Load(path)
	require.NoError(t, err)
	cfg := testConfig(t)
	cfg.Limits.PerAddress = loaded.Limits.PerAddress
	i := start(t, cfg, app.WithConfigFile(path))
	status := func() int { return i.call(t, http.MethodGet, "/hello", "", "").status }
	require.Equal(t, http.StatusOK, status())
	require.Equal(t, http.StatusTooManyRequests, status())

	write(strings.ReplaceAll(limitsFile, "%COUNT%", "100000"))
	require.Eventually(t, func() bool { return status() == http.StatusOK }, 5*time.Second, 20*time.Millisecond)

	write(strings.ReplaceAll(limitsFile, "%COUNT%", "-5"))
	require.Eventually(t, func() bool {
		refused := i.log.all(t, "configuration refused, the old one stays")
		return len(refused) == 1 && strings.Contains(i.log.String(), "rate")
	}, 5*time.Second, 20*time.Millisecond)
	require.Equal(t, http.StatusOK, status(), "the old rules stay")
}
