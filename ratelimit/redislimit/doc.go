// Package redislimit keeps the budgets of package ratelimit in Redis, so that all
// instances of a service share them:
//
//	limiter, err := redislimit.NewTokenBucket(rdb, ratelimit.PerSecond(100), redislimit.WithBurst(20))
//	d, err := limiter.Take(ctx, "user:42", 1)
//	if !d.Allowed {
//		return d.RetryAfter
//	}
//
// # Which algorithm
//
// Each has a bound on what all instances together admit in any window; the method
// Most computes it. L is the rate's count and W its period:
//
//	constructor        Redis memory per key   most in any W   use it
//	NewTokenBucket     72 bytes               L + burst       for rates; the default
//	NewSlidingLog      50–150 bytes × L       L               for small limits that must be exact
//	NewStrictWindow    some 150 bytes         L               for strict limits of any size
//	NewSlidingWindow   some 130 bytes         2 L             cheap, kind to honest traffic
//	NewFixedWindow     some 100 bytes         2 L             for quotas: so many per period
//	NewLeakyBucket     100 bytes × waiting    L + 1           to space calls evenly; it can wait
//	NewLeased          72 bytes               L + burst       for hot keys: a round trip for many requests
//	NewMulti           some 150 bytes         as each bucket  for several limits of one subject
//	NewConcurrency     some 100 bytes × calls –               for calls in flight
//
// # What Redis does
//
// Each decision is one script on one key: atomic, in one round trip, and at home
// in a cluster. Redis's clock is the only one that matters, so callers' clocks
// may differ as they like. When that clock is set back, what a key has used counts
// as used just then; when it is set forward, a key gets one burst at most. Every
// key has a time to live. Keys are "<prefix>:{<length>:<key>}"; long ones, and those
// with braces, are hashed, and [WithHiddenKeys] hides all.
//
// Scripts are sent by their hash, and again in full where a node does not know
// them, after a restart or a failover; under AutoPipeline as well. Needs Redis 5
// or newer.
//
// Set Redis's maxmemory-policy to noeviction, or to one of the volatile ones and
// watch evicted_keys: a key that is evicted has its full budget again. Replication
// is asynchronous: a failover may forget the last decisions before it.
//
// # When Redis is away
//
// Take returns the client's error. Wrap the limiter in [ratelimit.FailOpen],
// [ratelimit.FailClosed] or [ratelimit.Share] to decide what happens then. For
// their budgets to hold, the client needs the option ContextTimeoutEnabled:
// without it go-redis ignores a context's deadline on the wire.
//
// # Errors
//
//   - [ratelimit.ErrRequest]: the request can never be answered, see there.
//   - [*StateError]: a key holds something else.
//   - [*ratelimit.FieldError]: a bad setting; constructors join one for each.
//   - any other wraps the client's.
//
// Everything here is safe for concurrent use.
package redislimit
