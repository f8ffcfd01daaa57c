package ratelimit

// NewTokenBucket returns a limiter with a token bucket for each key: it holds up
// to burst tokens (see [WithBurst]), starts full, and refills at the rate. It is
// implemented as GCRA, in integer nanoseconds.
//
// In any window of length t it admits at most burst + t × rate; with the default
// burst that is 1.1 times the rate's count in any period. A bad rate or option is
// refused with [*FieldError]s.
func NewTokenBucket(rate Rate, opts ...Option) (*Local, error) {
	o := newOptions(opts)
	return newLocal(Quota{Rate: rate, Burst: o.burst}, o, newGCRA)
}
