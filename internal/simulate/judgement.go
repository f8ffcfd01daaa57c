package simulate

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/bulwark-go/bulwark/circuitbreaker/detect"
	"github.com/bulwark-go/bulwark/failover/async"
)

// Weather is how a provider does. 100 calls a second come at random; its latency is
// log-normal with median 100 ms and sigma 0.6, and callers give up after GiveUp.
type Weather struct {
	Name string
	// Slower is a factor on latency, Failing the share of calls that fail at once, and
	// Silent the share that gets no answer.
	Slower, Failing, Silent float64
}

// Calm and Windy weather is no incident; Incidents begin in calm weather.
var (
	Calm      = Weather{"calm: 1 % fail", 1, 0.01, 0}
	Windy     = Weather{"windy: 4 % fail, 1 % time out", 1, 0.04, 0.01}
	Incidents = []Weather{
		{"silence", 1, 0, 1},
		{"three times slower", 3, 0.01, 0},
		{"half of the calls fail", 1, 0.5, 0},
		{"twice as slow, 15 % fail", 2, 0.15, 0},
		{"one call in five unanswered", 1, 0.01, 0.2},
	}
)

// GiveUp is how long callers wait.
const GiveUp = 5 * time.Second

// Timeouts judges by so many time-outs in a row: what most code does.
type Timeouts int

// New implements [detect.Spec].
func (n Timeouts) New() (detect.Detector, error) { return &timeouts{limit: int(n)}, nil }

type timeouts struct{ limit, run int }

func (d *timeouts) Record(c detect.Call) bool {
	if c.Latency < GiveUp {
		d.run = 0
	} else {
		d.run++
	}
	return d.run >= d.limit
}
func (d *timeouts) Ill(time.Duration) (string, bool) { return "", d.run >= d.limit }

// Judge is a way to judge whether a provider is ill.
type Judge struct {
	Name string
	Spec detect.Spec
}

// Judges are ours, the first one, and those that it is compared with.
func Judges() []Judge {
	return []Judge{
		{"async.Crash", async.Crash(async.JudgeConfig{})},
		{"3 time-outs in a row", Timeouts(3)},
		{"10 time-outs in a row", Timeouts(10)},
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

// judgement is one run of a detector.
type judgement struct {
	spec     detect.Spec
	detector detect.Detector
	rand     *rand.Rand
	now      time.Duration
	open     calls
	alarms   int
	first    time.Duration // when the first alarm was
}

func judge(spec detect.Spec, seed uint64) *judgement {
	s := &judgement{spec: spec, rand: rand.New(rand.NewPCG(seed, 7))}
	s.reset()
	return s
}

// reset starts over, as a breaker does after an alarm. What runs is forgotten.
func (s *judgement) reset() {
	d, err := s.spec.New()
	if err != nil {
		panic(fmt.Sprint("simulate: ", err)) // of a caller's constants
	}
	s.detector, s.open = d, nil
}

func (s *judgement) ask() {
	if _, ill := s.detector.Ill(s.now); ill {
		if s.alarms++; s.alarms == 1 {
			s.first = s.now
		}
		s.reset()
	}
}

// until ends what ends until at.
func (s *judgement) until(at time.Duration) {
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

func (s *judgement) run(w Weather, n int, stop bool) {
	for i := range n {
		s.until(s.now + time.Duration(s.rand.ExpFloat64()*float64(10*time.Millisecond)))
		if i%4 == 0 {
			s.ask()
		}
		if stop && s.alarms > 0 {
			return
		}
		latency := time.Duration(w.Slower * math.Exp(s.rand.NormFloat64()*0.6) * float64(100*time.Millisecond))
		c := call{began: s.now, ends: s.now + min(latency, GiveUp), failed: latency >= GiveUp}
		switch p := s.rand.Float64(); {
		case p < w.Silent:
			c.ends, c.failed = s.now+GiveUp, true
		case p < w.Silent+w.Failing:
			c.ends, c.failed = s.now+20*time.Millisecond, true
		}
		if watcher, ok := s.detector.(detect.Watcher); ok {
			watcher.Begin(s.now)
		}
		heap.Push(&s.open, c)
	}
}

// FalseAlarms counts the alarms in so many calls without an incident.
func FalseAlarms(spec detect.Spec, w Weather, calls int) int {
	s := judge(spec, 1)
	s.run(w, calls, false)
	return s.alarms
}

// Delays returns how long after an incident began each of so many runs noticed it, in
// ascending order; those that had not within a minute are left out. 5 000 calls in calm
// weather come before it.
func Delays(spec detect.Spec, w Weather, runs int) (found []time.Duration) {
	for seed := range uint64(runs) {
		s := judge(spec, seed)
		s.run(Calm, 5000, false)
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

// Quantile returns the q-quantile of a sorted series that is not empty.
func Quantile(d []time.Duration, q float64) time.Duration { return d[int(q*float64(len(d)-1))] }
