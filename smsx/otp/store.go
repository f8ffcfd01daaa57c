package otp

import (
	"context"
	"time"
)

// Store keeps what [Codes] must remember of each subject and purpose, under a name
// that tells neither. Each method is atomic and judges by the store's own clock.
// otptest checks an implementation; this package has one in memory, redisotp one in
// Redis.
type Store interface {
	// Issue puts a new code in the place of the one before, or tells that it may not.
	// The same ID again, right after, is the same issue.
	Issue(ctx context.Context, name string, in Issue) (Issued, error)
	// Verify compares and, when one of the MACs is right, uses the code up. The same
	// ID again, right after, gets the same answer and costs nothing.
	Verify(ctx context.Context, name string, in Guess) (Outcome, error)
	// Refund ends the issue of that ID, its code and its cooldown, unless there was
	// another since. The hour's and the day's count stay.
	Refund(ctx context.Context, name, id string) error
}

// Limits are the plain numbers of a [Config]; all are positive, durations in whole
// milliseconds.
type Limits struct {
	Validity, Cooldown               time.Duration
	Tries                            int
	SendsPerHour, SendsPerDay        int
	FailuresPerDay, FailuresPerMonth int
}

// Issue asks a [Store] for a new code.
type Issue struct {
	// ID is unique; MAC is the key's id, a dot, and the code's MAC.
	ID, MAC string
	Limits  Limits
}

// Issued is a [Store]'s answer.
type Issued struct {
	// Outcome is Granted, Limited or Locked.
	Outcome Outcome
	// RetryAfter is how long to wait when it was not granted.
	RetryAfter time.Duration
}

// Guess asks a [Store] whether a code is right.
type Guess struct {
	// ID is unique.
	ID string
	// MACs are those of the guess under each key, as in [Issue].
	MACs   []string
	Limits Limits
}

// Outcome is what a [Store] did. Only operators see more of it than right or wrong.
type Outcome uint8

// The outcomes.
const (
	// Absent: there is no code, or it was used. It is the zero Outcome.
	Absent Outcome = iota
	// Granted: a new code holds.
	Granted
	// Limited: codes come too fast.
	Limited
	// Locked: the failure budget is spent.
	Locked
	// Verified: the code was right and is used up.
	Verified
	// Wrong: it was not, which cost a try.
	Wrong
	// Expired: too late. No try was charged.
	Expired
	// Exhausted: the code's tries were spent before.
	Exhausted

	outcomes
)

var outcomeNames = [outcomes]string{"absent", "issued", "limited", "locked", "verified", "wrong", "expired", "exhausted"}

// String returns the outcome's label value; "unknown" for a value out of range.
func (o Outcome) String() string {
	if o >= outcomes {
		return "unknown"
	}
	return outcomeNames[o]
}
