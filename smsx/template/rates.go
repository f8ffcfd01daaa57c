package template

import (
	"context"
	"fmt"
	"sync"

	"github.com/bulwark-go/bulwark/ratelimit"
)

// maxRates bounds how many different rates tokens can name: operators choose them.
const maxRates = 256

// rates keeps a limiter for each rate.
type rates struct {
	create func(ratelimit.Rate) (ratelimit.Limiter, error)
	mu     sync.Mutex
	byRate map[int64]ratelimit.Limiter
}

func local(r ratelimit.Rate) (ratelimit.Limiter, error) { return ratelimit.NewTokenBucket(r) }

// take takes one message of a grant's rate.
func (r *rates) take(ctx context.Context, g Grant) (ratelimit.Decision, error) {
	if g.RatePerMinute == 0 {
		return ratelimit.Decision{Allowed: true}, nil
	}
	limiter, err := r.of(g.RatePerMinute)
	if err != nil {
		return ratelimit.Decision{}, err
	}
	return limiter.Take(ctx, g.account(), 1)
}

func (r *rates) of(perMinute int64) (ratelimit.Limiter, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if limiter := r.byRate[perMinute]; limiter != nil {
		return limiter, nil
	}
	if len(r.byRate) >= maxRates {
		return nil, fmt.Errorf("smsx/template: tokens name more than %d rates", maxRates)
	}
	limiter, err := r.create(ratelimit.PerMinute(perMinute))
	if err != nil {
		return nil, err
	}
	if r.byRate == nil {
		r.byRate = map[int64]ratelimit.Limiter{}
	}
	r.byRate[perMinute] = limiter
	return limiter, nil
}
