package outbox

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/logger"
)

// Relay publishes events. Run as many as you like, in one process or in many: they
// share the buckets. Create it with [NewRelay].
type Relay struct {
	store     *store
	plugin    *Plugin
	publisher Publisher
	cfg       Config
	set       options

	running  atomic.Bool
	poke     chan struct{} // from Wake and Sleep; has room for one
	asleep   atomic.Bool
	counters counters
}

// NewRelay returns a Relay over the outbox of db. It does not use the database yet. The
// error names every setting that is wrong.
func NewRelay(db *gorm.DB, publisher Publisher, cfg Config, opts ...Option) (*Relay, error) {
	s, err := newStore(db)
	if err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults(s.settings.Table)
	set, optErr := newOptions(opts)
	var v violations
	v.require(publisher != nil, "publisher", nil, "given")
	if err := errors.Join(v.err(), cfg.check(), optErr); err != nil {
		return nil, err
	}
	return &Relay{
		store: s, plugin: pluginOf(db), publisher: publisher, cfg: cfg, set: set, poke: make(chan struct{}, 1),
	}, nil
}

// Wake makes the relay look for events now: for those who learn of a commit in another
// process. It also ends [Relay.Sleep].
func (r *Relay) Wake() {
	r.asleep.Store(false)
	r.nudge()
}

// Sleep makes the relay finish what it is publishing, give back its buckets, and leave
// the database alone until [Relay.Wake].
func (r *Relay) Sleep() {
	r.asleep.Store(true)
	r.nudge()
}

func (r *Relay) nudge() {
	select {
	case r.poke <- struct{}{}:
	default:
	}
}

// Run publishes until ctx ends. Then it waits for the calls of the publisher that are
// under way, settles them, gives back its buckets, and returns nil. A database that
// fails is tried again; the logger tells. Run fails at once with [ErrRunning] while it
// runs already, and when the tables have another number of buckets than the settings.
//
// A panic of the publisher counts as a failed attempt of what it was given; Run then
// stops as if ctx had ended and panics with it.
func (r *Relay) Run(ctx context.Context) error {
	if !r.running.CompareAndSwap(false, true) {
		return ErrRunning
	}
	defer r.running.Store(false)
	committed, unsubscribe := r.plugin.subscribe()
	defer unsubscribe()
	ctx, stop := context.WithCancel(ctx)
	var background sync.WaitGroup
	background.Go(func() { r.watch(ctx) })
	defer background.Wait()
	defer stop()
	if err := r.checkBuckets(ctx); err != nil {
		return err
	}
	for failures := 0; ctx.Err() == nil; {
		if r.asleep.Load() {
			wait(ctx, time.Hour, r.poke)
			continue
		}
		t, err := r.begin(ctx, committed)
		if err != nil {
			failures++
			r.failed("begin session", err)
			wait(ctx, backoff(r.cfg.Backoff, r.cfg.MaxBackoff, failures), nil)
			continue
		}
		failures = 0
		t.run()
		if t.panicked != nil {
			panic(t.panicked)
		}
	}
	return nil
}

// checkBuckets refuses tables that others use with another number of buckets: writers
// and relays would not mean the same ones. It waits for the database.
func (r *Relay) checkBuckets(ctx context.Context) error {
	for failures := 1; ctx.Err() == nil; failures++ {
		var n int
		use, done := r.use(ctx)
		err := r.store.retry(use, "read buckets", func(db *gorm.DB) error {
			return r.store.query(db, &n, "SELECT COUNT(*) FROM {table}_buckets")
		})
		done()
		if err == nil && n != r.store.settings.Buckets {
			return fmt.Errorf("outbox: %s has %d buckets, Settings.Buckets is %d", r.store.settings.Table, n, r.store.settings.Buckets)
		}
		if err == nil {
			return nil
		}
		r.failed("read buckets", err)
		wait(ctx, backoff(r.cfg.Backoff, r.cfg.MaxBackoff, failures), nil)
	}
	return nil
}

// use is a context for one use of the database.
func (r *Relay) use(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, r.cfg.StoreTimeout)
}

// failed tells that the database could not be used.
func (r *Relay) failed(what string, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	r.counters.failures.Add(1)
	r.set.log.Warn("outbox: database failed", logger.String("outbox", r.cfg.Name), logger.String("use", what), logger.Err(err))
}

// wait returns after d, when early is ready, or when ctx ends.
func wait(ctx context.Context, d time.Duration, early <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-early:
	}
}

// backoff is the pause after so many failures in a row: it doubles, and half of it is
// by chance.
func backoff(first, most time.Duration, failures int) time.Duration {
	d := most
	if shift := failures - 1; shift < 32 && first < most>>shift {
		d = first << shift
	}
	return d/2 + rand.N(d/2+1)
}

// spread adds up to 0.4 of d, so that relays do not act in step.
func spread(d time.Duration) time.Duration { return d + rand.N(d*2/5+1) }
