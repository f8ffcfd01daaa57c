package rollout

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// unwatched is how often the store is looked at while nothing else tells of changes.
const unwatched = time.Second

// Run follows the store until ctx ends, and returns its error. It does not end for
// failures of the store: it tries again, and Snapshot tells. While one Run runs,
// another returns [ErrRunning].
func (f *Follower) Run(ctx context.Context) error {
	if !f.running.CompareAndSwap(false, true) {
		return ErrRunning
	}
	defer f.running.Store(false)

	ctx, cancel := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	defer watcher.Wait()
	defer cancel() // before the wait, even if a factory of the set panics
	watcher.Go(func() { f.watch(ctx) })
	defer f.leave(ctx)

	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-f.news:
		case <-timer.C:
		}
		err := f.sync(ctx)
		if ackErr := f.acknowledge(ctx, err); err == nil && ackErr != nil {
			f.failed(ctx, ackErr)
		}
		timer.Reset(f.pause())
	}
}

// sync is look, when it is our turn.
func (f *Follower) sync(ctx context.Context) error {
	if err := f.take(ctx); err != nil {
		return err
	}
	defer f.give()
	_, err := f.look(ctx)
	return err
}

func (f *Follower) take(ctx context.Context) error {
	select {
	case f.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *Follower) give() { <-f.turn }

// watch keeps listening to the store.
func (f *Follower) watch(ctx context.Context) {
	for failures := 0; ctx.Err() == nil; failures++ {
		err := f.store.Watch(ctx, func() {
			failures = 0
			f.change(func(s *state) { s.watching, s.watchErr = true, nil })
			f.wake()
		})
		f.change(func(s *state) { s.watching, s.watchErr = false, err })
		f.wake() // to poll more often
		select {
		case <-ctx.Done():
		case <-time.After(f.backoff(failures + 1)):
		}
	}
}

// wake makes Run look at the store soon.
func (f *Follower) wake() {
	select {
	case f.news <- struct{}{}:
	default:
	}
}

// acknowledge tells the fleet what runs here.
func (f *Follower) acknowledge(ctx context.Context, problem error) error {
	i := Instance{Name: f.name, Revision: f.now().held.Number}
	if problem != nil {
		i.Problem = problem.Error()
	}
	ctx, cancel := context.WithTimeout(ctx, f.config.Timeout)
	defer cancel()
	return f.store.Acknowledge(ctx, i, 3*(f.config.Poll+f.config.Timeout))
}

// leave makes the fleet forget this instance at once, not only after a while; if it
// cannot be told, after a while.
func (f *Follower) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.config.Timeout)
	defer cancel()
	_ = f.store.Acknowledge(ctx, Instance{Name: f.name}, 0)
}

// pause is how long to wait for news before the next look.
func (f *Follower) pause() time.Duration {
	s := f.now()
	pause := vary(f.config.Poll, 10)
	switch {
	case s.err != nil:
		pause = f.backoff(s.failures)
	case !s.watching:
		pause = min(pause, vary(unwatched, 10))
	}
	if end := s.held.Until; !end.IsZero() && !s.ended {
		pause = min(pause, max(end.Sub(s.storeTime()), time.Millisecond))
	}
	return pause
}

func (f *Follower) backoff(failures int) time.Duration {
	pause := f.config.Retry
	for range failures - 1 {
		if pause *= 2; pause >= f.config.Poll {
			break
		}
	}
	return vary(min(pause, max(f.config.Poll, f.config.Retry)), 2)
}

// vary changes d by up to a part of it, so that instances do not march in step.
func vary(d time.Duration, part time.Duration) time.Duration {
	spread := d / part
	return d - spread + rand.N(2*spread+1)
}
