package circuitbreaker_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/circuitbreaker/detect"
)

// model says how a breaker with one detector, Consecutive(run), behaves, in the
// plainest way: it remembers every call of the present generation and counts them
// anew whenever it has to know something.
type model struct {
	cfg   circuitbreaker.Config // all fields set
	run   int
	now   time.Duration
	state circuitbreaker.State
	gen   int
	calls []*modelCall // of this generation, in the order of admission
	ended []*modelCall // of this generation, in the order of their ends

	openUntil       time.Duration
	credit          float64
	stepBegan       time.Duration
	steps           int
	held            bool
	endedBeforeStep int // how many of ended
}

type modelCall struct {
	gen     int
	begun   time.Duration
	over    bool
	lost    bool
	outcome circuitbreaker.Outcome
}

func (m *model) enter(s circuitbreaker.State) {
	m.state = s
	m.gen++
	m.calls, m.ended = nil, nil
	m.credit, m.steps, m.held, m.endedBeforeStep = 0, 0, false, 0
}

func (m *model) open() {
	m.openUntil = m.now + m.cfg.OpenFor
	m.enter(circuitbreaker.Open)
}

// count counts the calls of which is is true.
func count(calls []*modelCall, is func(*modelCall) bool) int {
	n := 0
	for _, c := range calls {
		if is(c) {
			n++
		}
	}
	return n
}

func underWay(c *modelCall) bool { return !c.over }
func good(c *modelCall) bool     { return c.over && !c.lost && c.outcome == circuitbreaker.Success }
func bad(c *modelCall) bool {
	return c.lost || c.over && c.outcome == circuitbreaker.Failure
}
func withdrawn(c *modelCall) bool { return c.over && !c.lost && c.outcome == circuitbreaker.Neutral }

// tick lets the time that has passed act.
func (m *model) tick() {
	switch m.state {
	case circuitbreaker.Open:
		if m.now >= m.openUntil {
			m.enter(circuitbreaker.HalfOpen)
		}
	case circuitbreaker.HalfOpen:
		for _, c := range m.calls {
			if !c.over && m.now >= c.begun+m.cfg.Lease {
				c.over, c.lost = true, true
			}
		}
		m.conclude()
	case circuitbreaker.Ramping:
		for m.state == circuitbreaker.Ramping && m.now >= m.stepBegan+m.cfg.RampStep && !m.unanswered() {
			m.stepBegan += m.cfg.RampStep
			if m.held {
				m.stepBegan, m.held = m.now, false
			}
			m.steps++
			m.endedBeforeStep = len(m.ended)
			if m.share() >= 1 {
				m.enter(circuitbreaker.Closed)
			}
		}
		if m.state == circuitbreaker.Ramping && m.now >= m.stepBegan+m.cfg.RampStep {
			m.held = true
			if m.now >= m.stepBegan+m.cfg.RampStep+m.cfg.Lease {
				m.open()
			}
		}
	}
}

func (m *model) share() float64 { return m.cfg.RampStart * math.Exp2(float64(m.steps)) }

// unanswered tells whether less than half of the ramp's calls have an answer.
func (m *model) unanswered() bool {
	answers := count(m.calls, good) + count(m.calls, bad)
	return 2*answers < len(m.calls)-count(m.calls, withdrawn)
}

func (m *model) conclude() {
	switch {
	case count(m.calls, bad) >= m.cfg.ProbeFailures:
		m.open()
	case count(m.calls, good) >= m.cfg.ProbeSuccesses && m.cfg.RampStart >= 1:
		m.enter(circuitbreaker.Closed)
	case count(m.calls, good) >= m.cfg.ProbeSuccesses:
		m.enter(circuitbreaker.Ramping)
		m.stepBegan = m.now
	}
}

// allow returns the admitted call, or nil.
func (m *model) allow() *modelCall {
	m.tick()
	switch m.state {
	case circuitbreaker.Open:
		return nil
	case circuitbreaker.HalfOpen:
		busy := count(m.calls, underWay)
		if busy >= m.cfg.Probes || busy+count(m.calls, bad) >= m.cfg.ProbeFailures {
			return nil
		}
	case circuitbreaker.Ramping:
		m.credit = min(m.credit+m.share(), 2)
		if m.credit < 1 {
			return nil
		}
		answers := count(m.calls, good) + count(m.calls, bad)
		if count(m.calls, underWay) >= m.cfg.RampFailures+answers {
			m.credit = 1
			return nil
		}
		m.credit--
	}
	c := &modelCall{gen: m.gen, begun: m.now}
	m.calls = append(m.calls, c)
	return c
}

func (m *model) done(c *modelCall, o circuitbreaker.Outcome) {
	if c.gen != m.gen {
		return
	}
	if !c.over {
		c.over, c.outcome = true, o
		m.ended = append(m.ended, c)
		m.judge(o)
	}
	m.tick()
}

func (m *model) judge(o circuitbreaker.Outcome) {
	switch m.state {
	case circuitbreaker.Closed:
		run := 0
		for _, c := range m.ended {
			if bad(c) {
				run++
			} else if good(c) {
				run = 0
			}
		}
		if run >= m.run {
			m.open()
		}
	case circuitbreaker.HalfOpen:
		m.conclude()
	case circuitbreaker.Ramping:
		step := m.ended[m.endedBeforeStep:]
		if o == circuitbreaker.Failure && (m.tooMuch(m.ended) || m.tooMuch(step)) {
			m.open()
		}
	}
}

func (m *model) tooMuch(calls []*modelCall) bool {
	b, g := count(calls, bad), count(calls, good)
	return b >= m.cfg.RampFailures && float64(b) >= m.cfg.RampRatio*float64(b+g)
}

// pass moves the clock; the timer that ends the open state is on time.
func (m *model) pass(d time.Duration) {
	m.now += d
	if m.state == circuitbreaker.Open {
		m.tick()
	}
}

// pair is a breaker and its model in step.
type pair struct {
	t       require.TestingT
	breaker *circuitbreaker.Breaker
	clock   *manual
	model   *model
	edges   map[[2]circuitbreaker.State]int
}

func newPair(t require.TestingT, cfg circuitbreaker.Config, run int) *pair {
	p := &pair{t: t, clock: &manual{}, model: &model{cfg: cfg, run: run, gen: 1}, edges: map[[2]circuitbreaker.State]int{}}
	var err error
	p.breaker, err = circuitbreaker.New(cfg, circuitbreaker.WithDetector(detect.Consecutive(run)), steady(),
		circuitbreaker.WithClock(p.clock),
		circuitbreaker.OnTransition(func(tr circuitbreaker.Transition) { p.edges[[2]circuitbreaker.State{tr.From, tr.To}]++ }))
	require.NoError(t, err)
	return p
}

// call is what one caller holds.
type call struct {
	ticket *circuitbreaker.Ticket
	model  *modelCall
}

func (p *pair) allow() *call {
	ticket, err := p.breaker.Allow()
	m := p.model.allow()
	require.Equal(p.t, m != nil, err == nil, "admission in %v: %v", p.model.state, err)
	p.agree()
	if m == nil {
		return nil
	}
	return &call{&ticket, m}
}

func (p *pair) done(c *call, o circuitbreaker.Outcome) {
	c.ticket.Done(o)
	p.model.done(c.model, o)
	p.agree()
}

func (p *pair) pass(d time.Duration) {
	p.clock.pass(d)
	p.model.pass(d)
	p.agree()
}

func (p *pair) agree() {
	if got := p.breaker.Standing(); got != p.model.state { // require is slow
		require.Equal(p.t, p.model.state, got, "model and breaker differ")
	}
}

func TestBreakerAgreesWithItsModel(t *testing.T) { rapid.Check(t, agreesWithModel) }

func FuzzBreakerAgreesWithItsModel(f *testing.F) { f.Fuzz(rapid.MakeFuzz(agreesWithModel)) }

// agreesWithModel takes a random path with random settings.
func agreesWithModel(t *rapid.T) {
	cfg := circuitbreaker.Config{
		Name: "x", OpenFor: 3 * time.Second, MaxOpenFor: 3 * time.Second, ForgiveAfter: time.Hour,
		Probes:         rapid.IntRange(1, 4).Draw(t, "probes"),
		ProbeSuccesses: rapid.IntRange(1, 4).Draw(t, "successes"),
		ProbeFailures:  rapid.IntRange(1, 4).Draw(t, "failures"),
		Lease:          time.Duration(rapid.IntRange(1, 5).Draw(t, "lease")) * time.Second,
		RampStart:      rapid.SampledFrom([]float64{1, 0.5, 0.25, 0.125}).Draw(t, "start"), // exact in both arithmetics
		RampStep:       time.Duration(rapid.IntRange(1, 3).Draw(t, "step")) * time.Second,
		RampFailures:   rapid.IntRange(1, 4).Draw(t, "ramp failures"),
		RampRatio:      rapid.SampledFrom([]float64{0.25, 0.5, 1}).Draw(t, "ratio"),
	}
	p := newPair(t, cfg, rapid.IntRange(1, 3).Draw(t, "run"))
	var calls []*call
	for range rapid.IntRange(1, 150).Draw(t, "steps") {
		switch rapid.SampledFrom([]string{"allow", "allow", "done", "done", "pass", "state"}).Draw(t, "action") {
		case "allow":
			if c := p.allow(); c != nil {
				calls = append(calls, c)
			}
		case "done":
			if len(calls) == 0 {
				continue
			}
			i := rapid.IntRange(0, len(calls)-1).Draw(t, "which")
			p.done(calls[i], circuitbreaker.Outcome(rapid.SampledFrom([]uint8{0, 0, 0, 1, 1, 2}).Draw(t, "outcome")))
			calls = append(calls[:i], calls[i+1:]...)
		case "pass":
			p.pass(time.Duration(rapid.IntRange(0, 4000).Draw(t, "ms")) * time.Millisecond)
		case "state":
			p.breaker.State()
			p.model.tick()
			p.agree()
		}
	}
}
