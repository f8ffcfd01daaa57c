package redislimit

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/concurrency"
)

//go:embed acquire.lua
var acquireLua string

//go:embed renew.lua
var renewLua string

var (
	acquireScript = newScript(acquireLua)
	renewScript   = newScript(renewLua)
)

// defaultTTL is long enough that most calls need no renewal, and short enough that
// an instance's death is soon forgotten.
const defaultTTL = 30 * time.Second

// WithTTL sets how long the slots of an instance that died stay taken, from 100 ms
// to an hour; all instances must use the same. Slots of calls that take longer
// than a third of it are renewed. Without it that is 30 s.
func WithTTL(d time.Duration) Option {
	return optionFunc(func(o *options) { o.ttl = d })
}

// defaultBudget outlasts a hiccup of Redis: what could not be given back in time
// would stay taken much longer.
const defaultBudget = 250 * time.Millisecond

// WithBudget sets how long ending a ticket, renewing a lease or giving back a turn
// may wait for Redis, from 1 ms to a minute. Without it that is 250 ms. go-redis heeds it on the
// wire when its option ContextTimeoutEnabled is set.
func WithBudget(d time.Duration) Option {
	return optionFunc(func(o *options) { o.budget = d })
}

// WithOnFailure sets a function that is called with the error of each renewal and
// each giving back that failed, on the goroutine where that happened and with no
// lock held. It may call Close, which does not wait for it.
func WithOnFailure(f func(context.Context, error)) Option {
	return optionFunc(func(o *options) { o.onFailure = f })
}

// Concurrency limits the calls in flight for each key over all instances of a
// service: a [concurrency.Acquirer] whose tickets are leases in Redis. The slots
// of an instance that dies come back after [WithTTL], and no slot is lost to a
// crash.
//
// While Redis is up, never more than the limit are in flight, unless an instance
// hangs for longer than two thirds of the TTL: its calls then are not counted
// until it goes on.
//
// Acquire and the end of a ticket are one round trip each. A call that lasts
// renews its lease each third of the TTL until its ticket ends or Close is called.
type Concurrency struct {
	rdb              redis.UniversalClient
	keys             keyspace
	acquire, renewal *script
	limit            atomic.Int64
	ttl              time.Duration
	budget           time.Duration
	onFailure        func(context.Context, error)

	name  string // of this instance; random
	count atomic.Uint64

	mu      sync.Mutex
	closed  bool
	done    chan struct{}  // closed with it
	running sync.WaitGroup // what runs beside the callers; added to under mu
	again   chan struct{}  // as many as give back beside the callers
}

// mostAgain bounds the goroutines that give back while Redis is away. What they do
// not, comes back by itself.
const mostAgain = 64

var _ concurrency.Acquirer = (*Concurrency)(nil)

// NewConcurrency returns a Concurrency that lets at most limit calls of a key run
// at the same time. It knows [WithTTL], [WithBudget] and [WithOnFailure]. A limit
// below 1 or a bad option is refused with [*ratelimit.FieldError]s.
func NewConcurrency(rdb redis.UniversalClient, limit int64, opts ...Option) (*Concurrency, error) {
	o := newOptions("concurrency", opts)
	c := &Concurrency{
		rdb: rdb, keys: o.keys, acquire: acquireScript, renewal: renewScript, ttl: o.ttl, budget: o.budget, onFailure: o.onFailure,
		name: rand.Text()[:16] + "-", done: make(chan struct{}), again: make(chan struct{}, mostAgain),
	}
	if err := errors.Join(c.SetLimit(limit), o.validate(rdb)); err != nil {
		return nil, err
	}
	return c, nil
}

// SetLimit changes the limit of every key, for this instance. Calls in flight
// beyond a lower one run on. A limit below 1 is refused and changes nothing.
func (c *Concurrency) SetLimit(limit int64) error {
	if limit < 1 {
		return &ratelimit.FieldError{Field: "limit", Value: limit, Reason: "must be at least 1"}
	}
	c.limit.Store(limit)
	return nil
}

// Acquire implements [concurrency.Acquirer]. It does not wait for a slot. The
// error wraps that of the client, or is a [*StateError]. A call whose answer was
// lost, and that the client sends again, takes one slot only.
func (c *Concurrency) Acquire(ctx context.Context, key string) (concurrency.Ticket, error) {
	if key == "" {
		return concurrency.Ticket{}, ratelimit.ErrKey
	}
	l := &lease{owner: c, key: c.keys.key(key), name: c.name + strconv.FormatUint(c.count.Add(1), 36)}
	limit := c.limit.Load()
	call := append(c.acquire.call(l.key, 3), l.name, limit, wholeMicros(c.ttl))
	reply, err := c.acquire.run(ctx, c.rdb, call, 1)
	if err != nil {
		// Redis may have granted it, and only its answer been lost.
		if state := new(StateError); !errors.As(err, &state) {
			l.giveBackBeside()
		}
		return concurrency.Ticket{}, err
	}
	held := reply[0]
	d := ratelimit.Decision{Allowed: held < limit, Limit: limit, Remaining: max(limit-held-1, 0)}
	if !d.Allowed {
		return concurrency.Ticket{Decision: d}, nil
	}
	l.mu.Lock() // the timer's function must see the timer
	l.timer = time.AfterFunc(c.ttl/3, l.renew)
	l.mu.Unlock()
	return concurrency.NewTicket(d, l.end), nil
}

// Close ends all renewals, and what still tries to give slots back; it waits for
// the round trips under way, for [WithBudget] at most. Tickets that are still held
// lose their slots after the TTL, and can be ended until then. Later calls do
// nothing.
func (c *Concurrency) Close() error {
	c.mu.Lock()
	if !c.closed {
		c.closed = true
		close(c.done)
	}
	c.mu.Unlock()
	c.running.Wait()
	return nil
}

// enter begins something that runs beside the callers, unless closed.
func (c *Concurrency) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.running.Add(1)
	}
	return !c.closed
}

// trip makes a round trip that was entered. Close waits for it, but not for what
// the caller does with its error: that may be to call Close.
func (c *Concurrency) trip(make func() error) error {
	defer c.running.Done()
	return make()
}

func (c *Concurrency) failed(ctx context.Context, what string, err error) {
	if err != nil && c.onFailure != nil {
		c.onFailure(ctx, fmt.Errorf("redislimit: %s: %w", what, err))
	}
}

// lease is a ticket's slot in Redis.
type lease struct {
	owner     *Concurrency
	key, name string

	mu    sync.Mutex // held over round trips: no renewal comes after the end
	timer *time.Timer
	ended bool
}

// renew runs when a third of the lease's life is over.
func (l *lease) renew() {
	c := l.owner
	if !c.enter() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.budget)
	defer cancel()
	c.failed(ctx, "renew", c.trip(func() error { return l.renewOnce(ctx) }))
}

func (l *lease) renewOnce(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return nil
	}
	c := l.owner
	_, err := c.renewal.run(ctx, c.rdb, append(c.renewal.call(l.key, 2), l.name, wholeMicros(c.ttl)), 1)
	next := c.ttl / 3
	if err != nil {
		next /= 3 // there is time to try again before the lease ends
	}
	l.timer.Reset(next)
	return err
}

// end gives the slot back, whatever became of the request's context.
func (l *lease) end(concurrency.Verdict) {
	l.mu.Lock()
	l.ended = true
	l.timer.Stop()
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), l.owner.budget)
	defer cancel()
	if !l.gaveBack(ctx, l.remove(ctx)) {
		l.giveBackBeside()
	}
}

func (l *lease) remove(ctx context.Context) error {
	return l.owner.rdb.ZRem(ctx, l.key, l.name).Err()
}

// gaveBack reports a failure, and whether there is nothing left to try.
func (l *lease) gaveBack(ctx context.Context, err error) bool {
	l.owner.failed(ctx, "release", err)
	return err == nil || errors.Is(err, redis.ErrClosed)
}

// giveBackBeside tries beside the caller, for as long as the lease can live or
// until Close.
func (l *lease) giveBackBeside() {
	c := l.owner
	select {
	case c.again <- struct{}{}:
	default:
		return
	}
	go func() {
		defer func() { <-c.again }()
		l.giveBackUntilDone()
	}()
}

// giveBack tries once beside the callers.
func (l *lease) giveBack() bool {
	c := l.owner
	if !c.enter() {
		return true
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.budget)
	defer cancel()
	return l.gaveBack(ctx, c.trip(func() error { return l.remove(ctx) }))
}

// longestPause is that between two tries of giving back.
const longestPause = 500 * time.Millisecond

func (l *lease) giveBackUntilDone() {
	c := l.owner
	lapsed := time.NewTimer(c.ttl)
	defer lapsed.Stop()
	for !l.giveBack() {
		select {
		case <-time.After(min(c.ttl/30, longestPause)):
		case <-lapsed.C:
			return
		case <-c.done:
			return
		}
	}
}
