package prom

import (
	"time"

	"github.com/bulwark-go/bulwark/observe"
)

// run is one operation under way. It is pooled together with its End, so that an
// operation costs no allocation.
type run struct {
	o     *Observer
	start *start
	began time.Duration // since o.origin
	end   observe.End   // r.finish, bound once
}

func (r *run) begin(s *start) {
	r.start = s
	if s.inFlight != nil {
		s.inFlight.Inc()
		r.began = time.Since(r.o.origin) // reads one clock where time.Now reads two
	}
}

func (r *run) finish(res observe.Result) {
	s := r.start
	if s == nil {
		return // ended twice, and luckily before the run served another operation
	}
	r.start = nil
	series := s.series(res.Outcome, res.Values)
	if s.inFlight != nil {
		took := (time.Since(r.o.origin) - r.began).Seconds()
		s.inFlight.Dec()
		series.duration.Observe(took)
		if series.summary != nil {
			series.summary.Observe(took)
		}
	} else {
		series.count.Inc()
	}
	if series.amount != nil && res.Amount >= 0 {
		series.amount.Observe(float64(res.Amount))
	}
	if series.collapsed {
		s.kind.collapsed.Inc()
	}
	r.o.runs.Put(r)
}
