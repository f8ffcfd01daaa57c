package async

import (
	"fmt"
	"math"
	"time"
)

// Class says what becomes of a request of which it is unknown whether it was
// carried out, where no reconciler can tell. The zero Class is AtMostOnce.
type Class uint8

// The classes.
const (
	// AtMostOnce parks it as [Unknown] until an operator decides: a second one-time
	// code, or a second payment, is worse than none.
	AtMostOnce Class = iota
	// AtLeastOnce sends it again: for calls that may be doubled.
	AtLeastOnce
)

// Mode is what an operator made of a queue. The zero Mode is Automatic.
type Mode uint8

// The modes.
const (
	// Automatic: limiter, judge and errors decide.
	Automatic Mode = iota
	// AlwaysLater: every request is stored.
	AlwaysLater
	// AlwaysNow: no request is stored; what would have been is refused with the
	// error that led there.
	AlwaysNow
)

// FailurePolicy says what to do when the limiter cannot be asked. The zero
// FailurePolicy is StoreIt.
type FailurePolicy uint8

// The policies.
const (
	// StoreIt treats a failed limiter as a denial: the request is safe, and the
	// provider's limit is never exceeded. Workers wait for the limiter.
	StoreIt FailurePolicy = iota
	// SendIt treats it as an admission.
	SendIt
	// RefuseIt returns the limiter's error. Workers wait for the limiter.
	RefuseIt
)

// Config holds the plain settings. Only Name is required; a zero field means its
// default. docs/sync-to-async.md explains each choice.
type Config struct {
	// Name names the queue, in the store and as a metric's label: at most 64 bytes.
	// Instances that use the same Name share the work.
	Name string
	// Class decides about unknown results; [AtMostOnce] by default.
	Class Class
	// Mode is the operator's override; [Automatic] by default.
	Mode Mode
	// LimiterFailure says what to do when the limiter cannot be asked; [StoreIt] by
	// default.
	LimiterFailure FailurePolicy
	// NotAfter is how long a request is worth delivering where its [Terms] say
	// nothing; 0, the default, is for ever.
	NotAfter time.Duration
	// MaxBacklog is how many requests may wait; 1 000 000 by default. Beyond, they are
	// refused with [ErrFull]. The backlog is counted every StatsEvery, and by each
	// instance for itself in between, so that it can be exceeded by what the other
	// instances accept within that time.
	MaxBacklog int64
	// MaxAge refuses requests with [ErrFull] while one has been due for longer; 0, the
	// default, is never.
	MaxAge time.Duration
	// NewestAfter delivers the newest requests first while one has been due for
	// longer, so that after an outage at least some users get what they wait for; 0,
	// the default, is never.
	NewestAfter time.Duration
	// Lookup asks the store before each call made now whether it holds the key of the
	// [Terms]; if so, the request is a duplicate. It costs one query per call, and
	// closes the gap in which a request that was accepted is made again at once by a
	// caller that tries twice.
	Lookup bool

	// Retries is how often a delivery is tried again after the first attempt; 8 by
	// default, which with the default back-off is some hours. Negative is never.
	Retries int
	// Backoff is the longest pause before the first retry; 1 min by default. It
	// doubles with each one.
	Backoff time.Duration
	// MaxBackoff bounds it; 1 h by default, or Backoff if that is longer.
	MaxBackoff time.Duration
	// Jitter is the random share of each pause, over 0 up to 1; 1 by default ("full
	// jitter"), so that requests that failed together do not come back together.
	// Negative is none.
	Jitter float64
	// CheckAfter is how long after the result became unknown the reconciler is asked
	// first; 1 min by default, as providers' records lag, and at least SendTimeout. It
	// doubles with each check, up to MaxBackoff.
	CheckAfter time.Duration
	// Checks is how often the reconciler is asked before the request is parked; 8 by
	// default.
	Checks int

	// Workers is how many deliveries one [Rescued.Run] makes at a time; 8 by default.
	Workers int
	// Batch is how many requests are claimed at once at most; as many as Workers by
	// default.
	Batch int
	// Poll is the pause between claims that found nothing; 500 ms by default, and up to
	// half as much again at random.
	Poll time.Duration
	// SendTimeout bounds one call, also one that Do makes; 10 s by default.
	SendTimeout time.Duration
	// Lease is how long a claim lasts without being renewed; 30 s by default: the time
	// after which the requests of a dead worker go on.
	Lease time.Duration
	// Heartbeat is how often leases are renewed; a third of Lease by default, so that
	// two may fail.
	Heartbeat time.Duration
	// StoreTimeout bounds each use of the store, which runs in a context of its own:
	// a result must be written down when the call has used up its time, too. 5 s by
	// default.
	StoreTimeout time.Duration
	// SweepEvery is how often expired leases and requests are put away; half of Lease
	// by default.
	SweepEvery time.Duration
	// StatsEvery is how often the figures are read; 5 s by default.
	StatsEvery time.Duration
	// Retain is how long delivered and expired requests are kept, and so for how long
	// their keys are known; 24 h by default, negative is for ever. Dead and unknown
	// ones stay until they are purged.
	Retain time.Duration
}

// forever is what a negative time means inside.
const forever time.Duration = -1

func (c Config) withDefaults() Config {
	fill(&c.SendTimeout, 10*time.Second)
	fill(&c.MaxBacklog, 1_000_000)
	fill(&c.Retries, 8)
	fill(&c.Backoff, time.Minute)
	fill(&c.MaxBackoff, max(time.Hour, c.Backoff))
	fill(&c.Jitter, 1)
	fill(&c.CheckAfter, max(time.Minute, c.SendTimeout))
	fill(&c.Checks, 8)
	fill(&c.Workers, 8)
	fill(&c.Batch, c.Workers)
	fill(&c.Poll, 500*time.Millisecond)
	fill(&c.Lease, 30*time.Second)
	fill(&c.Heartbeat, c.Lease/3)
	fill(&c.StoreTimeout, 5*time.Second)
	fill(&c.SweepEvery, c.Lease/2)
	fill(&c.StatsEvery, 5*time.Second)
	fill(&c.Retain, 24*time.Hour)
	return c
}

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

const (
	// longest bounds durations, so that sums of them never overflow.
	longest = 365 * 24 * time.Hour
	// maxWorkers and maxBatch bound one process's share and one statement's size.
	maxWorkers = 10_000
	maxBatch   = 500
)

// check returns the violations of a config whose defaults are filled in.
func (c Config) check() []error {
	var v violations
	v.require(c.Name != "" && len(c.Name) <= 64, "Name", fmt.Sprintf("%q", c.Name), "of 1 to 64 bytes")
	v.require(c.Class <= AtLeastOnce, "Class", c.Class, "AtMostOnce or AtLeastOnce")
	v.require(c.Mode <= AlwaysNow, "Mode", c.Mode, "Automatic, AlwaysLater or AlwaysNow")
	v.require(c.LimiterFailure <= RefuseIt, "LimiterFailure", c.LimiterFailure, "StoreIt, SendIt or RefuseIt")
	v.duration("NotAfter", c.NotAfter, 0)
	v.require(c.MaxBacklog >= 1, "MaxBacklog", c.MaxBacklog, "at least 1")
	v.duration("MaxAge", c.MaxAge, 0)
	v.duration("NewestAfter", c.NewestAfter, 0)
	v.require(c.Retries <= 1000, "Retries", c.Retries, "at most 1000")
	v.duration("Backoff", c.Backoff, time.Millisecond)
	v.duration("MaxBackoff", c.MaxBackoff, c.Backoff)
	v.require(c.Jitter <= 1 && !math.IsNaN(c.Jitter), "Jitter", c.Jitter, "at most 1")
	v.duration("CheckAfter", c.CheckAfter, c.SendTimeout) // a call must be over before it is asked about
	v.require(c.Checks >= 1 && c.Checks <= 1000, "Checks", c.Checks, "between 1 and 1000")
	v.require(c.Workers >= 1 && c.Workers <= maxWorkers, "Workers", c.Workers, fmt.Sprintf("between 1 and %d", maxWorkers))
	v.require(c.Batch >= 1, "Batch", c.Batch, "at least 1")
	v.duration("Poll", c.Poll, time.Millisecond)
	v.duration("SendTimeout", c.SendTimeout, time.Millisecond)
	v.duration("Lease", c.Lease, 10*time.Millisecond)
	v.require(c.Heartbeat >= time.Millisecond && c.Heartbeat <= c.Lease/2, "Heartbeat", c.Heartbeat, fmt.Sprintf("between 1ms and half of Lease %v", c.Lease))
	v.duration("StoreTimeout", c.StoreTimeout, time.Millisecond)
	v.duration("SweepEvery", c.SweepEvery, time.Millisecond)
	v.duration("StatsEvery", c.StatsEvery, time.Millisecond)
	v.require(c.Retain <= longest, "Retain", c.Retain, "at most a year")
	return v
}

// violations gathers what is wrong with settings.
type violations []error

func (v *violations) require(ok bool, field string, value any, want string) {
	if !ok {
		*v = append(*v, violation(field, value, want))
	}
}

func (v *violations) duration(field string, value, least time.Duration) {
	v.require(value >= least && value <= longest, field, value, fmt.Sprintf("between %v and a year", least))
}

// tries is how many attempts there are in all.
func (c *Config) tries() int { return 1 + max(c.Retries, 0) }

// retain is what a [Sweep] takes.
func (c *Config) retain() time.Duration { return max(c.Retain, 0) }

// pause draws the pause before attempt n+1, when n were made.
func (c *Config) pause(n int, random float64) time.Duration {
	return jittered(grow(c.Backoff, c.MaxBackoff, n), c.Jitter, random)
}

// checkPause is the pause before the next check, when n were made.
func (c *Config) checkPause(n int) time.Duration {
	return grow(c.CheckAfter, max(c.MaxBackoff, c.CheckAfter), n+1)
}

// grow doubles first n-1 times, up to most.
func grow(first, most time.Duration, n int) time.Duration {
	for range n - 1 {
		if first >= most/2 {
			return most
		}
		first *= 2
	}
	return min(first, most)
}

// jittered takes up to a share of d away.
func jittered(d time.Duration, share, random float64) time.Duration {
	share = max(share, 0)
	return d - time.Duration(share*random*float64(d))
}
