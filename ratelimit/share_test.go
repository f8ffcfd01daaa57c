package ratelimit_test

import (
	"context"
	"math"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/ratelimit"
)

// fleet is three instances that share a limit of 900 a second with a burst of a
// tenth of it, on simulated time.
type fleet struct {
	*store
	clock     *manual
	instances []ratelimit.Limiter
	windows   []*window
	asking    int // how many of the instances do
}

func newFleet(t *testing.T, opts ...ratelimit.Option) *fleet {
	t.Helper()
	f := &fleet{clock: new(manual), asking: 3}
	f.store = newStore(t, ratelimit.PerSecond(900), ratelimit.WithClock(f.clock.read), ratelimit.WithBurst(90))
	for range 3 {
		l, err := ratelimit.Share(f.store, 3, append(opts, ratelimit.WithClock(f.clock.read))...)
		require.NoError(t, err)
		f.instances = append(f.instances, l)
	}
	// The store's own bounds: 989 in a second.
	f.windows = []*window{newWindow(f.store, time.Second), newWindow(f.store, 3*time.Second)}
	return f
}

// run lets each instance ask, so often in each millisecond, and checks that no
// window ever sees more than the bound.
func (f *fleet) run(t *testing.T, length time.Duration, asks int) (admitted int) {
	t.Helper()
	for range length / time.Millisecond {
		for range asks {
			for _, l := range f.instances[:f.asking] {
				d, err := l.Take(t.Context(), "k", 1)
				if err != nil {
					require.NoError(t, err)
				}
				if !d.Allowed {
					continue
				}
				admitted++
				for _, w := range f.windows {
					if !w.admit(f.clock.read()) {
						require.FailNowf(t, "the fleet exceeded its bound", "in %v, at %v", w.length, f.clock.read())
					}
				}
			}
		}
		f.clock.advance(time.Millisecond)
	}
	return admitted
}

func TestAFleetKeepsItsLimitWhileItsStoreIsCutAndHeals(t *testing.T) {
	f := newFleet(t)
	f.run(t, 3*time.Second, 1)
	f.cut.Store(true)
	admitted := f.run(t, 30*time.Second, 1)
	require.InDelta(t, 30*900, admitted, 30*900/50, "the shares are used, and add up to the limit")
	f.cut.Store(false)
	admitted = f.run(t, 10*time.Second, 1)
	require.Greater(t, admitted, 10*900*9/10)
	for range 20 { // and again in short order
		f.cut.Store(!f.cut.Load())
		f.run(t, 700*time.Millisecond, 1)
	}
}

// The guards of instances try the store at different times. One that finds it back
// first must not take the whole limit while the others still spend their shares.
func TestTheFirstToFindTheStoreBackKeepsToItsShare(t *testing.T) {
	f := newFleet(t)
	f.run(t, time.Second, 3)
	f.cut.Store(true)
	for f.asking = 1; f.asking < 3; f.asking++ {
		f.run(t, 330*time.Millisecond, 3)
	}
	f.run(t, 5*time.Second, 3)
	f.cut.Store(false)
	f.run(t, 5*time.Second, 3)
}

// A fleet that was idle while its store was away has full shares; when the store
// comes back full as well, the two must not add up.
func TestFullSharesAreNotAddedToAFullStore(t *testing.T) {
	f := newFleet(t)
	f.run(t, time.Second, 3)
	f.cut.Store(true)
	f.run(t, 2*time.Second, 3)
	f.clock.advance(10 * time.Second) // idle: everything fills up
	f.run(t, 20*time.Millisecond, 10) // spends the shares at once
	f.cut.Store(false)
	f.run(t, 3*time.Second, 3)
}

// tireless is a guard that lets each call try the store.
type tireless struct{}

func (tireless) Allow() (func(error), error) { return func(error) {}, nil }

// What is missing from a share when the store is back is no whole number of tokens.
func TestAPartOfATokenIsChargedAsOne(t *testing.T) {
	f := newFleet(t, ratelimit.WithGuard(tireless{}))
	f.cut.Store(true)
	for _, l := range f.instances {
		take(t, l, "k", 1)
	}
	f.clock.advance(10 * time.Second) // everything fills up
	admitted := int64(0)
	for _, l := range f.instances {
		admitted += int64(drain(t, l, "k"))
	}
	f.cut.Store(false)
	f.clock.advance(3 * time.Millisecond) // of 3⅓ that a token takes in a share
	for _, l := range f.instances {
		if take(t, l, "k", 1).Allowed {
			admitted++
		}
	}
	require.LessOrEqual(t, admitted, f.store.Most(3*time.Millisecond+1))
}

// A share that is the whole limit owes all of it.
func TestADebtThatIsTheWholeLimitIsNotForgiven(t *testing.T) {
	clock := new(manual)
	s := newStore(t, ratelimit.PerSecond(900), ratelimit.WithClock(clock.read), ratelimit.WithBurst(90))
	l, err := ratelimit.Share(s, 1, ratelimit.WithClock(clock.read), ratelimit.WithGuard(tireless{}))
	require.NoError(t, err)
	s.cut.Store(true)
	take(t, l, "k", 1)
	clock.advance(10 * time.Second)
	require.Equal(t, 90, drain(t, l, "k"))
	s.cut.Store(false)
	clock.advance(time.Millisecond) // a token takes 1.1 ms
	d := take(t, l, "k", 1)
	require.False(t, d.Allowed)
	require.True(t, d.Degraded)
	clock.advance(d.RetryAfter)
	require.True(t, take(t, l, "k", 1).Allowed)
}

func TestAnUnknownKeysShareBeginsEmpty(t *testing.T) {
	f := newFleet(t)
	f.cut.Store(true)
	d := take(t, f.instances[0], "k", 1)
	require.False(t, d.Allowed)
	require.True(t, d.Degraded)
	f.clock.advance(d.RetryAfter)
	require.True(t, take(t, f.instances[0], "k", 1).Allowed)
}

func TestAKnownKeysShareBeginsWithItsPartOfWhatRemained(t *testing.T) {
	f := newFleet(t)
	require.Equal(t, int64(60), take(t, f.instances[0], "k", 30).Remaining)
	f.cut.Store(true)
	require.Equal(t, 20, drain(t, f.instances[0], "k"), "a third of what remained")

	late := newFleet(t)
	take(t, late.instances[0], "k", 30)
	late.cut.Store(true)
	late.clock.advance(time.Second) // what remained then is not known now
	require.Zero(t, drain(t, late.instances[0], "k"))
}

func TestSharesFollowTheNumberOfInstances(t *testing.T) {
	n := 3
	f := newFleet(t, ratelimit.WithInstances(func() int { return n }))
	f.cut.Store(true)
	l := f.instances[0]
	take(t, l, "k", 1)
	f.clock.advance(time.Minute)
	require.Equal(t, int64(30), take(t, l, "k", 0).Remaining)
	n = 9
	require.Equal(t, int64(10), take(t, l, "k", 0).Remaining)
	n = 0
	require.Equal(t, int64(30), take(t, l, "k", 0).Remaining, "nonsense from the registry is ignored")
}

func TestSharesAreBoundedInMemory(t *testing.T) {
	f := newFleet(t, ratelimit.WithCapacity(100))
	for i := range 1000 {
		take(t, f.instances[0], strconv.Itoa(i), 1)
	}
	f.cut.Store(true)
	for i := range 1000 {
		take(t, f.instances[0], "x"+strconv.Itoa(i), 1)
	}
	require.False(t, take(t, f.instances[0], "new", 1).Allowed)
}

// A share of a slow limit among very many instances must not wrap around into no
// limit at all.
func TestSharesOfASlowLimitAmongManyInstancesAdmitNothingExtra(t *testing.T) {
	yearly := ratelimit.Rate{Count: 1, Per: 366 * 24 * time.Hour}
	for _, instances := range []int{400, 1 << 55, math.MaxInt} {
		s := newStore(t, yearly)
		s.cut.Store(true)
		l, err := ratelimit.Share(s, instances)
		require.NoError(t, err)
		for range 5 {
			d := take(t, l, "k", 1)
			require.False(t, d.Allowed, instances)
			require.Positive(t, d.RetryAfter, instances)
		}
	}
}

func TestInstancesAreCountedWithoutALock(t *testing.T) {
	s := newStore(t, ratelimit.PerSecond(10))
	var l ratelimit.Limiter
	var inside atomic.Bool
	counted := ratelimit.WithInstances(func() int {
		if l != nil && inside.CompareAndSwap(false, true) {
			_, _ = l.Take(context.Background(), "k", 1)
			inside.Store(false)
		}
		return 2
	})
	c := new(manual)
	l, err := ratelimit.Share(s, 2, counted, ratelimit.WithClock(c.read))
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.cut.Store(true)
		for range 5 {
			_, _ = l.Take(context.Background(), "k", 1)
		}
		s.cut.Store(false)
		for range 20 {
			c.advance(300 * time.Millisecond)
			_, _ = l.Take(context.Background(), "k", 3)
		}
	}()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Fatal("the function that counts instances was called under a lock")
	}
}
