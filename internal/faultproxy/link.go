package faultproxy

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	chunkSize = 4 << 10
	// queueLen chunks may be under way in one direction of a connection; beyond
	// that the sender meets back pressure, as on a real network.
	queueLen = 256
)

// link is one forwarded connection.
type link struct {
	proxy          *Proxy
	client, server *net.TCPConn
	done           chan struct{} // closed when the connection is cut
	once           sync.Once
}

// chunk is what one read brought; no bytes mean that the sender has finished.
type chunk struct {
	bytes   []byte
	arrived time.Time
}

// run forwards both directions until both have ended or the link is cut.
func (l *link) run() {
	stats := &l.proxy.stats
	up := direction{
		link: l, from: l.client, to: l.server, queue: make(chan chunk, queueLen),
		arrived: &stats.upArrived, delivered: &stats.upBytes,
		pick: func(f Fault) Link { return f.Up },
	}
	down := direction{
		link: l, from: l.server, to: l.client, queue: make(chan chunk, queueLen),
		arrived: &stats.downArrived, delivered: &stats.downBytes,
		pick: func(f Fault) Link { return f.Down },
	}
	var work sync.WaitGroup
	for _, d := range []*direction{&up, &down} {
		work.Go(d.read)
		work.Go(d.write)
	}
	work.Wait()
	l.cut()
}

func (l *link) cut() {
	l.once.Do(func() {
		close(l.done)
		_ = l.client.Close()
		_ = l.server.Close()
	})
}

func (l *link) reset() {
	l.once.Do(func() {
		close(l.done)
		resetConn(l.client)
		resetConn(l.server)
	})
}

// resetConn closes with a reset: unsent data is dropped and the peer told so.
func resetConn(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}

// direction forwards one way of a link.
type direction struct {
	link               *link
	from, to           *net.TCPConn
	queue              chan chunk
	arrived, delivered *atomic.Int64
	pick               func(Fault) Link
	free               time.Time // when the bounded link can take the next chunk
	lost               bool      // bytes were dropped: nothing may follow them
}

// read queues what the sender sends until it has finished.
func (d *direction) read() {
	for {
		buf := make([]byte, chunkSize)
		n, err := d.from.Read(buf)
		d.arrived.Add(int64(n))
		if n > 0 && !d.push(chunk{bytes: buf[:n], arrived: time.Now()}) {
			return
		}
		if err != nil {
			d.push(chunk{arrived: time.Now()})
			return
		}
	}
}

func (d *direction) push(c chunk) bool {
	select {
	case d.queue <- c:
		return true
	case <-d.link.done:
		return false
	}
}

// write delivers what is queued, as the fault lets it.
func (d *direction) write() {
	for {
		select {
		case <-d.link.done:
			return
		case c := <-d.queue:
			if !d.admit(c) || !d.pass(c) {
				return
			}
		}
	}
}

// pass delivers what was admitted. It returns false when nothing follows.
func (d *direction) pass(c chunk) bool {
	finished := len(c.bytes) == 0
	switch {
	case d.lost && finished:
		<-d.link.done // the other side never learns of the end
		return false
	case d.lost:
		return true
	case finished:
		_ = d.to.CloseWrite()
		return false
	default:
		return d.deliver(c)
	}
}

// deliver writes the chunk. A receiver that is gone ends the link.
func (d *direction) deliver(c chunk) bool {
	n, err := d.to.Write(c.bytes)
	d.delivered.Add(int64(n))
	if err != nil {
		d.link.cut()
		return false
	}
	return true
}

// admit waits until the chunk may go on, or is lost. It returns false when the
// link is cut first.
func (d *direction) admit(c chunk) bool {
	for !d.lost {
		fault, changed := d.link.proxy.current()
		l := d.pick(fault)
		if l.Drop {
			d.lost = true
			break
		}
		wait := time.Until(c.arrived.Add(l.Latency))
		if l.BytesPerSecond > 0 {
			wait = max(wait, time.Until(d.free))
		}
		if !l.Hold && wait <= 0 {
			d.pace(l, len(c.bytes))
			break
		}
		if !d.pause(l.Hold, wait, changed) {
			return false
		}
	}
	return true
}

// pace notes how long a bounded link is busy with n bytes.
func (d *direction) pace(l Link, n int) {
	if l.BytesPerSecond <= 0 {
		return
	}
	if now := time.Now(); d.free.Before(now) {
		d.free = now
	}
	d.free = d.free.Add(time.Duration(n) * time.Second / time.Duration(l.BytesPerSecond))
}

// pause waits for the time, unless held, or for another fault, whichever is
// first. It returns false when the link is cut.
func (d *direction) pause(held bool, wait time.Duration, changed <-chan struct{}) bool {
	var due <-chan time.Time
	if !held {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-due:
	case <-changed:
	case <-d.link.done:
		return false
	}
	return true
}
