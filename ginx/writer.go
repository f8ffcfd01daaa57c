package ginx

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// The writer side of exchange: gin's writer with an eye on it. It forwards
// first, returns what the inner writer returned, and keeps a bounded copy only
// when asked to. Status, Size, Written, WriteHeader, WriteHeaderNow, Flush,
// CloseNotify and Pusher are gin's own, through embedding, so that the truth
// about the response stays in one place.

// Unwrap is for [http.ResponseController].
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// Write implements io.Writer.
func (x *exchange) Write(p []byte) (int, error) {
	n, err := x.ResponseWriter.Write(p)
	if x.response != nil {
		x.response.add(p[:max(n, 0)])
	}
	return n, err
}

// WriteString implements io.StringWriter.
func (x *exchange) WriteString(s string) (int, error) {
	n, err := x.ResponseWriter.WriteString(s)
	if x.response != nil {
		x.response.addString(s[:max(n, 0)])
	}
	return n, err
}

// ReadFrom implements io.ReaderFrom: with a reader behind that knows how, such
// as a file, it stays the inner writer's business, unless a copy is wanted.
func (x *exchange) ReadFrom(r io.Reader) (int64, error) {
	if x.response != nil && !x.response.full() {
		return io.Copy(writerOnly{x}, r)
	}
	return io.Copy(x.ResponseWriter, r)
}

// writerOnly hides ReadFrom from io.Copy, which would call it for ever.
type writerOnly struct{ io.Writer }

// Hijack implements http.Hijacker, and notes that the status is not ours to know
// from now on.
func (x *exchange) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := x.ResponseWriter.Hijack()
	if err == nil {
		x.hijacked = true
	}
	return conn, rw, err
}

// Push implements http.Pusher.
func (x *exchange) Push(target string, opts *http.PushOptions) error {
	if p := x.Pusher(); p != nil {
		return p.Push(target, opts)
	}
	return http.ErrNotSupported
}
