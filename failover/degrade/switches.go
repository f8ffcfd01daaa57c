package degrade

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bulwark-go/bulwark/observe"
)

// Order is what somebody wants of one switch. The zero Order is none: it is on.
type Order struct {
	// Off turns it off.
	Off bool
	// Owner is who wants that, Reason why: for people.
	Owner, Reason string
}

// Store keeps the orders that several instances go by. [Memory] is one for a node on
// its own; package redisswitch has one for a fleet, and degradetest the suite for more.
// It must be safe for concurrent use.
type Store interface {
	// Load returns the order for each of names, the zero Order where there is none.
	Load(ctx context.Context, names []string) ([]Order, error)
	// Put replaces the order for name, for a time d after which there is none.
	Put(ctx context.Context, name string, o Order, d time.Duration) error
	// Delete removes the order for name, if there is one.
	Delete(ctx context.Context, name string) error
}

// SwitchConfig holds the plain settings of [Switches]. A zero field means its default.
type SwitchConfig struct {
	// Period is how often Run asks the store; 50 ms by default, so that a fleet has
	// switched within a tenth of a second.
	Period time.Duration
	// Timeout bounds each question to the store; 1 s by default.
	Timeout time.Duration
	// Keep is how long the last answer holds while the store cannot be asked; 1 min
	// by default. Then every switch is on again: an order that nobody can take back
	// must not last for ever.
	Keep time.Duration
}

// Switches turn off whole parts of what services do, everywhere at once: writes, to
// save reads; services at the edge, to save those at the core. Create them with
// [NewSwitches]. They are safe for concurrent use.
type Switches struct {
	store    Store
	names    []string // from the least important up
	cfg      SwitchConfig
	observer observe.Observer
	off      atomic.Pointer[[]Order]

	mu    sync.Mutex // one question at a time
	heard time.Time
}

// NewSwitches returns switches with the given names, the least important first, that
// go by the orders in store. All are on until Run or Refresh has asked it. The error
// names each setting that is missing or out of range.
func NewSwitches(store Store, names []string, cfg SwitchConfig, opts ...SwitchOption) (*Switches, error) {
	fill(&cfg.Period, 50*time.Millisecond)
	fill(&cfg.Timeout, time.Second)
	fill(&cfg.Keep, time.Minute)
	var v violations
	v.require(store != nil, "store", nil, "given")
	v.require(len(names) > 0, "names", len(names), "at least one")
	for i, name := range names {
		v.require(name != "" && slices.Index(names, name) == i, fmt.Sprintf("names[%d]", i), fmt.Sprintf("%q", name), "given and unlike the others")
	}
	v.require(cfg.Period >= time.Millisecond && cfg.Period <= longest, "Period", cfg.Period, "between 1ms and a year")
	v.require(cfg.Timeout >= time.Millisecond && cfg.Timeout <= longest, "Timeout", cfg.Timeout, "between 1ms and a year")
	v.require(cfg.Keep >= cfg.Period && cfg.Keep <= longest, "Keep", cfg.Keep, "between the Period and a year")
	if err := errors.Join(v...); err != nil {
		return nil, err
	}
	s := &Switches{store: store, names: slices.Clone(names), cfg: cfg, observer: observe.Nop()}
	for _, o := range opts {
		o.applySwitches(s)
	}
	s.off.Store(&[]Order{})
	return s, nil
}

// On tells whether the named switch is on, as far as is known. One that there is not is
// on. It does not wait for anything.
func (s *Switches) On(name string) bool { return !s.Order(name).Off }

// Order returns the order for the named switch; the zero Order if there is none.
func (s *Switches) Order(name string) Order {
	i := slices.Index(s.names, name)
	if orders := *s.off.Load(); i >= 0 && i < len(orders) {
		return orders[i]
	}
	return Order{}
}

// Run asks the store every [SwitchConfig.Period] until ctx ends, and returns its error.
// Errors of the store are no reason to stop.
func (s *Switches) Run(ctx context.Context) error {
	ticker := time.NewTicker(s.cfg.Period)
	defer ticker.Stop()
	for {
		_ = s.Refresh(ctx) // the last answer holds on, for a time
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// Refresh asks the store now. On an error the last answer holds for
// [SwitchConfig.Keep].
func (s *Switches) Refresh(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	orders, err := s.store.Load(ctx, s.names)
	if err == nil && len(orders) != len(s.names) {
		err = fmt.Errorf("degrade: the store returned %d orders for %d names", len(orders), len(s.names))
	}
	if err != nil {
		if time.Since(s.heard) >= s.cfg.Keep {
			s.set(ctx, []Order{})
		}
		return err
	}
	s.heard = time.Now()
	s.set(ctx, orders)
	return nil
}

func (s *Switches) set(ctx context.Context, orders []Order) {
	was := s.off.Swap(&orders)
	s.report(ctx, *was, orders)
}

// TurnOff orders the named switch off everywhere, for at most a day, after which it is
// on by itself. It needs an owner, for people to ask.
func (s *Switches) TurnOff(ctx context.Context, name, owner, reason string, d time.Duration) error {
	if err := errors.Join(s.checkName(name), checkOrder(owner, d)); err != nil {
		return err
	}
	if err := s.store.Put(ctx, name, Order{Off: true, Owner: owner, Reason: reason}, d); err != nil {
		return err
	}
	return s.Refresh(ctx)
}

// TurnOn takes the order for the named switch back, everywhere.
func (s *Switches) TurnOn(ctx context.Context, name string) error {
	if err := s.checkName(name); err != nil {
		return err
	}
	if err := s.store.Delete(ctx, name); err != nil {
		return err
	}
	return s.Refresh(ctx)
}

// Shed turns off the n least important switches and the others on.
func (s *Switches) Shed(ctx context.Context, n int, owner, reason string, d time.Duration) error {
	var v violations
	v.require(n >= 0 && n <= len(s.names), "number of switches", n, fmt.Sprintf("between 0 and %d", len(s.names)))
	if err := errors.Join(append(v, checkOrder(owner, d))...); err != nil {
		return err
	}
	for i, name := range s.names {
		var err error
		if i < n {
			err = s.store.Put(ctx, name, Order{Off: true, Owner: owner, Reason: reason}, d)
		} else {
			err = s.store.Delete(ctx, name)
		}
		if err != nil {
			return err
		}
	}
	return s.Refresh(ctx)
}

func (s *Switches) checkName(name string) error {
	if !slices.Contains(s.names, name) {
		return fmt.Errorf("degrade: switch %q: must be one of %q", name, s.names)
	}
	return nil
}

func checkOrder(owner string, d time.Duration) error {
	var v violations
	v.require(owner != "", "owner", `""`, "given")
	v.require(d > 0 && d <= 24*time.Hour, "time", d, "above 0s and at most a day")
	return errors.Join(v...)
}

// Memory is a [Store] in memory, for one node. The zero Memory is empty.
type Memory struct {
	mu     sync.Mutex
	orders map[string]kept
}

type kept struct {
	order Order
	until time.Time
}

// Load implements [Store].
func (m *Memory) Load(_ context.Context, names []string) ([]Order, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	orders := make([]Order, len(names))
	for i, name := range names {
		if k := m.orders[name]; time.Now().Before(k.until) {
			orders[i] = k.order
		}
	}
	return orders, nil
}

// Put implements [Store].
func (m *Memory) Put(_ context.Context, name string, o Order, d time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.orders == nil {
		m.orders = make(map[string]kept)
	}
	m.orders[name] = kept{o, time.Now().Add(d)}
	return nil
}

// Delete implements [Store].
func (m *Memory) Delete(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.orders, name)
	return nil
}
