package degrade

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ErrShed is wrapped by the error of a call that is shed for its [Criticality].
var ErrShed = errors.New("degrade: shed")

// Config holds the plain settings of [Levels]. Only Name is required; a zero field
// means its default.
type Config struct {
	// Name tells several Levels apart, in errors and as a metric's label.
	Name string
	// Enter holds the load from which on each level is entered, rising, for at most
	// three levels; 0.8, 0.9 and 1 by default. A load of 1 is all that there is.
	Enter []float64
	// Leave is the share of its Enter below which the load must stay for a Dwell for
	// a level to be left; 0.75 by default.
	Leave float64
	// Dwell is the least time between two changes; 30 s by default.
	Dwell time.Duration
	// Period is how often Run measures; 1 s by default.
	Period time.Duration
}

func (c Config) withDefaults() Config {
	if len(c.Enter) == 0 {
		c.Enter = []float64{0.8, 0.9, 1}
	}
	c.Enter = slices.Clone(c.Enter)
	fill(&c.Leave, 0.75)
	fill(&c.Dwell, 30*time.Second)
	fill(&c.Period, time.Second)
	return c
}

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// longest bounds durations.
const longest = 365 * 24 * time.Hour

func (c Config) check() error {
	var v violations
	v.require(c.Name != "", "Name", fmt.Sprintf("%q", c.Name), "given")
	v.require(len(c.Enter) <= int(Vital-Sheddable), "Enter", len(c.Enter), "of at most three levels")
	for i, load := range c.Enter {
		v.require(load > 0 && load <= 100 && (i == 0 || load > c.Enter[i-1]), fmt.Sprintf("Enter[%d]", i), load,
			"above the one before and at most 100")
	}
	v.require(c.Leave > 0 && c.Leave < 1, "Leave", c.Leave, "between 0 and 1")
	v.require(c.Dwell >= time.Millisecond && c.Dwell <= longest, "Dwell", c.Dwell, "between 1ms and a year")
	v.require(c.Period >= time.Millisecond && c.Period <= c.Dwell, "Period", c.Period, "between 1ms and the Dwell")
	return errors.Join(v...)
}

// violations gathers what is wrong with settings.
type violations []error

func (v *violations) require(ok bool, field string, value any, want string) {
	if !ok {
		*v = append(*v, fmt.Errorf("degrade: %s %v: must be %s", field, value, want))
	}
}

// Change is one change of level.
type Change struct {
	// Name is that of the Levels.
	Name string
	// From and To are the levels.
	From, To int
	// Reason is for people: the signal and its load, or the operator.
	Reason string
}

// Levels is how much a service does without. Create it with [NewLevels]. It is safe
// for concurrent use.
type Levels struct {
	name      string
	signals   []signal
	listeners []func(Change)
	now       func() time.Time
	current   atomic.Int32
	shed      [classes]atomic.Uint64

	mu         sync.Mutex
	cfg        Config
	automatic  int       // the level that signals ask for
	since      time.Time // of automatic; zero: for ever
	high       time.Time // when the load was last too high to leave automatic
	heard      time.Time // when a signal was last known
	manual     override
	queue      []Change
	delivering bool
}

// override is an operator's.
type override struct {
	level int
	owner string
	until time.Time
}

// NewLevels returns Levels at 0. The error names each setting that is missing or out
// of range.
func NewLevels(cfg Config, opts ...Option) (*Levels, error) {
	l := &Levels{name: cfg.Name, cfg: cfg.withDefaults(), now: time.Now}
	for _, o := range opts {
		o.apply(l)
	}
	var v violations
	if err := l.cfg.check(); err != nil {
		v = append(v, err)
	}
	v.signals(l.signals)
	v.require(l.now != nil, "WithClock", nil, "given")
	for i, f := range l.listeners {
		v.require(f != nil, "OnChange", i, "given a function")
	}
	if err := errors.Join(v...); err != nil {
		return nil, err
	}
	return l, nil
}

// Level returns the level in force.
func (l *Levels) Level() int { return int(l.current.Load()) }

// Enter admits a call at the level in force, and returns a context that says so; or an
// error that wraps [ErrShed] when the call's [Criticality] is among those that the
// level sheds: at 1 [Sheddable] ones, at 2 [Tolerant] ones, too, and at 3 all but
// [Vital] ones.
func (l *Levels) Enter(ctx context.Context) (context.Context, error) {
	level := l.Level()
	if level == 0 {
		return ctx, nil
	}
	if c := CriticalityOf(ctx); c < Sheddable+Criticality(level) {
		l.shed[c-Sheddable].Add(1)
		return ctx, fmt.Errorf("%w: a %v call at level %d", ErrShed, c, level)
	}
	return WithLevel(ctx, level), nil
}

// Run measures every [Config.Period] until ctx ends, and returns its error.
func (l *Levels) Run(ctx context.Context) error {
	period := l.period()
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		l.Measure()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		if p := l.period(); p != period {
			period = p
			ticker.Reset(p)
		}
	}
}

func (l *Levels) period() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cfg.Period
}

// Update replaces the settings while the Levels are in use. What NewLevels would
// refuse is refused with the same error, and the old settings stay. The name cannot
// change: cfg's must be empty or the same. A level that there is no longer becomes the
// highest one.
func (l *Levels) Update(cfg Config) error {
	fill(&cfg.Name, l.name)
	cfg = cfg.withDefaults()
	err := cfg.check()
	if cfg.Name != l.name {
		err = errors.Join(err, fmt.Errorf("degrade: Name %q: must stay %q", cfg.Name, l.name))
	}
	if err != nil {
		return err
	}
	l.change(func(time.Time) string {
		l.cfg = cfg
		l.automatic = min(l.automatic, len(cfg.Enter))
		l.manual.level = min(l.manual.level, len(cfg.Enter))
		return "new settings"
	})
	return nil
}

// Measure reads the signals now and moves the level if they ask for it. Run does it
// for you.
func (l *Levels) Measure() {
	load, name := highest(l.signals)
	l.change(func(now time.Time) string {
		return l.judge(now, load, name)
	})
}

// change runs f, which returns the reason for what it changes, under the lock, and
// tells listeners when another level is in force afterwards.
func (l *Levels) change(f func(now time.Time) string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	reason := f(now)
	from, to := l.Level(), l.automatic
	if now.Before(l.manual.until) {
		to = l.manual.level
	}
	if from == to {
		return
	}
	l.current.Store(int32(to))
	l.queue = append(l.queue, Change{Name: l.name, From: from, To: to, Reason: reason})
	l.deliver()
}

// deliver tells the listeners without the lock and in order: whoever comes first also
// delivers what comes meanwhile. The caller holds mu.
func (l *Levels) deliver() {
	if l.delivering {
		return
	}
	l.delivering = true
	defer func() { l.delivering = false }() // also after a listener's panic, which goes on
	for len(l.queue) > 0 {
		change := l.queue[0]
		l.queue = l.queue[1:]
		l.tell(change)
	}
}

func (l *Levels) tell(change Change) {
	l.mu.Unlock()
	defer l.mu.Lock()
	for _, listen := range l.listeners {
		listen(change)
	}
}

// judge moves the automatic level by one at most.
func (l *Levels) judge(now time.Time, load float64, name string) string {
	if name == "" {
		if l.automatic > 0 && now.Sub(l.heard) >= l.cfg.Dwell {
			l.automatic, l.since = 0, now
		}
		return "no signal"
	}
	l.heard = now
	reason := fmt.Sprintf("%s at %.2f", name, load)
	if l.automatic > 0 && load >= l.cfg.Leave*l.cfg.Enter[l.automatic-1] {
		l.high = now
	}
	switch {
	case now.Sub(l.since) < l.cfg.Dwell:
	case l.automatic < len(l.cfg.Enter) && load >= l.cfg.Enter[l.automatic]:
		l.automatic++
		l.since, l.high = now, now
	case l.automatic > 0 && now.Sub(l.high) >= l.cfg.Dwell:
		l.automatic--
		l.since, l.high = now, now
	}
	return reason
}

// Override sets the level by hand for a time, whatever the signals say; afterwards
// they decide again, at the next measurement. It needs an owner, for people to ask, and
// an end: at most a day, so that nobody forgets it. A level out of range is an error.
func (l *Levels) Override(level int, owner string, d time.Duration) error {
	l.mu.Lock()
	highest := len(l.cfg.Enter)
	l.mu.Unlock()
	var v violations
	v.require(level >= 0 && level <= highest, "level", level, fmt.Sprintf("between 0 and %d", highest))
	v.require(owner != "", "owner", `""`, "given")
	v.require(d > 0 && d <= 24*time.Hour, "time", d, "above 0s and at most a day")
	if err := errors.Join(v...); err != nil {
		return err
	}
	l.change(func(now time.Time) string {
		l.manual = override{min(level, len(l.cfg.Enter)), owner, now.Add(d)}
		return "by hand: " + owner
	})
	return nil
}

// Release ends an override before its time.
func (l *Levels) Release() {
	l.change(func(time.Time) string {
		owner := l.manual.owner
		l.manual = override{}
		return "by hand no longer: " + owner
	})
}

// Snapshot is the state of Levels at one moment.
type Snapshot struct {
	// Name is the name of the Levels.
	Name string
	// Level is the one in force, Automatic the one that signals ask for.
	Level, Automatic int
	// Owner is who has overridden it, if anybody, and Until the end of that.
	Owner string
	Until time.Time
}

// Snapshot returns the state now.
func (l *Levels) Snapshot() Snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Snapshot{Name: l.name, Level: l.Level(), Automatic: l.automatic}
	if l.now().Before(l.manual.until) {
		s.Owner, s.Until = l.manual.owner, l.manual.until
	}
	return s
}
