package app_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dlclark/regexp2"
	"github.com/gin-gonic/gin"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/crypto/bcrypt"

	"github.com/bulwark-go/bulwark/examples/webook/app"
	"github.com/bulwark-go/bulwark/examples/webook/config"
	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/logger"
)

const (
	agent    = "webook-test/1.0"
	password = "correct#horse7"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	redis.SetLogger(quiet{})
	code := m.Run()
	http.DefaultClient.CloseIdleConnections()
	regexp2.StopTimeoutClock()
	// sarama's metrics library keeps one goroutine for the life of the process.
	err := goleak.Find(testenv.LeakOptions()...)
	if code == 0 && err != nil {
		_, _ = io.WriteString(os.Stderr, err.Error())
		code = 1
	}
	os.Exit(code)
}

type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// instance is a running app with its log.
type instance struct {
	*app.App
	log  *lines
	stop func() error
}

// testConfig is the app's own default on free ports, with cheap hashes, on the
// servers that the environment names where it does.
func testConfig(t *testing.T) config.Config {
	t.Helper()
	cfg := config.Default()
	cfg.HTTP.Addr, cfg.Metrics.Addr = "127.0.0.1:0", "127.0.0.1:0"
	cfg.HTTP.Shutdown = 5 * time.Second
	cfg.Users.BcryptCost = bcrypt.MinCost
	cfg.Log.Format = "json"
	cfg.Limits.PerAddress, cfg.Limits.PerUser = nil, nil // tests come from one address
	// A busy machine's Redis is slow, not away.
	cfg.Limits.Timeout, cfg.Users.CacheTimeout = time.Second, time.Second
	cfg.Interactive.CacheTimeout, cfg.Articles.PartTimeout = 4*time.Second, 4*time.Second
	if os.Getenv(testenv.EnvRedis) != "" {
		options := testenv.RedisOptions(t)
		cfg.Redis.Addr, cfg.Redis.DB = options.Addr, options.DB
	}
	if os.Getenv(testenv.EnvKafka) != "" {
		cfg.Kafka.Addrs = testenv.Kafka(t)
		cfg.Kafka.Prefix = testenv.Name(t) + "-"
		t.Cleanup(func() { dropTopics(t, cfg.Kafka) })
	}
	switch {
	case os.Getenv(testenv.EnvMySQL) != "":
		cfg.DB = config.DB{Driver: "mysql", DSN: logger.NewSecret(testenv.MySQLDSN(t))}
	case os.Getenv(testenv.EnvPostgres) != "":
		cfg.DB = config.DB{Driver: "postgres", DSN: logger.NewSecret(testenv.PostgresDSN(t))}
	}
	return cfg
}

// start runs an app until the test ends, or until its stop is called.
func start(t *testing.T, cfg config.Config, opts ...app.Option) *instance {
	t.Helper()
	i := &instance{log: &lines{}}
	built, err := app.New(t.Context(), cfg, append([]app.Option{app.WithLog(i.log)}, opts...)...)
	require.NoError(t, err)
	i.App = built
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- built.Run(ctx) }()
	i.stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { require.NoError(t, i.stop(), "a clean stop") })
	return i
}

// answer is a response in the contract's shape.
type answer struct {
	status int
	header http.Header
	raw    string
	Code   int             `json:"code"`
	Msg    string          `json:"msg"`
	Data   json.RawMessage `json:"data"`
}

func (a answer) access() string  { return a.header.Get("x-jwt-token") }
func (a answer) refresh() string { return a.header.Get("x-refresh-token") }

// call sends body, when there is one as JSON, with the token, when there is one.
func (i *instance) call(t *testing.T, method, path, token, body string) answer {
	t.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), method, i.URL()+path, content)
	require.NoError(t, err)
	req.Header.Set("User-Agent", agent)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return send(t, req)
}

// send requires that the answer has the contract's shape.
func send(t *testing.T, req *http.Request) answer {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	a := answer{status: resp.StatusCode, header: resp.Header, raw: string(raw)}
	var shape map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(raw, &shape), "not JSON: %q", raw)
	for _, key := range []string{"code", "msg", "data"} {
		require.Contains(t, shape, key)
	}
	require.NoError(t, json.Unmarshal(raw, &a))
	return a
}

func credentials(email string) string {
	return `{"email":"` + email + `","password":"` + password + `","confirmPassword":"` + password + `"}`
}

// login signs the e-mail up and logs in.
func (i *instance) login(t *testing.T, email string) answer {
	t.Helper()
	a := i.call(t, http.MethodPost, "/users/signup", "", credentials(email))
	require.Zero(t, a.Code, a.raw)
	a = i.call(t, http.MethodPost, "/users/login", "", credentials(email))
	require.Zero(t, a.Code, a.raw)
	require.NotEmpty(t, a.access())
	require.NotEmpty(t, a.refresh())
	return a
}

// get fetches what is not in the contract's shape.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(body)
}

// dial opens a connection and sends nothing.
func dial(t *testing.T, url string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	return conn
}

// lines is a log that can be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

type line map[string]any

// all returns the lines that have the message; every line must be JSON.
func (l *lines) all(t *testing.T, msg string) (found []line) {
	t.Helper()
	for text := range strings.Lines(l.String()) {
		var one line
		require.NoError(t, json.Unmarshal([]byte(text), &one), text)
		if one["msg"] == msg || msg == "" {
			found = append(found, one)
		}
	}
	return found
}

const requestLine = "http request"

func eventually(t *testing.T, condition func() bool, why string) {
	t.Helper()
	require.Eventually(t, condition, 15*time.Second, 20*time.Millisecond, why)
}

func sharedFile(t *testing.T) config.DB {
	t.Helper()
	return config.DB{Driver: "sqlite", DSN: logger.NewSecret(filepath.Join(t.TempDir(), "webook.db"))}
}

// lifetime is how long a token says it lives.
func lifetime(t *testing.T, token string) time.Duration {
	t.Helper()
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)
	var claims struct{ Iat, Exp int64 }
	require.NoError(t, json.Unmarshal(payload, &claims))
	return time.Duration(claims.Exp-claims.Iat) * time.Second
}

// ofRequests returns the lines that belong to a request. A slow machine may have
// others, about what polls in the background.
func (l *lines) ofRequests(t *testing.T) (found []line) {
	t.Helper()
	for _, one := range l.all(t, "") {
		if one["trace_id"] != nil {
			found = append(found, one)
		}
	}
	return found
}
