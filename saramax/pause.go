package saramax

import "strings"

// PauseReason is a set of reasons why a partition is not fetched.
type PauseReason uint8

// The reasons.
const (
	// PauseBackpressure: as much is held as [Window] allows.
	PauseBackpressure PauseReason = 1 << iota
	// PauseGap: one record holds back the commit of too many others, or too long.
	PauseGap
	// PauseDelay: the next record is not due yet.
	PauseDelay
	// PauseBudget: too many records were rejected.
	PauseBudget
	// PausePark: a rejected record cannot be put aside.
	PausePark
	// PauseOperator: somebody called [Consumer.Pause].
	PauseOperator
)

var pauseNames = []string{"backpressure", "gap", "delay", "budget", "park", "operator"}

// String returns the names of the reasons, joined by "+"; empty for none.
func (r PauseReason) String() string {
	var names []string
	for i, name := range pauseNames {
		if r&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, "+")
}

// judgeRoom sets or clears the reasons that come from what is held. mu is held.
func (c *claim) judgeRoom() {
	w := c.h.tuning.Load().Window
	switch {
	case c.queue.waiting >= w.Messages || c.bytes >= w.Bytes:
		c.reasons |= PauseBackpressure
	case c.queue.waiting <= w.Messages/2 && c.bytes <= w.Bytes/2:
		c.reasons &^= PauseBackpressure
	}
	held := c.track.held()
	switch {
	case held >= w.Gap:
		if c.reasons |= PauseGap; !c.told {
			c.told = true
			c.h.emitLater(Event{
				Kind: EventGap, Topic: c.topic, Partition: c.partition, Offset: c.track.commit(), Count: int64(held),
			})
		}
	case held <= w.Gap/2 && !c.aged:
		c.reasons &^= PauseGap
		c.told = false
	}
}

// applyPause makes the group fetch the partition, or not, as the claim wants. mu is
// not held: the group has a lock of its own.
func (c *claim) applyPause() {
	if c.pausing.Load() == c.paused.Load() {
		return
	}
	c.pauseMu.Lock()
	defer c.pauseMu.Unlock()
	c.mu.Lock()
	want, ended := c.reasons != 0, c.ended
	c.mu.Unlock()
	if ended || want == c.paused.Load() {
		return
	}
	c.tellGroup(want)
}

// tellGroup pauses or resumes the partition. pauseMu is held.
func (c *claim) tellGroup(pause bool) {
	c.paused.Store(pause)
	it := map[string][]int32{c.topic: {c.partition}}
	if pause {
		c.h.group.Pause(it)
	} else {
		c.h.group.Resume(it)
	}
}
