package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/examples/webook/config"
)

func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "webook.yaml")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func TestWithoutAFileTheDefaultsHold(t *testing.T) {
	cfg, err := config.Load("")
	require.NoError(t, err)
	require.Equal(t, ":8080", cfg.HTTP.Addr)
	require.Equal(t, []string{"http://localhost:3000"}, cfg.HTTP.Origins)
	require.Equal(t, 30*time.Minute, cfg.Session.Access)
	require.Equal(t, 7*24*time.Hour, cfg.Session.Refresh)
	require.Equal(t, config.CachePass, cfg.Users.CacheFailure)
	require.NoError(t, config.Default().Validate())
}

func TestTheFileOverlaysTheDefaultsAndTheEnvironmentTheFile(t *testing.T) {
	path := file(t, "http:\n  addr: ':1'\nusers:\n  bcryptCost: 12\nkafka:\n  addrs: [a:1, b:2]\n")
	t.Setenv("WEBOOK_HTTP_ADDR", ":2")
	t.Setenv("WEBOOK_SESSION_ACCESSKEY", strings.Repeat("a1", 16))
	t.Setenv("WEBOOK_SESSION_REFRESHKEY", strings.Repeat("b2", 16))
	cfg, err := config.Load(path)
	require.NoError(t, err)
	require.Equal(t, ":2", cfg.HTTP.Addr)
	require.Equal(t, 12, cfg.Users.BcryptCost)
	require.Equal(t, []string{"a:1", "b:2"}, cfg.Kafka.Addrs)
	require.Equal(t, strings.Repeat("a1", 16), cfg.Session.AccessKey.Reveal())
	require.Equal(t, ":8081", cfg.Metrics.Addr)
}

func TestABadConfigurationIsOneLineThatNamesEachKey(t *testing.T) {
	for name, c := range map[string]struct {
		yaml  string
		named []string
	}{
		"unknown keys":         {"http:\n  adr: x\nrediss: {}\nfoo: 1\n", []string{"unknown key http.adr", "unknown key foo"}},
		"a value for sections": {"http: 5\n", []string{"http must be a section"}},
		"wrong type":           {"users:\n  bcryptCost: twelve\n", []string{"users.bcryptCost"}},
		"duration without unit": {
			"http:\n  timeout: 5\n", []string{"http.timeout: 5ns must be between"},
		},
		"out of range": {
			"http:\n  addr: nowhere\nusers:\n  cacheFailure: maybe\n  cachePassMax: 0\nlog:\n  level: loud\n",
			[]string{"http.addr: \"nowhere\"", "users.cacheFailure: \"maybe\"", "users.cachePassMax: 0", "log.level: \"loud\""},
		},
		"origin that is no URL":   {"http:\n  origins: [localhost]\n", []string{"http.origins[0]"}},
		"origin with a path":      {"http:\n  origins: ['http://localhost:3000/']\n", []string{"http.origins[0]", "no path"}},
		"driver without dsn":      {"db:\n  driver: mysql\n", []string{"db.dsn"}},
		"dsn without driver":      {"db:\n  dsn: file\n", []string{"db.driver"}},
		"unknown driver":          {"db:\n  driver: oracle\n  dsn: x\n", []string{"db.driver: \"oracle\""}},
		"access outlives refresh": {"session:\n  access: 48h\n  refresh: 1h\n", []string{"session.access", "session.refresh"}},
		"half a pair of keys":     {"session:\n  accessKey: '0123456789012345678901234567890123'\n", []string{"session.accessKey, session.refreshKey: set both"}},
		"a secret in digits":      {"redis:\n  password: 0123456\n", []string{"redis.password", "must be text in quotes"}},
		"not YAML":                {"http: [\n", []string{"yaml"}},
		"ratio":                   {"trace:\n  ratio: 2\n", []string{"trace.ratio: 2"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := file(t, c.yaml)
			_, err := config.Load(path)
			require.Error(t, err)
			require.NotContains(t, err.Error(), "\n")
			require.Contains(t, err.Error(), path)
			for _, want := range c.named {
				require.Contains(t, err.Error(), want)
			}
		})
	}
}

func TestAMissingFileIsNamed(t *testing.T) {
	_, err := config.Load("/no/such/webook.yaml")
	require.ErrorContains(t, err, "/no/such/webook.yaml")
}

// What we ship must load, and say what it still needs.
func TestTheShippedFileNeedsOnlyItsSecrets(t *testing.T) {
	const shipped = "../deploy/real.yaml"
	_, err := config.Load(shipped)
	require.ErrorContains(t, err, "db.dsn")
	t.Setenv("WEBOOK_DB_DSN", "u:p@tcp(127.0.0.1:13306)/webook")
	cfg, err := config.Load(shipped)
	require.NoError(t, err)
	require.Equal(t, config.Default().Users, cfg.Users)
	require.Equal(t, "u:p@tcp(127.0.0.1:13306)/webook", cfg.DB.DSN.Reveal())
}

func TestSecretsAreNeverShown(t *testing.T) {
	const secret = "hunter2-hunter2"
	path := file(t, fmt.Sprintf("redis:\n  password: %[1]s\nsession:\n  accessKey: %[1]s\n  refreshKey: %[1]s\n", secret))
	_, err := config.Load(path)
	require.ErrorContains(t, err, "session.accessKey: must have 32 bytes or more, has 15")
	require.NotContains(t, err.Error(), secret)

	cfg, err := config.Load(file(t, "redis:\n  password: "+secret+"\n"))
	require.NoError(t, err)
	require.Equal(t, secret, cfg.Redis.Password.Reveal())
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", cfg, cfg, cfg), secret)
}
