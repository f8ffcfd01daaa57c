package async_test

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/circuitbreaker/detect"
	"github.com/bulwark-go/bulwark/failover/async"
	"github.com/bulwark-go/bulwark/internal/testenv"
)

// The simulation behind the figures in docs/sync-to-async.md: 100 calls a second come
// at random to a provider whose latency is log-normal, median 100 ms and sigma 0.6;
// callers give up after 5 s. 5 000 calls are as usual, then an incident begins.

// weather is how the provider does.
type weather struct {
	name    string
	slower  float64 // factor on latency
	failing float64 // share of calls that fail at once
	silent  float64 // share of calls that get no answer
}

var (
	calm  = weather{"calm: 1 % fail", 1, 0.01, 0}
	windy = weather{"windy: 4 % fail, 1 % time out", 1, 0.04, 0.01}
	// incidents begin in calm weather.
	incidents = []weather{
		{"silence", 1, 0, 1},
		{"three times slower", 3, 0.01, 0},
		{"half of the calls fail", 1, 0.5, 0},
		{"twice as slow, 15 % fail", 2, 0.15, 0},
		{"one call in five unanswered", 1, 0.01, 0.2},
	}
)

const giveUp = 5 * time.Second

// timeouts counts time-outs in a row: what most code does.
type timeouts struct{ limit, run int }

func (d *timeouts) New() (detect.Detector, error) { return &timeouts{limit: d.limit}, nil }
func (d *timeouts) Record(c detect.Call) bool {
	if c.Latency < giveUp {
		d.run = 0
	} else {
		d.run++
	}
	return d.run >= d.limit
}
func (d *timeouts) Ill(time.Duration) (string, bool) { return "", d.run >= d.limit }

type judge struct {
	name string
	spec detect.Spec
}

func judges() []judge {
	return []judge{
		{"ours", async.Crash(async.JudgeConfig{})},
		{"3 time-outs in a row", &timeouts{limit: 3}},
		{"10 time-outs in a row", &timeouts{limit: 10}},
		{"error rate 50 % of 20 in 10 s", detect.ErrorRate(0.5, 20)},
		{"error rate 20 % of 20 in 10 s", detect.ErrorRate(0.2, 20)},
	}
}

type call struct {
	began, ends time.Duration
	failed      bool
}

type calls []call

func (c calls) Len() int           { return len(c) }
func (c calls) Less(i, j int) bool { return c[i].ends < c[j].ends }
func (c calls) Swap(i, j int)      { c[i], c[j] = c[j], c[i] }
func (c *calls) Push(x any)        { *c = append(*c, x.(call)) }
func (c *calls) Pop() any {
	last := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	return last
}

// simulation is one run of a detector.
type simulation struct {
	*testing.T
	spec     detect.Spec
	detector detect.Detector
	rand     *rand.Rand
	now      time.Duration
	open     calls
	alarms   int
	first    time.Duration // when the first alarm was
}

func simulate(t *testing.T, spec detect.Spec, seed uint64) *simulation {
	s := &simulation{T: t, spec: spec, rand: rand.New(rand.NewPCG(seed, 7))}
	s.reset()
	return s
}

// reset starts over, as a breaker does after an alarm. What runs is forgotten.
func (s *simulation) reset() {
	d, err := s.spec.New()
	require.NoError(s, err)
	s.detector, s.open = d, nil
}

func (s *simulation) ask() {
	if _, ill := s.detector.Ill(s.now); ill {
		if s.alarms++; s.alarms == 1 {
			s.first = s.now
		}
		s.reset()
	}
}

// until ends what ends until at.
func (s *simulation) until(at time.Duration) {
	for len(s.open) > 0 && s.open[0].ends <= at {
		c := heap.Pop(&s.open).(call)
		s.now = c.ends
		if w, ok := s.detector.(detect.Watcher); ok {
			w.End(c.began)
		}
		if s.detector.Record(detect.Call{At: s.now, Latency: c.ends - c.began, Failed: c.failed}) {
			s.ask()
		}
	}
	s.now = at
}

func (s *simulation) run(w weather, n int, stop bool) {
	for i := range n {
		s.until(s.now + time.Duration(s.rand.ExpFloat64()*float64(10*time.Millisecond)))
		if i%4 == 0 {
			s.ask()
		}
		if stop && s.alarms > 0 {
			return
		}
		latency := time.Duration(w.slower * math.Exp(s.rand.NormFloat64()*0.6) * float64(100*time.Millisecond))
		c := call{began: s.now, ends: s.now + min(latency, giveUp), failed: latency >= giveUp}
		switch p := s.rand.Float64(); {
		case p < w.silent:
			c.ends, c.failed = s.now+giveUp, true
		case p < w.silent+w.failing:
			c.ends, c.failed = s.now+20*time.Millisecond, true
		}
		if watcher, ok := s.detector.(detect.Watcher); ok {
			watcher.Begin(s.now)
		}
		heap.Push(&s.open, c)
	}
}

// delays returns how long after the incident began each run noticed it; those that
// had not within 60 s are left out.
func delays(t *testing.T, spec detect.Spec, w weather, runs int) (found []time.Duration) {
	for seed := range uint64(runs) {
		s := simulate(t, spec, seed)
		s.run(calm, 5000, false)
		s.alarms = 0
		began := s.now
		s.run(w, 6000, true)
		if s.alarms > 0 {
			found = append(found, s.first-began)
		}
	}
	slices.Sort(found)
	return found
}

func quantile(d []time.Duration, q float64) time.Duration { return d[int(q*float64(len(d)-1))] }

func TestJudgementFigures(t *testing.T) {
	healthy, runs := testenv.Scale(100_000, 2_000_000), testenv.Scale(20, 200)
	for _, j := range judges() {
		text := fmt.Sprintf("%-32s", j.name)
		for _, w := range []weather{calm, windy} {
			s := simulate(t, j.spec, 1)
			s.run(w, healthy, false)
			text += fmt.Sprintf(" | %s: %.1f false alarms in a million calls", w.name, float64(s.alarms)*1e6/float64(healthy))
			if j.name == "ours" {
				require.LessOrEqual(t, float64(s.alarms), 2+10*float64(healthy)/1e6)
			}
		}
		t.Log(text)
		for _, w := range incidents {
			found := delays(t, j.spec, w, runs)
			if len(found) == 0 {
				t.Logf("    %-28s never within 60 s", w.name)
				continue
			}
			t.Logf("    %-28s %3.0f %% noticed, after %5.2f s (median), %5.2f s (95 %%)", w.name,
				100*float64(len(found))/float64(runs), quantile(found, 0.5).Seconds(), quantile(found, 0.95).Seconds())
			if j.name == "ours" {
				require.Len(t, found, runs, w.name)
				require.Less(t, quantile(found, 0.95), giveUp+2*time.Second, w.name)
			}
		}
	}
}
