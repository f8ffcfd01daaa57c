// Package quota counts what accounts send in a calendar month, so that nobody
// spends more than their capacity, whatever is retried, lost or killed.
//
//	d, err := q.Reserve(ctx, quota.Charge{Account: "shop", ID: m.ID, Content: fingerprint, Units: 2, Capacity: 1000})
//	if d.Verdict != quota.Granted { ... }
//	receipt, err := svc.Send(ctx, m)
//	err = q.Commit(ctx, d.Ticket, 2)   // sent
//	err = q.Refund(ctx, d.Ticket)      // certainly not sent
//	                                   // neither: nobody knows
//
// A reservation is a charge at once; only the certainty that nothing was sent gives
// it back. So a process that dies between the two costs its account the units of
// that one message and no more, and what it may have sent is paid for.
//
// The same ID is the same message, and is charged once however often it is tried.
// It is given back when every try has been refunded: a try whose outcome nobody
// knows keeps it, also when the next one was rejected. IDs are remembered for a
// retention after their last use; a reservation that was neither committed nor
// refunded by then is spent for good.
//
// [Memory] keeps the count in one process, redisquota in Redis; quotatest checks an
// implementation.
package quota

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Quota counts. It must be safe for concurrent use. Each method is atomic and judges
// by the clock of whatever keeps the count.
type Quota interface {
	// Reserve charges a message to its account's month, or tells why not. Asking again
	// with the same ID is another try of that message and charges nothing.
	Reserve(ctx context.Context, c Charge) (Decision, error)
	// Commit ends a reservation as spent: units of it, the rest being given back when
	// no other try is open. It does nothing when the reservation has ended already.
	Commit(ctx context.Context, t Ticket, units int64) error
	// Refund tells that a try has certainly sent nothing. The last open one gives the
	// charge back, to the month that it was taken from. It does nothing the second time.
	Refund(ctx context.Context, t Ticket) error
}

// Bounds of a [Charge].
const (
	// MaxTries is how often one message can be tried; it is also how often a message
	// can be sent for the price of one.
	MaxTries = 16
	// MaxUnits is the greatest charge.
	MaxUnits = 1_000_000
	// MaxCapacity is the greatest capacity.
	MaxCapacity = 1_000_000_000_000
	maxName     = 256
)

// ErrCharge means that a charge can't be judged; see [Charge.Check].
var ErrCharge = errors.New("quota: bad charge")

// Charge is one message's.
type Charge struct {
	// Account is whose month it is: any text of 1 to 256 bytes.
	Account string
	// ID is the message's, of 1 to 256 bytes, and the same in every try.
	ID string
	// Content stands for all that is in the message, of 1 to 256 bytes: under an ID
	// that was used for another content nothing is granted.
	Content string
	// Units is what it costs, such as its segments times its receivers; from 1 to
	// [MaxUnits].
	Units int64
	// Capacity is the most units of the account in a month, from 0 to [MaxCapacity].
	// The latest call's counts.
	Capacity int64
}

// Check tells every reason why the charge can't be judged. Each error is [ErrCharge].
func (c Charge) Check() error {
	var errs []error
	for field, value := range map[string]string{"Account": c.Account, "ID": c.ID, "Content": c.Content} {
		if value == "" || len(value) > maxName {
			errs = append(errs, fmt.Errorf("%w: %s has %d bytes, must have 1 to %d", ErrCharge, field, len(value), maxName))
		}
	}
	if c.Units < 1 || c.Units > MaxUnits {
		errs = append(errs, fmt.Errorf("%w: Units = %d must be from 1 to %d", ErrCharge, c.Units, MaxUnits))
	}
	if c.Capacity < 0 || c.Capacity > MaxCapacity {
		errs = append(errs, fmt.Errorf("%w: Capacity = %d must be from 0 to %d", ErrCharge, c.Capacity, MaxCapacity))
	}
	return errors.Join(errs...)
}

// Ticket names one try of a message.
type Ticket struct {
	// Account and ID are the charge's.
	Account, ID string
	// Try counts from 1.
	Try int
}

// Verdict is whether a message may be sent. The zero Verdict is Exhausted, a refusal.
type Verdict uint8

// The verdicts.
const (
	// Exhausted: the account has no room for the units this month.
	Exhausted Verdict = iota
	// Granted: send it.
	Granted
	// Duplicate: a message of this ID was committed before.
	Duplicate
	// Conflict: the ID stands for another content or for other units.
	Conflict
	// Overtried: the message was tried [MaxTries] times.
	Overtried

	verdicts
)

var verdictNames = [verdicts]string{"exhausted", "granted", "duplicate", "conflict", "overtried"}

// String names the verdict, fit for a label; "unknown" for a value out of range.
func (v Verdict) String() string {
	if v >= verdicts {
		return "unknown"
	}
	return verdictNames[v]
}

// Decision is a [Quota]'s answer. The zero Decision is a refusal.
type Decision struct {
	// Verdict says whether to send.
	Verdict Verdict
	// Ticket is what to commit or refund; of use when granted.
	Ticket Ticket
	// Spent is the account's month so far, this charge included.
	Spent int64
	// ResetAfter is when the next month begins.
	ResetAfter time.Duration
}

// Month returns the calendar month of a zone that a moment lies in: from start until
// before end.
func Month(at time.Time, zone *time.Location) (start, end time.Time) {
	local := at.In(zone)
	first := func(n time.Month) time.Time { return time.Date(local.Year(), local.Month()+n, 1, 0, 0, 0, 0, zone) }
	start, end = first(0), first(1)
	if !at.Before(end) { // no midnight on the first: clocks went forward, and Date answers with the hour before
		start, end = end, first(2)
	}
	if at.Before(start) {
		start, end = first(-1), start
	}
	return start, end
}
