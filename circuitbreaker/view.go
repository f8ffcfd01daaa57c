package circuitbreaker

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
	"unsafe"
)

// route is what to do with a call while a view lasts.
type route uint8

const (
	pass   route = iota // admit and judge
	refuse              // with the view's refusal
	ignore              // admit, do not judge
	ask                 // the machine decides each call
)

// view is what one generation looks like from outside: the only thing that a call
// on the fast path reads. Its address is the generation's identity: a ticket holds
// it, and a result counts only while it is the current one.
type view struct {
	breaker *Breaker
	set     *settings
	gen     uint32
	route   route
	timed   bool
	first   shard
	extra   atomic.Pointer[extra] // nil while there is none
}

// extra is what few views have.
type extra struct {
	shards  *[manyShards]paddedShard // of one that passes very many calls
	refusal *OpenError               // of one that refuses
}

// shard gathers successes that need no judging right away, so that most calls of a
// busy breaker touch neither the lock nor the clock. While calls come at a
// leisurely pace it gathers nothing, and each is heard of at once. When they come
// faster than rapid for a while, it puts aside two dozen quick successes at a time,
// and only one call in sixteen is timed. Failures are never put aside.
type shard struct {
	view    *view
	pending atomic.Uint32 // successes put aside
	batch   atomic.Uint32 // how many to put aside; 0: none
	// The rest belongs to the breaker's lock.
	streak uint32
	last   time.Duration
}

type paddedShard struct {
	shard
	_ [128 - unsafe.Sizeof(shard{})%128]byte
}

const (
	// rapid is the pace from which on successes are put aside: calls no further
	// apart than this on one shard, 100 000 a second.
	rapid = 10 * time.Microsecond
	// rapidAfter is how many hand-overs at that pace it takes; so a mere burst is
	// still heard call by call.
	rapidAfter = 256
	// leastBatch and batchSpread give the number put aside, which varies so that
	// it never falls in step with a pattern in the calls.
	leastBatch  = 16
	batchSpread = 16
	oneTimed    = 16
	// manyShards is the number of shards of a busy breaker. Enough that goroutines
	// rarely meet on one: they are spread by a hash, not assigned.
	manyShards = 64
)

// shard picks the shard for the calling goroutine. Its stack's address tells
// goroutines apart well enough, and costs nothing to learn; a poor pick is only
// slower.
func (v *view) shard() *shard {
	x := v.extra.Load()
	if x == nil {
		return &v.first
	}
	var here byte
	hash := (uint64(uintptr(unsafe.Pointer(&here))) >> 11) * 0x9E3779B97F4A7C15
	return &x.shards[hash>>(64-6)].shard
}

// each visits all shards.
func (v *view) each(f func(*shard)) {
	f(&v.first)
	if x := v.extra.Load(); x != nil {
		for i := range x.shards {
			f(&x.shards[i].shard)
		}
	}
}

// turn tells whether the next call on this shard is to be timed: each one, or one
// in oneTimed by chance, which no pattern in the calls can fool.
func (s *shard) turn() bool {
	return s.batch.Load() == 0 || rand.Uint32()%oneTimed == 0
}

// gather puts a success aside, unless it is the one to hand over the others with.
// Goroutines that meet may put a few more aside.
func (s *shard) gather() bool {
	if s.pending.Load()+1 >= s.batch.Load() {
		return false
	}
	s.pending.Add(1)
	return true
}

// pace notes a hand-over at now and finds out how much to put aside. The caller
// holds the breaker's lock.
func (s *shard) pace(now time.Duration) {
	calls := max(s.batch.Load(), 1)
	fast := now-s.last <= rapid*time.Duration(calls)
	s.last = now
	switch {
	case !fast:
		s.streak = 0
		s.batch.Store(0)
	case s.streak < rapidAfter:
		s.streak++
	default:
		// The clock's low bits are as good as chance here.
		s.batch.Store(leastBatch + uint32(uint64(now)*0x9E3779B97F4A7C15>>60)%batchSpread)
		s.view.spread()
	}
}

// spread gives the view its many shards. The caller holds the breaker's lock.
func (v *view) spread() {
	if v.extra.Load() != nil {
		return
	}
	shards := new([manyShards]paddedShard)
	for i := range shards {
		shards[i].view = v
	}
	v.extra.Store(&extra{shards: shards})
}

// publish makes the machine's present generation visible. The caller holds mu.
func (b *Breaker) publish() {
	m := &b.machine
	if v := b.view.Load(); v != nil && v.gen == m.gen {
		return
	}
	v := &view{breaker: b, set: m.set, gen: m.gen, timed: m.set.timed}
	v.first.view = v
	v.route = m.route()
	if v.route == refuse || v.route == ask {
		b.renew(v)
	}
	b.view.Store(v)
	b.arm()
}

// route tells what callers may do by themselves in this generation.
func (m *machine) route() route {
	switch {
	case m.mode == ForcedOpen:
		return refuse
	case m.mode == ForcedClosed:
		return ignore
	case m.state == Closed:
		return pass
	case m.state == Open && m.mode == Automatic:
		return refuse
	default:
		return ask
	}
}

// renew gives the view an error for what it refuses now, if that of before says
// something else. The caller holds mu.
func (b *Breaker) renew(v *view) {
	m := &b.machine
	until := m.nextChange()
	if x := v.extra.Load(); x == nil || x.refusal.until != until {
		v.extra.Store(&extra{refusal: &OpenError{
			Name: m.set.Name, Key: b.key, State: m.state, Mode: m.mode, set: m.set, until: until,
		}})
	}
}

// nextChange is when what is admitted changes; 0 when that is unknown. Half-open that
// is the next answer to a probe, and not the end of its lease, which is how long an
// answer may take at the very most.
func (m *machine) nextChange() time.Duration {
	switch {
	case m.mode == ForcedOpen:
		return 0
	case m.state == Open:
		return m.rec.until
	case m.state == Ramping:
		return m.rec.ramp.began + m.set.RampStep
	default:
		return 0
	}
}

// arm sets the timer that ends the open state: refusing calls costs no look at the
// clock then. The caller holds mu.
func (b *Breaker) arm() {
	m := &b.machine
	r := m.rec
	if r == nil {
		return
	}
	if r.stopTimer != nil {
		r.stopTimer()
		r.stopTimer = nil
	}
	if m.state == Open && m.mode != ForcedOpen && m.mode != ForcedClosed {
		r.stopTimer = m.set.after(max(r.until-m.set.now(), 0), b.wake)
	}
}

// wake is the timer's function. A timer that was late to be stopped, or that runs
// ahead of the clock, finds nothing to do and sets the next one.
func (b *Breaker) wake() {
	b.mu.Lock()
	defer b.unlock()
	b.machine.tick(b.machine.set.now())
	if b.machine.state == Open {
		b.arm()
	}
}
