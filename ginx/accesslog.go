package ginx

import (
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/logger/mask"
	"github.com/gin-gonic/gin"
)

// The bounds of what a client can put into a line.
const (
	defaultPathBytes = 1024
	defaultBodyBytes = 2048
	maxHeaderBytes   = 256
	maxMethodBytes   = 32
	maxErrorBytes    = 4096
)

// AccessLogOption configures [AccessLog].
type AccessLogOption interface{ applyAccessLog(*accessLog) }

type accessLogOption func(*accessLog)

func (f accessLogOption) applyAccessLog(a *accessLog) { f(a) }

// WithRequestBody logs the first bytes of request bodies, as far as the handler
// reads them. Off by default: bodies are what people entrust to us.
func WithRequestBody() AccessLogOption {
	return accessLogOption(func(a *accessLog) { a.requestBody = true })
}

// WithResponseBody logs the first bytes of response bodies. Off by default.
func WithResponseBody() AccessLogOption {
	return accessLogOption(func(a *accessLog) { a.responseBody = true })
}

// WithBodyBytes sets how much of a body a line may hold: 2048 bytes by default,
// which n ≤ 0 keeps. It is also the memory that each logged direction costs.
func WithBodyBytes(n int) AccessLogOption {
	return accessLogOption(func(a *accessLog) {
		if n > 0 {
			a.bodyBytes = n
		}
	})
}

// WithBodyTypes sets the media types whose bodies may be logged, "text/*" for a
// whole family. The default is application/json, application/problem+json and
// application/x-www-form-urlencoded, where secrets are found by the names of
// their fields. Compressed bodies are never logged.
func WithBodyTypes(types ...string) AccessLogOption {
	return accessLogOption(func(a *accessLog) {
		a.types = nil
		for _, t := range types {
			a.types = append(a.types, mediaType(t))
		}
	})
}

// WithPathBytes sets how much of the path a line may hold: 1024 bytes by
// default, which n ≤ 0 keeps. The query is never logged.
func WithPathBytes(n int) AccessLogOption {
	return accessLogOption(func(a *accessLog) {
		if n > 0 {
			a.pathBytes = n
		}
	})
}

// WithHeaders logs these request headers, up to 256 bytes each; no others ever
// are. Values of headers that carry secrets, such as Authorization, stay masked.
func WithHeaders(names ...string) AccessLogOption {
	return accessLogOption(func(a *accessLog) {
		for _, name := range names {
			a.headers = append(a.headers, loggedHeader{http.CanonicalHeaderKey(name), "header." + strings.ToLower(name)})
		}
	})
}

// WithQuietRoutes logs the successes of these route templates at debug instead
// of info: for health checks. Their failures are logged as ever.
func WithQuietRoutes(routes ...string) AccessLogOption {
	return accessLogOption(func(a *accessLog) {
		for _, r := range routes {
			a.quiet[r] = struct{}{}
		}
	})
}

// AccessLog writes one line for each request, whatever its ending: method, route
// template, path, status, business code, duration, client address, sizes, and
// where there are such the masked user of [SetUser], the trace ids, and the
// causes of a failure, panics with their stack. The level is info for successes
// and for clients that left, warn for client mistakes and error for ours.
//
// It is the only one to log a failed request; wrappers and services need not.
// It changes no byte of the answer and reads nothing of the request itself.
func AccessLog(log logger.Logger, opts ...AccessLogOption) gin.HandlerFunc {
	a := &accessLog{
		log: log, pathBytes: defaultPathBytes, bodyBytes: defaultBodyBytes,
		types: []string{"application/json", "application/problem+json", "application/x-www-form-urlencoded"},
		quiet: make(map[string]struct{}),
	}
	for _, o := range opts {
		o.applyAccessLog(a)
	}
	return a.serve
}

// ErrorLog is [AccessLog] for failed requests only. With both installed there is
// still one line.
func ErrorLog(log logger.Logger) gin.HandlerFunc {
	a := &accessLog{log: log, pathBytes: defaultPathBytes, failuresOnly: true}
	return a.serve
}

type loggedHeader struct{ name, key string }

type accessLog struct {
	log                       logger.Logger
	failuresOnly              bool
	requestBody, responseBody bool
	pathBytes, bodyBytes      int
	types                     []string
	headers                   []loggedHeader
	quiet                     map[string]struct{}
}

// visit is one request as AccessLog sees it.
type visit struct {
	*accessLog
	x       *exchange
	start   time.Time
	path    string // before a handler rewrites it
	request *capture
}

func (a *accessLog) serve(c *gin.Context) {
	x := begin(c)
	if x.access || a.failuresOnly && x.watched {
		c.Next() // an outer one writes the line
		return
	}
	x.access, x.watched = !a.failuresOnly, true
	v := visit{accessLog: a, x: x, start: time.Now(), path: c.Request.URL.Path}
	if a.requestBody && c.Request.Body != nil && c.Request.Body != http.NoBody {
		v.request = &capture{limit: a.bodyBytes, header: c.Request.Header, types: a.types}
		c.Request.Body = &tappedBody{ReadCloser: c.Request.Body, into: v.request}
	}
	if a.responseBody {
		x.response = &capture{limit: a.bodyBytes, header: c.Writer.Header(), types: a.types}
	}
	x.run(c, func() { v.end(c) })
}

func (v *visit) end(c *gin.Context) {
	if v.x.logged {
		return
	}
	status, err := v.x.status(), v.x.cause(c)
	level := v.x.level(status, err)
	if v.failuresOnly && level < logger.LevelWarn {
		return
	}
	if _, quiet := v.quiet[c.FullPath()]; quiet && level == logger.LevelInfo {
		level = logger.LevelDebug
	}
	v.x.logged = true
	if log := v.log.Ctx(v.x.context(c)); log.Enabled(level) {
		v.write(c, log, level, status, err)
	}
}

func (x *exchange) level(status int, err error) logger.Level {
	switch {
	case x.left(status):
		return logger.LevelInfo
	case x.panicked, status >= http.StatusInternalServerError, x.replied && ours(x.code):
		return logger.LevelError
	case status >= http.StatusBadRequest, err != nil, x.replied && x.code != CodeOK:
		return logger.LevelWarn
	default:
		return logger.LevelInfo
	}
}

func (v *visit) write(c *gin.Context, log logger.Logger, level logger.Level, status int, err error) {
	var room [16]logger.Arg // stays on the stack for the common line
	route := c.FullPath()
	if route == "" {
		route = unmatchedLabel
	}
	fields := append(room[:0],
		logger.String("method", bounded(c.Request.Method, maxMethodBytes)),
		logger.String("route", route),
		logger.String("path", mask.String(bounded(v.path, v.pathBytes))),
		logger.Int("status", status),
		logger.Duration("duration", time.Since(v.start)),
		logger.String("ip", c.ClientIP()),
		logger.Int64("request_bytes", max(c.Request.ContentLength, 0)),
		logger.Int("response_bytes", v.sent(c)),
	)
	if v.x.replied {
		fields = append(fields, logger.Int("code", v.x.code))
	}
	if sent := v.x.Status(); v.x.panicked && v.x.Written() {
		fields = append(fields, logger.Int("sent_status", sent))
	}
	if user := userOf(c); user != "" {
		fields = append(fields, logger.String("user", maskID(user)))
	}
	for _, h := range v.headers {
		if value := c.Request.Header.Get(h.name); value != "" {
			fields = append(fields, logger.String(h.key, mask.Value(h.name, bounded(value, maxHeaderBytes))))
		}
	}
	fields = append(fields, v.bodies()...)
	if err != nil {
		fields = append(fields, logger.String("error", mask.String(bounded(errorText(err), maxErrorBytes))))
		fields = appendStack(fields, err)
	}
	log.Log(level, "http request", fields...)
}

// errorText survives an Error method that panics, as those of nil pointers do:
// nothing recovers behind the access log.
func errorText(err error) (text string) {
	defer func() {
		if p := recover(); p != nil {
			text = fmt.Sprintf("%T: its Error method panics: %v", err, p)
		}
	}()
	return err.Error()
}

// sent is the size of the answer's body; a HEAD has none, whatever was written.
func (v *visit) sent(c *gin.Context) int {
	if c.Request.Method == http.MethodHead {
		return 0
	}
	return max(v.x.Size(), 0)
}

// bounded cuts s to n bytes, never within a character.
func bounded(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
