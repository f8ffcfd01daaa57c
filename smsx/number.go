package smsx

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// ErrNumber means that a phone number is not in the form of E.164.
var ErrNumber = errors.New("smsx: number not in E.164 form")

// Number is a phone number that hides itself when printed, logged or encoded. The
// zero Number is none. Numbers compare with ==. Make one with [ParseNumber], or of
// what people type with package phone.
type Number struct{ e164 string }

// ParseNumber takes a number in E.164 form: a plus sign and 7 to 15 digits, of
// which the first is not 0. Its error does not repeat the number.
func ParseNumber(s string) (Number, error) {
	digits, ok := strings.CutPrefix(s, "+")
	if !ok || len(digits) < 7 || len(digits) > 15 || digits[0] == '0' {
		return Number{}, fmt.Errorf("%w: %d characters", ErrNumber, len(s))
	}
	for _, c := range []byte(digits) {
		if c < '0' || c > '9' {
			return Number{}, fmt.Errorf("%w: holds something else than digits", ErrNumber)
		}
	}
	return Number{s}, nil
}

// E164 reveals the number, for whoever delivers to it.
func (n Number) E164() string { return n.e164 }

// String shows the last two digits.
func (n Number) String() string {
	if n.e164 == "" {
		return ""
	}
	return "***" + n.e164[len(n.e164)-2:]
}

// Format shows the same whatever the verb, so that %d or %x reveal nothing.
func (n Number) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(n.String())) }

// LogValue shows the same to log/slog.
func (n Number) LogValue() slog.Value { return slog.StringValue(n.String()) }

// MarshalText shows the same to encoders; nothing reads it back.
func (n Number) MarshalText() ([]byte, error) { return []byte(n.String()), nil }
