package otp

import (
	"errors"
	"math"
	"time"
)

// Config is how codes look and how often they can be asked for and guessed. A zero
// field is its default.
type Config struct {
	// CountryCode, digits such as "86", is what numbers without one have. Without it
	// such numbers are refused.
	CountryCode string
	// Digits of a code, from 6 to 10; 0 means 6.
	Digits int
	// Validity of a code, from a minute to 10 minutes; 0 means 10 minutes.
	Validity time.Duration
	// Cooldown between two codes, from a second to a day; 0 means a minute.
	Cooldown time.Duration
	// Tries of each code, from 1 to 10; 0 means 3.
	Tries int
	// SendsPerHour and SendsPerDay are the most codes in any 60 minutes and any 24
	// hours, from 1 to 20 each; 0 means 5 and 10.
	SendsPerHour, SendsPerDay int
	// FailuresPerDay is the most wrong guesses on a UTC day, from 1 to 70; 0 means 10.
	FailuresPerDay int
	// FailuresPerMonth is the most wrong guesses in any 30 days, from 1 to 1000; 0
	// means 100. It counts 31 UTC days, which any 30 days lie in.
	FailuresPerMonth int
	// MaxTakeover is the greatest probability that [New] accepts of [Config.Takeover];
	// 0 means 0.0001. Raise it only if you know why.
	MaxTakeover float64
}

func (c Config) withDefaults() Config {
	fill(&c.Digits, 6)
	fill(&c.Validity, 10*time.Minute)
	fill(&c.Cooldown, time.Minute)
	fill(&c.Tries, 3)
	fill(&c.SendsPerHour, 5)
	fill(&c.SendsPerDay, 10)
	fill(&c.FailuresPerDay, 10)
	fill(&c.FailuresPerMonth, 100)
	fill(&c.MaxTakeover, 1e-4)
	return c
}

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Takeover returns how likely it is that somebody who asks for as many codes and
// guesses as often as the configuration allows guesses one within 30 days. Guesses
// at one code exclude each other; codes are independent.
func (c Config) Takeover() float64 {
	c = c.withDefaults()
	const days = 31 // that 30 times 24 hours can touch
	guesses := min(c.FailuresPerMonth, days*c.FailuresPerDay, days*c.SendsPerDay*c.Tries)
	ofOne := float64(c.Tries) / math.Pow10(c.Digits)
	return -math.Expm1(float64(guesses) / float64(c.Tries) * math.Log1p(-ofOne))
}

func (c Config) validate() error {
	var errs []error
	within := func(field string, value, low, high int) {
		if value < low || value > high {
			errs = append(errs, &FieldError{field, value, "is out of range"})
		}
	}
	lasts := func(field string, value, low, high time.Duration) {
		if value < low || value > high || value%time.Millisecond != 0 {
			errs = append(errs, &FieldError{field, value, "must be whole milliseconds from " + low.String() + " to " + high.String()})
		}
	}
	within("Digits", c.Digits, 6, 10)
	within("Tries", c.Tries, 1, 10)
	within("SendsPerHour", c.SendsPerHour, 1, 20)
	within("SendsPerDay", c.SendsPerDay, 1, 20)
	within("FailuresPerDay", c.FailuresPerDay, 1, 70)
	within("FailuresPerMonth", c.FailuresPerMonth, 1, 1000)
	lasts("Validity", c.Validity, time.Minute, 10*time.Minute)
	lasts("Cooldown", c.Cooldown, time.Second, 24*time.Hour)
	if !digits(c.CountryCode) || len(c.CountryCode) > 3 {
		errs = append(errs, &FieldError{"CountryCode", c.CountryCode, "must be up to three digits"})
	}
	if !(c.MaxTakeover > 0 && c.MaxTakeover <= 1) {
		errs = append(errs, &FieldError{"MaxTakeover", c.MaxTakeover, "must be a probability above 0"})
	} else if errs == nil && c.Takeover() > c.MaxTakeover {
		errs = append(errs, &FieldError{"MaxTakeover", c.MaxTakeover, "is exceeded: Digits, Tries and the failure budget allow more"})
	}
	return errors.Join(errs...)
}

func (c Config) limits() Limits {
	return Limits{
		Validity: c.Validity, Cooldown: c.Cooldown, Tries: c.Tries, SendsPerHour: c.SendsPerHour,
		SendsPerDay: c.SendsPerDay, FailuresPerDay: c.FailuresPerDay, FailuresPerMonth: c.FailuresPerMonth,
	}
}
