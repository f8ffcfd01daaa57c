package circuitbreaker_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/circuitbreaker"
)

func TestTheOpenTimeGrowsAndIsForgiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		high := circuitbreaker.WithRand(func() float64 { return 1 })
		b, err := circuitbreaker.New(circuitbreaker.Config{Name: "x", OpenFor: time.Second, MaxOpenFor: time.Minute, ForgiveAfter: time.Hour, Probes: 3},
			after(3), high)
		require.NoError(t, err)
		trip(t, b)
		var times []time.Duration
		for range 5 {
			s := b.Snapshot()
			times = append(times, s.OpenFor)
			time.Sleep(s.OpenFor)
			require.Equal(t, circuitbreaker.HalfOpen, b.State())
			for range 3 {
				admitted(t, b).Done(circuitbreaker.Failure)
			}
		}
		require.Equal(t, []time.Duration{3 * time.Second, 9 * time.Second, 27 * time.Second, time.Minute, time.Minute}, times)

		again := func(healthyFor time.Duration) time.Duration {
			time.Sleep(b.Snapshot().OpenFor)
			require.Equal(t, circuitbreaker.HalfOpen, b.State())
			for range 3 {
				admitted(t, b).Done(circuitbreaker.Success)
			}
			time.Sleep(7*time.Second + healthyFor)
			require.Equal(t, circuitbreaker.Closed, b.State())
			trip(t, b)
			return b.Snapshot().OpenFor
		}
		require.Equal(t, time.Minute, again(time.Hour-time.Second))
		require.Equal(t, 3*time.Second, again(time.Hour))
	})
}

func TestTheOtherSideMaySetTheOpenTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for asked, want := range map[time.Duration]time.Duration{
			time.Second:      10 * time.Second, // less than its own
			45 * time.Second: 45 * time.Second,
			24 * time.Hour:   time.Minute, // the bound
		} {
			b := newBreaker(t, circuitbreaker.Config{MaxOpenFor: time.Minute})
			admitted(t, b).Report(t.Context(), busyError{asked})
			for range 2 {
				admitted(t, b).Done(circuitbreaker.Failure)
			}
			require.Equal(t, want, b.Snapshot().OpenFor)
			time.Sleep(want)
			require.Equal(t, circuitbreaker.HalfOpen, b.State())
		}
	})
}

// busyError is an answer with Retry-After.
type busyError struct{ after time.Duration }

func (e busyError) Error() string             { return "busy" }
func (e busyError) RetryAfter() time.Duration { return e.after }

func TestManyInstancesThatOpenTogetherProbeApart(t *testing.T) {
	const probes = 5 // a dead target gets that many of each
	synctest.Test(t, func(t *testing.T) {
		const instances = 500
		start := time.Now()
		var mu sync.Mutex
		perSecond := map[int]int{}
		var all []*circuitbreaker.Breaker
		for range instances {
			b, err := circuitbreaker.New(circuitbreaker.Config{Name: "x"}, after(3),
				circuitbreaker.OnTransition(func(tr circuitbreaker.Transition) {
					if tr.To == circuitbreaker.HalfOpen {
						mu.Lock()
						perSecond[int(time.Since(start)/time.Second)]++
						mu.Unlock()
					}
				}))
			require.NoError(t, err)
			trip(t, b)
			all = append(all, b)
		}
		time.Sleep(90 * time.Second)
		synctest.Wait()
		total, most := 0, 0
		for _, n := range perSecond {
			total += n
			most = max(most, n)
		}
		require.Equal(t, instances, total)
		t.Logf("at most %d instances begin to probe in one second, over %d s", most, len(perSecond))
		require.LessOrEqual(t, most, 50)
		require.LessOrEqual(t, instances*probes/len(perSecond), 50, "probes a second")
		for _, b := range all {
			require.Equal(t, circuitbreaker.HalfOpen, b.State())
		}
	})
}
