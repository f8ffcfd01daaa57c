package otp

import "strings"

// separators are what people put between digits.
var separators = strings.NewReplacer(" ", "", "-", "", "(", "", ")", "", ".", "", "\t", "", "\u00a0", "")

// E164 returns a normaliser of phone numbers: "+86 138-0013-8000", "0086…" and, when
// countryCode is "86", "138 0013 8000" are all "+8613800138000". It knows nothing of
// countries' numbering plans; set one that does by [WithNormaliser] where numbers are
// written with a trunk prefix. What is no number is [ErrSubject].
func E164(countryCode string) func(string) (string, error) {
	return func(s string) (string, error) {
		s = separators.Replace(s)
		switch {
		case strings.HasPrefix(s, "+"):
			s = s[1:]
		case strings.HasPrefix(s, "00"):
			s = s[2:]
		case countryCode != "" && !strings.HasPrefix(s, "0"):
			s = countryCode + s
		default:
			return "", ErrSubject
		}
		if len(s) < 8 || len(s) > 15 || s[0] == '0' || !digits(s) {
			return "", ErrSubject
		}
		return "+" + s, nil
	}
}

func digits(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
