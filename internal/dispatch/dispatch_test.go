package dispatch_test

import (
	"runtime"
	"sync"
	"testing"

	"github.com/bulwark-go/bulwark/internal/dispatch"
	"github.com/stretchr/testify/require"
)

// owner tells its listeners of numbers.
type owner struct {
	mu        sync.Mutex
	queue     dispatch.Queue[int]
	listeners []func(int)
}

func (o *owner) tell(events ...int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range events {
		o.queue.Push(e)
	}
	o.queue.Deliver(&o.mu, func(e *int) []func(int) {
		*e *= 10 // completed under the lock
		return o.listeners
	})
}

func TestAListenerMayCallTheOwnerAndHearsInOrder(t *testing.T) {
	o := &owner{}
	var heard []int
	o.listeners = []func(int){
		func(e int) {
			heard = append(heard, e)
			if e == 10 {
				o.tell(3)
				require.Equal(t, []int{10}, heard, "its own event comes after those before it")
			}
		},
		func(e int) { heard = append(heard, -e) },
	}
	o.tell(1, 2)
	require.Equal(t, []int{10, -10, 20, -20, 30, -30}, heard)
	require.False(t, o.queue.Due())
}

func TestEventsOfManyArriveOnceAndOneAtATime(t *testing.T) {
	o := &owner{}
	inside, sum, last := 0, 0, map[int]int{}
	var mu sync.Mutex
	enter := func(by int) {
		mu.Lock()
		defer mu.Unlock()
		if inside += by; inside > 1 {
			t.Error("two listeners at a time")
		}
	}
	o.listeners = []func(int){func(e int) {
		enter(1)
		defer enter(-1)
		who, n := e/10/1000, e/10%1000
		if n <= last[who] {
			t.Errorf("%d after %d", n, last[who])
		}
		last[who] = n
		sum++
		runtime.Gosched()
	}}
	var all sync.WaitGroup
	for who := range 8 {
		all.Go(func() {
			for n := range 200 {
				o.tell(who*1000 + n + 1)
			}
		})
	}
	all.Wait()
	require.Equal(t, 8*200, sum)
}

func TestAPanicIsContainedAndCounted(t *testing.T) {
	o := &owner{}
	var heard []int
	o.listeners = []func(int){
		func(int) { panic("boom") },
		func(e int) { heard = append(heard, e) },
	}
	o.tell(1, 2)
	require.Equal(t, []int{10, 20}, heard)
	require.EqualValues(t, 2, o.queue.Panicked())
}

func TestAListenerThatEndsItsGoroutineSilencesNobody(t *testing.T) {
	o := &owner{}
	var heard []int
	o.listeners = []func(int){func(e int) {
		if e == 10 {
			runtime.Goexit()
		}
		heard = append(heard, e)
	}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		o.tell(1, 2)
	}()
	<-done
	o.tell(3)
	require.Equal(t, []int{20, 30}, heard)
	require.Zero(t, o.queue.Panicked())
}

func TestHeldEventsWait(t *testing.T) {
	o := &owner{}
	var heard []int
	o.listeners = []func(int){func(e int) {
		heard = append(heard, e)
		if e == 30 {
			o.mu.Lock()
			o.queue.Hold()
			o.mu.Unlock()
		}
	}}
	o.queue.Hold()
	o.queue.Hold()
	o.tell(1)
	o.queue.Release()
	o.tell(2)
	require.Empty(t, heard)
	o.queue.Release()
	require.True(t, o.queue.Due())
	o.tell(3, 4)
	require.Equal(t, []int{10, 20, 30}, heard, "held in the middle")
	o.queue.Release()
	o.tell()
	require.Equal(t, []int{10, 20, 30, 40}, heard)
}
