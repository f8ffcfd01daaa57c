package ginx

import (
	"context"

	"github.com/gin-gonic/gin"
)

// Every wrapper is serve around a call: it prepares the input, runs the handler
// and hands both outcomes to the one place that renders.
//
// A handler gets the request's context: values, deadline and cancellation, but
// not the *gin.Context, which gin reuses for another request as soon as the
// handler returns. For work that goes on after the answer see [Detach].
func serve(call func(c *gin.Context) (Result, error)) gin.HandlerFunc {
	return func(c *gin.Context) {
		r, err := call(c)
		if err != nil {
			Abort(c, err)
			return
		}
		Render(c, r)
	}
}

// Wrap adapts a handler without input.
func Wrap(h func(ctx context.Context) (Result, error)) gin.HandlerFunc {
	return serve(func(c *gin.Context) (Result, error) { return h(c.Request.Context()) })
}

// WrapClaims adapts a handler that needs a logged-in user: C is the type given
// to [SetClaims], and a request without such claims is answered with 401.
func WrapClaims[C any](h func(ctx context.Context, claims C) (Result, error)) gin.HandlerFunc {
	return serve(func(c *gin.Context) (Result, error) {
		claims, ok := ClaimsOf[C](c)
		if !ok {
			return Result{}, errUnauthorized
		}
		return h(c.Request.Context(), claims)
	})
}

// WrapBody adapts a handler of a JSON body. Fields of Req with a `uri`, `form`
// (query) or `header` tag, the first of them counts, are filled from there, after
// the body and with gin's default, time_format and collection_format; fields
// without such a tag never are. Then `binding` tags are checked, and the method
//
//	Validate() error
//
// if Req or *Req has it: return [InvalidField] or another *Error there, other
// errors answer "invalid request" and are only logged.
//
// A body must be declared as JSON by its Content-Type, hold one value and stay
// below the limit: 1 MiB unless [BodyLimit] says otherwise.
func WrapBody[Req any](h func(ctx context.Context, req Req) (Result, error)) gin.HandlerFunc {
	return typed(bodyRequired, h)
}

// WrapQuery adapts a handler of query parameters: fields with a `form` tag, and
// `uri` and `header` ones. The body is left alone. Otherwise as [WrapBody].
func WrapQuery[Req any](h func(ctx context.Context, req Req) (Result, error)) gin.HandlerFunc {
	return typed(bodyIgnored, h)
}

// WrapURI adapts a handler of path parameters: fields with a `uri` tag, and
// `form` and `header` ones. It is [WrapQuery] under the name that a reader of
// the route expects.
func WrapURI[Req any](h func(ctx context.Context, req Req) (Result, error)) gin.HandlerFunc {
	return typed(bodyIgnored, h)
}

// WrapBodyClaims is [WrapBody] for logged-in users, see [WrapClaims]. The claims
// are looked at first.
func WrapBodyClaims[Req, C any](h func(ctx context.Context, req Req, claims C) (Result, error)) gin.HandlerFunc {
	return typedClaims(bodyRequired, h)
}

// WrapQueryClaims is [WrapQuery] for logged-in users, see [WrapClaims].
func WrapQueryClaims[Req, C any](h func(ctx context.Context, req Req, claims C) (Result, error)) gin.HandlerFunc {
	return typedClaims(bodyIgnored, h)
}

// WrapURIClaims is [WrapURI] for logged-in users, see [WrapClaims].
func WrapURIClaims[Req, C any](h func(ctx context.Context, req Req, claims C) (Result, error)) gin.HandlerFunc {
	return typedClaims(bodyIgnored, h)
}

func typed[Req any](mode bodyMode, h func(context.Context, Req) (Result, error)) gin.HandlerFunc {
	in := newInput[Req](mode)
	return serve(func(c *gin.Context) (Result, error) {
		var req Req
		if err := in.bind(c, &req); err != nil {
			return Result{}, err
		}
		return h(c.Request.Context(), req)
	})
}

func typedClaims[Req, C any](mode bodyMode, h func(context.Context, Req, C) (Result, error)) gin.HandlerFunc {
	in := newInput[Req](mode)
	return serve(func(c *gin.Context) (Result, error) {
		claims, ok := ClaimsOf[C](c)
		if !ok {
			return Result{}, errUnauthorized
		}
		var req Req
		if err := in.bind(c, &req); err != nil {
			return Result{}, err
		}
		return h(c.Request.Context(), req, claims)
	})
}
