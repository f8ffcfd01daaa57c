package ginx_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/bulwark-go/bulwark/logger"
	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	gin.DefaultErrorWriter = io.Discard // panics on purpose
	goleak.VerifyTestMain(m)
}

// long tells whether to run the long form of the property tests.
func long() bool { return os.Getenv("BULWARK_TEST_LONG") == "1" }

func sized(short, whole int) int {
	if long() {
		return whole
	}
	return short
}

// line is one logged line, its fields by key.
type line struct {
	logger.Entry
	fields map[string]logger.Field
}

func (l line) text(key string) string { return l.fields[key].Text }
func (l line) num(key string) int64   { return l.fields[key].Num }
func (l line) has(key string) bool    { _, ok := l.fields[key]; return ok }

// journal is a logger.Core that keeps lines.
type journal struct {
	mu    sync.Mutex
	lines []line
}

func newLog() (logger.Logger, *journal) {
	j := &journal{}
	trace := func(ctx context.Context) (string, string) {
		id, _ := ctx.Value(traceKey{}).(string)
		return id, ""
	}
	return logger.New(j, logger.WithTrace(trace)), j
}

type traceKey struct{}

func (j *journal) Enabled(logger.Level) bool       { return true }
func (j *journal) With([]logger.Field) logger.Core { return j }
func (j *journal) Write(e logger.Entry, fields []logger.Field) {
	l := line{Entry: e, fields: make(map[string]logger.Field)}
	for _, f := range fields {
		l.fields[f.Key] = f
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, l)
}

func (j *journal) all() []line {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]line(nil), j.lines...)
}

func (j *journal) only(t *testing.T) line {
	t.Helper()
	lines := j.all()
	require.Len(t, lines, 1)
	return lines[0]
}

// reply is the envelope as a client sees it.
type reply struct {
	Code int             `json:"code"`
	Msg  string          `json:"msg"`
	Data json.RawMessage `json:"data"`
}

func do(h http.Handler, req *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w
}

func get(h http.Handler, target string) *httptest.ResponseRecorder {
	return do(h, httptest.NewRequest(http.MethodGet, target, nil))
}

func post(h http.Handler, target, body string) *httptest.ResponseRecorder {
	return do(h, jsonRequest(target, strings.NewReader(body)))
}

func jsonRequest(target string, body io.Reader) *http.Request {
	req := httptest.NewRequest(http.MethodPost, target, body)
	req.Header.Set("Content-Type", "application/json")
	return req
}

func parse(t *testing.T, w *httptest.ResponseRecorder) reply {
	t.Helper()
	var r reply
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &r), "body: %s", w.Body)
	return r
}
