// Package redisguard keeps the accounts of a [guard.Guard] in Redis, so that all
// instances spend of the same ones, on the server's own clock.
//
// Accounts, the day's count and the countries of networks are decided about together, by
// one script: they share a hash tag, and so one slot of a cluster. Verified numbers have
// a key each, spread over the slots. Names are hashed under a secret, as numbers are few
// enough to be tried out; whatever is as good as new ends by itself.
//
// Redis may lose the last moments in a failover, and accounts are then fuller than they
// should be. Let it not evict keys.
package redisguard

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bulwark-go/bulwark/smsx/otp/guard"
)

//go:embed state.lua
var stateLua string

//go:embed take.lua
var takeLua string

//go:embed give.lua
var giveLua string

// DefaultRetention is how long a verified number is remembered without
// [WithRetention].
const DefaultRetention = 180 * 24 * time.Hour

// MinSecret is how many bytes a secret has at least.
const MinSecret = 16

// Store is a [guard.Store] in Redis. It is safe for concurrent use. Make it with [New].
type Store struct {
	rdb        redis.UniversalClient
	secret     []byte
	prefix     string
	retention  time.Duration
	take, give *redis.Script
}

var _ guard.Store = (*Store)(nil)

// New returns the store of a Redis. Stores with the same prefix and secret share what
// they hold. The secret, of [MinSecret] bytes or more, hides numbers and networks from
// who can read Redis; with another one everybody begins anew.
func New(rdb redis.UniversalClient, secret []byte, opts ...Option) (*Store, error) {
	s := &Store{rdb: rdb, secret: secret, prefix: "otp_guard", retention: DefaultRetention}
	s.load(stateLua)
	for _, opt := range opts {
		opt.apply(s)
	}
	var errs []error
	if rdb == nil {
		errs = append(errs, errors.New("redisguard: rdb = nil must be given"))
	}
	if len(secret) < MinSecret {
		errs = append(errs, fmt.Errorf("redisguard: secret of %d bytes must have %d or more", len(secret), MinSecret))
	}
	if s.prefix == "" || strings.ContainsAny(s.prefix, "{}") {
		errs = append(errs, fmt.Errorf("redisguard: prefix = %q must not be empty, nor hold braces", s.prefix))
	}
	if s.retention < time.Second {
		errs = append(errs, fmt.Errorf("redisguard: retention = %v must be a second or more", s.retention))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Store) load(state string) {
	s.take = redis.NewScript(state + takeLua)
	s.give = redis.NewScript(state + giveLua)
}

// Option configures a [Store].
type Option interface{ apply(*Store) }

type optionFunc func(*Store)

func (f optionFunc) apply(s *Store) { f(s) }

// WithPrefix sets what keys begin with; "otp_guard" without it.
func WithPrefix(prefix string) Option { return optionFunc(func(s *Store) { s.prefix = prefix }) }

// WithRetention sets for how long after its last use a verified number passes;
// [DefaultRetention] without it.
func WithRetention(d time.Duration) Option { return optionFunc(func(s *Store) { s.retention = d }) }

// reasons are those that the script returns, by number.
var reasons = []guard.Reason{"", guard.BySpend, guard.ByNetwork, guard.ByCountries, guard.ByPrefix, guard.ByCountry}

// Take implements [guard.Store].
func (s *Store) Take(ctx context.Context, send guard.Send, l guard.Limits) (guard.Decision, error) {
	known, err := s.rdb.PExpire(ctx, s.number(send), s.retention).Result() // whether it is there, and used
	if err != nil {
		return guard.Decision{}, fmt.Errorf("redisguard: %w", err)
	}
	if known {
		return guard.Decision{Allowed: true, Known: true}, nil
	}
	why, err := s.run(ctx, s.take, send, l, l.DailyCap, l.CountriesPerNetwork, send.Country)
	switch {
	case err != nil:
		return guard.Decision{}, err
	case why == 0:
		return guard.Decision{Allowed: true}, nil
	case why < 0 || why >= int64(len(reasons)):
		return guard.Decision{}, fmt.Errorf("redisguard: the script's answer is %d", why)
	}
	return guard.Decision{Reason: reasons[why]}, nil
}

// Earn implements [guard.Store]. Who dies between its two steps has the number pass and
// the accounts earn nothing.
func (s *Store) Earn(ctx context.Context, send guard.Send, l guard.Limits) error {
	first, err := s.rdb.SetNX(ctx, s.number(send), 1, s.retention).Result()
	if err == nil && !first {
		err = s.rdb.PExpire(ctx, s.number(send), s.retention).Err()
	}
	if err != nil {
		return fmt.Errorf("redisguard: %w", err)
	}
	if first {
		_, err = s.run(ctx, s.give, send, l, l.PerVerified, 0)
	}
	return err
}

// Refund implements [guard.Store].
func (s *Store) Refund(ctx context.Context, send guard.Send, l guard.Limits) error {
	_, err := s.run(ctx, s.give, send, l, 1, 1)
	return err
}

// run runs a script whose answer begins with a number.
func (s *Store) run(ctx context.Context, script *redis.Script, send guard.Send, l guard.Limits, more ...any) (int64, error) {
	const tag = ":{#:accounts}:"
	network := s.hash("network", send.Network)
	keys := []string{
		s.prefix + tag + "n:" + network, s.prefix + tag + "p:" + s.hash("prefix", send.Prefix),
		s.prefix + tag + "c:" + send.Country, s.prefix + tag + "day", s.prefix + tag + "a:" + network,
	}
	reply, err := script.Run(ctx, s.rdb, keys, append([]any{l.Network, l.Prefix, l.Country}, more...)...).Int64Slice()
	switch {
	case err != nil:
		return 0, fmt.Errorf("redisguard: %w", err)
	case len(reply) < 1: // some proxies do not run scripts
		return 0, errors.New("redisguard: the script has no answer")
	}
	return reply[0], nil
}

// number is the key of a verified number.
func (s *Store) number(send guard.Send) string {
	return s.prefix + ":{#:" + s.hash("number", send.Number) + "}"
}

// hash names what only the secret leads back to, in 144 bits.
func (s *Store) hash(kind, name string) string {
	h := hmac.New(sha256.New, s.secret)
	h.Write([]byte(kind + ":" + name))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:18])
}
