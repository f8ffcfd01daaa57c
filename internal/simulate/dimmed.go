package simulate

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/bulwark-go/bulwark/failover/degrade"
)

// Capacity is that of the service in Uncontrolled and Dimmed, in calls a second.
const Capacity = 1000

// queueBound is how many calls may wait for a load of 1: half a second's work.
const queueBound = Capacity / 2

// Step is an offer that jumps.
func Step(from, to float64, at time.Duration) func(time.Duration) float64 {
	return func(now time.Duration) float64 {
		if now < at {
			return from
		}
		return to
	}
}

// Uncontrolled is a service of 20 workers whose callers give up after a second and try
// twice again. Of its calls 35 % are critical or vital.
func Uncontrolled(offered func(time.Duration) float64, seed uint64) Overload {
	return Overload{
		Capacity: Capacity, Workers: 20, Patience: time.Second, Retries: 2,
		Mix: [4]float64{0.35, 0.30, 0.25, 0.10}, Offered: offered, Seed: seed, Period: 100 * time.Millisecond,
	}
}

// Dimmed is the same service behind a [degrade.Dimmer] with its defaults.
func Dimmed(offered func(time.Duration) float64, seed uint64) Overload {
	o := Uncontrolled(offered, seed)
	load, chance := 0.0, rand.New(rand.NewPCG(seed, 2))
	d, err := degrade.NewDimmer(degrade.DimmerConfig{Name: "simulated"}, degrade.WithRand(chance.Float64),
		degrade.WithSignal("queue", func() (float64, bool) { return load, true }))
	if err != nil {
		panic(fmt.Sprint("simulate: ", err)) // of constants
	}
	o.Admit = d.Admit
	o.Measure = func(s *Service) {
		load = float64(s.Waiting()) / queueBound
		d.Measure()
	}
	return o
}

// Load is the load at the end of a slice, as the Dimmer of [Dimmed] measures it.
func Load(s Slice) float64 { return float64(s.Waiting) / queueBound }

// Total is what became of the calls of many slices.
type Total struct {
	classes [4]Class
	// Done is the sum of the slices' Done.
	Done int
}

// Sum adds slices up.
func Sum(slices []Slice) (t Total) {
	for _, s := range slices {
		t.Done += s.Done
		for i, c := range s.Classes {
			t.classes[i].Offered += c.Offered
			t.classes[i].Good += c.Good
			t.classes[i].Shed += c.Shed
		}
	}
	return t
}

func (t Total) add(from, to int) (sum Class) {
	for _, c := range t.classes[from:to] {
		sum.Offered += c.Offered
		sum.Good += c.Good
	}
	return sum
}

// Good is how many calls were answered in time.
func (t Total) Good() float64 { return float64(t.add(0, 4).Good) }

// CriticalOffered is how many calls of the two upper classes there were.
func (t Total) CriticalOffered() float64 { return float64(t.add(2, 4).Offered) }

// OptionalOffered is how many calls of the two lower classes there were.
func (t Total) OptionalOffered() float64 { return float64(t.add(0, 2).Offered) }

// Critical is which share of the upper classes was answered in time.
func (t Total) Critical() float64 { return float64(t.add(2, 4).Good) / t.CriticalOffered() }

// Optional is which share of the lower classes was answered in time.
func (t Total) Optional() float64 { return float64(t.add(0, 2).Good) / t.OptionalOffered() }
