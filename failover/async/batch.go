package async

import (
	"context"
	"errors"
	"sync"
	"time"
)

// batcher gathers what several goroutines want of the store at the same time into
// one use of it: what comes while one flush is under way goes with the next. There
// is no waiting for company, so a lone caller pays nothing.
type batcher[In, Out any] struct {
	flush func(context.Context, []In) ([]Out, error)
	most  int
	// alone says that after a failed flush each is tried on its own: one that the
	// store cannot take must not take the others with it. Only for what may be done
	// twice.
	alone bool

	mu      sync.Mutex
	running bool
	waiting []*slot[In, Out]
}

type slot[In, Out any] struct {
	in      In
	out     Out
	err     error
	panic   any
	timeout time.Duration
	values  context.Context
	done    chan struct{}
}

// errGone is for a flush that left its goroutine.
var errGone = errors.New("async: the store left the goroutine")

// do has in flushed, and returns its answer. It does not end with the deadline of
// ctx, but when ctx is cancelled; a flush that began goes on then.
func (b *batcher[In, Out]) do(ctx context.Context, timeout time.Duration, in In) (Out, error) {
	s := &slot[In, Out]{in: in, timeout: timeout, values: context.WithoutCancel(ctx), done: make(chan struct{})}
	b.mu.Lock()
	b.waiting = append(b.waiting, s)
	if !b.running {
		b.running = true
		go b.run()
	}
	b.mu.Unlock()
	stop := ctx.Done()
	for {
		select {
		case <-s.done:
			if s.panic != nil {
				panic(s.panic)
			}
			return s.out, s.err
		case <-stop:
			if errors.Is(ctx.Err(), context.Canceled) {
				b.forget(s)
				return s.zero(), ctx.Err()
			}
			stop = nil // a deadline: go on
		}
	}
}

func (s *slot[In, Out]) zero() (out Out) { return out }

// forget takes a slot back that no flush has yet.
func (b *batcher[In, Out]) forget(s *slot[In, Out]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, w := range b.waiting {
		if w == s {
			b.waiting = append(b.waiting[:i], b.waiting[i+1:]...)
			return
		}
	}
}

// run flushes until nothing waits.
func (b *batcher[In, Out]) run() {
	for {
		b.mu.Lock()
		n := min(len(b.waiting), b.most)
		if n == 0 {
			b.running, b.waiting = false, nil
			b.mu.Unlock()
			return
		}
		batch := b.waiting[:n:n]
		b.waiting = b.waiting[n:]
		b.mu.Unlock()
		b.settle(batch)
	}
}

// settle flushes one batch and wakes those who wait, whatever the store does.
func (b *batcher[In, Out]) settle(batch []*slot[In, Out]) {
	returned := false
	defer func() {
		if !returned {
			why := recover()
			for _, s := range batch {
				s.panic, s.err = why, errGone
			}
			if why == nil {
				go b.run() // this goroutine is on its way out
			}
		}
		for _, s := range batch {
			close(s.done)
		}
	}()
	ctx, cancel := context.WithTimeout(batch[0].values, batch[0].timeout)
	defer cancel()
	if err := b.try(ctx, batch); err != nil && b.alone && len(batch) > 1 {
		for i := range batch {
			_ = b.try(ctx, batch[i:i+1])
		}
	}
	returned = true
}

func (b *batcher[In, Out]) try(ctx context.Context, batch []*slot[In, Out]) error {
	in := make([]In, len(batch))
	for i, s := range batch {
		in[i] = s.in
	}
	out, err := b.flush(ctx, in)
	if err == nil && len(out) != len(in) {
		err = errors.New("async: the store answered for another number of requests")
	}
	for i, s := range batch {
		if s.err = err; err == nil {
			s.out = out[i]
		}
	}
	return err
}
