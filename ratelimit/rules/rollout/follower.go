package rollout

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bulwark-go/bulwark/ratelimit/rules"
)

// Config holds the times of a [Follower].
type Config struct {
	// Poll is how often the store is looked at in case that no news arrived; 0 is
	// 5 s. It is varied by a tenth. While changes cannot be watched, it is 1 s at
	// most. An instance is forgotten after three times Poll and Timeout.
	Poll time.Duration
	// Retry is the first pause after a failure; 0 is 100 ms. It doubles with each
	// further failure, up to Poll, and is varied by a half.
	Retry time.Duration
	// Timeout is how long one call of the store may take; 0 is 2 s.
	Timeout time.Duration
}

func (c Config) validate() (Config, error) {
	var errs []error
	for _, f := range []struct {
		name     string
		value    *time.Duration
		fallback time.Duration
	}{
		{"poll", &c.Poll, 5 * time.Second},
		{"retry", &c.Retry, 100 * time.Millisecond},
		{"timeout", &c.Timeout, 2 * time.Second},
	} {
		if *f.value == 0 {
			*f.value = f.fallback
		}
		if *f.value < time.Millisecond || *f.value > time.Hour {
			errs = append(errs, bad(f.name, *f.value, "must be 0 (the default), or from 1ms to 1h"))
		}
	}
	return c, errors.Join(errs...)
}

// Follower keeps a [rules.Set] equal to a [Store], and is how a page reads and
// changes what the store holds. It is safe for concurrent use.
type Follower struct {
	set    *rules.Set
	store  Store
	name   string
	config Config

	running atomic.Bool
	news    chan struct{} // one place: the store may hold something else

	// turn is taken by whoever reads the store to apply what it reads, so that
	// nothing older is applied after. It is a channel, for the sake of contexts.
	turn chan struct{}

	mu    sync.Mutex // guards state; nothing is called with it held
	state state
}

// state is what a Snapshot tells, and the store's clock.
type state struct {
	held     Revision // what the set runs; never changed in place
	version  uint64   // of the set's rules
	ended    bool     // held.Then is what the set runs
	checked  time.Time
	stored   time.Time // the store's time when it was checked
	failures int
	err      error
	watching bool
	watchErr error
}

// New returns a Follower for the instance of the given name, which must be its own
// in the fleet. It takes over the rules when it runs, or is used, not before: until
// then, the set goes on with those it has. Bad values are refused with
// [*ratelimit.FieldError]s.
func New(set *rules.Set, store Store, instance string, c Config) (*Follower, error) {
	c, err := c.validate()
	errs := []error{err}
	if set == nil {
		errs = append(errs, bad("set", "nil", "must be given"))
	}
	if store == nil {
		errs = append(errs, bad("store", "nil", "must be given"))
	}
	if instance == "" {
		errs = append(errs, bad("instance", `""`, "must be given"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	f := &Follower{
		set: set, store: store, name: instance, config: c,
		news: make(chan struct{}, 1), turn: make(chan struct{}, 1),
	}
	f.state.held.Rules, f.state.version = set.Rules()
	return f, nil
}

// Snapshot is the state of a [Follower].
type Snapshot struct {
	Instance string
	// Revision is what the set runs. Its number is 0 as long as the set has the
	// rules it was made with.
	Revision Revision
	// Version is that of the set's rules; see [rules.Set.Rules].
	Version uint64
	// Running tells whether Run runs.
	Running bool
	// Connected tells whether the last look at the store succeeded, and Watching
	// whether its changes are heard of at once; if not, by polling.
	Connected bool
	Watching  bool
	// WatchErr is why watching ended last; nil while Watching.
	WatchErr error
	// Checked is when the last look succeeded, by this machine's clock.
	Checked time.Time
	// Ended tells that the revision's time is over and its Then is in force here,
	// while the store could not be told yet.
	Ended bool
	// Failures counts the failures in a row.
	Failures int
	// Err is the last failure, nil after success.
	Err error
}

// Snapshot returns the present state, without asking the store.
func (f *Follower) Snapshot() Snapshot {
	f.mu.Lock()
	defer f.mu.Unlock()
	return Snapshot{
		Instance: f.name, Revision: f.state.held.clone(), Version: f.state.version,
		Running: f.running.Load(), Connected: f.state.err == nil && !f.state.checked.IsZero(),
		Watching: f.state.watching, WatchErr: f.state.watchErr,
		Checked: f.state.checked, Ended: f.state.ended,
		Failures: f.state.failures, Err: f.state.err,
	}
}

func (f *Follower) now() state {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

func (f *Follower) change(how func(*state)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	how(&f.state)
}
