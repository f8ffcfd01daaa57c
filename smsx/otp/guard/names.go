package guard

import (
	"net/netip"
	"strings"
)

// networkOf returns the part of an address that one owner is likely to hold whole.
func networkOf(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := 48
	if addr.Is4() {
		bits = 24
	}
	p, _ := addr.Prefix(bits) // the zero Prefix for an invalid address
	return p
}

// twoDigits are the country codes of two digits; those that begin with 1 or 7 have
// one, and all others three.
const twoDigits = " 20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58" +
	" 60 61 62 63 64 65 66 81 82 84 86 90 91 92 93 94 95 98 "

// countryOf returns the country code of a number in E.164.
func countryOf(number string) string {
	switch {
	case number[1] == '1', number[1] == '7':
		return number[1:2]
	case strings.Contains(twoDigits, " "+number[1:3]+" "):
		return number[1:3]
	default:
		return number[1:4]
	}
}
