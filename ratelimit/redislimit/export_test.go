package redislimit

import (
	"context"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bulwark-go/bulwark/ratelimit"
)

// OnClock lets a limiter's scripts read the time from a list of seconds and
// microseconds, as TIME returns them, instead of from the server; and keep keys
// for an hour longer, since their expiry stays with the server's clock.
func OnClock(source, clock string) string {
	source = strings.ReplaceAll(source, "redis.call('TIME')", "redis.call('LRANGE', '"+clock+"', 0, 1)")
	return strings.ReplaceAll(source, "SLACK = 1000", "SLACK = 3600000")
}

func (l *Limiter) onClock(clock string) {
	l.script = newScript(OnClock(l.script.source.(string), clock))
}

// The constructors on a clock of the test's.
type Make func(redis.UniversalClient, ratelimit.Rate, ...Option) (*Limiter, error)

func (m Make) On(clock string) Make {
	return func(rdb redis.UniversalClient, rate ratelimit.Rate, opts ...Option) (*Limiter, error) {
		l, err := m(rdb, rate, opts...)
		if err == nil {
			l.onClock(clock)
		}
		return l, err
	}
}

// SetNow sets the clock of what an instance holds.
func (l *Leased) SetNow(now func() time.Duration) { l.now = now }

// Held is for how many keys tokens are held.
func (l *Leased) Held() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.held)
}

// OnClock puts the limiter on a clock of the test's.
func (m *Multi) OnClock(clock string) { m.script = newScript(OnClock(m.script.source.(string), clock)) }

// OnClock puts the limiter on a clock of the test's.
func (l *Leased) OnClock(clock string) {
	l.script = newScript(OnClock(l.script.source.(string), clock))
}

// OnClock puts the limiter on a clock of the test's.
func (c *Concurrency) OnClock(clock string) {
	c.acquire = newScript(OnClock(c.acquire.source.(string), clock))
	c.renewal = newScript(OnClock(c.renewal.source.(string), clock))
}

// OnClock puts the limiter on a clock of the test's.
func (b *LeakyBucket) OnClock(clock string) {
	b.script = newScript(OnClock(b.script.source.(string), clock))
}

// Join asks for a turn without waiting for it.
func (b *LeakyBucket) Join(ctx context.Context, key, turn string, cost int64, patience time.Duration) (time.Duration, bool, error) {
	return b.ask(ctx, b.pace.Load(), b.keys.key(key), turn, cost, patience.Microseconds())
}

// Leave gives a turn back.
func (b *LeakyBucket) Leave(ctx context.Context, key, turn string) {
	b.giveBack(ctx, b.keys.key(key), turn)
}

// GivingBack is how many slots are being given back beside the callers.
func (c *Concurrency) GivingBack() int { return len(c.again) }
