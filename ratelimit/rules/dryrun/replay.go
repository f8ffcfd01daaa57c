package dryrun

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/rules"
)

// Replay decides the recorded calls again by both sets of rules, and tells what each
// would have done. Bad rules are refused with [*ratelimit.FieldError]s. Otherwise it
// fails if the factory does, or ctx ends. Calls of rules with limiters that fail count
// as admitted, as failures are none of the rule's.
//
// It takes some 0.5 µs for each recorded call and set, on the goroutine that calls
// it, and as much memory again as is in use. Recording goes on meanwhile.
func (r *Recorder) Replay(ctx context.Context, candidate, current []rules.Rule) (Report, error) {
	t := r.tape()
	report := Report{Window: t.end - t.counted, Warmup: t.counted - t.begin, Share: part(t.level)}
	for _, set := range []struct {
		name    string
		list    []rules.Rule
		outcome *Outcome
	}{{"candidate", candidate, &report.Candidate}, {"current", current, &report.Current}} {
		if err := rules.Validate(set.list); err != nil {
			return Report{}, fmt.Errorf("dryrun: %s: %w", set.name, err)
		}
		p, err := r.player(t, set.list)
		if err == nil {
			err = p.play(ctx, t)
		}
		if err != nil {
			return Report{}, fmt.Errorf("dryrun: %s: %w", set.name, err)
		}
		*set.outcome = p.outcome(t)
	}
	return report, nil
}

// tape is a copy of what was recorded, in order.
type tape struct {
	calls               []taped
	subjects            []subject
	level               uint32 // at which it is whole
	begin, counted, end time.Duration
}

type taped struct {
	call
	order uint32 // among calls of the same moment
}

type subject struct {
	rules.Subject
	userLevel, blockLevel uint8
}

func (r *Recorder) tape() *tape {
	t := &tape{}
	r.turn.Lock()
	now := r.now()
	t.level = r.whole(now)
	for i := range r.shards {
		r.shards[i].copy(r.chunks, t, now-r.horizon)
	}
	r.turn.Unlock()

	slices.SortFunc(t.calls, func(a, b taped) int {
		return cmp.Or(cmp.Compare(a.at(), b.at()), cmp.Compare(a.order, b.order))
	})
	t.end = time.Duration(now)
	t.begin = max(time.Duration(now-r.horizon), time.Duration(r.start))
	t.counted = max(t.end-r.config.Window, t.begin)
	return t
}

// copy adds the shard's calls since a time to a tape.
func (s *shard) copy(c *chunks, t *tape, since int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.calls = slices.Grow(t.calls, s.calls.count*chunkSize)
	first := uint32(len(t.subjects))
	for i := range s.subjects.fresh {
		e := &s.subjects.entries[i]
		t.subjects = append(t.subjects, subject{e.subject(), e.userLevel, e.blockLevel})
	}
	s.calls.each(c, func(kept call) {
		if kept.at() >= since {
			kept.subject += first
			t.calls = append(t.calls, taped{kept, uint32(len(t.calls))})
		}
	})
}

// player replays a tape to a set of rules.
type player struct {
	set     *rules.Set
	level   uint32
	warmup  time.Duration
	buckets bool // that the limiters are token buckets
	tallies map[string]*tally
	listed  []*tally
	others  tally // of the calls that no rule applies to

	now     time.Duration
	counted bool // that the present call is within the window
	drawn   bool // that it is in the sample of calls
	in      [3]bool
}

func (r *Recorder) player(t *tape, list []rules.Rule) (*player, error) {
	p := &player{level: t.level, warmup: t.counted - t.begin, buckets: r.build == nil, tallies: map[string]*tally{}}
	named := make([]rules.Rule, len(list))
	for i, rule := range list {
		named[i] = r.names.rule(rule)
		c := &tally{rule: rule, unit: unitOf(rule)}
		if t.level > 0 && c.unit != byCall {
			c.keys = map[string]*counts{}
		}
		p.tallies[rule.Name] = c
		p.listed = append(p.listed, c)
	}
	instances := 1
	if r.instances != nil {
		instances = max(r.instances(), 1)
	}
	clock := ratelimit.WithClock(func() time.Duration { return p.now })
	// A key for each subject at most, and more room than that as it spreads unevenly.
	capacity := ratelimit.WithCapacity(2*len(t.subjects) + leastCalls)
	largest := t.largest()
	var err error
	p.set, err = rules.New(named, rules.WithOnShadow(p.shadowed), rules.WithFactory(func(rule rules.Rule) (ratelimit.Limiter, error) {
		c := p.tallies[rule.Name]
		parts := float64(instances)
		if c.unit == byCall {
			parts /= part(t.level)
		}
		next, err := r.limiter(c.rule, parts, largest, clock, capacity)
		if err != nil || next == nil {
			return nil, err
		}
		return &probe{next: next, player: p, tally: c}, nil
	}))
	return p, err
}

// limiter makes the limiter for a part of a rule's limit.
func (r *Recorder) limiter(rule rules.Rule, parts float64, largest int64, opts ...ratelimit.Option) (ratelimit.Limiter, error) {
	if r.build != nil {
		return r.build(divide(rule, parts, largest), opts...)
	}
	rule.Burst = bucketBurst(rule) // to be divided, too
	rule = divide(rule, parts, largest)
	return ratelimit.NewTokenBucket(rule.Rate, append(opts, ratelimit.WithBurst(rule.Burst))...)
}

// largest is the largest cost on the tape.
func (t *tape) largest() int64 {
	most := int64(0)
	for _, c := range t.calls {
		most = max(most, int64(c.cost))
	}
	return most
}

// patience is how many calls are replayed between two looks at the context.
const patience = 1 << 12

func (p *player) play(ctx context.Context, t *tape) error {
	for i, c := range t.calls {
		if i%patience == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		s := &t.subjects[c.subject]
		p.now = time.Duration(c.at())
		p.drawn = c.ticket() >= t.level
		p.in = [3]bool{
			byCall:  p.drawn,
			byUser:  uint32(s.userLevel) >= t.level,
			byBlock: uint32(s.blockLevel) >= t.level,
		}
		p.counted = p.now >= t.counted
		d, err := p.set.Decide(ctx, s.Subject, int64(c.cost))
		if err == nil {
			p.decided(d)
		}
	}
	return ctx.Err()
}

// shadowed hears of the decisions of shadows.
func (p *player) shadowed(_ context.Context, d ratelimit.Decision, err error) {
	if err == nil {
		p.decided(d)
	}
}

// decided counts a decision that no limiter made.
func (p *player) decided(d ratelimit.Decision) {
	c := p.tallies[d.Rule]
	if c == nil {
		c = &p.others
	}
	if c.rule.Name != "" && c.limited() || !p.counted || !p.drawn {
		return
	}
	c.drawn++
	c.count("", !d.Allowed)
}

// outcome sums up.
func (p *player) outcome(t *tape) (all Outcome) {
	share := part(t.level)
	variance := 0.0
	others, _ := p.others.outcome(share, true)
	all.Calls = others.Calls
	for _, c := range p.listed {
		settled := !c.limited() || c.refill(p.buckets) <= p.warmup
		o, v := c.outcome(share, settled)
		all.Rules = append(all.Rules, o)
		if o.Shadow {
			continue
		}
		all.Calls += o.Calls
		all.Rejected += o.Rejected
		variance += v
	}
	all.Margin = int64(math.Round(2 * math.Sqrt(variance)))
	return all
}

// probe is the limiter of a rule in a replay. It decides about the calls that are in
// the rule's sample.
type probe struct {
	next   ratelimit.Limiter
	player *player
	tally  *tally
}

// Take implements [ratelimit.Limiter].
func (l *probe) Take(ctx context.Context, key string, cost int64) (ratelimit.Decision, error) {
	p := l.player
	if p.counted && p.drawn {
		l.tally.drawn++
	}
	if !p.in[l.tally.unit] {
		return ratelimit.Decision{Allowed: true}, nil
	}
	d, err := l.next.Take(ctx, key, cost)
	if p.counted {
		l.tally.count(key, rejected(d, err))
	}
	return d, err
}

// divide returns a rule with the n-th part of its limit: of the count and the burst as
// near as whole numbers come that still grant the largest cost, if they did, and with
// a period that makes the rate exact.
func divide(r rules.Rule, n float64, largest int64) rules.Rule {
	if n <= 1 {
		return r
	}
	part := func(whole int64) int64 {
		return max(int64(math.Round(float64(whole)/n)), min(whole, largest), 1)
	}
	const year = float64(366 * 24 * time.Hour)
	count := part(r.Rate.Count)
	per := float64(r.Rate.Per) * n * float64(count) / float64(r.Rate.Count)
	r.Rate = ratelimit.Rate{Count: count, Per: time.Duration(min(math.Round(per), year))}
	if r.Burst > 0 {
		r.Burst = part(r.Burst)
	}
	return r
}

// rejected tells whether a call does not pass. That its cost can never be granted is
// the limit's doing, any other failure is not.
func rejected(d ratelimit.Decision, err error) bool {
	if err != nil {
		return errors.Is(err, ratelimit.ErrRequest)
	}
	return !d.Allowed
}
