package guard

import "context"

// Reason says why a send was refused, from a closed set; "" if it was not.
type Reason string

// The reasons.
const (
	// ByNumber is no phone number.
	ByNumber Reason = "number"
	// ByPrefix is a prefix that sends, and verifies too little.
	ByPrefix Reason = "prefix"
	// ByCountry is a country that does.
	ByCountry Reason = "country"
	// ByNetwork is a caller's network that does.
	ByNetwork Reason = "network"
	// ByCountries is a network that asks for too many countries.
	ByCountries Reason = "countries"
	// BySpend is the daily cap.
	BySpend Reason = "spend"
	// ByFailure is a store that could not be asked, where [Config.Failure] is
	// [RefuseIt].
	ByFailure Reason = "failure"
)

// Decision is whether a send may go on. The zero Decision is a refusal.
type Decision struct {
	// Allowed tells that it may.
	Allowed bool
	// Known tells that the number was verified before, so that nothing was charged.
	Known bool
	// Degraded tells that the store could not be asked, and somebody else decided.
	Degraded bool
	// Reason is why not.
	Reason Reason
}

// Send is a send as a [Store] sees it: the number in E.164, and the names of the
// accounts that it is charged to.
type Send struct {
	Number, Network, Prefix, Country string
}

// Limits are the figures of a [Config] that a [Store] decides by.
type Limits struct {
	DailyCap, Prefix, Country, Network, PerVerified, CountriesPerNetwork int
}

// Store keeps the accounts of sends. Accounts that it does not know are full. Every
// method is atomic, and safe for concurrent use by everybody who shares the store;
// times are those of one clock that all of them share. The package guardtest is the
// suite that every Store passes.
type Store interface {
	// Take decides about a send. An allowed one of a number that was not verified is
	// charged to its accounts and the day; a refused one is charged to nothing.
	Take(ctx context.Context, s Send, l Limits) (Decision, error)
	// Earn remembers that the number was verified. The first time its accounts earn
	// l.PerVerified each.
	Earn(ctx context.Context, s Send, l Limits) error
	// Refund gives back to accounts and day what Take charged.
	Refund(ctx context.Context, s Send, l Limits) error
}
