package ginx

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

var (
	errNotFound         = NewError(CodeClient, "not found").WithStatus(http.StatusNotFound)
	errMethodNotAllowed = NewError(CodeClient, "method not allowed").WithStatus(http.StatusMethodNotAllowed)
)

// NotFound answers 404 in the shape of every other answer: for engine.NoRoute.
func NotFound() gin.HandlerFunc {
	return func(c *gin.Context) { Abort(c, errNotFound) }
}

// MethodNotAllowed answers 405 in the shape of every other answer: for
// engine.NoMethod, with engine.HandleMethodNotAllowed set. gin adds Allow.
func MethodNotAllowed() gin.HandlerFunc {
	return func(c *gin.Context) { Abort(c, errMethodNotAllowed) }
}
