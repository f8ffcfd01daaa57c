package failover

import (
	"fmt"

	"github.com/bulwark-go/bulwark/circuitbreaker"
)

// Mode is what an operator made of a provider. The zero Mode is Automatic.
type Mode uint8

// The modes.
const (
	// Automatic: policy and judge decide.
	Automatic Mode = iota
	// Drained: it gets no new call, not even as a last resort. Back in Automatic, it
	// is probed first and gets its calls back step by step.
	Drained
	// Forced: it is asked before any other, and not judged. Of several, the policy
	// chooses.
	Forced

	modes
)

var (
	modeNames   = [modes]string{"automatic", "drained", "forced"}
	breakerMode = [modes]circuitbreaker.Mode{circuitbreaker.Automatic, circuitbreaker.ForcedOpen, circuitbreaker.ForcedClosed}
)

// String returns the mode's name; "invalid" for a value out of range.
func (m Mode) String() string {
	if m >= modes {
		return "invalid"
	}
	return modeNames[m]
}

// SetMode sets the mode of the named candidate. It returns an error that wraps
// [ErrUnknownCandidate] for a name that there is not, and one for a mode out of range.
func (g *Group[P]) SetMode(name string, mode Mode) error { return g.core.setMode(name, mode) }

func (c *core) setMode(name string, mode Mode) error {
	if mode >= modes {
		return fmt.Errorf("failover: mode %d: must be below %d", mode, modes)
	}
	for i, m := range c.members {
		if m.name == name {
			defer c.flush() // after the lock is released
			return c.setModeOf(i, mode)
		}
	}
	return fmt.Errorf("%w: %q", ErrUnknownCandidate, name)
}

func (c *core) setModeOf(i int, mode Mode) error {
	c.operating.Lock()
	defer c.operating.Unlock()
	c.events.hold()
	defer c.events.release()
	if c.modeOf(i) == mode {
		return nil
	}
	c.events.mu.Lock()
	c.events.push(Event{Kind: ModeSet, To: c.members[i].name, Reason: mode.String()})
	c.events.mu.Unlock()
	c.drained.And(^bit(i))
	c.forced.And(^bit(i))
	switch mode {
	case Drained:
		c.drained.Or(bit(i))
	case Forced:
		c.forced.Or(bit(i))
	}
	return c.health[i].breaker.SetMode(breakerMode[mode])
}

func (c *core) modeOf(i int) Mode {
	switch {
	case c.drained.Load()&bit(i) != 0:
		return Drained
	case c.forced.Load()&bit(i) != 0:
		return Forced
	default:
		return Automatic
	}
}
