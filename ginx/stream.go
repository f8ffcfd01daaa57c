package ginx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/gin-gonic/gin/codec/json"
)

// ErrStreamClosed is returned by a Stream whose handler has returned: the
// response is no longer ours to write to.
var ErrStreamClosed = errors.New("ginx: stream is closed")

// streamPatience is how long a client may leave one event, or the end, unread. It
// bounds the life of a handler whose client stalls, and replaces the server's
// WriteTimeout, which would end every long stream. It is set while something is
// written and no longer, for HTTP/2 resets a stream at its deadline even when
// there is nothing to write.
const streamPatience = 30 * time.Second

// Event is one server-sent event.
type Event struct {
	// ID is what a reconnecting client sends back as Last-Event-ID; empty for none.
	ID string
	// Name is the event's type; empty means "message" to browsers.
	Name string
	// Data is sent as it is when it is a string or []byte, otherwise as JSON.
	Data any
	// Retry asks the client to wait that long before it reconnects, in whole
	// milliseconds; 0 leaves it to the client.
	Retry time.Duration
}

// Stream sends server-sent events. Send and Ping may be called from any
// goroutine while the handler runs; afterwards they return [ErrStreamClosed].
type Stream struct {
	ctx context.Context

	mu      sync.Mutex
	c       *gin.Context // not ours once closed is set
	control *http.ResponseController
	begun   bool
	closed  bool
	buf     bytes.Buffer
}

// WrapStream adapts a handler that answers with server-sent events. It blocks
// for as long as the stream lives, and the stream ends when the handler returns:
// no channel and no goroutine is left behind. The handler should return when its
// context ends, which it does when the client goes away.
//
// Req is filled from `form`, `uri` and `header` tags, and from a JSON body where
// the request has one; see [WrapBody]. An error before the first event is
// rendered as any handler's; later ones become an event named "error" whose data
// is the envelope.
func WrapStream[Req any](h func(ctx context.Context, req Req, s *Stream) error) gin.HandlerFunc {
	in := newInput[Req](bodyOptional)
	return func(c *gin.Context) {
		var req Req
		if err := in.bind(c, &req); err != nil {
			Abort(c, err)
			return
		}
		stream(c, func(ctx context.Context, s *Stream) error { return h(ctx, req, s) })
	}
}

// WrapStreamClaims is [WrapStream] for logged-in users, see [WrapClaims].
func WrapStreamClaims[Req, C any](h func(ctx context.Context, req Req, claims C, s *Stream) error) gin.HandlerFunc {
	in := newInput[Req](bodyOptional)
	return func(c *gin.Context) {
		claims, ok := ClaimsOf[C](c)
		if !ok {
			Abort(c, errUnauthorized)
			return
		}
		var req Req
		if err := in.bind(c, &req); err != nil {
			Abort(c, err)
			return
		}
		stream(c, func(ctx context.Context, s *Stream) error { return h(ctx, req, claims, s) })
	}
}

func stream(c *gin.Context, h func(context.Context, *Stream) error) {
	ctx := c.Request.Context()
	s := &Stream{ctx: ctx, c: c, control: http.NewResponseController(c.Writer)}
	s.patience(0)
	defer s.patience(streamPatience) // for the server, which ends the body, or Recovery
	defer s.close()                  // when h panics: the gin.Context is not ours for long
	err := h(ctx, s)
	s.close() // goroutines that h left behind must not write into its last words
	s.finish(err)
}

// Send writes one event and flushes it. It returns the context's error once the
// client is gone, and an error for an ID or Name with a line break or data that
// can not be marshalled; nothing is sent then.
func (s *Stream) Send(e Event) error {
	event, err := format(e)
	if err != nil {
		return err
	}
	return s.write(event)
}

// format checks e and returns what writes it.
func format(e Event) (func(*bytes.Buffer), error) {
	if strings.ContainsAny(e.ID, "\r\n\x00") || strings.ContainsAny(e.Name, "\r\n") {
		return nil, fmt.Errorf("ginx: event id %q, name %q: line breaks would forge events", e.ID, e.Name)
	}
	data, err := eventData(e.Data)
	if err != nil {
		return nil, fmt.Errorf("ginx: event data: %w", err)
	}
	return func(b *bytes.Buffer) {
		line(b, "id: ", e.ID)
		line(b, "event: ", e.Name)
		if ms := e.Retry.Milliseconds(); ms > 0 {
			line(b, "retry: ", strconv.FormatInt(ms, 10))
		}
		dataLines(b, data)
		b.WriteByte('\n')
	}, nil
}

// Ping sends a comment, which clients ignore: it keeps proxies from closing a
// quiet stream, and finds out whether the client is still there.
func (s *Stream) Ping() error {
	return s.write(func(b *bytes.Buffer) { b.WriteString(":\n\n") })
}

func line(b *bytes.Buffer, field, value string) {
	if value != "" {
		b.WriteString(field)
		b.WriteString(value)
		b.WriteByte('\n')
	}
}

// dataLines writes data with a field for each of its lines, however they end.
func dataLines(b *bytes.Buffer, data []byte) {
	for {
		end := bytes.IndexAny(data, "\r\n")
		text := data
		if end >= 0 {
			text = data[:end]
		}
		b.WriteString("data: ")
		b.Write(text)
		b.WriteByte('\n')
		if end < 0 {
			return
		}
		if bytes.HasPrefix(data[end:], []byte("\r\n")) {
			end++
		}
		data = data[end+1:]
	}
}

func eventData(data any) ([]byte, error) {
	switch d := data.(type) {
	case string:
		return []byte(d), nil
	case []byte:
		return d, nil
	default:
		return json.API.Marshal(d)
	}
}

func (s *Stream) write(event func(*bytes.Buffer)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrStreamClosed
	}
	if err := s.ctx.Err(); err != nil {
		return err
	}
	return s.emit(event)
}

// emit writes one event. mu is held, or the stream is closed to all others.
func (s *Stream) emit(event func(*bytes.Buffer)) error {
	s.begin()
	s.buf.Reset()
	event(&s.buf)
	s.patience(streamPatience)
	defer s.patience(0)
	if _, err := s.c.Writer.Write(s.buf.Bytes()); err != nil {
		return fmt.Errorf("ginx: send event: %w", err)
	}
	if err := s.control.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("ginx: send event: %w", err)
	}
	return nil
}

// patience bounds what is written from now on; 0 lifts the bound. Writers without
// deadlines, such as test recorders, do without.
func (s *Stream) patience(d time.Duration) {
	var deadline time.Time
	if d > 0 {
		deadline = time.Now().Add(d)
	}
	_ = s.control.SetWriteDeadline(deadline)
}

// begin sets the headers that leave with the first event.
func (s *Stream) begin() {
	if s.begun {
		return
	}
	s.begun = true
	h := s.c.Writer.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Accel-Buffering", "no") // nginx would collect events otherwise
	h.Del("Content-Length")
	s.c.Writer.WriteHeader(http.StatusOK)
}

// finish ends the stream with the handler's outcome.
func (s *Stream) finish(err error) {
	x := exchangeOf(s.c)
	switch {
	case err == nil, s.begun && s.ctx.Err() == context.Canceled:
		// The client's leaving is how most streams end, and none at all is a
		// valid number of events.
		s.begin()
		s.c.Writer.WriteHeaderNow()
		if x != nil {
			x.reply(s.c, CodeOK)
		}
	case !s.begun:
		Abort(s.c, err)
	default:
		s.c.Abort()
		v := judge(s.ctx, err)
		if x != nil {
			x.fail(s.c, v.code, err)
		}
		last, err := format(Event{Name: "error", Data: envelope{Code: v.code, Msg: v.msg}})
		if err == nil {
			_ = s.emit(last) // a client that is gone is not our failure
		}
	}
}

func (s *Stream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}
