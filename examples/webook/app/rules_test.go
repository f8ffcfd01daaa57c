package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
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

const (
	blocked = `[{"name": "address", "blocked": true}]`
	free    = `[{"name": "address", "per": ["ip"], "rate": {"count": 1000, "per": "1s"}, "burst": 1000}]`
)

// steered makes configurations of instances whose console can be changed, and whose
// limits are free.
func steered(t *testing.T, redisAddr string) func() config.Config {
	t.Helper()
	next := shared(t, redisAddr)
	return func() config.Config {
		cfg := next()
		cfg.Console.Token = logger.NewSecret(consoleToken)
		cfg.Limits.Timeout = time.Second // the instances share two cores
		cfg.Limits.PerAddress = []rules.Rule{perIP("address", ratelimit.PerSecond(1000), 1000)}
		cfg.Limits.PerUser = []rules.Rule{{Name: "user", Per: []rules.Field{rules.User}, Rate: ratelimit.PerSecond(50)}}
		return cfg
	}
}

// change sends a form to the console as a script does, and returns the status and
// the number of the revision.
func (i *instance) change(t *testing.T, what string, form url.Values) (int, uint64) {
	t.Helper()
	form.Set("author", "kim")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, i.URL()+"/console/rules/address/"+what, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Authorization", "Bearer "+consoleToken)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	var rev struct{ Number uint64 }
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&rev))
	return resp.StatusCode, rev.Number
}

func (i *instance) save(t *testing.T, after uint64, text, life string) uint64 {
	t.Helper()
	status, number := i.change(t, "edit", url.Values{"do": {"save"}, "after": {fmt.Sprint(after)}, "text": {text}, "for": {life}})
	require.Equal(t, http.StatusOK, status)
	return number
}

func (i *instance) hello(t *testing.T) int { return i.call(t, http.MethodGet, "/hello", "", "").status }

func (i *instance) rulesPage(t *testing.T) string {
	t.Helper()
	status, page := get(t, i.URL()+"/console/rules/address")
	require.Equal(t, http.StatusOK, status)
	return page
}

var (
	instanceOnPage = regexp.MustCompile(`(?s)data-instance="([^"]+)".*?data-label="revision" class="(ok|err)">(\d+)<`)
	revisionOnPage = regexp.MustCompile(`data-revision="(\d+)"`)
)

// everywhere waits until each instance answers with the status, and each page shows
// the revision of each; it returns how long the slowest took to answer so.
func everywhere(t *testing.T, instances []*instance, status int, revision string) time.Duration {
	t.Helper()
	begin := time.Now()
	for _, i := range instances {
		eventually(t, func() bool { return i.hello(t) == status }, "in force")
	}
	took := time.Since(begin)
	for _, i := range instances {
		eventually(t, func() bool {
			shown := instanceOnPage.FindAllStringSubmatch(i.rulesPage(t), -1)
			for _, s := range shown {
				if s[2] != "ok" || s[3] != revision {
					return false
				}
			}
			return len(shown) == len(instances)
		}, "each page shows each instance with revision "+revision)
	}
	return took
}

func TestAChangeOnTheConsoleReachesEveryInstanceWithinASecond(t *testing.T) {
	cfg := steered(t, testenv.EmbeddedRedis(t).Addr())
	fleet := []*instance{start(t, cfg()), start(t, cfg()), start(t, cfg())}
	everywhere(t, fleet, http.StatusOK, "1")

	require.EqualValues(t, 2, fleet[0].save(t, 1, blocked, ""))
	took := everywhere(t, fleet, http.StatusTooManyRequests, "2")
	t.Logf("blocked on all three after %v", took)
	require.Less(t, took, 3*time.Second, "a second, and what a busy machine adds")

	status, number := fleet[1].change(t, "rollback", url.Values{"after": {"2"}, "to": {"1"}})
	require.Equal(t, http.StatusOK, status)
	require.EqualValues(t, 3, number)
	took = everywhere(t, fleet, http.StatusOK, "3")
	t.Logf("rolled back on all three after %v", took)
	require.Less(t, took, 3*time.Second)

	status, _ = fleet[2].change(t, "edit", url.Values{"do": {"save"}, "after": {"2"}, "text": {blocked}})
	require.Equal(t, http.StatusConflict, status, "a third operator saw the second revision")
	everywhere(t, fleet, http.StatusOK, "3")
}

func TestATemporaryRuleEndsByItselfOnEveryInstance(t *testing.T) {
	cfg := steered(t, testenv.EmbeddedRedis(t).Addr())
	fleet := []*instance{start(t, cfg()), start(t, cfg())}
	fleet[0].save(t, 1, blocked, "2s")
	everywhere(t, fleet, http.StatusTooManyRequests, "2")
	everywhere(t, fleet, http.StatusOK, "3")
	page := fleet[1].rulesPage(t)
	require.Contains(t, page, "revision 2 of kim has ended")
	require.Contains(t, page, "rules of 1")
}

func TestARestartReadsTheRulesBack(t *testing.T) {
	cfg := steered(t, testenv.EmbeddedRedis(t).Addr())
	first := start(t, cfg())
	first.save(t, 1, blocked, "")
	require.NoError(t, first.stop())

	again := start(t, cfg())
	require.Equal(t, http.StatusTooManyRequests, again.hello(t), "from the first request on")
	require.Equal(t, "2", revisionOnPage.FindStringSubmatch(again.rulesPage(t))[1])
	require.NoError(t, again.stop())

	// While all were down, the configuration has changed.
	changed := cfg()
	changed.Limits.PerAddress = []rules.Rule{perIP("address", ratelimit.PerSecond(2000), 2000)}
	third := start(t, changed)
	require.Equal(t, http.StatusOK, third.hello(t))
	page := third.rulesPage(t)
	require.Contains(t, page, "configuration of ")
	require.Equal(t, "3", revisionOnPage.FindStringSubmatch(page)[1])
}

func TestTheFileMakesARevisionOnlyWhenItsOwnRulesChange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "webook.yaml")
	write := func(count, rest string) {
		t.Helper()
		text := strings.ReplaceAll(limitsFile, "%COUNT%", count) + rest
		require.NoError(t, os.WriteFile(path+".new", []byte(text), 0o600))
		require.NoError(t, os.Rename(path+".new", path))
	}
	write("100000", "")
	next := steered(t, testenv.EmbeddedRedis(t).Addr())
	cfg := func() config.Config {
		c := next()
		c.Limits = config.Default().Limits
		loaded, err := config.Load(path)
		require.NoError(t, err)
		c.Limits.PerAddress = loaded.Limits.PerAddress
		return c
	}
	fleet := []*instance{start(t, cfg(), app.WithConfigFile(path)), start(t, cfg(), app.WithConfigFile(path))}
	require.EqualValues(t, 2, fleet[0].save(t, 1, blocked, ""))
	everywhere(t, fleet, http.StatusTooManyRequests, "2")

	write("100000", "log:\n  level: debug\n")
	for _, i := range fleet {
		eventually(t, func() bool { return len(i.log.all(t, "configuration taken over")) > 0 }, "the file is read")
	}
	everywhere(t, fleet, http.StatusTooManyRequests, "2")

	write("90000", "log:\n  level: debug\n")
	for _, i := range fleet {
		eventually(t, func() bool { return len(i.log.all(t, "configuration taken over")) > 1 }, "the file is read")
	}
	everywhere(t, fleet, http.StatusOK, "3") // one revision, though both have read the file
	require.Never(t, func() bool { return revisionOnPage.FindStringSubmatch(fleet[0].rulesPage(t))[1] != "3" },
		500*time.Millisecond, 50*time.Millisecond, "and none after it")
	took := 0
	for _, i := range fleet {
		took += len(i.log.all(t, "limits of the configuration taken over"))
	}
	require.Equal(t, 1, took)
}

func TestWithoutRedisTheLastRulesStay(t *testing.T) {
	node := testenv.RestartableRedis(t)
	i := start(t, steered(t, node.Addr())())
	i.save(t, 1, blocked, "")
	node.Stop()
	for range 5 {
		require.Equal(t, http.StatusTooManyRequests, i.hello(t))
	}
	page := i.rulesPage(t)
	require.Contains(t, page, "store away")
	require.Contains(t, page, `<td class="text limit" data-label="limit">blocked</td>`)
	status, _ := i.change(t, "edit", url.Values{"do": {"save"}, "after": {"2"}, "text": {free}})
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, http.StatusTooManyRequests, i.hello(t), "nothing changed")

	node.Start()
	eventually(t, func() bool { return !strings.Contains(i.rulesPage(t), "store away") }, "Redis is back")
	require.Equal(t, "2", revisionOnPage.FindStringSubmatch(i.rulesPage(t))[1])
	i.save(t, 2, free, "")
	require.Equal(t, http.StatusOK, i.hello(t))

	node.Stop()
	node.StartEmpty()
	everywhere(t, []*instance{i}, http.StatusOK, "4") // what it lost is given back
}

func TestTheBreakerOfRedisShowsAnOutage(t *testing.T) {
	node := testenv.RestartableRedis(t)
	i := start(t, steered(t, node.Addr())())
	require.Equal(t, http.StatusOK, i.hello(t))
	console := func() string { _, page := get(t, i.URL()+"/console"); return page }
	require.Contains(t, console(), "all closed")
	node.Stop()
	eventually(t, func() bool { i.hello(t); return strings.Contains(console(), "opened last because of") }, "it opens")
	_, metrics := get(t, i.MetricsURL()+"/metrics")
	require.Contains(t, metrics, `webook_circuitbreaker_state{name="redis"}`)
	node.Start()
	eventually(t, func() bool { i.hello(t); return strings.Contains(console(), "all closed") }, "it closes")
}

// The page says what runs on which server, and no secret of any of them.
func TestNoPageOfTheConsoleShowsASecret(t *testing.T) {
	cfg := steered(t, testenv.EmbeddedRedis(t).Addr())()
	cfg.Wechat.AppID, cfg.Wechat.Secret = "app-id", logger.NewSecret("the-secret-at-wechat")
	i := start(t, cfg)
	i.save(t, 1, free, "")
	i.change(t, "edit", url.Values{"do": {"save"}, "after": {"1"}, "text": {"{"}})
	secrets := []string{
		consoleToken, cfg.Session.AccessKey.Reveal(), cfg.Session.RefreshKey.Reveal(), cfg.Wechat.Secret.Reveal(),
	}
	for _, path := range []string{"", "/live", "/rules/address", "/rules/user", "/rules/address/edit", "/unlock", "/nothing"} {
		_, page := get(t, i.URL()+"/console"+path)
		for _, secret := range secrets {
			require.NotContains(t, page, secret, path)
		}
	}
	require.NoError(t, i.stop())
	for _, secret := range secrets {
		require.NotContains(t, i.log.String(), secret)
	}
}

// Somebody who only starts the app gets a token, on the terminal and nowhere else.
func TestTheEmbeddedAppMakesATokenForTheConsole(t *testing.T) {
	if os.Getenv(testenv.EnvMySQL) != "" || os.Getenv(testenv.EnvPostgres) != "" {
		t.Skip("the database is not embedded")
	}
	i := start(t, testConfig(t))
	require.GreaterOrEqual(t, len(i.ConsoleToken()), 26, "130 bits")
	status, page := get(t, i.URL()+"/console")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, page, "Unlock changes")
	require.NotContains(t, page, i.ConsoleToken())
	require.NoError(t, i.stop())
	require.NotContains(t, i.log.String(), i.ConsoleToken())
}

func TestOnRealServersTheConsoleOnlyReadsWithoutAToken(t *testing.T) {
	cfg := testConfig(t)
	if cfg.DB.Driver == "" {
		cfg.DB = sharedFile(t)
	}
	i := start(t, cfg)
	require.Empty(t, i.ConsoleToken())
	_, page := get(t, i.URL()+"/console")
	require.NotContains(t, page, "Unlock changes")
}
