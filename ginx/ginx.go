// Package ginx is the HTTP boundary on gin: handlers are functions of typed
// input, and what every web layer writes again for each route (bind, validate,
// render, log, count) happens once, here.
//
//	r.POST("/articles/publish", ginx.WrapBodyClaims(h.Publish)) // func(ctx, PublishReq, session.Claims) (ginx.Result, error)
//	r.Use(ginx.AccessLog(log), ginx.Observe(observer), ginx.Recovery())
//
// # The answer
//
// Every answer has the shape {"code":0,"msg":"","data":…}. A handler returns a
// [Result], or an error, and then the error alone decides:
//
//	error                                        HTTP  code
//	*[Error] anywhere in the tree                its   its
//	bad body, query, path or header              400   4
//	body that is not JSON by its Content-Type    415   4
//	body over the limit                          413   4
//	claims missing                               401   4
//	context.DeadlineExceeded                     504   5
//	the client went away                         499   4
//	turned away by [RateLimit]                   429   4
//	turned away by [Concurrency] or [Breaker]    503   5
//	a limit or a breaker further in refused      503   5
//	anything else                                500   5
//
// A code is 0 for success only. The text of an error that is not an *Error goes
// to the log, never to the client.
//
// # The order of middleware
//
// Outermost first: tracing (otelgin), [AccessLog], [Observe], [Recovery], CORS,
// [RateLimit] by address, [BodyLimit], [Timeout], login, [RateLimit] by user,
// [Concurrency], [Breaker], handlers. Any other order works as well, and so
// do wrappers without any middleware. For traces use otelgin's Middleware: the
// wrappers hand its span to the handlers through the context, and the log line
// carries its ids when the logger has a trace function.
//
// # What it does not touch
//
// Nothing here changes gin's process-wide settings. Fields are checked by gin's
// validator through `binding` tags, and bodies pass through the JSON codec that
// gin was built with. Middleware and handlers are safe for concurrent use.
package ginx

import (
	"net/http"
	"sync"

	"github.com/gin-gonic/gin"
	"github.com/gin-gonic/gin/codec/json"
)

// The codes that ginx itself answers with. Applications refine them with longer
// codes that begin with the same digit: 401003, 501001.
const (
	// CodeOK is success, and nothing else is.
	CodeOK = 0
	// CodeClient blames the caller.
	CodeClient = 4
	// CodeSystem blames us.
	CodeSystem = 5
)

const systemMessage = "system error"

// Result is what a handler answers, rendered as {"code":…,"msg":…,"data":…}. The
// zero Result is success without data.
type Result struct {
	// Code is 0 for success. With an HTTP status of 400 and more a 0 becomes
	// [CodeClient] or [CodeSystem].
	Code int `json:"code"`
	// Msg is for the user.
	Msg string `json:"msg"`
	// Data is rendered as JSON; nil as null.
	Data any `json:"data"`
	// Body is rendered instead of the envelope when it is not nil, for clients
	// that expect another shape.
	Body any `json:"-"`
	// Header is added to the response.
	Header http.Header `json:"-"`
	// Status is the HTTP status; 0 is 200.
	Status int `json:"-"`
}

// envelope is the part of a Result that is rendered. It is pooled, so that
// handing it to the codec costs no allocation.
type envelope struct {
	Code int    `json:"code"`
	Msg  string `json:"msg"`
	Data any    `json:"data"`
}

var (
	envelopes   = sync.Pool{New: func() any { return new(envelope) }}
	jsonType    = []string{"application/json; charset=utf-8"}
	systemReply = []byte(`{"code":5,"msg":"system error","data":null}`)
)

// Render writes r: it is the one renderer, for middleware and for untyped
// handlers. Nothing is written to a response that has begun already. When r can
// not be marshalled the client gets a system error, and the log the reason.
func Render(c *gin.Context, r Result) {
	x := exchangeOf(c)
	status := statusOr(r.Status, http.StatusOK)
	if r.Code == CodeOK && status >= http.StatusBadRequest {
		r.Code = codeOf(status)
	}
	if x != nil {
		x.reply(c, r.Code)
	}
	if c.Writer.Written() {
		return
	}
	if !bodyAllowed(status) {
		addHeader(c.Writer.Header(), r.Header)
		c.Writer.WriteHeader(status)
		c.Writer.WriteHeaderNow()
		return
	}
	body, err := marshal(r)
	if err != nil {
		if x != nil {
			x.fail(c, CodeSystem, err)
		}
		status, body = http.StatusInternalServerError, systemReply
	} else {
		addHeader(c.Writer.Header(), r.Header)
	}
	c.Writer.Header()["Content-Type"] = jsonType
	c.Writer.WriteHeader(status)
	_, _ = c.Writer.Write(body) // a client that is gone is not our failure
}

// marshal runs before the status is written, so that a value that can not be
// marshalled is a 500 and not a 200 with half a body.
func marshal(r Result) ([]byte, error) {
	if r.Body != nil {
		return json.API.Marshal(r.Body)
	}
	e := envelopes.Get().(*envelope)
	*e = envelope{Code: r.Code, Msg: r.Msg, Data: r.Data}
	body, err := json.API.Marshal(e)
	*e = envelope{}
	envelopes.Put(e)
	return body, err
}

// Abort ends the request with err: it records err for the log line and the
// metrics, renders it as a handler's error is rendered, and keeps the rest of
// the chain from running. A nil err is a system error.
func Abort(c *gin.Context, err error) {
	c.Abort()
	if err == nil {
		err = errNoReason
	}
	v := judge(c.Request.Context(), err)
	if x := exchangeOf(c); x != nil {
		x.fail(c, v.code, err)
	}
	answer(c, v)
}

func answer(c *gin.Context, v verdict) {
	if !c.Writer.Written() {
		c.Writer.Header().Del("Content-Length") // of the answer that failed
	}
	Render(c, Result{Code: v.code, Msg: v.msg, Status: v.status})
}

func addHeader(dst, src http.Header) {
	for key, values := range src {
		for _, value := range values {
			dst.Add(key, value)
		}
	}
}

// codeOf is the code of a failure that names none.
func codeOf(status int) int {
	if status < http.StatusInternalServerError {
		return CodeClient
	}
	return CodeSystem
}

// statusOr replaces what net/http would panic on, or what is no final answer.
func statusOr(status, zero int) int {
	switch {
	case status == 0:
		return zero
	case status < 200 || status > 599:
		return http.StatusInternalServerError
	default:
		return status
	}
}

func bodyAllowed(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}
