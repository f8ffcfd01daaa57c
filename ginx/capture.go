package ginx

import (
	"io"
	"net/http"
	"strings"
	"sync"
)

// capture keeps the first bytes of a body that passes by, and never more. It
// locks: what a proxy sends on may be read while the line is written.
type capture struct {
	limit int
	// header holds the body's Content-Type and Content-Encoding by the time the
	// first byte passes.
	header http.Header
	types  []string

	mu      sync.Mutex
	buf     []byte
	total   int64
	started bool
	refused bool
}

func (p *capture) full() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refused || p.started && len(p.buf) >= p.limit
}

func (p *capture) add(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if room := p.room(len(b)); room > 0 {
		p.buf = append(p.buf, b[:min(room, len(b))]...)
	}
}

func (p *capture) addString(s string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if room := p.room(len(s)); room > 0 {
		p.buf = append(p.buf, s[:min(room, len(s))]...)
	}
}

// room counts n passing bytes and makes room for those that are kept: memory
// grows once, to the limit, and not past it. mu is held.
func (p *capture) room(n int) int {
	if n == 0 {
		return 0
	}
	p.total += int64(n)
	if !p.started {
		p.started = true
		p.refused = !loggable(p.header, p.types)
	}
	if p.refused {
		return 0
	}
	if need := min(len(p.buf)+n, p.limit); need > cap(p.buf) {
		size := p.limit
		if len(p.buf) == 0 {
			size = need
		}
		p.buf = append(make([]byte, 0, size), p.buf...)
	}
	return p.limit - len(p.buf)
}

// kept returns the first bytes, and whether more passed. They do not change any
// more: what comes later is appended.
func (p *capture) kept() (body []byte, truncated bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.buf, p.total > int64(len(p.buf))
}

// loggable tells whether a body of these headers is text of an allowed type.
func loggable(h http.Header, types []string) bool {
	if e := h.Get("Content-Encoding"); e != "" && e != "identity" {
		return false
	}
	media := mediaType(h.Get("Content-Type"))
	for _, t := range types {
		if media == t || strings.HasSuffix(t, "/*") && strings.HasPrefix(media, t[:len(t)-1]) {
			return true
		}
	}
	return false
}

func mediaType(contentType string) string {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(media))
}

// tappedBody is a request body whose first bytes are kept while the handler
// reads it. Nothing is read for the log's sake.
type tappedBody struct {
	io.ReadCloser
	into *capture
}

func (b *tappedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.into.add(p[:n])
	}
	return n, err
}
