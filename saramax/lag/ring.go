package lag

import "time"

// sample is where a partition ended at a time.
type sample struct {
	at  time.Time
	end int64
}

// ring remembers where a partition ended and when, the newest samples in full and
// older ones thinned out more and more, so that a fixed number reaches far back.
type ring struct {
	most    int
	samples []sample // in the order of time; ends never fall
}

func (r *ring) add(at time.Time, end int64) {
	n := len(r.samples)
	if n > 0 && end < r.samples[n-1].end {
		r.samples = r.samples[:0] // the topic was made anew: nothing old holds
		n = 0
	}
	if n > 1 && r.samples[n-1].end == end && r.samples[n-2].end == end {
		r.samples[n-1].at = at // a plateau is its first and its last sample
		return
	}
	if n == r.most {
		r.thin()
	}
	r.samples = append(r.samples, sample{at, end})
}

// thin drops every second sample of the older half.
func (r *ring) thin() {
	half := len(r.samples) / 2
	kept := r.samples[:0]
	for i, s := range r.samples {
		if i >= half || i%2 == 0 {
			kept = append(kept, s)
		}
	}
	r.samples = kept
}

// passed returns when the record at offset was appended: between two samples, in
// proportion. It is exact when all samples but those around it are; sure is false when
// it is older than the oldest sample, whose time is returned then. known is false when
// the record was not there yet.
func (r *ring) passed(offset int64) (at time.Time, sure, known bool) {
	for i, s := range r.samples {
		if s.end <= offset {
			continue
		}
		if i == 0 {
			return s.at, false, true
		}
		before := r.samples[i-1]
		share := float64(offset+1-before.end) / float64(s.end-before.end)
		return before.at.Add(time.Duration(share * float64(s.at.Sub(before.at)))), true, true
	}
	return time.Time{}, false, false
}
