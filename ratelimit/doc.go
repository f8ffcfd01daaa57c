// Package ratelimit decides whether a request may go on now. Its heart is
// [Limiter]: one method, one [Decision]. Everything else is an algorithm behind
// that method, or a decorator around it.
//
//	limiter, err := ratelimit.NewTokenBucket(ratelimit.PerSecond(100), ratelimit.WithBurst(20))
//	d, err := limiter.Take(ctx, "user:42", 1)
//	if !d.Allowed {
//		return d.RetryAfter
//	}
//
// # Which algorithm
//
// Each has a bound on what it admits in any window, however the requests come;
// the method Most computes it, and the tests hold it. L is the rate's count and W
// its period:
//
//	constructor        state per key   most in any W   use it
//	NewTokenBucket     8 bytes         L + burst       for rates; the default
//	NewSlidingLog      32 bytes × L    L               for small limits that must be exact
//	NewStrictWindow    56 bytes        L               for strict limits of any size
//	NewSlidingWindow   16 bytes        2 L             cheap, kind to honest traffic
//	NewFixedWindow     16 bytes        2 L             for quotas: so many per period
//	NewLeakyBucket     40 bytes        L + 1, and the  to space calls evenly; it can wait
//	                                   rate of 1 ms
//
// [Bucket] is one bucket for a whole process without keys, and [Striped] its form
// for paths where reading the clock is too dear. Limits on how many calls run at
// the same time live in ratelimit/concurrency, rules for each user, network or
// method in ratelimit/rules, and what to do with a limited call in
// ratelimit/action.
//
// # Decorators
//
// [FailOpen], [FailClosed] and [Share] decide what happens while a limiter's store
// is away; [Queue] lets requests wait for any limiter; [Observe] reports each
// decision. Order matters in one place: Observe belongs outside of the failure
// policy, where it sees what the caller sees. [Multi] checks several limits and
// charges all of them or none. In a server, the limiter belongs before
// authentication, so that guessing passwords is limited too.
//
// # Errors
//
//   - [ErrRequest]: the request can never be answered: an empty key, a negative
//     cost, or, as a [*CostError], a cost above what the limiter ever grants. No
//     failure policy turns it into an admission.
//   - [*FieldError]: a bad setting, with its field and value; constructors and
//     Retune join one for each.
//   - [ErrLimited]: a denial where only an error fits, as a [*LimitedError].
//
// A Limiter over a remote store returns the store's errors wrapped. Everything
// here is safe for concurrent use, and nothing starts a goroutine.
package ratelimit
