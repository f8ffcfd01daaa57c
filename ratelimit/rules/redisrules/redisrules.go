// Package redisrules keeps the revisions of rules in Redis, for the followers of
// package rollout.
//
//	store, err := redisrules.New(rdb, "api")
//
// A save is one script: compare, set, append to the history and publish, at the
// server's time. It carries an id, so that a client that sends it again after a
// broken connection is told of the first success instead of a conflict with itself.
// All keys of a name are in one slot, so Redis Cluster serves it.
//
// The revisions do not expire: rules are durable state, and are as durable as the
// server is set to keep them (use append-only files, and an eviction policy that
// spares keys without expiry). What a server loses all the same, the followers put
// back, under a higher number; the history before is gone.
package redisrules

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/rules"
	"github.com/bulwark-go/bulwark/ratelimit/rules/rollout"
)

var (
	//go:embed save.lua
	saveSource string
	//go:embed latest.lua
	latestSource string

	save   = redis.NewScript(saveSource)
	latest = redis.NewScript(latestSource)
)

// Store is a [rollout.Store] in Redis. It is safe for concurrent use.
type Store struct {
	rdb     redis.UniversalClient
	prefix  string
	history int
	silence time.Duration // see defaultSilence

	revisions, instances, channel string
}

// Option configures [New].
type Option interface{ apply(*Store) }

type optionFunc func(*Store)

func (f optionFunc) apply(s *Store) { f(s) }

// WithHistory sets how many revisions are kept, from 1 to 1000000; without it, 1000.
// All instances should say the same: each save cuts the history.
func WithHistory(n int) Option { return optionFunc(func(s *Store) { s.history = n }) }

// WithPrefix sets what the keys begin with; without it, "rules".
func WithPrefix(prefix string) Option { return optionFunc(func(s *Store) { s.prefix = prefix }) }

// New returns the store of a name, of 1 to 64 bytes without braces; sets of rules
// with different names know nothing of each other. It sends nothing yet. Bad values
// are refused with [*ratelimit.FieldError]s.
func New(rdb redis.UniversalClient, name string, opts ...Option) (*Store, error) {
	s := &Store{rdb: rdb, prefix: "rules", history: 1000, silence: defaultSilence}
	for _, o := range opts {
		o.apply(s)
	}
	var errs []error
	if rdb == nil {
		errs = append(errs, bad("rdb", "nil", "must be given"))
	}
	if name == "" || len(name) > 64 || strings.ContainsAny(name, "{}") {
		errs = append(errs, bad("name", name, "must have 1 to 64 bytes, and no braces"))
	}
	if s.history < 1 || s.history > 1_000_000 {
		errs = append(errs, bad("history", s.history, "must be from 1 to 1000000"))
	}
	if s.prefix == "" || strings.ContainsAny(s.prefix, "{}") {
		errs = append(errs, bad("prefix", s.prefix, "must be given, without braces"))
	}
	key := s.prefix + ":{" + strconv.Itoa(len(name)) + ":" + name + "}"
	s.revisions, s.instances, s.channel = key+":revisions", key+":instances", key+":changes"
	return s, errors.Join(errs...)
}

func bad(field string, value any, reason string) error {
	return &ratelimit.FieldError{Field: field, Value: value, Reason: reason}
}

var _ rollout.Store = (*Store)(nil)

// Latest implements [rollout.Ledger].
func (s *Store) Latest(ctx context.Context) (rollout.Revision, time.Time, error) {
	reply, err := latest.Run(ctx, s.rdb, []string{s.revisions}).StringSlice()
	if err != nil {
		return rollout.Revision{}, time.Time{}, storeError(err)
	}
	if len(reply) < 2 {
		return rollout.Revision{}, time.Time{}, fmt.Errorf("redisrules: the script's answer has %d parts, not 2 or 3", len(reply))
	}
	seconds, secondsErr := strconv.ParseInt(reply[0], 10, 64)
	micros, microsErr := strconv.ParseInt(reply[1], 10, 64)
	if err := errors.Join(secondsErr, microsErr); err != nil {
		return rollout.Revision{}, time.Time{}, fmt.Errorf("redisrules: the server's time: %w", err)
	}
	now := time.Unix(seconds, micros*1000).UTC()
	if len(reply) < 3 {
		return rollout.Revision{}, now, nil
	}
	rev, err := parse(reply[2])
	return rev, now, err
}

// Save implements [rollout.Ledger].
func (s *Store) Save(ctx context.Context, after uint64, e rollout.Edit) (rollout.Revision, error) {
	document, err := rollout.Encode(e)
	if err != nil {
		return rollout.Revision{}, err
	}
	reply, err := save.Run(ctx, s.rdb, []string{s.revisions}, after, e.Restores, rand.Text(),
		e.For.Microseconds(), s.history, s.channel, document).Int64Slice()
	switch {
	case err != nil:
		return rollout.Revision{}, storeError(err)
	case len(reply) == 2:
		return rollout.Revision{}, fmt.Errorf("%w: revision %d is now %d", rules.ErrStale, after, reply[1])
	case len(reply) != 3:
		return rollout.Revision{}, fmt.Errorf("redisrules: the script's answer has %d numbers, not 2 or 3", len(reply))
	}
	rev, err := rollout.Decode(document) // shares nothing with e
	return revision(rev, uint64(reply[0]), reply[1], reply[2]), err
}

// History implements [rollout.Ledger].
func (s *Store) History(ctx context.Context, n int) ([]rollout.Revision, error) {
	if n < 1 {
		return nil, ctx.Err()
	}
	lines, err := s.rdb.LRange(ctx, s.revisions, 0, int64(min(n, math.MaxInt32))-1).Result()
	if err != nil {
		return nil, storeError(err)
	}
	list := make([]rollout.Revision, 0, len(lines))
	var errs []error
	for _, line := range lines {
		rev, err := parse(line)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		list = append(list, rev)
	}
	return list, errors.Join(errs...)
}

// parse reads a line of the history. What is none fails with a
// [*rollout.DocumentError].
func parse(line string) (rollout.Revision, error) {
	parts := strings.SplitN(line, " ", 5)
	number, err := strconv.ParseUint(parts[0], 10, 64)
	if err != nil || len(parts) < 5 {
		return rollout.Revision{}, &rollout.DocumentError{Err: bad("revision", fmt.Sprintf("%.40q", line), "must begin with four fields")}
	}
	saved, savedErr := strconv.ParseInt(parts[1], 10, 64)
	until, untilErr := strconv.ParseInt(parts[2], 10, 64)
	e, err := rollout.Decode([]byte(parts[4]))
	if err := errors.Join(savedErr, untilErr, err); err != nil {
		return rollout.Revision{}, &rollout.DocumentError{Number: number, Err: err}
	}
	return revision(e, number, saved, until), nil
}

func revision(e rollout.Edit, number uint64, saved, until int64) rollout.Revision {
	r := rollout.Revision{Edit: e, Number: number, Time: time.UnixMicro(saved).UTC()}
	if until > 0 {
		r.Until = time.UnixMicro(until).UTC()
	}
	return r
}

func storeError(err error) error { return fmt.Errorf("redisrules: %w", err) }
