package redislimit_test

import (
	"context"
	"encoding/gob"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/faultproxy"
	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/redislimit"
)

// A fleet of three shares askRate with a burst of a tenth of it.
const (
	fleetSize = 3
	askRate   = 300
)

// answered is what became of one request. Times are Unix ones: processes of one
// machine read the same clock.
type answered struct {
	Sent, Got         time.Duration
	Allowed, Degraded bool
	Failures          int64 // of the store, before it was asked
}

// ask is one instance of the fleet: it asks for more than its part until standard
// input ends, then tells what it was answered.
func ask(addr string, opts ...ratelimit.Option) error {
	rdb := redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true})
	defer func() { _ = rdb.Close() }()
	bucket, err := redislimit.NewTokenBucket(rdb, ratelimit.PerSecond(askRate), redislimit.WithBurst(askRate/10))
	if err != nil {
		return err
	}
	var failures atomic.Int64
	opts = append(opts, ratelimit.WithOnFailure(func(context.Context, error) { failures.Add(1) }))
	limiter, err := ratelimit.Share(bucket, fleetSize, opts...)
	if err != nil {
		return err
	}
	for range 10 { // connections, and what a first call costs
		if _, err := bucket.Take(context.Background(), "k", 0); err != nil {
			return err
		}
	}
	fmt.Println("ready")
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	var mu sync.Mutex
	var all []answered
	var failed error
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			pace := time.NewTicker(5 * time.Millisecond)
			defer pace.Stop()
			for ctx.Err() == nil {
				a := answered{Failures: failures.Load(), Sent: time.Duration(time.Now().UnixNano())}
				d, err := limiter.Take(context.Background(), "k", 1)
				a.Got, a.Allowed, a.Degraded = time.Duration(time.Now().UnixNano()), d.Allowed, d.Degraded
				mu.Lock()
				all, failed = append(all, a), err
				mu.Unlock()
				if err != nil {
					return
				}
				<-pace.C
			}
		})
	}
	wg.Wait()
	if failed != nil {
		return failed
	}
	return gob.NewEncoder(os.Stdout).Encode(all)
}

// vanishing and refusing are what can be wrong with a network.
var (
	vanishing = faultproxy.Fault{Up: faultproxy.Link{Drop: true}, Down: faultproxy.Link{Drop: true}}
	refused   = faultproxy.Fault{Refuse: true}
)

// TestAFleetKeepsItsLimitWhileRedisIsCutOff runs three processes, each with a
// network of its own to one Redis, through an outage and out of it again. They are
// patient, as a store that is slow for one of them only adds its share to what the
// others get: on a busy machine a call may take longer than the usual budget.
func TestAFleetKeepsItsLimitWhileRedisIsCutOff(t *testing.T) {
	for name, fault := range map[string]faultproxy.Fault{"everything vanishes": vanishing, "connections are refused": refused} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all, cut, healed := throughAnOutage(t, "patient asker", fault)
			requireFleetBound(t, all)
			report(t, all, cut, healed)
		})
	}
}

// TestAnOutageAddsLittleToARequest has the usual budget.
func TestAnOutageAddsLittleToARequest(t *testing.T) {
	all, cut, healed := throughAnOutage(t, "asker", vanishing)
	usual, early, late := report(t, all, cut, healed)
	if testenv.Scale(0, 1) == 0 {
		return // a machine that is busy with other tests is slow for reasons of its own
	}
	require.LessOrEqual(t, early, usual+50*time.Millisecond)
	require.LessOrEqual(t, late, usual+5*time.Millisecond)
}

// throughAnOutage returns what a fleet was answered before, during and after.
func throughAnOutage(t *testing.T, role string, fault faultproxy.Fault) (all []answered, cut, healed time.Duration) {
	t.Helper()
	node := testenv.RestartableRedis(t)
	var proxies []*faultproxy.Proxy
	var fleet []*process
	for range fleetSize {
		proxy := testenv.Proxy(t, node.Addr())
		proxies = append(proxies, proxy)
		fleet = append(fleet, startProcess(t, role, proxy.Addr()))
	}
	for _, p := range fleet {
		ready, err := p.out.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "ready\n", ready)
	}
	phase := func(length time.Duration) time.Duration {
		timer := time.NewTimer(length) // an outage lasts as long as it lasts
		<-timer.C
		return time.Duration(time.Now().UnixNano())
	}
	cut = phase(1500 * time.Millisecond)
	for _, proxy := range proxies {
		proxy.Set(fault)
		if fault.Refuse {
			proxy.Cut()
		}
	}
	healed = phase(time.Duration(testenv.Scale(5, 30)) * time.Second)
	for _, proxy := range proxies {
		proxy.Heal()
	}
	phase(4 * time.Second)
	for _, p := range fleet {
		require.NoError(t, p.in.Close())
		var told []answered
		require.NoError(t, gob.NewDecoder(p.out).Decode(&told))
		requireServed(t, told, cut, healed)
		before := int64(0)
		for _, a := range told {
			if a.Got < cut {
				before = max(before, a.Failures)
			}
		}
		for i := range told {
			told[i].Failures = max(told[i].Failures-before, 0) // of this outage
		}
		all = append(all, told...)
	}
	return all, cut, healed
}

// requireServed checks that an instance was served before, during and after.
func requireServed(t *testing.T, told []answered, cut, healed time.Duration) {
	t.Helper()
	served := func(from, to time.Duration, degraded bool) bool {
		return slices.ContainsFunc(told, func(a answered) bool {
			return a.Sent >= from && a.Got < to && a.Allowed && a.Degraded == degraded
		})
	}
	require.True(t, served(0, cut, false), "it never knew Redis")
	require.True(t, served(cut, healed, true), "it did not spend its share")
	require.True(t, served(healed, 1<<62, false), "it did not find Redis again")
}

func requireFleetBound(t *testing.T, all []answered) {
	t.Helper()
	var admitted []span
	first := all[0].Sent
	for _, a := range all {
		first = min(first, a.Sent)
	}
	for _, a := range all {
		if a.Allowed {
			admitted = append(admitted, span{a.Sent - first, a.Got - first})
		}
	}
	most := func(window time.Duration) int64 { return askRate/10 + int64(window)*askRate/int64(time.Second) }
	require.Equal(t, int64(askRate*11/10), most(time.Second))
	requireBound(t, admitted, most, 100*time.Millisecond, time.Second, 5*time.Second)
}

// report tells what the outage did to latencies, of which it returns the 99th
// percentiles, and to what was admitted.
func report(t *testing.T, all []answered, cut, healed time.Duration) (usual, early, late time.Duration) {
	t.Helper()
	var took [3][]time.Duration
	during := 0
	for _, a := range all {
		phase := 2
		switch {
		case a.Got < cut:
			phase = 0
		case a.Sent < cut || a.Sent >= healed:
			continue
		case a.Failures < 3:
			phase = 1
		}
		took[phase] = append(took[phase], a.Got-a.Sent)
		if phase > 0 && a.Allowed {
			during++
		}
	}
	p99 := func(took []time.Duration) time.Duration {
		slices.Sort(took)
		if len(took) == 0 {
			return 0
		}
		return took[(len(took)*99-1)/100]
	}
	usual, early, late = p99(took[0]), p99(took[1]), p99(took[2])
	t.Logf("p99 %v with Redis, %v until the third failure, %v from then on; admitted %.1f %% of the limit while cut off",
		usual, early, late, 100*float64(during)/askRate/(healed-cut).Seconds())
	return usual, early, late
}
