package detect_test

import (
	"math"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/circuitbreaker/detect"
)

// latencies draws log-normal latencies around 20 ms, sigma 0.6.
func latencies(seed uint64) func(factor float64) time.Duration {
	random := rand.New(rand.NewPCG(seed, 1))
	return func(factor float64) time.Duration {
		return time.Duration(20e6 * factor * math.Exp(0.6*random.NormFloat64()))
	}
}

func TestLatencyGrowthSeldomRaisesAFalseAlarm(t *testing.T) {
	calls := 2_000_000
	if os.Getenv("BULWARK_TEST_LONG") != "" {
		calls = 100_000_000
	}
	next, alarms := latencies(7), 0
	d := build(t, detect.LatencyGrowth())
	for range calls {
		if d.Record(took(0, next(1))) {
			alarms++
			d = build(t, detect.LatencyGrowth())
		}
	}
	t.Logf("%d false alarms in %d calls", alarms, calls)
	require.LessOrEqual(t, alarms, calls/500_000)
}

func TestLatencyGrowthIsNoticedWithinAFewCalls(t *testing.T) {
	for _, c := range []struct {
		factor  float64
		atMost  float64
		atLeast float64
	}{{2, 25, 5}, {3, 12, 3}} {
		const runs = 400
		sum := 0
		for seed := range uint64(runs) {
			next := latencies(seed)
			d := build(t, detect.LatencyGrowth())
			for range 5000 {
				d.Record(took(0, next(1)))
			}
			n := 1
			for n < 1000 && !d.Record(took(0, next(c.factor))) {
				n++
			}
			sum += n
			require.True(t, ill(d, 0))
		}
		mean := float64(sum) / runs
		t.Logf("x%g after %.1f calls", c.factor, mean)
		require.LessOrEqual(t, mean, c.atMost)
		require.GreaterOrEqual(t, mean, c.atLeast)
	}
}

func TestLatencyGrowthFollowsASlowDrift(t *testing.T) {
	next := latencies(3)
	d := build(t, detect.LatencyGrowth())
	const calls = 200_000
	for i := range calls { // to twice the latency, over many memories
		require.False(t, d.Record(took(0, next(math.Exp2(float64(i)/calls)))))
	}
}

func TestOneVeryLateCallIsNoAlarm(t *testing.T) {
	d := build(t, detect.LatencyGrowth())
	for range 1000 {
		d.Record(took(0, 10*time.Millisecond))
	}
	require.False(t, d.Record(took(0, time.Hour)))
	require.False(t, ill(d, 0))
}

func TestLatencyGrowthHearsOnlyTimedSuccesses(t *testing.T) {
	d := build(t, detect.LatencyGrowth())
	for range 1000 {
		d.Record(took(0, 10*time.Millisecond))
	}
	for range 1000 {
		require.False(t, d.Record(detect.Call{Latency: time.Hour, Failed: true}))
		require.False(t, d.Record(succeed(0)))
	}
	for range 1000 {
		if d.Record(took(0, 15*time.Millisecond)) {
			break
		}
	}
	evidence, yes := d.Ill(0)
	require.True(t, yes)
	require.Contains(t, evidence, "usual 10")
}

func TestLatenciesBelowAMillisecondAreAllTheSame(t *testing.T) {
	d := build(t, detect.LatencyGrowth())
	for range 1000 {
		d.Record(took(0, 200*time.Nanosecond))
	}
	for range 1000 {
		require.False(t, d.Record(took(0, 900*time.Microsecond)))
	}
}
