package circuitbreaker_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/circuitbreaker/detect"
)

// soakFor is how long TestABreakerOutlastsRandomFaults runs. The long form takes half
// an hour, so it needs -timeout 40m.
func soakFor() time.Duration {
	if os.Getenv("BULWARK_TEST_LONG") != "" {
		return 30 * time.Minute
	}
	return 3 * time.Second
}

// weather is what the target does to a call, until it changes.
type weather uint8

const (
	fair weather = iota
	down
	flaky
	slowly
	hanging
	panicking
	leaving

	weathers
)

// soak is a group of breakers, targets with weather of their own, callers, and an
// operator, all by the real clock and all at random.
type soak struct {
	t       *testing.T
	group   *circuitbreaker.Group
	keys    []string
	targets []atomic.Uint32
	// calm is set while operator and weather leave the breakers alone.
	calm  atomic.Bool
	stop  chan struct{}
	calls [weathers]atomic.Uint64

	mu     sync.Mutex
	last   map[string]circuitbreaker.Transition
	events int
}

const (
	soakLease  = 200 * time.Millisecond
	soakProbes = 3
)

func soakConfig() circuitbreaker.Config {
	return circuitbreaker.Config{
		Name: "soak", OpenFor: 20 * time.Millisecond, MaxOpenFor: 200 * time.Millisecond, ForgiveAfter: time.Second,
		Probes: soakProbes, Lease: soakLease, RampStart: 0.1, RampStep: 10 * time.Millisecond,
	}
}

func soakDetectors() []detect.Spec {
	return []detect.Spec{
		detect.ErrorRate(0.5, 20), detect.Consecutive(5),
		detect.SlowRatio(20*time.Millisecond, 0.5, 20), detect.InFlightAge(50*time.Millisecond, 8),
	}
}

func newSoak(t *testing.T, keys int) *soak {
	s := &soak{t: t, targets: make([]atomic.Uint32, keys), stop: make(chan struct{}), last: map[string]circuitbreaker.Transition{}}
	opts := []circuitbreaker.Option{circuitbreaker.OnTransition(s.hear)}
	for _, d := range soakDetectors() {
		opts = append(opts, circuitbreaker.WithDetector(d))
	}
	var err error
	s.group, err = circuitbreaker.NewGroup(keys, soakConfig(), opts...)
	require.NoError(t, err)
	for i := range keys {
		s.keys = append(s.keys, fmt.Sprint("target-", i))
	}
	return s
}

// hear checks that each breaker's transitions follow from one another, and panics now
// and then, as listeners do.
func (s *soak) hear(tr circuitbreaker.Transition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if before, ok := s.last[tr.Key]; ok && (before.To != tr.From || before.Generation >= tr.Generation) {
		s.t.Errorf("%s: %+v after %+v", tr.Key, tr, before)
	}
	s.last[tr.Key] = tr
	if s.events++; s.events%1000 == 0 {
		panic("a listener's")
	}
}

// call makes one call in some way, which a caller may give up.
func (s *soak) call(i int) {
	b, err := s.group.Get(s.keys[i])
	if err != nil {
		s.t.Error(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if rand.IntN(20) == 0 {
		time.AfterFunc(time.Duration(rand.IntN(2000))*time.Microsecond, cancel)
	}
	if rand.IntN(4) > 0 {
		defer func() { _ = recover() }()
		_, _ = circuitbreaker.Do(ctx, b, func(ctx context.Context) (int, error) { return 1, s.target(ctx, i) })
		return
	}
	ticket, err := b.Allow()
	if err != nil {
		return
	}
	if !s.calm.Load() && rand.IntN(200) == 0 {
		return // and forgotten
	}
	defer func() {
		if recover() != nil {
			ticket.Done(circuitbreaker.Failure)
		}
	}()
	ticket.Report(ctx, s.target(ctx, i))
	if rand.IntN(100) == 0 {
		ticket.Done(circuitbreaker.Failure) // a second time
	}
}

func (s *soak) target(ctx context.Context, i int) error {
	w := weather(s.targets[i].Load())
	s.calls[w].Add(1)
	pause := func(d time.Duration) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := pause(time.Duration(500+rand.IntN(1000)) * time.Microsecond); err != nil {
		return err
	}
	switch w {
	case down:
		return errDown
	case flaky:
		if rand.IntN(2) == 0 {
			return errDown
		}
	case slowly:
		return pause(30 * time.Millisecond)
	case hanging:
		return pause(soakLease * 3 / 2)
	case panicking:
		panic("boom")
	case leaving:
		runtime.Goexit()
	}
	return nil
}

// until runs f over and over. What f does to its goroutine ends that only.
func (s *soak) until(all *sync.WaitGroup, f func()) {
	all.Go(func() {
		for {
			select {
			case <-s.stop:
				return
			default:
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				f()
			}()
			<-done
		}
	})
}

// rest lets the real clock go on, which is what a soak is about.
func (s *soak) rest(d time.Duration) {
	select {
	case <-time.After(d):
	case <-s.stop:
	}
}

// disturb changes the weather somewhere, and at times what the operator wants.
func (s *soak) disturb() {
	s.rest(time.Duration(rand.IntN(40)) * time.Millisecond)
	if s.calm.Load() {
		return
	}
	s.targets[rand.IntN(len(s.targets))].Store(uint32(rand.IntN(int(weathers))))
	b, err := s.group.Get(s.keys[rand.IntN(len(s.keys))])
	if err != nil {
		s.t.Error(err)
		return
	}
	switch rand.IntN(40) {
	case 0:
		_ = b.SetMode(circuitbreaker.Mode(rand.IntN(4)))
	case 1:
		cfg := soakConfig()
		cfg.Probes = 1 + rand.IntN(soakProbes)
		_ = b.Update(cfg, soakDetectors()...)
	case 2:
		_ = s.group.Update(soakConfig(), soakDetectors()...)
	case 3:
		b.Advise(rand.IntN(10), rand.IntN(10))
	}
}

// watch checks what must hold at any moment.
func (s *soak) watch() {
	s.rest(time.Millisecond)
	for snap := range s.group.Snapshots() {
		if snap.ProbesInFlight > soakProbes {
			s.t.Errorf("%d probes in flight: %+v", snap.ProbesInFlight, snap)
		}
		if snap.Share < 0 || snap.Share > 1 || snap.OpenFor > 200*time.Millisecond {
			s.t.Errorf("out of range: %+v", snap)
		}
	}
}

// clearUp ends all faults and waits until every breaker is closed again.
func (s *soak) clearUp() {
	s.calm.Store(true)
	s.rest(50 * time.Millisecond) // for a disturbance under way
	require.NoError(s.t, s.group.SetMode(circuitbreaker.Automatic))
	for i, key := range s.keys {
		s.targets[i].Store(uint32(fair))
		b, err := s.group.Get(key)
		require.NoError(s.t, err)
		require.NoError(s.t, b.SetMode(circuitbreaker.Automatic))
	}
	began := time.Now()
	for snap := range s.group.Snapshots() {
		b, err := s.group.Get(snap.Key)
		require.NoError(s.t, err)
		for b.State() != circuitbreaker.Closed {
			require.Less(s.t, time.Since(began), time.Minute, "stuck: %+v", b.Snapshot())
			s.rest(time.Millisecond)
		}
	}
}

// TestABreakerOutlastsRandomFaults lives through many outages of all kinds, and must
// come out of each: closed, with nothing held and nothing leaked.
func TestABreakerOutlastsRandomFaults(t *testing.T) {
	s := newSoak(t, 8)
	var all sync.WaitGroup
	for range 4 * len(s.keys) {
		s.until(&all, func() { s.call(rand.IntN(len(s.keys))) })
	}
	s.until(&all, s.disturb)
	s.until(&all, s.watch)

	end, storms := time.Now().Add(soakFor()), 0
	var first, most uint64
	for time.Now().Before(end) && !t.Failed() {
		s.calm.Store(false)
		s.rest(min(soakFor()/3, 5*time.Second))
		s.clearUp()
		storms++
		used := heap()
		if storms == 1 {
			first = used
		}
		most = max(most, used)
	}
	close(s.stop)
	all.Wait()

	var trips, lost, stale, misused, panics, reached uint64
	for snap := range s.group.Snapshots() {
		trips, lost, stale = trips+snap.Trips, lost+snap.Lost, stale+snap.Stale
		misused, panics = misused+snap.Misused, panics+snap.ListenerPanics
	}
	for w := range s.calls {
		require.NotZero(t, s.calls[w].Load(), "weather %d never reached a call", w)
		reached += s.calls[w].Load()
	}
	t.Logf("%d storms, %d calls, %d transitions, %d trips, %d probes lost, %d stale results, %d tickets ended twice, %d listener panics, heap %d KiB after the first storm and at most %d KiB",
		storms, reached, s.events, trips, lost, stale, misused, panics, first>>10, most>>10)
	require.NotZero(t, trips)
	require.NotZero(t, stale)
	require.NotZero(t, misused)
	require.LessOrEqual(t, most, 2*first+8<<20, "memory grows")
}
