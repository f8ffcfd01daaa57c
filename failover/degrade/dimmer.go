package degrade

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// DimmerConfig holds the plain settings of a [Dimmer]. Only Name is required; a zero
// field means its default.
type DimmerConfig struct {
	// Name tells dimmers apart, in errors and as a metric's label.
	Name string
	// Target is the load at which a service is held that is offered more than it can
	// do; 0.5 by default. Half of it is where shedding begins.
	Target float64
	// Period is how often Run measures; 100 ms by default. Make it about a fifth of
	// the time in which twice too many calls raise the load from 0 to 1.
	Period time.Duration
	// Proportional is how strongly a change of the load is answered, and Integral how
	// strongly its distance from the Target: by which factor, as a logarithm, less is
	// let in for each unit of load. 3.5 and 1 by default. More is faster, and from
	// about twice that on unsteady.
	Proportional, Integral float64
	// Rotate is for how long the same subjects are the first to be shed; 10 min by
	// default.
	Rotate time.Duration
}

func (c DimmerConfig) withDefaults() DimmerConfig {
	fill(&c.Target, 0.5)
	fill(&c.Period, 100*time.Millisecond)
	fill(&c.Proportional, 3.5)
	fill(&c.Integral, 1)
	fill(&c.Rotate, 10*time.Minute)
	return c
}

func (c DimmerConfig) check(v *violations) {
	v.require(c.Name != "", "Name", fmt.Sprintf("%q", c.Name), "given")
	v.require(c.Target > 0 && c.Target <= 100, "Target", c.Target, "above 0 and at most 100")
	v.require(c.Period >= time.Millisecond && c.Period <= longest, "Period", c.Period, "between 1ms and a year")
	v.require(c.Proportional > 0 && c.Proportional <= 100, "Proportional", c.Proportional, "above 0 and at most 100")
	v.require(c.Integral > 0 && c.Integral <= 100, "Integral", c.Integral, "above 0 and at most 100")
	v.require(c.Rotate >= time.Second && c.Rotate <= longest, "Rotate", c.Rotate, "between 1s and a year")
}

// Dimmer sheds just as many calls as a service cannot do, the least important first.
// [Levels] do without more in a few steps; a Dimmer finds the share between two of
// them. Create it with [NewDimmer]. It is safe for concurrent use.
//
// It is a PI controller of how many calls are let in per period, in logarithms, so
// that how it behaves depends neither on how many calls are offered nor on how many
// the service can do.
type Dimmer struct {
	cfg     atomic.Pointer[DimmerConfig]
	signals []signal
	rand    func() float64
	offered [classes]atomic.Int64 // since the last measurement
	shed    [classes]atomic.Uint64
	shares  atomic.Pointer[[classes]float64] // of each class that is let in; nil: all

	mu       sync.Mutex
	demand   [classes]float64 // offered per period; smoothed while limiting
	limit    float64          // how many to let in per period, while limiting
	limiting bool
	load     float64 // at the last measurement
	silent   int     // measurements without a signal, in a row
}

// NewDimmer returns a Dimmer that lets everything in, for now. The error names each
// setting that is missing or out of range; at least one signal is required.
func NewDimmer(cfg DimmerConfig, opts ...DimmerOption) (*Dimmer, error) {
	cfg = cfg.withDefaults()
	d := &Dimmer{rand: rand.Float64}
	d.cfg.Store(&cfg)
	for _, o := range opts {
		o.applyDimmer(d)
	}
	var v violations
	cfg.check(&v)
	v.require(len(d.signals) > 0, "signals", len(d.signals), "at least one")
	v.signals(d.signals)
	v.require(d.rand != nil, "WithRand", nil, "given")
	if err := errors.Join(v...); err != nil {
		return nil, err
	}
	return d, nil
}

// Admit returns nil for a call that may be made, or an error that wraps [ErrShed].
func (d *Dimmer) Admit(ctx context.Context) error {
	c := CriticalityOf(ctx)
	d.offered[c-Sheddable].Add(1)
	shares := d.shares.Load()
	if shares == nil || shares[c-Sheddable] >= 1 || d.place(ctx) < shares[c-Sheddable] {
		return nil
	}
	d.shed[c-Sheddable].Add(1)
	return fmt.Errorf("%w: a %v call, of which %.0f %% are let in", ErrShed, c, 100*shares[c-Sheddable])
}

// place is where in the queue for being shed a call stands, from 0 to 1: the last ones
// go first. It is the same for all calls of a subject, on all instances, for a time.
func (d *Dimmer) place(ctx context.Context) float64 {
	subject, ok := ctx.Value(subjectKey{}).(string)
	if !ok {
		return d.rand()
	}
	h := uint64(14695981039346656037) // FNV-1a
	for i := range len(subject) {
		h = (h ^ uint64(subject[i])) * 1099511628211
	}
	h ^= uint64(time.Now().UnixNano()/int64(d.cfg.Load().Rotate)) * 0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9 // mixes, as FNV leaves the high bits alike
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return float64((h^h>>31)>>11) / (1 << 53)
}

// Run measures every [DimmerConfig.Period] until ctx ends, and returns its error.
func (d *Dimmer) Run(ctx context.Context) error {
	period := d.cfg.Load().Period
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		d.Measure()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		if p := d.cfg.Load().Period; p != period {
			period = p
			ticker.Reset(p)
		}
	}
}

// Update replaces the settings while the Dimmer is in use. What NewDimmer would refuse
// is refused with the same error, and the old settings stay. The name cannot change:
// cfg's must be empty or the same.
func (d *Dimmer) Update(cfg DimmerConfig) error {
	name := d.cfg.Load().Name
	fill(&cfg.Name, name)
	cfg = cfg.withDefaults()
	var v violations
	cfg.check(&v)
	v.require(cfg.Name == name, "Name", fmt.Sprintf("%q", cfg.Name), fmt.Sprintf("%q as before", name))
	if err := errors.Join(v...); err != nil {
		return err
	}
	d.cfg.Store(&cfg)
	return nil
}

const (
	// fresh is the weight of the last period in what is known of the demand.
	fresh = 0.5
	// patience is how many periods without a signal are waited for before all calls
	// are let in.
	patience = 10
	// Of one period to the next no less and no more of what was let in is let in, as
	// logarithms: one odd measurement must not decide.
	steepestFall, steepestRise = -1.5, 0.3
	// headroom is how much more than what is offered the limit may be: it must be
	// near when the next wave comes.
	headroom = 1.1
	// indulgence is by how much what is critical may exceed the limit: the limit of one
	// period is a guess, and of a wrong one the others can bear the consequences in the
	// next.
	indulgence = 1.3
)

// Measure reads the signals now and lets more or fewer calls in. Run does it for you.
func (d *Dimmer) Measure() {
	load, name := highest(d.signals)
	d.mu.Lock()
	defer d.mu.Unlock()
	total := d.count()
	if name == "" {
		if d.silent++; d.silent >= patience {
			d.limiting = false
			d.shares.Store(nil)
		}
		return
	}
	d.silent = 0
	d.control(load, total)
	d.load = load
	if !d.limiting {
		d.shares.Store(nil)
		return
	}
	d.share()
}

// count takes what was offered since the last time, and returns the demand.
func (d *Dimmer) count() (total float64) {
	for i := range d.offered {
		n := float64(d.offered[i].Swap(0))
		if d.limiting {
			n = d.demand[i] + fresh*(n-d.demand[i])
		}
		d.demand[i] = n // what came before a wave says nothing about it
		total += n
	}
	return total
}

// control moves the limit.
func (d *Dimmer) control(load, total float64) {
	cfg := d.cfg.Load()
	if !d.limiting {
		if load < cfg.Target/2 {
			return
		}
		d.limiting, d.limit = true, total
	}
	step := cfg.Integral*(cfg.Target-load) - cfg.Proportional*(load-d.load)
	d.limit *= math.Exp(max(steepestFall, min(steepestRise, step)))
	// What is not used must not add up, and there are always some calls to learn from.
	d.limit = max(min(d.limit, headroom*total), 1)
	if d.limit >= total && load < cfg.Target/2 {
		d.limiting = false
	}
}

// share gives the limit out, the most important first.
func (d *Dimmer) share() {
	var shares [classes]float64
	left := d.limit
	for i := classes - 1; i >= 0; i-- {
		most := left
		if Sheddable+Criticality(i) >= Critical {
			most *= indulgence
		}
		shares[i] = 1
		if d.demand[i] > most {
			shares[i] = most / d.demand[i]
		}
		left = max(left-d.demand[i], 0)
	}
	d.shares.Store(&shares)
}

// Shed returns which share of the calls offered is shed, from 0 to 1: a signal for
// [Levels], which make the calls that are let in cheaper then. It is always known.
func (d *Dimmer) Shed() (share float64, known bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	total := 0.0
	for _, n := range d.demand {
		total += n
	}
	if !d.limiting || total <= d.limit {
		return 0, true
	}
	return 1 - d.limit/total, true
}
