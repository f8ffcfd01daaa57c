package app_test

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/examples/webook/config"
	"github.com/bulwark-go/bulwark/internal/faultproxy"
	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/logger"
)

// shared makes configurations of instances that are one service: same Redis, same
// database, same keys.
func shared(t *testing.T, redisAddr string) func() config.Config {
	t.Helper()
	db := sharedFile(t)
	access, refresh := logger.NewSecret(testenv.Name(t)+"-access-access-access"), logger.NewSecret(testenv.Name(t)+"-refresh-refresh-refresh")
	return func() config.Config {
		cfg := testConfig(t)
		cfg.DB, cfg.Redis = db, config.Redis{Addr: redisAddr}
		cfg.Session.AccessKey, cfg.Session.RefreshKey = access, refresh
		return cfg
	}
}

func TestALogoutHoldsOnEveryInstanceWithinASecond(t *testing.T) {
	cfg := shared(t, testenv.EmbeddedRedis(t).Addr())
	one, two := start(t, cfg()), start(t, cfg())
	login := one.login(t, "ann@example.com")
	for _, i := range []*instance{one, two} {
		require.Zero(t, i.call(t, http.MethodGet, "/users/profile", login.access(), "").Code, "one session on both")
	}
	require.Zero(t, two.call(t, http.MethodPost, "/users/logout", login.access(), "").Code)
	loggedOut := time.Now()
	for _, i := range []*instance{one, two} {
		eventually(t, func() bool {
			return i.call(t, http.MethodGet, "/users/profile", login.access(), "").status == http.StatusUnauthorized
		}, "the access token is useless")
	}
	require.Less(t, time.Since(loggedOut), 1200*time.Millisecond, "a second, and a little for the machine")
	for _, i := range []*instance{one, two} {
		require.Equal(t, http.StatusUnauthorized, i.call(t, http.MethodPost, "/users/refresh_token", login.refresh(), "").status)
	}
}

// Redis dies under load and comes back. Nothing crashes, reads go on, writes are
// refused, and all is well again without a restart.
func TestRedisDiesUnderLoadAndComesBack(t *testing.T) {
	node := testenv.RestartableRedis(t)
	i := start(t, shared(t, node.Addr())())
	token := i.login(t, "ann@example.com").access()
	load := newLoad(t, i, token)

	eventually(t, func() bool { return load.ok.Load() > 50 }, "load runs")
	require.Zero(t, load.failed.Load())
	node.Stop()
	at := load.ok.Load()
	eventually(t, func() bool { return load.ok.Load() > at+50 }, "reads go on from SQL")

	before := len(i.log.all(t, requestLine))
	write := i.call(t, http.MethodPost, "/users/edit", token, `{"nickname":"new"}`)
	require.Equal(t, http.StatusServiceUnavailable, write.status, "writes fail closed")
	require.Equal(t, 5, write.Code)
	require.Equal(t, http.StatusServiceUnavailable, i.call(t, http.MethodPost, "/users/logout", token, "").status)
	require.Equal(t, http.StatusServiceUnavailable, i.call(t, http.MethodPost, "/users/login", "", credentials("ann@example.com")).status)
	require.Equal(t, 401002, i.call(t, http.MethodPost, "/users/login", "", credentials("bob@example.com")).Code)
	status, _ := get(t, i.URL()+"/readyz")
	require.Equal(t, http.StatusOK, status, "without Redis the app still serves")
	eventually(t, func() bool { return len(i.log.all(t, "component down")) == 1 }, "the outage is logged")
	_, metrics := get(t, i.MetricsURL()+"/metrics")
	require.Contains(t, metrics, `webook_component_up{name="redis"} 0`)

	node.Start()
	eventually(t, func() bool {
		return i.call(t, http.MethodPost, "/users/edit", token, `{"nickname":"new"}`).Code == 0
	}, "recovery without restart")
	eventually(t, func() bool { return len(i.log.all(t, "component up again")) == 1 }, "and logged")
	load.stop()
	require.Contains(t, i.call(t, http.MethodGet, "/users/profile", token, "").raw, `"Nickname":"new"`)
	require.LessOrEqual(t, load.failed.Load(), int64(4), "at most those on the wire when it died: one for each worker")
	failures := 0
	for _, line := range i.log.all(t, requestLine)[before:] {
		if line["status"] == float64(http.StatusServiceUnavailable) {
			failures++
			require.Equal(t, "error", line["level"])
			require.Contains(t, line["error"], "unavailable")
		}
	}
	require.GreaterOrEqual(t, failures, 3)
}

// load reads the profile in a loop, from four workers.
type load struct {
	ok, failed atomic.Int64
	stop       func()
}

func newLoad(t *testing.T, i *instance, token string) *load {
	t.Helper()
	l := &load{}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for ctx.Err() == nil {
				if i.call(t, http.MethodGet, "/users/profile", token, "").status == http.StatusOK {
					l.ok.Add(1)
				} else {
					l.failed.Add(1)
				}
			}
		})
	}
	l.stop = func() { cancel(); all.Wait() }
	t.Cleanup(l.stop)
	return l
}

// A Redis that takes requests and never answers is worse than one that is gone:
// each request must give up on it by itself.
func TestARedisThatHangsDoesNotHangTheApp(t *testing.T) {
	proxy, err := faultproxy.Start(testenv.EmbeddedRedis(t).Addr())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, proxy.Close()) })
	i := start(t, shared(t, proxy.Addr())())
	token := i.login(t, "ann@example.com").access()
	require.Zero(t, i.call(t, http.MethodGet, "/users/profile", token, "").Code)

	proxy.Set(faultproxy.Fault{Down: faultproxy.Link{Hold: true}})
	for range 5 {
		begin := time.Now()
		require.Zero(t, i.call(t, http.MethodGet, "/users/profile", token, "").Code)
		require.Less(t, time.Since(begin), 2*time.Second)
	}
	begin := time.Now()
	edit := i.call(t, http.MethodPost, "/users/edit", token, `{"nickname":"new"}`)
	require.Equal(t, http.StatusServiceUnavailable, edit.status)
	require.Less(t, time.Since(begin), 2*time.Second)
	eventually(t, func() bool { return len(i.log.all(t, "component down")) == 1 }, "the outage is seen")

	proxy.Heal()
	eventually(t, func() bool {
		return i.call(t, http.MethodPost, "/users/edit", token, `{"nickname":"new"}`).Code == 0
	}, "recovery without restart")
}

func TestWhereTheOperatorSaidSoReadsFailWithTheCache(t *testing.T) {
	node := testenv.RestartableRedis(t)
	cfg := shared(t, node.Addr())()
	cfg.Users.CacheFailure = config.CacheFail
	i := start(t, cfg)
	token := i.login(t, "ann@example.com").access()
	require.Zero(t, i.call(t, http.MethodGet, "/users/profile", token, "").Code)
	node.Stop()
	a := i.call(t, http.MethodGet, "/users/profile", token, "")
	require.Equal(t, http.StatusServiceUnavailable, a.status)
	require.Equal(t, 5, a.Code)
	require.Equal(t, "system error", a.Msg, "nothing internal reaches the client")
	node.StartEmpty()
	eventually(t, func() bool {
		// The node lost the sessions with its data: a lost session is a logout.
		return i.call(t, http.MethodGet, "/users/profile", token, "").status == http.StatusUnauthorized
	}, "sessions that Redis lost are over")
	require.Zero(t, i.call(t, http.MethodPost, "/users/login", "", credentials("ann@example.com")).Code)
}
