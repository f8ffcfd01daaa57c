// Package dryrun tells what rules would do before they do it: how many of the calls
// of the last minutes an edited set of rules would have rejected.
//
//	recorder, err := dryrun.New(dryrun.Config{})
//	set, err := rules.New(list, rules.WithOnDecision(recorder.OnDecision))
//	…
//	current, _ := set.Rules()
//	report, err := recorder.Replay(ctx, edited, current)
//	fmt.Println(report.Candidate.Rejected, "of", report.Candidate.Calls, "instead of", report.Current.Rejected)
//
// A [Recorder] notes for each call when it came, whose it was, and its cost, in a
// fixed amount of memory and without a goroutine. [Recorder.Replay] decides them
// again, by the code that decides in earnest, with limiters of its own whose clock
// is the recorded time.
//
//   - Under more traffic than there is room for, a half, a quarter and so on of the
//     users and of the addresses is recorded, with all of their calls, so that what
//     a limit per user or address does to those is exact. The report scales it up,
//     says which share was recorded, and how far off that may be. Budgets that many
//     share are replayed on as large a share of the calls.
//   - What was used before the recording begins is not known. So it reaches further
//     back than the calls that are counted, see [Config.Warmup], and the report says
//     for which rules that is not enough.
//   - Callers are taken to have called as they did. Who is rejected in earnest
//     gives up, or tries again.
//   - A recorder hears of the calls of its own process; see [WithInstances].
//
// Of users, tenants, methods and addresses only hashes are kept, under a key that is
// drawn for each recorder, and none comes out of it. Addresses are hashed bit by
// bit, so that it still shows which are in one network.
package dryrun

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/rules"
)

// Config holds the bounds of a [Recorder]. The zero Config takes 26 MB at most and
// has room for 2900 calls a second, of 131072 different subjects.
type Config struct {
	// Window is how far back calls are counted, from 1s to 1h; 0 is 5 minutes.
	Window time.Duration
	// Warmup is how much further back calls are replayed without being counted, so
	// that budgets are as used up as they were: up to 1h; 0 is a fifth of Window.
	Warmup time.Duration
	// Calls is how many calls are kept, each in 16 bytes, from 1024 to 1<<28; 0 is
	// 1<<20.
	Calls int
	// Subjects is how many different subjects can be told apart, each in some 70
	// bytes, from 128 to Calls; 0 is an eighth of Calls. They spread a little
	// unevenly, so that it may be full from nine tenths on.
	Subjects int
}

const (
	leastCalls, mostCalls = 1 << 10, 1 << 28
	leastSubjects         = 128
)

func (c Config) validate() (Config, error) {
	if c.Window == 0 {
		c.Window = 5 * time.Minute
	}
	if c.Warmup == 0 {
		c.Warmup = c.Window / 5
	}
	if c.Calls == 0 {
		c.Calls = 1 << 20
	}
	if c.Subjects == 0 {
		c.Subjects = c.Calls / 8
	}
	var errs []error
	if c.Window < time.Second || c.Window > time.Hour {
		errs = append(errs, bad("window", c.Window, "must be 0 (the default), or from 1s to 1h"))
	}
	if c.Warmup < 0 || c.Warmup > time.Hour {
		errs = append(errs, bad("warmup", c.Warmup, "must be 0 (the default), or up to 1h"))
	}
	if c.Calls < leastCalls || c.Calls > mostCalls {
		errs = append(errs, bad("calls", c.Calls, "must be 0 (the default), or from 1024 to 268435456"))
	}
	if c.Subjects < leastSubjects || c.Subjects > c.Calls {
		errs = append(errs, bad("subjects", c.Subjects, "must be 0 (the default), or from 128 to calls"))
	}
	return c, errors.Join(errs...)
}

func bad(field string, value any, reason string) error {
	return &ratelimit.FieldError{Field: field, Value: value, Reason: reason}
}

// Option configures [New].
type Option interface{ apply(*Recorder) }

type optionFunc func(*Recorder)

func (f optionFunc) apply(r *Recorder) { f(r) }

// WithClock sets the clock: a function that returns the time since a moment of its
// own choosing, never going back and safe for concurrent use. Without it that is the
// machine's monotonic clock.
func WithClock(now func() time.Duration) Option {
	return optionFunc(func(r *Recorder) { r.clock = now })
}

// Factory makes the limiter on which a rule is replayed. The options, which it passes
// to a local limiter of package ratelimit, set the clock to the replayed time and make
// room for all subjects.
type Factory func(rule rules.Rule, opts ...ratelimit.Option) (ratelimit.Limiter, error)

// WithFactory sets what makes the limiters of a replay: local ones, of the algorithm
// that decides in earnest. Without it, or with nil, they are token buckets.
func WithFactory(f Factory) Option {
	return optionFunc(func(r *Recorder) { r.build = f })
}

// WithInstances sets a function that tells how many instances share the limits, and
// the calls evenly, at the time of a replay. Each limit is then replayed at that part
// of it, and the report is about this instance's calls. Without it, or with less than
// 1, the limits are taken to be this process's own.
func WithInstances(count func() int) Option {
	return optionFunc(func(r *Recorder) { r.instances = count })
}

// Recorder keeps the calls of the last minutes. It is safe for concurrent use.
type Recorder struct {
	config    Config
	horizon   int64 // Window and Warmup, in ns
	clock     func() time.Duration
	build     Factory // nil for token buckets
	instances func() int

	base   time.Time
	start  int64
	names  names
	chunks *chunks
	shards []shard

	// level is how often the recorded share has been halved.
	level atomic.Uint32
	due   atomic.Int64 // when to look whether the level can be lowered

	// turn is taken to change the level, or to have it stay the same. It comes
	// before the locks of the shards, and those before that of the chunks.
	turn    sync.Mutex
	changed int64 // when the level was
	lowered bool  // that it was lowered then
}

// New returns a Recorder that has recorded nothing. It takes its memory at once,
// though the system will hand it over as it is used. Bad values are refused with
// [*ratelimit.FieldError]s.
func New(c Config, opts ...Option) (*Recorder, error) {
	c, err := c.validate()
	r := &Recorder{
		config: c, horizon: int64(c.Window + c.Warmup), base: time.Now(), names: newNames(),
	}
	for _, o := range opts {
		o.apply(r)
	}
	if err != nil {
		return nil, err
	}
	r.chunks = newChunks(c.Calls)
	r.shards = newShards(len(r.chunks.next), c.Subjects)
	r.start = r.now()
	r.due.Store(r.start + r.horizon/tends)
	return r, nil
}

// now is the time in ns, with room for what a record packs beside it.
func (r *Recorder) now() int64 {
	if r.clock != nil {
		return min(max(int64(r.clock()), 0), longest)
	}
	return int64(time.Since(r.base)) // monotonic, and half the price of time.Now
}

// OnDecision is [Recorder.Record] in the form that [rules.WithOnDecision] takes. The
// decision makes no difference to it.
func (r *Recorder) OnDecision(_ context.Context, s rules.Subject, cost int64, _ ratelimit.Decision, _ error) {
	r.Record(s, cost)
}

// Record notes a call of now. One without a cost only looks, and is not noted; a cost
// above 4294967295, which no burst admits, counts as that. It does not allocate, and
// costs a look at the clock and some 50 ns, but for the rare call that has to make
// room.
func (r *Recorder) Record(s rules.Subject, cost int64) {
	if cost <= 0 {
		return
	}
	now := r.now()
	if now >= r.due.Load() {
		r.tend(now)
	}
	id := r.names.identify(s)
	call := pack(now, id.ticket(now), uint32(min(cost, math.MaxUint32)))
	for {
		level := r.level.Load()
		if !id.within(level) && call.ticket() < level {
			return
		}
		if r.shard(id).add(r.chunks, &id, &r.names, call, now-r.horizon) {
			return
		}
		r.relieve(now, level)
	}
}

// shard returns the place of a subject.
func (r *Recorder) shard(id identity) *shard { return &r.shards[id.id&uint64(len(r.shards)-1)] }
