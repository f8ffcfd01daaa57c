package async

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"

	"github.com/bulwark-go/bulwark/observe"
)

var (
	doKind = observe.Kind{
		Component: "async", Action: "do", Help: "Requests that were delivered at once or accepted for later.",
		Role: observe.Client, StartLabels: []string{"queue"}, EndLabels: []string{"status", "reason"},
	}
	deliverKind = observe.Kind{
		Component: "async", Action: "deliver", Help: "Attempts of workers to deliver accepted requests.",
		Role: observe.Consumer, StartLabels: []string{"queue"}, EndLabels: []string{"state"},
	}
	reconcileKind = observe.Kind{
		Component: "async", Action: "reconcile", Help: "Checks of what became of requests with unknown result.",
		Role: observe.Consumer, StartLabels: []string{"queue"}, EndLabels: []string{"state"},
	}
	lostKind = observe.Kind{
		Component: "async", Action: "lost", Help: "Results that could not be written, as the lease was lost.",
		Form: observe.Instant, StartLabels: []string{"queue"}, EndLabels: []string{"state"},
	}
)

// doResult reports the end of a Do.
func doResult(out Outcome, err error) observe.Result {
	r := observe.Result{Err: err, Values: observe.Values{out.Status.String(), string(out.Reason)}}
	switch {
	case err == nil && out.Duplicate:
		r.Outcome = observe.Skipped
	case err == nil && out.Status == Accepted:
		r.Outcome = observe.Degraded
	case err == nil:
		r.Outcome = observe.OK
	case errors.Is(err, ErrFull):
		r.Outcome = observe.Rejected
	default:
		r.Outcome = observe.OutcomeOf(err)
	}
	return r
}

var (
	depthGauge = observe.Gauge{
		Component: "async", Name: "depth", Help: "Stored requests by state.", Labels: []string{"queue", "state"},
	}
	oldestGauge = observe.Gauge{
		Component: "async", Name: "oldest_age_seconds", Help: "For how long the request that has been due longest has been due.", Labels: []string{"queue"},
	}
	pausedGauge = observe.Gauge{
		Component: "async", Name: "paused", Help: "1 while the queue is paused.", Labels: []string{"queue"},
	}
	totals = map[string]*observe.Gauge{
		"accepted": {Component: "async", Name: "accepted_total", Help: "Requests stored by this instance.", Labels: []string{"queue"}, Cumulative: true},
		"attempts": {Component: "async", Name: "attempts_total", Help: "Calls of send by workers of this instance.", Labels: []string{"queue"}, Cumulative: true},
		"lost":     {Component: "async", Name: "lost_leases_total", Help: "Leases that workers of this instance lost.", Labels: []string{"queue"}, Cumulative: true},
		"failures": {Component: "async", Name: "store_failures_total", Help: "Uses of the store by workers of this instance that failed.", Labels: []string{"queue"}, Cumulative: true},
	}
)

// counters count what this instance did.
type counters struct {
	accepted, attempts, lost, failures atomic.Int64
	states                             [states]atomic.Int64
}

// Snapshot is what an instance knows without asking the store.
type Snapshot struct {
	// Stats are those read last, at most [Config.StatsEvery] ago where [Rescued.Run]
	// runs or requests are accepted; the zero Stats before the first time.
	Stats Stats
	// Accepted counts requests that this instance stored, Attempts the calls of send
	// that its workers made, Lost the leases they lost, Failures their uses of the
	// store that failed.
	Accepted, Attempts, Lost, Failures int64
	// Ended counts by state where workers of this instance moved requests to.
	Ended [states]int64
}

// Snapshot returns the state of this moment. It does not ask the store.
func (r *Rescued[Req]) Snapshot() Snapshot {
	s := Snapshot{
		Stats:    r.state.last(),
		Accepted: r.counters.accepted.Load(), Attempts: r.counters.attempts.Load(),
		Lost: r.counters.lost.Load(), Failures: r.counters.failures.Load(),
	}
	for i := range s.Ended {
		s.Ended[i] = r.counters.states[i].Load()
	}
	return s
}

// Readings implements [observe.Source] with what [Rescued.Snapshot] returns.
func (r *Rescued[Req]) Readings() iter.Seq[observe.Reading] {
	return func(yield func(observe.Reading) bool) {
		s, name := r.Snapshot(), r.Config().Name
		all := []observe.Reading{
			{Gauge: &oldestGauge, Values: observe.Values{name}, Value: s.Stats.Oldest.Seconds()},
			{Gauge: &pausedGauge, Values: observe.Values{name}, Value: number(s.Stats.Paused)},
			{Gauge: totals["accepted"], Values: observe.Values{name}, Value: float64(s.Accepted)},
			{Gauge: totals["attempts"], Values: observe.Values{name}, Value: float64(s.Attempts)},
			{Gauge: totals["lost"], Values: observe.Values{name}, Value: float64(s.Lost)},
			{Gauge: totals["failures"], Values: observe.Values{name}, Value: float64(s.Failures)},
		}
		for _, state := range States() {
			all = append(all, observe.Reading{Gauge: &depthGauge, Values: observe.Values{name, state.String()}, Value: float64(s.Stats.Depth[state])})
		}
		for _, reading := range all {
			if !yield(reading) {
				return
			}
		}
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// emitLost reports a result that could not be written.
func (r *Rescued[Req]) emitLost(ctx context.Context, to State) {
	observe.Emit(ctx, r.set.observer,
		observe.Operation{Kind: &lostKind, Values: observe.Values{r.Config().Name}},
		observe.Result{Outcome: observe.Failed, Err: ErrLost, Values: observe.Values{to.String()}})
}
