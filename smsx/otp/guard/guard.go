// Package guard protects against SMS pumping: somebody asks for codes to numbers
// that earn money by receiving them, and never enters one.
//
//	g, err := guard.New(store, guard.Config{DailyCap: 20_000, CountryCode: "86"})
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
// Accounts are in a [Store]: redisguard shares them among instances, [NewMemory] keeps
// them in one.
package guard

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

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
	// Failure says what happens when the store cannot be asked, and no backup either;
	// 0 is [RefuseIt].
	Failure FailurePolicy
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

// FailurePolicy says what becomes of a send when the store cannot be asked. The zero
// FailurePolicy is RefuseIt.
type FailurePolicy uint8

const (
	// RefuseIt refuses it: an attack must not win by overloading the store. Codes are
	// mostly kept where the accounts are, and could not be sent then anyway.
	RefuseIt FailurePolicy = iota
	// AllowIt lets it go on uncharged, as what an attack costs is bounded elsewhere.
	AllowIt
)

// Guard decides about sends. It is safe for concurrent use. Make it with [New].
type Guard struct {
	store, backup Store
	cfg           Config
	known         func(ctx context.Context, number string) bool
	normalise     func(string) (string, error)
}

// New returns a guard over the accounts in store. Guards that share one should have the
// same Config. It returns every violation of the Config as a [*FieldError].
func New(store Store, cfg Config, opts ...Option) (*Guard, error) {
	for field, value := range map[*int]int{
		&cfg.PrefixDigits: 7, &cfg.Prefix: 20, &cfg.Country: 400, &cfg.Network: 40, &cfg.PerVerified: 5,
		&cfg.CountriesPerNetwork: 5,
	} {
		if *field == 0 {
			*field = value
		}
	}
	g := &Guard{
		store: store, cfg: cfg, normalise: otp.E164(cfg.CountryCode),
		known: func(context.Context, string) bool { return false },
	}
	for _, opt := range opts {
		opt.apply(g)
	}
	err := cfg.validate()
	if store == nil || g.known == nil {
		err = errors.Join(err, errors.New("guard: store and known must not be nil"))
	}
	if err != nil {
		return nil, err
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
	within("Failure", int(c.Failure), int(RefuseIt), int(AllowIt))
	return errors.Join(errs...)
}

func (c Config) limits() Limits {
	return Limits{
		DailyCap: c.DailyCap, Prefix: c.Prefix, Country: c.Country, Network: c.Network,
		PerVerified: c.PerVerified, CountriesPerNetwork: c.CountriesPerNetwork,
	}
}

// Option configures a [Guard].
type Option interface{ apply(*Guard) }

type optionFunc func(*Guard)

func (f optionFunc) apply(g *Guard) { f(g) }

// WithKnown sets what tells, beyond what the store knows, whether a number in E.164
// was verified before: a look-up of your users. It must be safe for concurrent use, and
// answer false when it cannot tell.
func WithKnown(known func(ctx context.Context, number string) bool) Option {
	return optionFunc(func(g *Guard) { g.known = known })
}

// WithBackup sets the store that is asked when the first one fails, such as a
// [Memory]: then each instance has accounts of its own. [Config.Failure] decides when
// that fails as well, or without one.
func WithBackup(s Store) Option { return optionFunc(func(g *Guard) { g.backup = s }) }

// Allow decides about a send to number, which addr asked for, and charges it. An
// invalid address has no network of its own: all such share one. The error is a store's,
// beside the Decision that was made without it; a ctx that ended is one.
func (g *Guard) Allow(ctx context.Context, number string, addr netip.Addr) (Decision, error) {
	s, err := g.send(number, addr)
	if err != nil {
		return Decision{Reason: ByNumber}, nil
	}
	if g.known(ctx, s.Number) {
		return Decision{Allowed: true, Known: true}, nil
	}
	d, err := g.store.Take(ctx, s, g.cfg.limits())
	if err == nil || ctx.Err() != nil {
		return d, err
	}
	if g.backup != nil {
		d, failed := g.backup.Take(ctx, s, g.cfg.limits())
		if d.Degraded = true; failed == nil {
			return d, err
		}
	}
	if g.cfg.Failure == AllowIt {
		return Decision{Allowed: true, Degraded: true}, err
	}
	return Decision{Degraded: true, Reason: ByFailure}, err
}

// Verified tells the guard that a code sent to number was entered, by addr. The first
// time it earns sends; from then on the number passes. The error is the store's: then
// the number has earned nothing.
func (g *Guard) Verified(ctx context.Context, number string, addr netip.Addr) error {
	s, err := g.send(number, addr)
	if err != nil {
		return nil // Allow has refused it
	}
	return g.store.Earn(ctx, s, g.cfg.limits())
}

// Refund gives back what an allowed send took that was certainly not sent. The error is
// the store's: then it took what it took.
func (g *Guard) Refund(ctx context.Context, number string, addr netip.Addr) error {
	s, err := g.send(number, addr)
	if err != nil {
		return nil
	}
	return g.store.Refund(ctx, s, g.cfg.limits())
}

func (g *Guard) send(number string, addr netip.Addr) (Send, error) {
	number, err := g.normalise(number)
	if err != nil {
		return Send{}, err
	}
	return Send{
		Number: number, Network: networkOf(addr).String(),
		Prefix: number[:min(len(number), g.cfg.PrefixDigits+1)], Country: countryOf(number),
	}, nil
}
