package redislimit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bulwark-go/bulwark/ratelimit"
)

// Option configures a limiter of this package. All constructors know [WithPrefix]
// and [WithHiddenKeys], and name what else they know; others have no effect.
type Option interface{ apply(*options) }

type optionFunc func(*options)

func (f optionFunc) apply(o *options) { f(o) }

type options struct {
	keys keyspace

	burst     int64
	ttl       time.Duration
	budget    time.Duration
	onFailure func(context.Context, error)
	leases    int

	maxWait    time.Duration
	maxWaiting int

	missing []int // which options were nil
}

// WithPrefix sets what the limiter's Redis keys begin with; limiters with the same
// prefix and algorithm share the budgets of their keys, whatever their limits.
// Without it that is "ratelimit:" and the algorithm's name.
func WithPrefix(prefix string) Option {
	return optionFunc(func(o *options) { o.keys.prefix = prefix })
}

// WithHiddenKeys stores no key as it is, but an HMAC of it under the secret, of at
// least 16 bytes: for keys such as phone numbers, which could be guessed from a
// mere hash. All instances need the same secret. Without it keys of up to 64 bytes
// are stored as they are, unless they hold braces.
func WithHiddenKeys(secret []byte) Option {
	return optionFunc(func(o *options) { o.keys.secret = append([]byte{}, secret...) })
}

// WithBurst sets how much can be taken at once, for token buckets; see
// [ratelimit.Quota] for what holds without it.
func WithBurst(n int64) Option {
	return optionFunc(func(o *options) { o.burst = n })
}

// minSecret is what makes a secret too long to be tried out.
const minSecret = 16

func newOptions(prefix string, opts []Option) options {
	o := options{
		keys: keyspace{prefix: "ratelimit:" + prefix}, ttl: defaultTTL, budget: defaultBudget, leases: defaultLeases,
		maxWait: defaultMaxWait, maxWaiting: defaultMaxWaiting,
	}
	for i, opt := range opts {
		if opt == nil {
			o.missing = append(o.missing, i)
			continue
		}
		opt.apply(&o)
	}
	return o
}

// validate checks the options and the client.
func (o *options) validate(rdb redis.UniversalClient) error {
	var errs []error
	refuse := func(field string, value any, reason string) {
		errs = append(errs, &ratelimit.FieldError{Field: field, Value: value, Reason: reason})
	}
	for _, i := range o.missing {
		refuse(fmt.Sprintf("options[%d]", i), "nil", "must be given")
	}
	if rdb == nil {
		refuse("rdb", "nil", "must be given")
	}
	if o.keys.prefix == "" || strings.ContainsAny(o.keys.prefix, "{}") {
		refuse("prefix", `"`+o.keys.prefix+`"`, "must not be empty, nor hold braces")
	}
	if o.keys.secret != nil && len(o.keys.secret) < minSecret {
		refuse("secret", "(hidden)", "must have at least 16 bytes")
	}
	if o.ttl < 100*time.Millisecond || o.ttl > time.Hour {
		refuse("ttl", o.ttl, "must be from 100ms to 1h")
	}
	if o.budget < time.Millisecond || o.budget > time.Minute {
		refuse("budget", o.budget, "must be from 1ms to 1m")
	}
	if o.leases < 1 {
		refuse("capacity", o.leases, "must be at least 1")
	}
	if o.maxWait < time.Millisecond || o.maxWait > time.Hour {
		refuse("maxWait", o.maxWait, "must be from 1ms to 1h")
	}
	if o.maxWaiting < 1 {
		refuse("maxWaiting", o.maxWaiting, "must be at least 1")
	}
	return errors.Join(errs...)
}
