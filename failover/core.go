package failover

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/circuitbreaker/detect"
)

// member is a candidate without its value.
type member struct {
	name   string
	weight int
	domain string
	judge  detect.Spec
}

// core is a group without its providers: everything that needs no type parameter.
type core struct {
	members  []member
	mates    []uint64 // of each candidate, those of the same domain and itself
	all      uint64
	settings atomic.Pointer[settings]
	base     time.Time
	health   []health

	turn       atomic.Uint64 // of the policies that take turns
	sticky     atomic.Uint64 // see position
	drained    atomic.Uint64
	forced     atomic.Uint64
	budget     budget
	nextResort atomic.Int64 // when the next last resort is due
	latePanics atomic.Uint64

	operating sync.Mutex // serialises SetMode and Update
	events    events
}

// health is what is known about one candidate. The padding keeps the counters of one
// from slowing down another.
type health struct {
	breaker  *circuitbreaker.Breaker
	inFlight atomic.Int32
	streak   atomic.Uint32 // failures in a row
	_        [112]byte
}

// settings are checked and never change; an update replaces them.
type settings struct {
	Config
	policy   policy
	chosen   int // how many policies were asked for at once
	timeouts int
	sequence []uint8 // of those policies that take turns

	judged    bool
	specs     []detect.Spec
	failures  func(error) bool
	filtered  bool
	classify  Classifier
	clock     circuitbreaker.Clock
	rand      func() float64
	listeners []func(Event)
}

func (s *settings) choose(p policy) { s.policy, s.chosen = p, s.chosen+1 }

func newCore(cfg Config, members []member, opts []Option) (*core, error) {
	c := &core{members: members, all: allOf(len(members)), mates: matesOf(members), base: time.Now()}
	set := &settings{Config: cfg.withDefaults(len(members)), classify: Classify, rand: rand.Float64}
	for _, o := range opts {
		o.apply(set)
	}
	if err := errors.Join(checkMembers(members), set.check()); err != nil {
		return nil, err
	}
	c.health = make([]health, len(members))
	var errs violations
	for i := range members {
		breaker, err := c.newBreaker(set, i)
		if err != nil {
			errs = append(errs, fmt.Errorf("failover: candidate %q: %w", members[i].name, err))
		}
		c.health[i].breaker = breaker
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	c.budget.fill(set)
	c.put(set)
	return c, nil
}

// put makes set, which is checked, the one in force.
func (c *core) put(set *settings) {
	set.sequence = sequenceOf(set.policy, c.members)
	c.settings.Store(set)
}

// newBreaker returns the breaker that candidate i is judged by. It hears verdicts,
// not errors: whatever is reported to it as an error is a failure.
func (c *core) newBreaker(set *settings, i int) (*circuitbreaker.Breaker, error) {
	opts := []circuitbreaker.Option{
		circuitbreaker.WithRand(set.rand),
		circuitbreaker.WithClassifier(everyErrorFails),
		circuitbreaker.OnTransition(func(t circuitbreaker.Transition) { c.transition(i, t) }),
	}
	if set.clock != nil {
		opts = append(opts, circuitbreaker.WithClock(set.clock))
	}
	for _, spec := range set.specsOf(c.members[i]) {
		opts = append(opts, circuitbreaker.WithDetector(spec))
	}
	return circuitbreaker.New(set.healthOf(c.members[i]), opts...)
}

func everyErrorFails(_ context.Context, err error) circuitbreaker.Outcome {
	if err == nil {
		return circuitbreaker.Success
	}
	return circuitbreaker.Failure
}

func (s *settings) healthOf(m member) circuitbreaker.Config {
	cfg := s.Health
	cfg.Name = m.name
	return cfg
}

// specsOf returns what m is judged by: at least one, as a breaker without would have
// its own defaults.
func (s *settings) specsOf(m member) []detect.Spec {
	switch {
	case m.judge != nil:
		return []detect.Spec{m.judge}
	case s.judged && len(s.specs) > 0:
		return s.specs
	case s.judged, s.policy == sticky:
		return []detect.Spec{nobody{}}
	default:
		return []detect.Spec{detect.ErrorRate(0.5, 20), detect.Consecutive(5)}
	}
}

// nobody judges: the spec of a detector that never finds anything.
type nobody struct{}

func (nobody) New() (detect.Detector, error)    { return nobody{}, nil }
func (nobody) Record(detect.Call) bool          { return false }
func (nobody) Ill(time.Duration) (string, bool) { return "", false }

// check returns the violations of settings as a whole.
func (s *settings) check() error {
	var v violations
	if err := s.Config.check(); err != nil {
		v = append(v, err)
	}
	v.require(s.chosen <= 1, "policies", s.chosen, "at most one")
	v.require(s.policy != sticky || s.timeouts >= 0 && s.timeouts < maxTimeouts, "WithStickyTimeouts", s.timeouts,
		fmt.Sprintf("between 0 and %d", maxTimeouts-1))
	v.require(!s.filtered || s.failures != nil, "WithFailures", nil, "given a function")
	v.require(s.classify != nil, "WithClassifier", nil, "given")
	v.require(s.rand != nil, "WithRand", nil, "given")
	for i, spec := range s.specs {
		v.require(spec != nil, "WithJudge", i, "given a detector")
	}
	for i, f := range s.listeners {
		v.require(f != nil, "OnEvent", i, "given a function")
	}
	return errors.Join(v...)
}

// now reads the clock.
func (c *core) now(set *settings) time.Duration {
	if set.clock != nil {
		return set.clock.Now()
	}
	return time.Since(c.base)
}

// Update replaces the settings while the group is in use. Options that are not given
// stay as they are, listeners are added, and the clock and chance of the judges stay.
// What NewGroup would refuse is refused with the same error, and the old settings
// stay. The name cannot change: cfg's must be empty or the same. What the judges have
// heard is forgotten; providers that are out stay out.
func (g *Group[P]) Update(cfg Config, opts ...Option) error { return g.core.update(cfg, opts) }

func (c *core) update(cfg Config, opts []Option) error {
	defer c.flush() // after the lock is released
	c.operating.Lock()
	defer c.operating.Unlock()
	c.events.hold()
	defer c.events.release()
	old := c.settings.Load()
	fill(&cfg.Name, old.Name)
	next := *old
	next.Config, next.chosen = cfg.withDefaults(len(c.members)), 0
	for _, o := range opts {
		o.apply(&next)
	}
	err := next.check()
	if cfg.Name != old.Name {
		err = errors.Join(err, fmt.Errorf("failover: Name %q: must stay %q", cfg.Name, old.Name))
	}
	if err != nil {
		return err
	}
	for i := range c.members { // all of them before any is changed
		if _, err := c.newBreaker(&next, i); err != nil {
			return fmt.Errorf("failover: candidate %q: %w", c.members[i].name, err)
		}
	}
	for i, m := range c.members {
		if err := c.health[i].breaker.Update(next.healthOf(m), next.specsOf(m)...); err != nil {
			return fmt.Errorf("failover: candidate %q: %w", m.name, err)
		}
	}
	c.put(&next)
	return nil
}
