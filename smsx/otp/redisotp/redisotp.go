// Package redisotp keeps one-time codes in Redis: one hash per subject and purpose,
// and one round trip per operation, on the server's own clock. Works on a cluster,
// since each script touches one key.
package redisotp

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bulwark-go/bulwark/smsx/otp"
)

//go:embed state.lua
var stateLua string

//go:embed issue.lua
var issueLua string

//go:embed verify.lua
var verifyLua string

//go:embed refund.lua
var refundLua string

// Store is an [otp.Store] in Redis. It is safe for concurrent use. Make it with
// [New].
type Store struct {
	rdb                   redis.UniversalClient
	prefix                string
	issue, verify, refund *redis.Script
}

// New returns the store of a Redis. Stores with the same prefix share what they
// hold. Keys end by themselves, at most 31 days after the last failure.
func New(rdb redis.UniversalClient, opts ...Option) (*Store, error) {
	s := &Store{rdb: rdb, prefix: "otp"}
	s.load(stateLua)
	for _, opt := range opts {
		opt.apply(s)
	}
	if rdb == nil {
		return nil, errors.New("redisotp: rdb = nil must be given")
	}
	if s.prefix == "" || strings.ContainsAny(s.prefix, "{}") {
		return nil, fmt.Errorf("redisotp: prefix = %q must not be empty, nor hold braces", s.prefix)
	}
	return s, nil
}

func (s *Store) load(state string) {
	s.issue = redis.NewScript(state + issueLua)
	s.verify = redis.NewScript(state + verifyLua)
	s.refund = redis.NewScript(state + refundLua)
}

// Option configures a [Store].
type Option interface{ apply(*Store) }

type optionFunc func(*Store)

func (f optionFunc) apply(s *Store) { f(s) }

// WithPrefix sets what keys begin with; "otp" without it.
func WithPrefix(prefix string) Option { return optionFunc(func(s *Store) { s.prefix = prefix }) }

// Issue implements [otp.Store].
func (s *Store) Issue(ctx context.Context, name string, in otp.Issue) (otp.Issued, error) {
	l := in.Limits
	reply, err := s.run(ctx, s.issue, name, 2, in.ID, in.MAC, l.Validity.Milliseconds(), l.Cooldown.Milliseconds(),
		l.Tries, l.SendsPerHour, l.SendsPerDay, l.FailuresPerDay, l.FailuresPerMonth)
	if err != nil {
		return otp.Issued{}, err
	}
	return otp.Issued{Outcome: otp.Outcome(reply[0]), RetryAfter: time.Duration(reply[1]) * time.Millisecond}, nil
}

// Verify implements [otp.Store].
func (s *Store) Verify(ctx context.Context, name string, in otp.Guess) (otp.Outcome, error) {
	l := in.Limits
	args := []any{in.ID, l.Validity.Milliseconds(), l.FailuresPerDay, l.FailuresPerMonth}
	for _, mac := range in.MACs {
		args = append(args, mac)
	}
	reply, err := s.run(ctx, s.verify, name, 1, args...)
	if err != nil {
		return otp.Absent, err
	}
	return otp.Outcome(reply[0]), nil
}

// Refund implements [otp.Store].
func (s *Store) Refund(ctx context.Context, name, id string) error {
	_, err := s.run(ctx, s.refund, name, 1, id)
	return err
}

// run runs a script whose answer has at least want numbers.
func (s *Store) run(ctx context.Context, script *redis.Script, name string, want int, args ...any) ([]int64, error) {
	key := s.prefix + ":{#:" + name + "}"
	reply, err := script.Run(ctx, s.rdb, []string{key}, args...).Int64Slice()
	switch {
	case err != nil && redis.HasErrorPrefix(err, "NOEXPIRY"):
		return nil, fmt.Errorf("redisotp: %w", otp.ErrNoExpiry)
	case err != nil:
		return nil, fmt.Errorf("redisotp: %w", err)
	case len(reply) < want: // some proxies do not run scripts
		return nil, fmt.Errorf("redisotp: the script's answer has %d numbers, not %d", len(reply), want)
	}
	return reply, nil
}
