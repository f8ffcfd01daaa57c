package ginx

import (
	"net/http"
	"strconv"
	"sync"

	"github.com/bulwark-go/bulwark/observe"
	"github.com/gin-gonic/gin"
)

// requestKind is the operation that Observe reports.
var requestKind = observe.Kind{
	Component:   "http_server",
	Action:      "request",
	Help:        "HTTP requests served.",
	Role:        observe.Server,
	StartLabels: []string{"method", "route"},
	EndLabels:   []string{"status", "code"},
}

const (
	// otherLabel stands for methods and codes outside the known sets.
	otherLabel = "other"
	// unmatchedLabel is the route of requests that match none.
	unmatchedLabel = "unmatched"
	// maxCodes bounds the label of business codes. They are constants in an
	// application, a few dozen; more are data that got into the wrong place.
	maxCodes = 256
)

// ObserveOption configures [Observe].
type ObserveOption interface{ applyObserve(*observed) }

type observeOption func(*observed)

func (f observeOption) applyObserve(o *observed) { f(o) }

// WithExactStatus reports the status itself, 404, instead of its class, 4xx:
// more series, for those whose alerts need them.
func WithExactStatus() ObserveOption { return observeOption(func(o *observed) { o.exact = true }) }

// Observe reports each request to o as a "http_server" "request": method and
// route template when it starts, status class and business code when it ends.
// The code is empty for answers that did not pass through this package.
//
// The labels stay few whatever clients send: a method outside RFC 9110 and PATCH
// is "other", and all requests that match no route are one series, method
// "other", route "unmatched". A request that the client left is Canceled, 429 is
// Rejected, 504 is Timeout, a panic is Panicked; other 5xx, and codes that begin
// with 5, are Failed. Client mistakes are OK: we did our part.
//
// A nil o, and [observe.Nop], cost nothing.
func Observe(o observe.Observer, opts ...ObserveOption) gin.HandlerFunc {
	if observe.IsNop(o) {
		return func(*gin.Context) {}
	}
	w := &observed{observer: o}
	for _, opt := range opts {
		opt.applyObserve(w)
	}
	return w.serve
}

type observed struct {
	observer observe.Observer
	exact    bool

	mu    sync.RWMutex
	codes map[int]string
}

func (o *observed) serve(c *gin.Context) {
	x := begin(c)
	request := c.Request
	ctx, end := o.observer.Start(request.Context(), observe.Operation{
		Kind: &requestKind, Values: startLabels(request.Method, c.FullPath()),
	})
	c.Request = request.WithContext(ctx)
	x.run(c, func() {
		c.Request = request
		end(o.result(c, x))
	})
}

func startLabels(method, route string) observe.Values {
	if route == "" {
		return observe.Values{otherLabel, unmatchedLabel}
	}
	if !knownMethod(method) {
		method = otherLabel
	}
	return observe.Values{method, route}
}

func knownMethod(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return true
	default:
		return false
	}
}

func (o *observed) result(c *gin.Context, x *exchange) observe.Result {
	status := x.status()
	return observe.Result{
		Outcome: x.outcome(status),
		Err:     x.cause(c),
		Values:  observe.Values{o.statusLabel(status), o.codeLabel(x)},
	}
}

func (x *exchange) outcome(status int) observe.Outcome {
	switch {
	case x.panicked:
		return observe.Panicked
	case x.left(status):
		return observe.Canceled
	case status == http.StatusTooManyRequests:
		return observe.Rejected
	case status == http.StatusGatewayTimeout:
		return observe.Timeout
	case x.aborted, status >= http.StatusInternalServerError, x.replied && ours(x.code):
		return observe.Failed
	default:
		return observe.OK
	}
}

// ours tells whether a code blames the system: its family is its first digit.
func ours(code int) bool {
	for code >= 10 {
		code /= 10
	}
	return code == CodeSystem
}

var classes = [...]string{"other", "1xx", "2xx", "3xx", "4xx", "5xx"}

func (o *observed) statusLabel(status int) string {
	class := status / 100
	switch {
	case class < 1 || class >= len(classes):
		return classes[0]
	case o.exact:
		return strconv.Itoa(status)
	default:
		return classes[class]
	}
}

// codeLabel spares the hot path the formatting, and the backend the flood.
func (o *observed) codeLabel(x *exchange) string {
	switch {
	case !x.replied:
		return ""
	case x.code >= 0 && x.code < 10:
		return strconv.Itoa(x.code) // no allocation
	}
	o.mu.RLock()
	label, ok := o.codes[x.code]
	o.mu.RUnlock()
	if ok {
		return label
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.codes == nil {
		o.codes = make(map[int]string)
	}
	if _, ok := o.codes[x.code]; !ok && len(o.codes) >= maxCodes {
		return otherLabel
	}
	o.codes[x.code] = strconv.Itoa(x.code)
	return o.codes[x.code]
}
