// Package redisfilter is an [idempotency.Filter] of marks in Redis, for all instances
// that share it.
//
//	filter, err := redisfilter.New(client, redisfilter.Config{TTL: 24 * time.Hour})
//	store = idempotency.Filtered(store, idempotency.Cascade(bloom, filter))
//
// A mark is set after the effect is committed, never before, and holds the delivery's
// digest under the key's fingerprint, so that neither key nor payload are in Redis. It
// ends with the TTL, or earlier when Redis evicts it, is flushed, or comes back from an
// old snapshot: nothing depends on a mark being there. Keep the TTL below the window of
// the store, and give each environment a Redis or a prefix of its own.
//
// When Redis fails, or takes longer than the time-out, the error says so and the store
// decides alone; Redis is then left alone for a while, so that not every delivery waits
// for it. For the time-out to hold on a connection that hangs, the client needs the
// option ContextTimeoutEnabled. Errors are those of the client, wrapped, and
// [ErrResting] meanwhile.
package redisfilter

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bulwark-go/bulwark/idempotency"
)

// ErrResting is the answer while Redis is left alone after a failure.
var ErrResting = errors.New("redisfilter: resting after a failure")

// Config is what [New] takes. The zero Config is usable.
type Config struct {
	// Prefix begins every key, "bulwark:idempotency" when empty. It must not hold
	// braces.
	Prefix string
	// TTL is how long a mark lasts, a day when 0.
	TTL time.Duration
	// Timeout bounds each use of Redis, 50 ms when 0.
	Timeout time.Duration
	// Rest is how long Redis is left alone after a failure, a second when 0.
	Rest time.Duration
}

// Filter implements [idempotency.Filter]. Create it with [New]. It is safe for
// concurrent use.
type Filter struct {
	client redis.Cmdable
	cfg    Config
	rests  atomic.Int64 // until when, in time since origin
	origin time.Time
}

var _ idempotency.Filter = (*Filter)(nil)

// New returns a filter that uses client, which stays the caller's.
func New(client redis.Cmdable, cfg Config) (*Filter, error) {
	if cfg.Prefix == "" {
		cfg.Prefix = "bulwark:idempotency"
	}
	defaults := func(d *time.Duration, usual time.Duration) {
		if *d == 0 {
			*d = usual
		}
	}
	defaults(&cfg.TTL, 24*time.Hour)
	defaults(&cfg.Timeout, 50*time.Millisecond)
	defaults(&cfg.Rest, time.Second)
	var errs []error
	refuse := func(field string, value any, want string) {
		errs = append(errs, fmt.Errorf("%w: redisfilter: %s %v: must be %s", idempotency.ErrConfig, field, value, want))
	}
	if client == nil {
		refuse("client", "nil", "given")
	}
	if strings.ContainsAny(cfg.Prefix, "{}") {
		refuse("Prefix", `"`+cfg.Prefix+`"`, "without braces")
	}
	if cfg.TTL < time.Second {
		refuse("TTL", cfg.TTL, "at least 1s")
	}
	if cfg.Timeout < time.Millisecond {
		refuse("Timeout", cfg.Timeout, "at least 1ms")
	}
	if cfg.Rest < 0 {
		refuse("Rest", cfg.Rest, "0 or more")
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &Filter{client: client, cfg: cfg, origin: time.Now()}, nil
}

func (f *Filter) key(k idempotency.Fingerprint) string {
	return f.cfg.Prefix + ":" + base64.RawURLEncoding.EncodeToString(k[:])
}

// Look implements [idempotency.Filter], in one round trip to each node.
func (f *Filter) Look(ctx context.Context, keys []idempotency.Fingerprint) ([]idempotency.Hint, error) {
	replies := make([]*redis.StringCmd, len(keys))
	err := f.use(ctx, "look", func(ctx context.Context, p redis.Pipeliner) {
		for i, key := range keys {
			replies[i] = p.Get(ctx, f.key(key))
		}
	})
	if err != nil {
		return nil, err
	}
	hints := make([]idempotency.Hint, len(keys))
	for i, reply := range replies {
		mark, err := reply.Bytes()
		if errors.Is(err, redis.Nil) {
			continue
		}
		hints[i] = idempotency.Hint{Seen: true, Via: idempotency.ViaRedis}
		if len(mark) == len(hints[i].Digest) { // what else is there is no mark of ours
			hints[i].Digest = idempotency.Digest(mark)
		}
	}
	return hints, nil
}

// Remember implements [idempotency.Filter], in one round trip to each node.
func (f *Filter) Remember(ctx context.Context, done []idempotency.Mark) error {
	return f.use(ctx, "remember", func(ctx context.Context, p redis.Pipeliner) {
		for _, mark := range done {
			p.Set(ctx, f.key(mark.Key), mark.Digest[:], f.cfg.TTL)
		}
	})
}

// use sends what fill queues, unless Redis is resting.
func (f *Filter) use(ctx context.Context, what string, fill func(context.Context, redis.Pipeliner)) error {
	now := time.Since(f.origin)
	if int64(now) < f.rests.Load() {
		return ErrResting
	}
	bounded, cancel := context.WithTimeout(ctx, f.cfg.Timeout)
	defer cancel()
	_, err := f.client.Pipelined(bounded, func(p redis.Pipeliner) error {
		fill(bounded, p)
		return nil
	})
	if err == nil || errors.Is(err, redis.Nil) {
		return nil
	}
	if ctx.Err() == nil { // a caller who leaves says nothing about Redis
		f.rests.Store(int64(time.Since(f.origin) + f.cfg.Rest))
	}
	return fmt.Errorf("redisfilter: %s: %w", what, err)
}
