// Package redisquota keeps a [quota.Quota] in Redis: all instances spend of one
// count, in one round trip per operation.
//
// Months are those of a named zone, on the server's clock: callers say where months
// begin, the server which one it is. An account and its messages share a hash tag,
// so every script stays in one slot of a cluster. Keys hold hashes of what they are
// named after and end by themselves: an account's a day after its month, a message's
// a retention after its last use.
//
// What a failover loses of the last moments is spent once more; let the server
// replicate synchronously where that matters, and never let it evict keys.
package redisquota

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bulwark-go/bulwark/smsx/quota"
)

//go:embed state.lua
var stateLua string

//go:embed reserve.lua
var reserveLua string

//go:embed commit.lua
var commitLua string

//go:embed refund.lua
var refundLua string

// Quota is a [quota.Quota] in Redis. It is safe for concurrent use. Make it with
// [New].
type Quota struct {
	rdb                     redis.UniversalClient
	prefix                  string
	zone                    *time.Location
	retention               time.Duration
	reserve, commit, refund *redis.Script
}

// New returns the quota of a Redis. Those with the same prefix share their counts,
// and must have the same zone. Months are of UTC without [WithZone].
func New(rdb redis.UniversalClient, opts ...Option) (*Quota, error) {
	q := &Quota{rdb: rdb, prefix: "quota", zone: time.UTC, retention: quota.DefaultRetention}
	q.load(stateLua)
	for _, opt := range opts {
		opt.apply(q)
	}
	var errs []error
	if rdb == nil {
		errs = append(errs, errors.New("redisquota: rdb = nil must be given"))
	}
	if q.prefix == "" || strings.ContainsAny(q.prefix, "{}") {
		errs = append(errs, fmt.Errorf("redisquota: prefix = %q must not be empty, nor hold braces", q.prefix))
	}
	if q.zone == nil {
		errs = append(errs, errors.New("redisquota: zone = nil must be given"))
	}
	if q.retention < time.Second || q.retention%time.Millisecond != 0 {
		errs = append(errs, fmt.Errorf("redisquota: retention = %v must be whole milliseconds from a second", q.retention))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return q, nil
}

func (q *Quota) load(state string) {
	q.reserve = redis.NewScript(state + reserveLua)
	q.commit = redis.NewScript(state + commitLua)
	q.refund = redis.NewScript(state + refundLua)
}

// Option configures a [Quota].
type Option interface{ apply(*Quota) }

type optionFunc func(*Quota)

func (f optionFunc) apply(q *Quota) { f(q) }

// WithPrefix sets what keys begin with; "quota" without it.
func WithPrefix(prefix string) Option { return optionFunc(func(q *Quota) { q.prefix = prefix }) }

// WithZone sets the time zone whose months count.
func WithZone(zone *time.Location) Option { return optionFunc(func(q *Quota) { q.zone = zone }) }

// WithRetention sets how long an ID is remembered after its last use: longer than
// messages are retried. It is [quota.DefaultRetention] without.
func WithRetention(d time.Duration) Option { return optionFunc(func(q *Quota) { q.retention = d }) }

// Reserve implements [quota.Quota].
func (q *Quota) Reserve(ctx context.Context, c quota.Charge) (quota.Decision, error) {
	if err := c.Check(); err != nil {
		return quota.Decision{}, err
	}
	reply, err := q.tryReserve(ctx, c, time.Now())
	if err == nil && reply[0] < 0 {
		// Our clock is off by months: ask again with the server's.
		if reply, err = q.tryReserve(ctx, c, time.Unix(reply[1], 0)); err == nil && reply[0] < 0 {
			err = errors.New("redisquota: the server's clock jumped")
		}
	}
	if err != nil {
		return quota.Decision{}, err
	}
	return quota.Decision{
		Verdict: quota.Verdict(reply[0]), Ticket: quota.Ticket{Account: c.Account, ID: c.ID, Try: int(reply[1])},
		Spent: reply[2], ResetAfter: time.Duration(reply[3]) * time.Millisecond,
	}, nil
}

func (q *Quota) tryReserve(ctx context.Context, c quota.Charge, around time.Time) ([]int64, error) {
	args := []any{c.Content, c.Units, c.Capacity, q.retention.Milliseconds(), quota.MaxTries}
	return q.run(ctx, q.reserve, c.Account, c.ID, 4, append(args, q.months(around)...)...)
}

// months returns where the months around a time begin: the one before, its own, the
// next, and the end of that.
func (q *Quota) months(around time.Time) []any {
	start, next := quota.Month(around, q.zone)
	before, _ := quota.Month(start.Add(-time.Second), q.zone)
	_, end := quota.Month(next, q.zone)
	return []any{before.Unix(), start.Unix(), next.Unix(), end.Unix()}
}

// Commit implements [quota.Quota].
func (q *Quota) Commit(ctx context.Context, t quota.Ticket, units int64) error {
	_, err := q.run(ctx, q.commit, t.Account, t.ID, 1, t.Try, max(units, 0), q.retention.Milliseconds())
	return err
}

// Refund implements [quota.Quota].
func (q *Quota) Refund(ctx context.Context, t quota.Ticket) error {
	_, err := q.run(ctx, q.refund, t.Account, t.ID, 1, t.Try, q.retention.Milliseconds())
	return err
}

// run runs a script whose answer has at least want numbers.
func (q *Quota) run(ctx context.Context, script *redis.Script, account, id string, want int, args ...any) ([]int64, error) {
	key := q.prefix + ":{#:" + hash(account) + "}"
	reply, err := script.Run(ctx, q.rdb, []string{key, key + ":" + hash(id)}, args...).Int64Slice()
	switch {
	case err != nil:
		return nil, fmt.Errorf("redisquota: %w", err)
	case len(reply) < want: // some proxies do not run scripts
		return nil, fmt.Errorf("redisquota: the script's answer has %d numbers, not %d", len(reply), want)
	}
	return reply, nil
}

// hash shortens to 144 bits, which nobody finds two names for.
func hash(name string) string {
	sum := sha256.Sum256([]byte(name))
	return base64.RawURLEncoding.EncodeToString(sum[:18])
}
