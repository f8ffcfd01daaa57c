// Package phone turns what people type into a number: every way to write a phone
// number becomes the one [smsx.Number], so that limits and codes count it once.
package phone

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/nyaruka/phonenumbers"

	"github.com/bulwark-go/bulwark/smsx"
)

// maxText bounds what is looked at; longer texts are no phone numbers.
const maxText = 64

// Parse reads text as a phone number that can receive messages. Where text has no
// country code, region says which it is meant for: an ISO 3166 code of two letters,
// "CN" for one; empty takes international numbers only. Spaces, brackets, hyphens,
// full-width digits and the international prefix of the region (00, 011) are fine.
//
// The error wraps [smsx.ErrNumber] when it is no such number; it does not repeat
// text.
func Parse(text, region string) (smsx.Number, error) {
	if len(text) > maxText {
		return smsx.Number{}, fmt.Errorf("phone: %w: %d bytes", smsx.ErrNumber, len(text))
	}
	// The library would read letters as keys of a telephone, skip what follows a
	// number, and take extensions; none of that is what people mean here.
	bare := strings.TrimPrefix(text, "tel:")
	if strings.ContainsFunc(bare, func(r rune) bool { return unicode.IsLetter(r) || r == ';' || r == ',' || r == '#' || r == '*' }) {
		return smsx.Number{}, fmt.Errorf("phone: %w: holds something else than a number", smsx.ErrNumber)
	}
	if region == "" {
		region = "ZZ"
	}
	parsed, err := phonenumbers.Parse(text, region)
	if err != nil {
		return smsx.Number{}, fmt.Errorf("phone: %w: %w", smsx.ErrNumber, err)
	}
	if !phonenumbers.IsValidNumber(parsed) {
		return smsx.Number{}, fmt.Errorf("phone: %w: not assigned", smsx.ErrNumber)
	}
	switch phonenumbers.GetNumberType(parsed) {
	case phonenumbers.MOBILE, phonenumbers.FIXED_LINE_OR_MOBILE:
	default:
		return smsx.Number{}, fmt.Errorf("phone: %w: not a mobile number", smsx.ErrNumber)
	}
	n, err := smsx.ParseNumber(phonenumbers.Format(parsed, phonenumbers.E164))
	if err != nil {
		return smsx.Number{}, fmt.Errorf("phone: %w", err)
	}
	return n, nil
}

// Region returns the region of a number, an ISO 3166 code of two letters, fit for a
// label; "ZZ" where there is none or it is not known.
func Region(n smsx.Number) string {
	parsed, err := phonenumbers.Parse(n.E164(), "ZZ")
	if err != nil {
		return "ZZ"
	}
	if region := phonenumbers.GetRegionCodeForNumber(parsed); region != "" {
		return region
	}
	return "ZZ"
}
