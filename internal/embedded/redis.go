package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// ErrClosed is returned when a server is used after its Close.
var ErrClosed = errors.New("embedded: closed")

// Expiry is how the embedded Redis lets keys expire.
type Expiry uint8

const (
	// ExpiryTicked lets time pass in steps of 10 ms or more, so that expiring
	// takes at most a twentieth of one core however many keys there are. A key
	// may live one step shorter or longer than its TTL. It is the default: an
	// application holds many keys.
	ExpiryTicked Expiry = iota
	// ExpiryExact expires keys to the millisecond by looking at each key on each
	// command: right for tests, hopeless above some thousand keys.
	ExpiryExact
)

// RedisConfig configures [StartRedis]. The zero value listens on a free port.
type RedisConfig struct {
	// Addr is the host:port to listen on; empty for a free loopback port.
	Addr string
	// Expiry is how keys expire.
	Expiry Expiry
}

// Redis is a Redis server inside this process. Its methods are safe for
// concurrent use.
type Redis struct {
	server *miniredis.Miniredis
	expiry Expiry
	addr   string

	mu      sync.Mutex // guards what follows, and starting and stopping
	running bool
	closed  bool
	stop    chan struct{} // closed to stop the ticker
	stopped chan struct{} // closed when the ticker has returned
}

// StartRedis starts a Redis server. The error names the address when it is taken.
func StartRedis(cfg RedisConfig) (*Redis, error) {
	if cfg.Expiry > ExpiryExact {
		return nil, fmt.Errorf("embedded: RedisConfig.Expiry %d is unknown", cfg.Expiry)
	}
	addr := cfg.Addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	r := &Redis{server: miniredis.NewMiniRedis(), expiry: cfg.Expiry}
	if err := r.listen(addr); err != nil {
		return nil, err
	}
	r.addr = r.server.Addr()
	return r, nil
}

// Addr is the host:port that the server listens on. It stays the same over a Stop.
func (r *Redis) Addr() string { return r.addr }

// Stop stops listening and drops all connections, as a killed node does. The data
// is kept for the next Start; cached scripts are not, as on a real server.
func (r *Redis) Stop() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.running {
		return nil
	}
	r.halt()
	return r.forgetScripts()
}

// Start listens again after a Stop, on the same address.
func (r *Redis) Start() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return ErrClosed
	case r.running:
		return nil
	}
	return r.listen(r.addr)
}

// Clear removes all data. Between Stop and Start it makes a node that comes back
// without its data.
func (r *Redis) Clear() { r.server.FlushAll() }

// FastForward expires what would expire within d. The server's clock, as TIME
// tells it, does not move.
func (r *Redis) FastForward(d time.Duration) { r.server.FastForward(d) }

// Close stops the server for good. A second call does nothing.
func (r *Redis) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.running {
		r.halt()
	}
	return nil
}

// listen starts the server, and the ticker where there is one. Lock held, except
// in the constructor.
func (r *Redis) listen(addr string) error {
	if err := r.server.StartAddr(addr); err != nil {
		return fmt.Errorf("embedded: redis cannot listen on %s: %w", addr, err)
	}
	r.server.ClockTTL(r.expiry == ExpiryExact)
	r.running = true
	if r.expiry == ExpiryTicked {
		r.stop, r.stopped = make(chan struct{}), make(chan struct{})
		go r.tick(r.stop, r.stopped)
	}
	return nil
}

// halt undoes listen. Lock held.
func (r *Redis) halt() {
	r.running = false
	if r.stop != nil {
		close(r.stop)
		<-r.stopped
		r.stop, r.stopped = nil, nil
	}
	r.server.Close()
}

// tick lets time pass for the TTLs. The pause grows with the cost of a step, so
// that a large key space slows expiry down rather than the process.
func (r *Redis) tick(stop <-chan struct{}, stopped chan<- struct{}) {
	const (
		shortest = 10 * time.Millisecond
		restPer  = 20 // pause per cost of the last step
	)
	defer close(stopped)
	last := time.Now()
	timer := time.NewTimer(shortest)
	defer timer.Stop()
	for {
		select {
		case <-stop:
			return
		case <-timer.C:
		}
		begin := time.Now()
		r.server.FastForward(begin.Sub(last))
		last = begin
		timer.Reset(max(shortest, restPer*time.Since(begin)))
	}
}

// forgetScripts empties the script cache of a stopped server over a connection in
// memory, and renews the context that closing cancelled: blocking commands of the
// next run would end at once under it.
func (r *Redis) forgetScripts() error {
	r.renewContext()
	conn, err := r.server.Dial()
	if err != nil {
		return fmt.Errorf("embedded: redis script cache: %w", err)
	}
	defer r.renewContext()
	defer r.server.Close()
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte("*2\r\n$6\r\nSCRIPT\r\n$5\r\nFLUSH\r\n")); err != nil {
		return fmt.Errorf("embedded: redis script cache: %w", err)
	}
	reply, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return fmt.Errorf("embedded: redis script cache: %w", err)
	}
	if !strings.HasPrefix(reply, "+OK") {
		return fmt.Errorf("embedded: redis script cache: %q", reply)
	}
	return nil
}

func (r *Redis) renewContext() {
	r.server.Lock()
	defer r.server.Unlock()
	r.server.CtxCancel()
	r.server.Ctx, r.server.CtxCancel = context.WithCancel(context.Background())
}
