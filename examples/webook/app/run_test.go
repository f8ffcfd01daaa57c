package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/examples/webook/app"
	"github.com/bulwark-go/bulwark/examples/webook/config"
)

func TestOneTraceIDJoinsTheLinesOfARequest(t *testing.T) {
	cfg := testConfig(t)
	cfg.Log.Level = "debug"
	i := start(t, cfg)
	token := i.login(t, "ann@example.com").access()

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, i.URL()+"/users/profile", nil)
	require.NoError(t, err)
	req.Header.Set("User-Agent", agent)
	req.Header.Set("Authorization", "Bearer "+token)
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	req.Header.Set("traceparent", "00-"+trace+"-00f067aa0ba902b7-01")
	require.Zero(t, send(t, req).Code)
	require.NoError(t, i.stop())

	byMessage := map[string]line{}
	for _, line := range i.log.all(t, "") {
		if line["trace_id"] == trace {
			byMessage[line["msg"].(string)] = line
		}
	}
	require.Contains(t, byMessage, requestLine, "gin's line has the caller's trace")
	require.Contains(t, byMessage, "sql", "and so has SQL's")
	require.Contains(t, byMessage["sql"]["sql"], "users")
	require.Equal(t, "/users/profile", byMessage[requestLine]["route"])

	for _, line := range i.log.all(t, requestLine) {
		require.Regexp(t, regexp.MustCompile("^[0-9a-f]{32}$"), line["trace_id"], "without a caller's trace we make one")
	}
}

func TestMetricsCountRequestsStatementsAndTheProcess(t *testing.T) {
	i := start(t, testConfig(t))
	token := i.login(t, "ann@example.com").access()
	i.call(t, http.MethodGet, "/users/profile", token, "")
	i.call(t, http.MethodGet, "/users/profile", "", "")
	for _, path := range []string{"/a", "/b", "/c"} {
		i.call(t, http.MethodGet, path, "", "")
	}
	status, metrics := get(t, i.MetricsURL()+"/metrics")
	require.Equal(t, http.StatusOK, status)
	for _, want := range []string{
		`webook_http_server_request_duration_seconds_count{code="0",method="GET",outcome="ok",route="/users/profile",status="2xx"} 1`,
		`webook_http_server_request_duration_seconds_count{code="4",method="GET",outcome="ok",route="/users/profile",status="4xx"} 1`,
		`webook_http_server_request_duration_seconds_count{code="4",method="other",outcome="ok",route="unmatched",status="4xx"} 3`,
		`webook_http_server_request_in_flight{method="GET",route="/users/profile"} 0`,
		`webook_gorm_operation_duration_seconds_count{`,
		`webook_db_pool_connections{`,
		`webook_redis_command_duration_seconds_count{client="webook",command="get",lookup="miss",outcome="ok"} `,
		`webook_component_up{name="sql"} 1`,
		"go_goroutines", "process_resident_memory_bytes", "go_build_info",
	} {
		require.Contains(t, metrics, want)
	}
	require.NotContains(t, metrics, "ann@example.com")
}

func TestProbesAnswerOnBothPorts(t *testing.T) {
	i := start(t, testConfig(t))
	for _, url := range []string{i.URL(), i.MetricsURL()} {
		for path, want := range map[string]string{"/healthz": "alive\n", "/readyz": "ready\n"} {
			status, body := get(t, url+path)
			require.Equal(t, http.StatusOK, status)
			require.Equal(t, want, body)
			resp, err := http.Head(url + path)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, http.StatusOK, resp.StatusCode, "some load balancers ask by HEAD")
		}
	}
	require.Len(t, i.log.all(t, requestLine), 0, "probes do not fill the log")
}

func TestTheConsoleShowsTheRunningApp(t *testing.T) {
	i := start(t, testConfig(t))
	i.login(t, "ann@example.com")
	status, page := get(t, i.URL()+"/console")
	require.Equal(t, http.StatusOK, status)
	for _, want := range []string{"all up", "sql", "redis", "kafka", "POST /users/login", "None since the start"} {
		require.Contains(t, page, want)
	}
	require.NotContains(t, page, "ann@example.com")
}

func TestAConfigurationIsTakenOverWhileRunningAndABadOneIsNot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "webook.yaml")
	write := func(text string) {
		t.Helper()
		// As editors and Kubernetes do: a new file takes the old one's place.
		text = "limits:\n  timeout: 1s\n" + text // a busy machine's Redis is slow, not away
		require.NoError(t, os.WriteFile(path+".new", []byte(text), 0o600))
		require.NoError(t, os.Rename(path+".new", path))
	}
	write("log:\n  level: info\n")
	cfg := testConfig(t)
	cfg.Limits = config.Default().Limits // as the file leaves them
	cfg.Limits.Timeout = time.Second
	i := start(t, cfg, app.WithConfigFile(path))
	sql := func() int {
		i.call(t, http.MethodPost, "/users/login", "", credentials("nobody@example.com"))
		return len(i.log.all(t, "sql"))
	}
	require.Zero(t, sql())
	require.Eventually(t, func() bool { // again, for the watch begins some time after the start
		write("log:\n  level: debug\ntrace:\n  ratio: 0.5\n# " + time.Now().String())
		last := line{}
		for _, last = range i.log.all(t, "configuration taken over") {
		}
		waits, _ := last["waits_for_restart"].(string)
		return strings.Contains(waits, "trace.ratio")
	}, 15*time.Second, 500*time.Millisecond, "a change is seen, and what of it has to wait")
	require.NotZero(t, sql())

	write("log:\n  level: loud\nfoo: 1\n")
	refused := func() []line { return i.log.all(t, "configuration refused, the old one stays") }
	eventually(t, func() bool { return len(refused()) > 0 }, "a bad change is seen")
	require.Contains(t, refused()[0]["error"], "foo")
	seen := sql()
	require.Greater(t, sql(), seen, "the level from before is in force")

	write("log:\n  level: error\n")
	eventually(t, func() bool { before := sql(); return sql() == before }, "and a good one after it")
	require.Len(t, refused(), 1, "one line for one bad change")
}

func TestRunningRequestsAreFinishedAtTheEnd(t *testing.T) {
	i := start(t, testConfig(t))
	body, write := io.Pipe()
	req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodPost, i.URL()+"/users/signup", body)
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	answered := make(chan error, 1)
	go func() { answered <- success(http.DefaultClient.Do(req)) }()
	text := credentials("ann@example.com")
	_, err = io.WriteString(write, text[:10])
	require.NoError(t, err)
	eventually(t, func() bool {
		_, metrics := get(t, i.MetricsURL()+"/metrics")
		return strings.Contains(metrics, `webook_http_server_request_in_flight{method="POST",route="/users/signup"} 1`)
	}, "the request runs")

	stopped := make(chan error, 1)
	go func() { stopped <- i.stop() }()
	eventually(t, func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(i.URL(), "http://"))
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	}, "no new requests are taken")
	require.Never(t, func() bool { return len(stopped) > 0 }, 200*time.Millisecond, 20*time.Millisecond, "the app waits for it")
	_, err = io.WriteString(write, text[10:])
	require.NoError(t, err)
	require.NoError(t, write.Close())
	require.NoError(t, <-answered)
	require.NoError(t, <-stopped)
}

// success is nil for an answer with code 0.
func success(resp *http.Response, err error) error {
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var a answer
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		return err
	}
	if a.Code != 0 {
		return fmt.Errorf("code %d: %s", a.Code, a.Msg)
	}
	return nil
}

func TestARequestThatNeverEndsIsCutOff(t *testing.T) {
	cfg := testConfig(t)
	cfg.HTTP.Shutdown = 200 * time.Millisecond
	i := &instance{log: &lines{}}
	built, err := app.New(t.Context(), cfg, app.WithLog(i.log))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- built.Run(ctx) }()
	conn := dial(t, built.URL())
	defer conn.Close()
	_, err = io.WriteString(conn, "POST /users/signup HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n")
	require.NoError(t, err)
	_, err = conn.Read(make([]byte, 10))
	require.NoError(t, err, "the handler waits for the body")
	cancel()
	require.ErrorContains(t, <-done, "http.shutdown")
}

func TestAConnectionThatNobodyUsesDoesNotDelayTheEnd(t *testing.T) {
	i := start(t, testConfig(t))
	conn := dial(t, i.URL())
	defer conn.Close()
	begin := time.Now()
	require.NoError(t, i.stop())
	require.Less(t, time.Since(begin), 3*time.Second)
}

func TestANewInstanceThatNeverRanLeavesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	built, err := app.New(ctx, testConfig(t), app.WithLog(&lines{}))
	require.NoError(t, err)
	cancel()
	require.NoError(t, built.Run(ctx), "an ended context: straight to the end")
}
