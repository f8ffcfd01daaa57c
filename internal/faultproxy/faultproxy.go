// Package faultproxy is a TCP proxy inside the test that makes the network fail
// on demand: slow, narrow, stuck, silent, cut, reset or refusing. Put it between
// a client and its Redis, SQL or Kafka server and switch faults while they talk:
//
//	proxy, err := faultproxy.Start(server)
//	proxy.Set(faultproxy.Fault{Down: faultproxy.Link{Hold: true}}) // replies are kept back
//	...                                                            // the request runs, the client times out and retries
//	proxy.Heal()                                                   // and the late reply arrives
//
// A request that ran although its client saw it fail is what makes duplicates:
// Hold the replies, wait for the request to arrive, then [Proxy.Cut] or
// [Proxy.Heal].
//
// Clients that learn addresses from the server, as Kafka's do, go past the proxy
// unless the server advertises the proxy's address.
package faultproxy

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Fault is what is wrong with the network. The zero Fault is a sound one.
type Fault struct {
	// Refuse resets each new connection at once. (For a port where nobody
	// listens, Close the proxy.)
	Refuse bool
	// Up is the way from the client to the server.
	Up Link
	// Down is the way back.
	Down Link
}

// Link is one direction of all connections.
type Link struct {
	// Latency delays each byte, without making the link narrower.
	Latency time.Duration
	// BytesPerSecond bounds the throughput of each connection; 0 does not.
	BytesPerSecond int
	// Hold keeps everything back until it is lifted, then delivers it.
	Hold bool
	// Drop makes everything vanish, the closing of the connection too: the other
	// side keeps a half-open connection. A connection that has lost bytes stays
	// dead after healing, as its stream has a hole.
	Drop bool
}

// Stats counts what went through a Proxy since its start.
type Stats struct {
	// Accepted and Refused count connections.
	Accepted, Refused int64
	// Open is the number of connections now.
	Open int64
	// UpBytes and DownBytes have been delivered to the server and to the client;
	// what a Link holds or drops is not in them.
	UpBytes, DownBytes int64
	// UpArrived and DownArrived have been read from the client and the server,
	// whatever became of them.
	UpArrived, DownArrived int64
}

// Proxy forwards connections to one server. Its methods are safe for concurrent
// use.
type Proxy struct {
	target   string
	listener net.Listener
	work     sync.WaitGroup

	mu      sync.Mutex
	fault   Fault
	changed chan struct{} // closed and renewed with each change of fault
	links   map[*link]struct{}
	closed  bool

	stats counters
}

type counters struct {
	accepted, refused      atomic.Int64
	upBytes, downBytes     atomic.Int64
	upArrived, downArrived atomic.Int64
}

// Start listens on a free loopback port and forwards each connection to target,
// a host:port. The owner calls [Proxy.Close].
func Start(target string) (*Proxy, error) {
	if _, _, err := net.SplitHostPort(target); err != nil {
		return nil, fmt.Errorf("faultproxy: target: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("faultproxy: %w", err)
	}
	p := &Proxy{
		target: target, listener: listener,
		changed: make(chan struct{}), links: make(map[*link]struct{}),
	}
	p.work.Go(p.accept)
	return p, nil
}

// Addr is the host:port to give to the client.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Set puts f in place of the fault before, for connections that are open, too.
func (p *Proxy) Set(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
	close(p.changed)
	p.changed = make(chan struct{})
}

// Heal ends the fault. Connections that lost bytes stay dead; [Proxy.Cut] them
// for the clients to notice.
func (p *Proxy) Heal() { p.Set(Fault{}) }

// Cut closes all open connections on both sides; what was on its way is lost.
func (p *Proxy) Cut() { p.each((*link).cut) }

// Reset closes all open connections on both sides with a TCP reset.
func (p *Proxy) Reset() { p.each((*link).reset) }

func (p *Proxy) each(end func(*link)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		end(l)
	}
}

// Stats returns the counts so far.
func (p *Proxy) Stats() Stats {
	p.mu.Lock()
	open := len(p.links)
	p.mu.Unlock()
	return Stats{
		Accepted: p.stats.accepted.Load(), Refused: p.stats.refused.Load(), Open: int64(open),
		UpBytes: p.stats.upBytes.Load(), DownBytes: p.stats.downBytes.Load(),
		UpArrived: p.stats.upArrived.Load(), DownArrived: p.stats.downArrived.Load(),
	}
}

// Close stops listening, cuts all connections and waits until their goroutines
// have ended. A second call does nothing.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	err := p.listener.Close()
	p.Cut()
	p.work.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// current returns the fault and the channel that closes when it is replaced.
func (p *Proxy) current() (Fault, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault, p.changed
}

func (p *Proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return // closed: nothing else ends a loopback listener
		}
		p.work.Go(func() { p.serve(conn.(*net.TCPConn)) })
	}
}

// serve forwards one connection until it ends. A server that cannot be reached
// looks to the client like a reset.
func (p *Proxy) serve(client *net.TCPConn) {
	if fault, _ := p.current(); fault.Refuse {
		p.stats.refused.Add(1)
		resetConn(client)
		return
	}
	server, err := net.DialTimeout("tcp", p.target, 10*time.Second)
	if err != nil {
		p.stats.refused.Add(1)
		resetConn(client)
		return
	}
	l := &link{proxy: p, client: client, server: server.(*net.TCPConn), done: make(chan struct{})}
	if !p.add(l) {
		l.cut()
		return
	}
	p.stats.accepted.Add(1)
	l.run()
	p.remove(l)
}

func (p *Proxy) add(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.links[l] = struct{}{}
	return true
}

func (p *Proxy) remove(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}
