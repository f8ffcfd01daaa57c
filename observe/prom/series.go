package prom

import (
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/bulwark-go/bulwark/observe"
	"github.com/prometheus/client_golang/prometheus"
)

// other stands for all values beyond a bound.
const other = "other"

// maxValueLength bounds one label value, in bytes; a longer one is "other". It is
// far above any route template, and keeps a hostile header from filling memory
// within the bound on series.
const maxValueLength = 256

// outcomeSlots is the room for outcomes: those that exist and some to come. Higher
// ones share the last slot; all unknown ones read "unknown" anyway.
const outcomeSlots = 16

// start is what operations of one kind with the same start values share.
type start struct {
	kind     *kind
	values   observe.Values
	overflow bool             // stands for all values beyond the bound
	inFlight prometheus.Gauge // nil for Instant kinds

	// Ended operations are found by outcome alone where the kind has no end
	// labels, and in the overflow.
	byOutcome [outcomeSlots]atomic.Pointer[series]
	byEnd     index[endKey, *series]
}

type endKey struct {
	outcome uint8
	values  observe.Values
}

// series is one combination of label values. Metrics that the kind lacks are nil.
type series struct {
	collapsed                 bool
	duration, summary, amount prometheus.Observer
	count                     prometheus.Counter
}

// start finds the start for values, without a lock or an allocation when it has
// been seen before.
func (k *kind) start(values observe.Values) *start {
	trim(&values, len(k.declared.StartLabels))
	if s, ok := k.starts.get(values); ok {
		return s
	}
	if full := k.full.Load(); full != nil {
		// It may have become full between the two reads; by then all is published.
		if s, ok := k.starts.get(values); ok {
			return s
		}
		return full
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if s, ok := k.starts.getLocked(values); ok {
		return s
	}
	if k.full.Load() != nil {
		return k.overflowLocked()
	}
	s := k.newStart(values)
	k.nStarts++
	k.starts.putLocked(s.values, s)
	if k.nStarts == k.maxSeries {
		k.starts.publishLocked()
		k.full.Store(k.overflowLocked())
	}
	return s
}

// newStart copies values: a label cut out of a request's buffer must not keep, or
// follow, the buffer.
func (k *kind) newStart(values observe.Values) *start {
	s := &start{kind: k}
	for i, v := range values {
		s.values[i] = strings.Clone(v)
	}
	if k.inFlight != nil {
		s.inFlight = k.inFlight.WithLabelValues(shown(nil, s.values, len(k.declared.StartLabels))...)
	}
	return s
}

// overflowLocked returns the start that all beyond the bound share.
func (k *kind) overflowLocked() *start {
	if k.overflow == nil {
		k.overflow = k.newStart(others(len(k.declared.StartLabels)))
		k.overflow.overflow = true
	}
	return k.overflow
}

// series finds the series for an end, without a lock or an allocation when it has
// been seen before.
func (s *start) series(outcome observe.Outcome, values observe.Values) *series {
	slot := min(outcome, outcomeSlots-1)
	if len(s.kind.declared.EndLabels) == 0 || s.overflow {
		if found := s.byOutcome[slot].Load(); found != nil {
			return found
		}
	} else {
		trim(&values, len(s.kind.declared.EndLabels))
		if found, ok := s.byEnd.get(endKey{uint8(slot), values}); ok {
			return found
		}
	}
	found, err := s.newSeries(slot, values)
	if err != nil {
		s.kind.onError(err)
	}
	return found
}

func (s *start) newSeries(slot observe.Outcome, values observe.Values) (*series, error) {
	k := s.kind
	k.mu.Lock()
	defer k.mu.Unlock()
	if s.overflow {
		return s.overflowSeriesLocked(slot)
	}
	plain := len(k.declared.EndLabels) == 0
	if plain {
		if found := s.byOutcome[slot].Load(); found != nil {
			return found, nil
		}
	} else if found, ok := s.byEnd.getLocked(endKey{uint8(slot), values}); ok {
		return found, nil
	}
	if k.nSeries >= k.maxSeries {
		found, err := k.overflowLocked().overflowSeriesLocked(slot)
		if plain {
			s.byOutcome[slot].Store(found)
		}
		return found, err
	}
	k.nSeries++
	for i, v := range values {
		values[i] = strings.Clone(v)
	}
	found := k.newSeries(s.values, slot, values)
	if plain {
		s.byOutcome[slot].Store(found)
	} else {
		s.byEnd.putLocked(endKey{uint8(slot), values}, found)
	}
	return found, nil
}

// overflowSeriesLocked returns the series that all beyond the bound share, with
// an error the first time.
func (s *start) overflowSeriesLocked(slot observe.Outcome) (*series, error) {
	k := s.kind
	found := s.byOutcome[slot].Load()
	if found == nil {
		found = k.newSeries(s.values, slot, others(len(k.declared.EndLabels)))
		found.collapsed = true
		s.byOutcome[slot].Store(found)
	}
	if k.overflowAnnounced {
		return found, nil
	}
	k.overflowAnnounced = true
	return found, fmt.Errorf("%w: kind %s_%s has more than %d combinations", ErrCollapsed,
		k.declared.Component, k.declared.Action, k.maxSeries)
}

// newSeries cannot fail: shown gives exactly as many values as the vectors have
// labels, all of them valid UTF-8, and these are the only reasons for which
// WithLabelValues panics.
func (k *kind) newSeries(startValues observe.Values, outcome observe.Outcome, endValues observe.Values) *series {
	values := shown(nil, startValues, len(k.declared.StartLabels))
	values = shown(values, endValues, len(k.declared.EndLabels))
	values = append(values, outcome.String())
	s := &series{}
	if k.durations != nil {
		s.duration = k.durations.WithLabelValues(values...)
	}
	if k.summaries != nil {
		s.summary = k.summaries.WithLabelValues(values...)
	}
	if k.amounts != nil {
		s.amount = k.amounts.WithLabelValues(values...)
	}
	if k.counts != nil {
		s.count = k.counts.WithLabelValues(values...)
	}
	return s
}

// trim empties the places that the kind does not declare and replaces values that
// are too long.
func trim(values *observe.Values, n int) {
	for i := range values {
		if i >= n {
			values[i] = ""
		} else if len(values[i]) > maxValueLength {
			values[i] = other
		}
	}
}

// shown appends the first n values in the form in which they may be exposed.
func shown(to []string, values observe.Values, n int) []string {
	for _, v := range values[:n] {
		to = append(to, strings.ToValidUTF8(v, "\uFFFD"))
	}
	return to
}

func others(n int) (values observe.Values) {
	for i := range n {
		values[i] = other
	}
	return values
}
