package failover

import (
	"context"
	"errors"
	"fmt"

	"github.com/bulwark-go/bulwark/circuitbreaker/detect"
)

// Candidate is one provider of a [Group].
type Candidate[P any] struct {
	// Name tells the providers of a group apart, in errors and as a metric's label.
	Name string
	// Value is what the function that makes the call is given.
	Value P
	// Weight is its share under [WithWeights] and its strength under
	// [WithTwoChoices], up to 1000; 1 by default.
	Weight int
	// Domain names what it shares its fate with: a region, a carrier, a data centre.
	// Without one it stands alone.
	Domain string
	// Judge replaces the group's judge for this provider.
	Judge detect.Spec
}

// Caller is what calls go through: a [Group], or an [Observed] one.
type Caller[P any] interface {
	open() (*Group[P], *watch)
}

// Group is a set of providers and what is known about them. Create it with
// [NewGroup] and use it with [Do], [DoIdempotent] or [Hedge]. It is safe for
// concurrent use.
type Group[P any] struct {
	core   *core
	values []P
}

// maxCandidates is how many fit into the bit sets that selection works with.
const maxCandidates = 64

// NewGroup returns a group of at least one and at most 64 candidates. The error names
// each setting that is missing or out of range.
func NewGroup[P any](cfg Config, candidates []Candidate[P], opts ...Option) (*Group[P], error) {
	members := make([]member, len(candidates))
	values := make([]P, len(candidates))
	for i, c := range candidates {
		members[i] = member{name: c.Name, weight: max(c.Weight, 0), domain: c.Domain, judge: c.Judge}
		if c.Weight < 0 {
			members[i].weight = c.Weight // to be refused
		} else if c.Weight == 0 {
			members[i].weight = 1
		}
		values[i] = c.Value
	}
	core, err := newCore(cfg, members, opts)
	if err != nil {
		return nil, err
	}
	return &Group[P]{core: core, values: values}, nil
}

func (g *Group[P]) open() (*Group[P], *watch) { return g, nil }

// Do calls fn with one provider after the other until one accepts, and returns what
// that call returned. It is for calls that must not be carried out twice: after
// [Unknown] it stops. On failure the error is a [*CallError] and the result that of
// the last call, if there was one.
//
// A panic in fn counts as a failure of the provider and goes on; so does
// [runtime.Goexit].
func Do[P, T any](ctx context.Context, c Caller[P], fn func(context.Context, P) (T, error)) (T, error) {
	return sequence(ctx, c, once, fn)
}

// DoIdempotent is Do for calls that may be carried out twice: it goes on after
// [Unknown], too. While ctx has a deadline and another provider is left, one attempt
// gets [Config.AttemptShare] of the time, so that there is some for the next.
func DoIdempotent[P, T any](ctx context.Context, c Caller[P], fn func(context.Context, P) (T, error)) (T, error) {
	return sequence(ctx, c, repeatable, fn)
}

// sequence makes one attempt after the other.
func sequence[P, T any](ctx context.Context, c Caller[P], class class, fn func(context.Context, P) (T, error)) (result T, err error) {
	g, w := c.open()
	r := round{core: g.core, set: g.core.settings.Load(), class: class, watch: w, winner: -1}
	ctx, end := w.call(ctx)
	returned := false
	if end != nil {
		defer func() { end(r.result(returned)) }()
	}
	for r.next(ctx) {
		result, err = attempt(ctx, g.values[r.leg.index], &r, fn)
		if r.over(ctx) {
			break
		}
	}
	returned = true
	return result, r.err()
}

// attempt makes one call and settles what it tells, also when it does not return.
func attempt[P, T any](ctx context.Context, provider P, r *round, fn func(context.Context, P) (T, error)) (T, error) {
	inner, cancel := r.begin(ctx)
	returned := false
	defer func() {
		if cancel != nil {
			cancel()
		}
		if !returned {
			r.abandon()
		}
	}()
	result, err := fn(inner, provider)
	r.settle(ctx, err)
	returned = true // the classifier, too
	return result, err
}

// checkMembers returns what is wrong with the candidates.
func checkMembers(members []member) error {
	var v violations
	v.require(len(members) >= 1 && len(members) <= maxCandidates, "candidates", len(members),
		fmt.Sprintf("between 1 and %d", maxCandidates))
	seen := make(map[string]bool, len(members))
	for i, m := range members {
		field := fmt.Sprintf("candidates[%d].", i)
		v.require(m.name != "", field+"Name", fmt.Sprintf("%q", m.name), "given")
		v.require(!seen[m.name], field+"Name", fmt.Sprintf("%q", m.name), "unlike the others")
		seen[m.name] = true
		v.require(m.weight >= 1 && m.weight <= maxWeight, field+"Weight", m.weight,
			fmt.Sprintf("between 1 and %d, or 0 for 1", maxWeight))
		if m.judge != nil {
			if _, err := m.judge.New(); err != nil {
				v = append(v, fmt.Errorf("failover: %sJudge: %w", field, err))
			}
		}
	}
	return errors.Join(v...)
}
