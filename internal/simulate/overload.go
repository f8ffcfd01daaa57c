package simulate

import (
	"container/heap"
	"context"
	"math/rand/v2"
	"time"

	"github.com/bulwark-go/bulwark/failover/degrade"
)

// Overload is a service that is offered more than it can do: one queue, served in
// turn, and callers who give up after a time and try again. Nothing tells the service
// who has given up, as with most protocols: it serves them all the same.
type Overload struct {
	// Capacity is how many calls a second the service can do.
	Capacity float64
	// Workers is how many it does at a time.
	Workers int
	// Patience is how long callers wait, and Retries how often they try again.
	Patience time.Duration
	Retries  int
	// Mix is the share of each class of the calls, from Sheddable to Vital.
	Mix [4]float64
	// Offered is how many calls are offered, as a multiple of the capacity.
	Offered func(at time.Duration) float64
	// Seed makes runs the same.
	Seed uint64

	// Admit, if there is one, is asked for each call; what it refuses is not tried
	// again. Measure is called every Period.
	Admit   func(context.Context) error
	Measure func(s *Service)
	Period  time.Duration
}

// Class counts the calls of one class.
type Class struct {
	// Offered counts first tries, Good answers in time, Shed refusals of Admit.
	Offered, Good, Shed int
}

// Slice is what became of the calls that began within one period.
type Slice struct {
	At      time.Duration
	Classes [4]Class
	// Done counts answers in that period that somebody waited for.
	Done int
	// Waiting is how many calls waited at its end.
	Waiting int
}

// Service is the state that a controller can see.
type Service struct {
	now   time.Duration
	queue []*try
	busy  int
}

// Now is the time.
func (s *Service) Now() time.Duration { return s.now }

// Waiting is how many calls wait.
func (s *Service) Waiting() int { return len(s.queue) }

// try is one attempt of a caller.
type try struct {
	class, slice int
	left         int // retries
	began        time.Duration
	over         bool // answered, or given up
}

type event struct {
	at   time.Duration
	turn int // ties go in the order in which they came
	do   func()
}

type agenda []event

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at < a[j].at || a[i].at == a[j].at && a[i].turn < a[j].turn
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(event)) }
func (a *agenda) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

// overload is one run.
type overload struct {
	Overload
	Service
	rand   *rand.Rand
	agenda agenda
	turns  int
	slices []Slice
}

// Run simulates so much time, and returns what happened in each period of it.
func (o Overload) Run(length time.Duration) []Slice {
	r := &overload{Overload: o, rand: rand.New(rand.NewPCG(o.Seed, 1))}
	r.slices = make([]Slice, length/o.Period+1)
	for i := range r.slices {
		r.slices[i].At = time.Duration(i) * o.Period
	}
	r.in(0, r.arrive)
	r.in(o.Period, r.measure)
	for len(r.agenda) > 0 && r.agenda[0].at < length+o.Patience*time.Duration(o.Retries+1) {
		e := heap.Pop(&r.agenda).(event)
		r.now = e.at
		e.do()
	}
	return r.slices[:length/o.Period]
}

func (r *overload) in(d time.Duration, do func()) {
	r.turns++
	heap.Push(&r.agenda, event{r.now + d, r.turns, do})
}

func (r *overload) slice() int { return min(int(r.now/r.Period), len(r.slices)-1) }

func (r *overload) measure() {
	if r.Measure != nil {
		r.Measure(&r.Service)
	}
	r.slices[r.slice()-1].Waiting = r.Waiting()
	r.in(r.Period, r.measure)
}

// arrive is a caller, and plans the next one.
func (r *overload) arrive() {
	rate := max(r.Offered(r.now)*r.Capacity, 1e-3)
	r.in(time.Duration(r.rand.ExpFloat64()/rate*float64(time.Second)), r.arrive)
	class, x := 0, r.rand.Float64()
	for class < len(r.Mix)-1 && x >= r.Mix[class] {
		x -= r.Mix[class]
		class++
	}
	slice := r.slice()
	r.slices[slice].Classes[class].Offered++
	r.call(&try{class: class, slice: slice, left: r.Retries})
}

func (r *overload) call(t *try) {
	if r.Admit != nil {
		ctx := degrade.WithCriticality(context.Background(), degrade.Sheddable+degrade.Criticality(t.class))
		if r.Admit(ctx) != nil {
			r.slices[t.slice].Classes[t.class].Shed++
			return
		}
	}
	t.began = r.now
	r.queue = append(r.queue, t)
	r.in(r.Patience, func() {
		if !t.over {
			t.over = true // and yet it stays in the queue
			if t.left > 0 {
				r.call(&try{class: t.class, slice: t.slice, left: t.left - 1})
			}
		}
	})
	r.serve()
}

func (r *overload) serve() {
	for r.busy < r.Workers && len(r.queue) > 0 {
		t := r.queue[0]
		r.queue = r.queue[1:]
		r.busy++
		r.in(time.Duration(r.rand.ExpFloat64()*float64(r.Workers)/r.Capacity*float64(time.Second)), func() {
			r.busy--
			if !t.over {
				t.over = true
				r.slices[t.slice].Classes[t.class].Good++
				r.slices[r.slice()].Done++
			}
			r.serve()
		})
	}
}
