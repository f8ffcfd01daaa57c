package concurrency

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/bulwark-go/bulwark/ratelimit"
)

// Budget is one bulkhead: how many calls may run, and how many may wait for it.
type Budget struct {
	// Limit is how many calls may run at the same time; at least 1.
	Limit int
	// Queue is how many may wait; 0 means none.
	Queue int
	// MaxWait is how long one may wait; 0 means as long as its context lives.
	MaxWait time.Duration
}

func (b Budget) validate(class string) error {
	var errs []error
	if class == "" {
		errs = append(errs, &ratelimit.FieldError{Field: "class", Value: `""`, Reason: "must not be empty"})
	}
	if b.Limit < 1 {
		errs = append(errs, &ratelimit.FieldError{Field: class + ".limit", Value: b.Limit, Reason: "must be at least 1"})
	}
	if b.Queue < 0 {
		errs = append(errs, &ratelimit.FieldError{Field: class + ".queue", Value: b.Queue, Reason: "must not be negative"})
	}
	if b.MaxWait < 0 {
		errs = append(errs, &ratelimit.FieldError{Field: class + ".maxWait", Value: b.MaxWait, Reason: "must not be negative"})
	}
	return errors.Join(errs...)
}

// ErrClass is returned for a class without a budget. It wraps
// [ratelimit.ErrRequest].
var ErrClass = fmt.Errorf("%w: class without a budget", ratelimit.ErrRequest)

// Bulkheads give classes of calls budgets of their own: a dependency, a group of
// them, or core and non-core work. What fills up in one does not touch the others.
type Bulkheads struct {
	classes map[string]*bulkhead
	tickets pool
}

// NewBulkheads returns a bulkhead for each class. Bad budgets are refused with one
// [*ratelimit.FieldError] for each violation, joined.
func NewBulkheads(budgets map[string]Budget) (*Bulkheads, error) {
	if len(budgets) == 0 {
		return nil, &ratelimit.FieldError{Field: "budgets", Value: budgets, Reason: "must not be empty"}
	}
	b := &Bulkheads{classes: make(map[string]*bulkhead, len(budgets))}
	var errs []error
	for class, budget := range budgets {
		errs = append(errs, budget.validate(class))
		b.classes[class] = &bulkhead{budget: budget}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return b, nil
}

// Acquire implements [Acquirer]; the key is the class. When the class is full it
// waits its turn, first come, first served. It denies when the queue is full too
// or the wait takes too long, and returns an error that wraps ctx's when ctx ends.
func (b *Bulkheads) Acquire(ctx context.Context, class string) (Ticket, error) {
	h, ok := b.classes[class]
	if !ok {
		return Ticket{}, fmt.Errorf("%w: %q", ErrClass, class)
	}
	if ctx.Err() != nil {
		return Ticket{}, errWait(ctx)
	}
	turn, budget, ok := h.enter()
	if turn != nil {
		var err error
		if ok, err = h.wait(ctx, turn, budget.MaxWait); err != nil {
			return Ticket{}, err
		}
	}
	if !ok {
		return Ticket{Decision: ratelimit.Decision{Limit: int64(budget.Limit)}}, nil
	}
	s := h.snapshot()
	return b.tickets.issue(h, s.Limit, s.InFlight, 0, 0), nil
}

// SetBudget changes the budget of a class. Who runs or waits beyond a lower one
// stays; a higher limit lets those who wait go at once.
func (b *Bulkheads) SetBudget(class string, budget Budget) error {
	h, ok := b.classes[class]
	if !ok {
		return fmt.Errorf("%w: %q", ErrClass, class)
	}
	if err := budget.validate(class); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.budget = budget
	h.admit()
	return nil
}

// Snapshot returns the state of each class.
func (b *Bulkheads) Snapshot() map[string]Snapshot {
	all := make(map[string]Snapshot, len(b.classes))
	for class, h := range b.classes {
		all[class] = h.snapshot()
	}
	return all
}

func errWait(ctx context.Context) error {
	return fmt.Errorf("concurrency: wait: %w", context.Cause(ctx))
}

type bulkhead struct {
	mu      sync.Mutex
	budget  Budget
	running int
	waiting list.List // of chan struct{}, closed to admit
}

// enter admits a call, or returns its turn in the queue, or neither.
func (h *bulkhead) enter() (turn *list.Element, b Budget, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.running < h.budget.Limit && h.waiting.Len() == 0:
		h.running++
		return nil, h.budget, true
	case h.waiting.Len() < h.budget.Queue:
		return h.waiting.PushBack(make(chan struct{})), h.budget, false
	default:
		return nil, h.budget, false
	}
}

// wait waits for turn, at most longest where that is not 0.
func (h *bulkhead) wait(ctx context.Context, turn *list.Element, longest time.Duration) (bool, error) {
	var late <-chan time.Time
	if longest > 0 {
		timer := time.NewTimer(longest)
		defer timer.Stop()
		late = timer.C
	}
	admitted := turn.Value.(chan struct{})
	select {
	case <-admitted:
		return true, nil
	case <-late:
		return h.giveUp(turn, admitted), nil
	case <-ctx.Done():
		if h.giveUp(turn, admitted) {
			h.end(0, 0, Ignored) // admitted in the same moment: the next in line goes
		}
		return false, errWait(ctx)
	}
}

// giveUp leaves the queue; it reports whether the call was admitted before that.
func (h *bulkhead) giveUp(turn *list.Element, admitted chan struct{}) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-admitted:
		return true
	default:
		h.waiting.Remove(turn)
		return false
	}
}

// end implements owner.
func (h *bulkhead) end(uint64, int64, Verdict) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.running--
	h.admit()
}

// admit lets go who waits, as far as there is room. The caller holds mu.
func (h *bulkhead) admit() {
	for h.running < h.budget.Limit && h.waiting.Len() > 0 {
		close(h.waiting.Remove(h.waiting.Front()).(chan struct{}))
		h.running++
	}
}

func (h *bulkhead) snapshot() Snapshot {
	h.mu.Lock()
	defer h.mu.Unlock()
	return Snapshot{Limit: int64(h.budget.Limit), InFlight: int64(h.running), Waiting: h.waiting.Len()}
}
