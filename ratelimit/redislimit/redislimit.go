package redislimit

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bulwark-go/bulwark/ratelimit"
)

// Limiter is a [ratelimit.Limiter] whose budgets live in Redis, shared by all
// instances of a service. Which algorithm it follows, its constructor says. It is
// safe for concurrent use, and keeps nothing in this process.
type Limiter struct {
	rdb    redis.UniversalClient
	keys   keyspace
	script *script
	build  func(ratelimit.Quota) (algorithm, error)
	algo   atomic.Pointer[algorithm]
}

var (
	_ ratelimit.Limiter      = (*Limiter)(nil)
	_ ratelimit.Retuner      = (*Limiter)(nil)
	_ ratelimit.Bounded      = (*Limiter)(nil)
	_ ratelimit.QuotaLimiter = (*Limiter)(nil)
)

// algorithm is one limit: what to ask its script, and what the answer means.
type algorithm interface {
	quota() ratelimit.Quota
	most(time.Duration) int64
	arguments(call []any, cost int64) []any
	// decide reads the script's answer, which has as many numbers as answers says.
	// It makes the script's comparison again, on the same integers.
	decide(reply []int64, cost int64) ratelimit.Decision
	answers() int
}

// maxArguments is how many arguments an algorithm appends at most.
const maxArguments = 3

func newLimiter(
	rdb redis.UniversalClient, rate ratelimit.Rate, o options, s *script,
	build func(ratelimit.Quota) (algorithm, error),
) (*Limiter, error) {
	algo, err := build(ratelimit.Quota{Rate: rate, Burst: o.burst})
	if err := errors.Join(err, o.validate(rdb)); err != nil {
		return nil, err
	}
	l := &Limiter{rdb: rdb, keys: o.keys, script: s, build: build}
	l.algo.Store(&algo)
	return l, nil
}

// Take implements [ratelimit.Limiter]. Redis decides by its own clock, in one
// round trip; two where a node does not know the script yet. The error wraps that
// of the client, or is a [*StateError].
//
// The client may send a call again whose answer was lost, and charge twice then:
// limits err on the side of refusing.
func (l *Limiter) Take(ctx context.Context, key string, cost int64) (ratelimit.Decision, error) {
	algo := *l.algo.Load()
	if err := ratelimit.CheckRequest(key, cost, algo.quota().Burst); err != nil {
		return ratelimit.Decision{}, err
	}
	call := algo.arguments(l.script.call(l.keys.key(key), maxArguments), cost)
	reply, err := l.script.run(ctx, l.rdb, call, algo.answers())
	if err != nil {
		return ratelimit.Decision{}, err
	}
	return algo.decide(reply, cost), nil
}

// Quota implements [ratelimit.Retuner].
func (l *Limiter) Quota() ratelimit.Quota { return (*l.algo.Load()).quota() }

// Retune implements [ratelimit.Retuner], for this instance: others keep their
// limit until they are told, too. What keys have used counts on. For a token
// bucket that is the time which it takes to refill: at twice the rate, that time
// is twice as many tokens.
func (l *Limiter) Retune(q ratelimit.Quota) error {
	algo, err := l.build(q)
	if err != nil {
		return err
	}
	l.algo.Store(&algo)
	return nil
}

// Most implements [ratelimit.Bounded], for all instances together and with Redis
// up. A failover loses the writes that were not replicated yet, and with them up
// to what was admitted in that time.
func (l *Limiter) Most(window time.Duration) int64 { return (*l.algo.Load()).most(window) }

// micros converts from Redis's microseconds.
func micros(n int64) time.Duration { return time.Duration(n) * time.Microsecond }

// wholeMicros is d in microseconds, rounded up.
func wholeMicros(d time.Duration) int64 { return (int64(d)-1)/int64(time.Microsecond) + 1 }

// times is count × n, and plus a + b, of what is not negative;
// [ratelimit.Unlimited] where that is more.
func times(count, n int64) int64 {
	if n > ratelimit.Unlimited/count {
		return ratelimit.Unlimited
	}
	return count * n
}

func plus(a, b int64) int64 {
	if b > ratelimit.Unlimited-a {
		return ratelimit.Unlimited
	}
	return a + b
}

// window is what the algorithms that count in windows have in common.
type window struct {
	q      ratelimit.Quota
	length int64 // µs
	// limits are the arguments of the script behind the cost.
	limits [2]any
}

// newWindow checks the quota of a window with at most largest to count.
func newWindow(q ratelimit.Quota, largest int64, instead string) (window, error) {
	if err := q.Validate(); err != nil {
		return window{}, err
	}
	if q.Burst != 0 && q.Burst != q.Rate.Count {
		return window{}, &ratelimit.FieldError{
			Field: "burst", Value: q.Burst, Reason: "must be 0 or the rate's count: a window grants all of it at once",
		}
	}
	if q.Rate.Count > largest {
		return window{}, &ratelimit.FieldError{Field: "rate.count", Value: q.Rate.Count, Reason: instead}
	}
	q.Burst = q.Rate.Count
	w := window{q: q, length: wholeMicros(q.Rate.Per)}
	w.limits = [2]any{q.Rate.Count, w.length}
	return w, nil
}

func (w *window) quota() ratelimit.Quota { return w.q }

func (w *window) arguments(call []any, cost int64) []any {
	return append(call, cost, w.limits[0], w.limits[1])
}

// twoWindows bounds what windows aligned to a key's requests admit in any t: it
// touches one window more than fit into it.
func (w *window) twoWindows(t time.Duration) int64 {
	if t <= 0 {
		return 0
	}
	per := int64(w.q.Rate.Per)
	touched := (int64(t)-1)/per + 1
	if (int64(t)-1)%per > 0 {
		touched++
	}
	return times(w.q.Rate.Count, touched)
}

// oneWindow bounds what windows admit of which every position counts.
func (w *window) oneWindow(t time.Duration) int64 {
	if t <= 0 {
		return 0
	}
	return times(w.q.Rate.Count, (int64(t)-1)/int64(w.q.Rate.Per)+1)
}
