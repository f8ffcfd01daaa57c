package app_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/examples/webook/app"
	"github.com/bulwark-go/bulwark/examples/webook/config"
	"github.com/bulwark-go/bulwark/logger"
)

// silentPort takes connections and never says a word.
func silentPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// closedPort refuses connections.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

func TestWhatKeepsTheAppFromStartingIsNamedSoon(t *testing.T) {
	taken, closed, silent := silentPort(t), closedPort(t), silentPort(t)
	for name, c := range map[string]struct {
		change func(*config.Config)
		named  []string
	}{
		"app port taken":      {func(c *config.Config) { c.HTTP.Addr = taken }, []string{"http.addr", taken, "in use"}},
		"metrics port taken":  {func(c *config.Config) { c.Metrics.Addr = taken }, []string{"metrics.addr", taken, "in use"}},
		"redis refuses":       {func(c *config.Config) { c.Redis.Addr = closed }, []string{"redis", closed, "refused"}},
		"redis hangs":         {func(c *config.Config) { c.Redis.Addr = silent }, []string{"redis", silent}},
		"mysql refuses":       {func(c *config.Config) { c.DB = dsn("mysql", "app:hunter2@tcp("+closed+")/webook") }, []string{"sql", closed, "refused"}},
		"postgres refuses":    {func(c *config.Config) { c.DB = dsn("postgres", "postgres://app:hunter2@"+closed+"/webook") }, []string{"sql", closed, "refused"}},
		"mysql dsn malformed": {func(c *config.Config) { c.DB = dsn("mysql", "app:hunter2@@nowhere") }, []string{"sql", "db.dsn"}},
		"mysql dsn without @": {func(c *config.Config) { c.DB = dsn("mysql", "app:hunter2tcp("+closed+")/webook") }, []string{"sql", "db.dsn"}},
		"mysql dsn cut off":   {func(c *config.Config) { c.DB = dsn("mysql", "app:hunter2/webook") }, []string{"sql", "db.dsn"}},
		"postgres url broken": {func(c *config.Config) { c.DB = dsn("postgres", "postgres://app:hunter2@127.0.0.1:x/webook") }, []string{"sql", "db.dsn"}},
		"postgres dsn broken": {func(c *config.Config) { c.DB = dsn("postgres", "user=app password = hunter2 port=x") }, []string{"sql", "db.dsn"}},
		"kafka refuses":       {func(c *config.Config) { c.Kafka.Addrs = []string{closed} }, []string{"kafka", closed}},
		"kafka hangs":         {func(c *config.Config) { c.Kafka.Addrs = []string{silent} }, []string{"kafka", silent}},
		"no folder":           {func(c *config.Config) { c.Data = filepath.Join(os.DevNull, "x") }, []string{"data", os.DevNull}},
		"bad value":           {func(c *config.Config) { c.Users.CachePassMax = -1 }, []string{"config", "users.cachePassMax"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := testConfig(t)
			c.change(&cfg)
			begin := time.Now()
			_, err := app.New(context.WithoutCancel(t.Context()), cfg, app.WithLog(&lines{}))
			require.Error(t, err)
			require.Less(t, time.Since(begin), 10*time.Second)
			for _, want := range c.named {
				require.Contains(t, err.Error(), want)
			}
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}

func dsn(driver, text string) config.DB {
	return config.DB{Driver: driver, DSN: logger.NewSecret(text)}
}

func TestTheTemporaryFolderGoesWithTheAppAndAGivenOneStays(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	cfg := testConfig(t)
	cfg.DB, cfg.Redis, cfg.Kafka = config.DB{}, config.Redis{}, config.Kafka{}
	i := start(t, cfg)
	require.NotEmpty(t, i.Demo().Password)
	require.NotEmpty(t, entries(t, temp))
	require.NoError(t, i.stop())
	require.Empty(t, entries(t, temp))

	cfg.Data = filepath.Join(t.TempDir(), "kept", "here")
	one := start(t, cfg)
	one.login(t, "ann@example.com")
	demo := one.Demo()
	require.NotEmpty(t, demo.Password)
	require.NoError(t, one.stop())
	two := start(t, cfg)
	require.Empty(t, two.Demo().Password, "made at the first start")
	require.Zero(t, two.call(t, "POST", "/users/login", "", credentials("ann@example.com")).Code, "accounts are kept")
	body := `{"email":"` + demo.Email + `","password":"` + demo.Password + `"}`
	require.Zero(t, two.call(t, "POST", "/users/login", "", body).Code)
	require.Empty(t, entries(t, temp))
}

func entries(t *testing.T, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range list {
		if strings.HasPrefix(e.Name(), "webook-") {
			names = append(names, e.Name())
		}
	}
	return names
}
