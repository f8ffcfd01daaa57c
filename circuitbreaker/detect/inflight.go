package detect

import (
	"fmt"
	"time"
)

const (
	// ageSlices is how many slices of time one threshold has: the alarm comes at
	// most one slice late.
	ageSlices = 32
	// ageSpan is after how many thresholds a call that never ended is forgotten:
	// a leaked one must not count for ever.
	ageSpan = 4
)

// InFlightAge finds the target ill when at least calls of them have been running
// for age or longer. It notices a target that stopped answering after one age,
// where every other detector waits for the first timeout. The alarm is late by at
// most age/32; a call that has not ended after four ages is forgotten.
// A breaker so busy that it times one call in sixteen tells only of those, so that
// calls then means sixteen times as many.
func InFlightAge(age time.Duration, calls int) Spec {
	return specFunc(func() (Detector, error) {
		var c checks
		c.require(age >= time.Millisecond && age <= maxWindow, "in-flight age", "age", age, "between 1ms and 1h")
		c.require(calls >= 1, "in-flight age", "calls", calls, "at least 1")
		if err := c.err(); err != nil {
			return nil, err
		}
		return &inFlightAge{age: age, limit: calls}, nil
	})
}

// inFlightAge counts the running calls by the slice of time that they began in,
// in a ring that covers ageSpan ages. Slice numbers tell a slot's present use from
// an earlier one.
type inFlightAge struct {
	age   time.Duration
	limit int
	slots [ageSlices * ageSpan]struct {
		number  int64
		running int
	}
}

func (d *inFlightAge) number(at time.Duration) int64 { return int64(at / (d.age / ageSlices)) }

// Begin implements [Watcher].
func (d *inFlightAge) Begin(at time.Duration) {
	number := d.number(at)
	slot := &d.slots[uint64(number)%uint64(len(d.slots))]
	if slot.number != number {
		slot.number, slot.running = number, 0
	}
	slot.running++
}

// End implements [Watcher].
func (d *inFlightAge) End(began time.Duration) {
	number := d.number(began)
	slot := &d.slots[uint64(number)%uint64(len(d.slots))]
	if slot.number == number && slot.running > 0 {
		slot.running--
	}
}

func (d *inFlightAge) Timed() {}

// Bad implements [Judge].
func (d *inFlightAge) Bad(c Call) bool { return c.Latency >= d.age }

// Record implements [Detector]: what ended no longer matters.
func (d *inFlightAge) Record(Call) bool { return false }

func (d *inFlightAge) Ill(now time.Duration) (string, bool) {
	newest := d.number(now - d.age)
	oldest := d.number(now) - int64(len(d.slots))
	old := 0
	for i := range d.slots {
		if s := &d.slots[i]; s.number < newest && s.number > oldest {
			old += s.running
		}
	}
	if old < d.limit {
		return "", false
	}
	return fmt.Sprintf("%d calls running for more than %v", old, d.age), true
}
