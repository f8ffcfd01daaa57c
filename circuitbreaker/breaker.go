package circuitbreaker

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bulwark-go/bulwark/circuitbreaker/detect"
)

// Breaker is a circuit breaker for one target. Create it with [New] or take it
// from a [Group]. It is safe for concurrent use.
type Breaker struct {
	key string // in its Group; else ""
	// view is what callers go by without a lock. It is replaced under mu whenever
	// the machine begins a generation.
	view atomic.Pointer[view]

	mu      sync.Mutex
	machine machine
}

// askEvery is how often detectors are asked as time passes: far below any time
// that people can tell, far above what asking costs.
const askEvery = 10 * time.Millisecond

// New returns a closed breaker. The error names each setting that is missing or
// out of range.
func New(cfg Config, opts ...Option) (*Breaker, error) {
	set, err := newSettings(cfg, opts)
	if err != nil {
		return nil, err
	}
	return newBreaker("", set), nil
}

func newBreaker(key string, set *settings) *Breaker {
	b := &Breaker{key: key, machine: machine{set: set}}
	b.machine.begin()
	b.publish()
	return b
}

// Allow admits a call, or refuses it with an [*OpenError]. The ticket must be
// ended; one of a probe that is not counts as failed after [Config.Lease].
func (b *Breaker) Allow() (Ticket, error) {
	var t Ticket
	err := b.admit(&t)
	return t, err
}

// admit fills in t, which is zero, or returns the refusal.
func (b *Breaker) admit(t *Ticket) error {
	v := b.view.Load()
	switch v.route {
	case pass:
		t.shard = v.shard()
		if v.timed && t.shard.turn() {
			return b.begin(v, t)
		}
		return nil
	case refuse:
		return v.extra.Load().refusal
	case ignore:
		t.shard, t.kind = &v.first, bypass
		return nil
	default:
		return b.decide(t)
	}
}

// begin notes in t when it began.
func (b *Breaker) begin(v *view, t *Ticket) error {
	now := v.set.now()
	if v.set.watch && !b.watched(v, now) {
		t.shard = nil
		return b.admit(t)
	}
	t.start = now + 1
	return nil
}

// watched tells the detectors of a call that begins, and asks them if it is time. It
// reports whether the view still stands.
func (b *Breaker) watched(v *view, now time.Duration) bool {
	b.mu.Lock()
	defer b.unlock()
	if r := b.machine.recovery(); b.view.Load() == v && now >= r.nextAsk {
		r.nextAsk = now + askEvery
		b.judge(now)
		b.publish()
	}
	if b.view.Load() != v {
		return false
	}
	b.machine.watch(now)
	return true
}

// decide asks the machine, for states in which each call matters.
func (b *Breaker) decide(t *Ticket) error {
	b.mu.Lock()
	if b.view.Load().route != ask { // changed since the caller looked
		b.mu.Unlock()
		return b.admit(t)
	}
	defer b.unlock()
	m := &b.machine
	now := m.set.now()
	k, id, ok := m.admit(now)
	b.publish()
	v := b.view.Load()
	switch {
	case ok:
		if k == normal {
			m.watch(now)
		}
		t.shard, t.kind, t.id, t.start = &v.first, k, id, now+1
		return nil
	case m.mode == Shadow:
		m.recovery().counts.shadowed++
		t.shard, t.kind = &v.first, bypass
		return nil
	default:
		b.renew(v)
		return v.extra.Load().refusal
	}
}

// settle takes the result of a ticket whose end the shard alone could not take.
func (b *Breaker) settle(t *Ticket, e ending) {
	v := t.shard.view
	b.mu.Lock()
	defer b.unlock()
	now := b.machine.set.now()
	if b.view.Load() != v {
		b.machine.recovery().counts.stale++
		return
	}
	if e.outcome == Failure && e.leaveAlone > 0 {
		r := b.machine.recovery()
		r.hint = max(r.hint, now+min(e.leaveAlone, longest))
	}
	call := detect.Call{At: now, Latency: detect.Untimed}
	if t.start > 0 {
		call.Latency = now + 1 - t.start
	}
	ask := false
	if t.kind == normal {
		if t.start > 0 {
			b.machine.unwatch(t.start - 1)
		}
		ask = b.handOver(t.shard, now)
	}
	if b.machine.hear(t.kind, t.id, e.outcome, call) || ask {
		b.judge(now)
	}
	b.machine.tick(now)
}

// handOver tells the detectors of the successes that a shard has put aside. Their
// time is that of the hand-over before: on a busy shard that is a moment ago, and
// on one that has become quiet they must not speak for the present.
func (b *Breaker) handOver(s *shard, now time.Duration) (ask bool) {
	if n := s.pending.Swap(0); n > 0 {
		ask = b.machine.hear(normal, 0, Success, detect.Call{At: s.last, Latency: detect.Untimed, Successes: n})
	}
	s.pace(now)
	return ask
}

// judge opens the breaker if the detector says so, after all shards have handed
// over what speaks for the other side.
func (b *Breaker) judge(now time.Duration) {
	if _, ill := b.machine.ill(now); !ill {
		return
	}
	b.view.Load().each(func(s *shard) { b.handOver(s, now) })
	if evidence, ill := b.machine.ill(now); ill {
		b.machine.open(now, evidence)
	}
}

// maxAdvice bounds one piece of advice: more would not be heard any better.
const maxAdvice = 1 << 16

// Advise tells a closed breaker of calls that others made to the same target, such
// as the other instances of this service: so many succeeded and so many failed
// lately. They count like calls of its own that were not timed; a breaker that is
// not closed goes by its own probes. However the figures travel, do not wait for
// them on the way of a call: share evidence, not decisions. Numbers out of range
// are brought into it.
func (b *Breaker) Advise(succeeded, failed int) {
	b.mu.Lock()
	defer b.unlock()
	m := &b.machine
	now := m.set.now()
	if m.state != Closed || m.mode == ForcedOpen || m.mode == ForcedClosed {
		return
	}
	call := detect.Call{At: now, Latency: detect.Untimed, Successes: uint32(max(min(succeeded, maxAdvice), 0))}
	if call.Successes > 0 {
		m.hear(normal, 0, Success, call)
	}
	call.Successes = 0
	for range min(failed, maxAdvice) {
		m.hear(normal, 0, Failure, call)
	}
	b.judge(now)
}

// State returns where the breaker stands now; time that has passed counts even if
// nobody called. In a forced mode it is what the breaker goes by once the mode ends.
func (b *Breaker) State() State {
	b.mu.Lock()
	defer b.unlock()
	b.machine.tick(b.machine.set.now())
	return b.machine.state
}

// SetMode makes the breaker automatic, forced open, forced closed or a shadow. It
// returns an error for a mode out of range.
func (b *Breaker) SetMode(mode Mode) error {
	if err := mode.check(); err != nil {
		return err
	}
	b.setMode(func() Mode { return mode })
	return nil
}

// setMode asks for the mode under the lock, so that of two that change all breakers
// of a group, each breaker ends with the one that the group has.
func (b *Breaker) setMode(mode func() Mode) {
	b.mu.Lock()
	defer b.unlock()
	now := b.machine.set.now()
	b.machine.tick(now)
	b.machine.setMode(mode(), now)
}

// Update replaces settings and detectors while the breaker runs; clock, classifier,
// jitter and listeners stay, and without detectors given so do those it has: to change
// a threshold is not to forget what is listened to. What they have heard is forgotten.
// The state stays as it is, and calls under way no longer count. A config that New would
// refuse is refused with the same error, and the old settings stay. The name cannot
// change: cfg's must be empty or the same.
func (b *Breaker) Update(cfg Config, detectors ...detect.Spec) error {
	b.mu.Lock()
	old := b.machine.set
	b.mu.Unlock()
	set, err := old.updated(cfg, detectors)
	if err != nil {
		return err
	}
	b.replace(func() *settings { return set })
	return nil
}

// replace asks for the settings under the lock, as setMode does.
func (b *Breaker) replace(set func() *settings) {
	b.mu.Lock()
	defer b.unlock()
	now := b.machine.set.now()
	b.machine.tick(now)
	b.machine.replace(set(), now)
}

// Run keeps transitions on time that otherwise happen when somebody next calls or
// asks: the steps of a ramp and the lease of probes. It returns ctx's error once
// ctx ends. It is for those who want events on time without traffic; nothing else
// depends on it.
func (b *Breaker) Run(ctx context.Context) error {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
			b.State()
		}
	}
}

// unlock publishes what changed, calls the listeners and releases mu.
func (b *Breaker) unlock() {
	b.publish()
	if r := b.machine.rec; r != nil && r.events.Due() {
		b.deliver(r)
		return
	}
	b.mu.Unlock()
}

// watch and unwatch tell a detector that follows calls while they run.
func (m *machine) watch(at time.Duration) {
	if w, ok := m.detector.(detect.Watcher); ok {
		w.Begin(at)
	}
}

func (m *machine) unwatch(began time.Duration) {
	if w, ok := m.detector.(detect.Watcher); ok {
		w.End(began)
	}
}

// misuse counts a ticket that was ended again.
func (b *Breaker) misuse() {
	b.mu.Lock()
	defer b.unlock()
	b.machine.recovery().counts.misused++
}
