package saramax

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// wires makes the connections of a RawProducer, and cuts them all when it has to end
// at once: sarama has no other way to call off a dial or a request that hangs.
type wires struct {
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
	ctx  context.Context // ended by cut
	end  context.CancelFunc

	mu   sync.Mutex
	open map[*wire]struct{}
}

type wire struct {
	net.Conn
	of *wires
}

// wireUp puts wires between cfg and how it dials.
func wireUp(cfg *sarama.Config) *wires {
	w := &wires{open: make(map[*wire]struct{})}
	w.ctx, w.end = context.WithCancel(context.Background())
	direct := &net.Dialer{Timeout: cfg.Net.DialTimeout, KeepAlive: cfg.Net.KeepAlive, LocalAddr: cfg.Net.LocalAddr}
	w.dial = direct.DialContext
	if cfg.Net.Proxy.Enable {
		proxy := cfg.Net.Proxy.Dialer
		w.dial = func(_ context.Context, network, addr string) (net.Conn, error) { return proxy.Dial(network, addr) }
	}
	cfg.Net.Proxy.Enable, cfg.Net.Proxy.Dialer = true, w
	cfg.Metadata.Retry.BackoffFunc = w.hurried(cfg.Metadata.Retry.BackoffFunc, cfg.Metadata.Retry.Backoff)
	cfg.Producer.Retry.BackoffFunc = w.hurried(cfg.Producer.Retry.BackoffFunc, cfg.Producer.Retry.Backoff)
	return w
}

// hurried pauses no more between attempts that can't succeed since the cut.
func (w *wires) hurried(pause func(attempt, most int) time.Duration, fixed time.Duration) func(int, int) time.Duration {
	return func(attempt, most int) time.Duration {
		switch {
		case w.ctx.Err() != nil:
			return 0
		case pause != nil:
			return pause(attempt, most)
		default:
			return fixed
		}
	}
}

// Dial implements the dialer of sarama.
func (w *wires) Dial(network, addr string) (net.Conn, error) {
	if err := w.ctx.Err(); err != nil {
		return nil, ErrProducerClosed
	}
	conn, err := w.dial(w.ctx, network, addr)
	if err != nil {
		return nil, err
	}
	one := &wire{conn, w}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctx.Err() != nil {
		_ = conn.Close()
		return nil, ErrProducerClosed
	}
	w.open[one] = struct{}{}
	return one, nil
}

// Close closes the connection.
func (c *wire) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// cut breaks all connections, and those to come.
func (w *wires) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.end()
	for one := range w.open {
		_ = one.Conn.Close()
	}
	clear(w.open)
}
