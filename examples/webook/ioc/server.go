package ioc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/bulwark-go/bulwark/logger"
)

// Server is an HTTP server on a port that is already ours.
type Server struct {
	name     string
	listener net.Listener
	http     *http.Server
	unused   unused
}

// Listen takes the address for the server called name, so that a taken port is
// found before anything else is started.
func Listen(ctx context.Context, c *Closers, name, addr string, log logger.Logger) (*Server, error) {
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	s := &Server{name: name, listener: l, http: &http.Server{
		// A client gets this long for its headers, and the whole request; each
		// handler has a deadline of its own, far below the write time-out.
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      2 * time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          stdLog(log.Named(name), slog.LevelWarn),
	}}
	s.http.ConnState = s.unused.follow
	// Also closes a listener that was never served.
	c.AddClose(name, func() error {
		_ = l.Close() // closed already, after Serve
		return s.http.Close()
	})
	return s, nil
}

// Handle sets what answers. Call it before [Server.Serve].
func (s *Server) Handle(h http.Handler) { s.http.Handler = h }

// Addr is the address that the server listens on.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Serve answers until [Server.Shutdown].
func (s *Server) Serve() error {
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	return nil
}

// Shutdown takes no more requests and waits for those under way until ctx ends;
// then they are cut off.
func (s *Server) Shutdown(ctx context.Context) error {
	s.unused.close() // first, so that it also holds for who comes before the listener closes
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		_ = s.http.Close()
		return fmt.Errorf("%s: requests were still running at the end of http.shutdown", s.name)
	}
	return err
}

// unused holds the connections that have not sent a byte. Browsers open some ahead,
// and http.Server.Shutdown waits five seconds for each.
type unused struct {
	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
}

func (u *unused) follow(c net.Conn, state http.ConnState) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if state != http.StateNew {
		delete(u.conns, c)
		return
	}
	if u.closed {
		_ = c.Close()
		return
	}
	if u.conns == nil {
		u.conns = map[net.Conn]struct{}{}
	}
	u.conns[c] = struct{}{}
}

func (u *unused) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
	for c := range u.conns {
		_ = c.Close() // its server goroutine ends with it
	}
}
