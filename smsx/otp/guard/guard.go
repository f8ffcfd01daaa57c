// Package guard protects against SMS pumping: somebody asks for codes to numbers
// that earn money by receiving them, and never enters one.
//
//	g, err := guard.New(guard.Config{DailyCap: 20_000, CountryCode: "86"})
//	codes := guard.Protect(otpCodes, g)
//	err = codes.Issue(guard.WithAddr(ctx, clientAddr), "login", phone)
//
// Whatever sends have in common has an account: the number's prefix, its country,
// and the caller's network. A send takes one from each, and a number's first
// verification gives several back, so accounts with people behind them never run
// dry while those that only send do. Who has run dry is refused until the account
// is half full again: by verifications of codes on their way, or with time. A send
// that one account refuses takes nothing from the others, so an attack that its
// networks stop does not lock out honest users of the same prefix.
//
// Besides: a network may ask for so many countries a day, all sends together have a
// daily cap, and numbers that were verified before always pass.
//
// What an attack still gets is bounded by its networks, of 256 IPv4 addresses or a
// /48 each, or by its prefixes where it has very many networks: at most what their
// accounts hold, and as much for each day that it lasts. In the latter case honest
// new users of these prefixes wait as well.
//
// Accounts are in memory and per instance, and their number is bounded; an instance
// that restarts begins with full ones.
package guard

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/bulwark-go/bulwark/smsx/otp"
)

// Config says how much may be sent on trust. A zero field is its default, but for
// DailyCap.
type Config struct {
	// DailyCap is the most sends on a UTC day to numbers not verified before; required.
	DailyCap int
	// CountryCode, digits, is what numbers without one have; see [otp.E164].
	CountryCode string
	// PrefixDigits is how many digits of a number, with its country code, make its
	// prefix, from 3 to 10; 0 means 7.
	PrefixDigits int
	// Prefix, Country and Network are what an account holds at most, in sends, which
	// is also what it begins with and earns in a day; 0 means 20, 400 and 40. Set them
	// to what honest users ask for before the first of them has typed a code.
	Prefix, Country, Network int
	// PerVerified is what a first verification gives back, from 2 to 20: 5, which 0
	// means, lets a ratio of verified to sent of a fifth go on.
	PerVerified int
	// CountriesPerNetwork is the most countries a network may send to on a UTC day;
	// 0 means 5.
	CountriesPerNetwork int
	// Capacity is how many accounts of a sort, and 10 times as many verified numbers,
	// are remembered; 0 means 100000. Those beyond share one account.
	Capacity int
}

// FieldError is a bad field of a [Config].
type FieldError struct {
	// Field is its name, and Reason what is wrong with its Value.
	Field  string
	Value  int
	Reason string
}

// Error implements error.
func (e *FieldError) Error() string {
	return fmt.Sprintf("guard: %s = %d %s", e.Field, e.Value, e.Reason)
}

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
)

// Decision is whether a send may go on. The zero Decision is a refusal.
type Decision struct {
	// Allowed tells that it may.
	Allowed bool
	// Known tells that the number was verified before, so that nothing was charged.
	Known bool
	// Reason is why not.
	Reason Reason
}

// Guard decides about sends. It is safe for concurrent use. Make it with [New].
type Guard struct {
	cfg       Config
	now       func() time.Time
	known     func(number string) bool
	normalise func(string) (string, error)

	mu                        sync.Mutex
	prefixes, countries, nets table
	today                     int64
	spent                     int
	spread                    map[netip.Prefix]map[string]bool // of today
	recent, older             map[string]bool                  // verified numbers, two generations
}

// New returns a guard whose accounts are full.
func New(cfg Config, opts ...Option) (*Guard, error) {
	for field, value := range map[*int]int{
		&cfg.PrefixDigits: 7, &cfg.Prefix: 20, &cfg.Country: 400, &cfg.Network: 40, &cfg.PerVerified: 5,
		&cfg.CountriesPerNetwork: 5, &cfg.Capacity: 100_000,
	} {
		if *field == 0 {
			*field = value
		}
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	g := &Guard{
		cfg: cfg, now: time.Now, known: func(string) bool { return false }, normalise: otp.E164(cfg.CountryCode),
		prefixes: newTable(cfg.Prefix, cfg.Capacity), countries: newTable(cfg.Country, cfg.Capacity),
		nets: newTable(cfg.Network, cfg.Capacity), spread: map[netip.Prefix]map[string]bool{}, recent: map[string]bool{},
	}
	for _, opt := range opts {
		opt.apply(g)
	}
	if g.now == nil || g.known == nil {
		return nil, errors.New("guard: clock and known must not be nil")
	}
	return g, nil
}

func (c Config) validate() error {
	var errs []error
	within := func(field string, value, low, high int) {
		if value < low || value > high {
			errs = append(errs, &FieldError{field, value, fmt.Sprintf("must be from %d to %d", low, high)})
		}
	}
	const many = 1_000_000_000
	within("DailyCap", c.DailyCap, 1, many)
	within("PrefixDigits", c.PrefixDigits, 3, 10)
	within("Prefix", c.Prefix, 2, many)
	within("Country", c.Country, 2, many)
	within("Network", c.Network, 2, many)
	within("PerVerified", c.PerVerified, 2, 20)
	within("CountriesPerNetwork", c.CountriesPerNetwork, 1, 1000)
	within("Capacity", c.Capacity, 1, 10_000_000)
	return errors.Join(errs...)
}

// Option configures a [Guard].
type Option interface{ apply(*Guard) }

type optionFunc func(*Guard)

func (f optionFunc) apply(g *Guard) { f(g) }

// WithClock sets the wall clock, safe for concurrent use; it is [time.Now] without.
func WithClock(now func() time.Time) Option { return optionFunc(func(g *Guard) { g.now = now }) }

// WithKnown sets what tells, beyond those that the guard itself saw, whether a number
// in E.164 was verified before: a look-up of your users. It must be safe for
// concurrent use.
func WithKnown(known func(number string) bool) Option {
	return optionFunc(func(g *Guard) { g.known = known })
}

// Allow decides about a send to number, which addr asked for, and charges it. An
// invalid address has no network of its own: all such share one.
func (g *Guard) Allow(number string, addr netip.Addr) Decision {
	number, err := g.normalise(number)
	if err != nil {
		return Decision{Reason: ByNumber}
	}
	known := g.known(number) // a caller's function: not under the lock
	g.mu.Lock()
	defer g.mu.Unlock()
	if known || g.recent[number] || g.older[number] {
		return Decision{Allowed: true, Known: true}
	}
	now := g.now()
	if today := now.Unix() / 86_400; today != g.today {
		g.today, g.spent, g.spread = today, 0, map[netip.Prefix]map[string]bool{}
	}
	a := g.accounts(number, addr, now)
	network, country := networkOf(addr), countryOf(number)
	if why := g.refusal(a, network, country); why != "" {
		return Decision{Reason: why}
	}
	for _, account := range a {
		account.credit--
	}
	g.spent++
	g.note(network, country)
	return Decision{Allowed: true}
}

func (g *Guard) refusal(a [3]*account, network netip.Prefix, country string) Reason {
	reached := g.spread[network]
	switch {
	case g.spent >= g.cfg.DailyCap:
		return BySpend
	case !a[0].open():
		return ByNetwork
	case len(reached) >= g.cfg.CountriesPerNetwork && !reached[country]:
		return ByCountries
	case !a[1].open():
		return ByPrefix
	case !a[2].open():
		return ByCountry
	}
	return ""
}

// note remembers which countries a network asked for, of as many networks as there
// is room.
func (g *Guard) note(network netip.Prefix, country string) {
	reached := g.spread[network]
	if reached == nil {
		if len(g.spread) >= g.cfg.Capacity {
			return
		}
		reached = map[string]bool{}
		g.spread[network] = reached
	}
	reached[country] = true
}

// Verified tells the guard that a code sent to number was entered, by addr. The first
// time it earns sends; from then on the number passes.
func (g *Guard) Verified(number string, addr netip.Addr) {
	number, err := g.normalise(number)
	if err != nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.recent[number] || g.older[number] {
		g.recent[number] = true
		return
	}
	if len(g.recent) >= 5*g.cfg.Capacity {
		g.recent, g.older = map[string]bool{}, g.recent
	}
	g.recent[number] = true
	for _, account := range g.accounts(number, addr, g.now()) {
		account.earn(float64(g.cfg.PerVerified))
	}
}

// Refund gives back what an allowed send took that was certainly not sent.
func (g *Guard) Refund(number string, addr netip.Addr) {
	number, err := g.normalise(number)
	if err != nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.spent = max(g.spent-1, 0) // yesterday's, at midnight, makes today's cap one more
	for _, account := range g.accounts(number, addr, g.now()) {
		account.earn(1)
	}
}

// accounts returns those of the network, the prefix and the country.
func (g *Guard) accounts(number string, addr netip.Addr, now time.Time) [3]*account {
	prefix := number[:min(len(number), g.cfg.PrefixDigits+1)]
	return [3]*account{
		g.nets.get(networkOf(addr).String(), now), g.prefixes.get(prefix, now), g.countries.get(countryOf(number), now),
	}
}
