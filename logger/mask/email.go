package mask

import (
	"strings"
	"unicode/utf8"
)

// Email hides the part of an address before the @ except its first character; what
// is no address is hidden whole.
func Email(s string) string {
	if s == "" {
		return s
	}
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return "***"
	}
	return hideLocal(s[:at]) + s[at:]
}

func hideLocal(local string) string {
	_, size := utf8.DecodeRuneInString(local)
	if size == len(local) { // one character would be all of it
		return "***"
	}
	return local[:size] + "***"
}

// address hides the e-mail address around the @ at i, which takes size bytes, or the
// password of a URL that has its host there.
func (x *scan) address(i, size int) int {
	next := i + size
	if x.password(i, next) {
		return next
	}
	begin := i
	for begin > max(x.done, x.edge) && i-begin < 64 && kinds[x.s[begin-1]]&isLocal != 0 {
		begin--
	}
	for begin < i && !utf8.RuneStart(x.s[begin]) {
		begin++
	}
	if begin == i || !isDomain(x.s[next:]) {
		return next
	}
	x.replace(begin, i, hideLocal(x.s[begin:i]))
	return next
}

// isDomain tells whether s begins with names that dots join, the last of which is
// no number.
func isDomain(s string) bool {
	dot, n := -1, 0
	for n < len(s) && n < 256 && kinds[s[n]]&isLocal != 0 && s[n] != '_' && s[n] != '+' {
		if s[n] == '.' {
			if n+1 == len(s) || kinds[s[n+1]]&isLocal == 0 || s[n+1] == '.' {
				break // the end of a sentence
			}
			dot = n
		}
		n++
	}
	return dot > 0 && n-dot > 2 && kinds[s[dot+1]]&isDigit == 0
}

// password hides it in "scheme://user:password@host" and in the data source names of
// MySQL, "user:password@tcp(host)".
func (x *scan) password(i, next int) bool {
	colon := -1
	for j := i - 1; j >= x.done && i-j < 256; j-- {
		switch c := x.s[j]; {
		case c == ':' && !strings.HasPrefix(x.s[j:], "://"):
			colon = j
		case c == '/' && j >= 2 && x.s[j-1] == '/' && x.s[j-2] == ':':
			return x.hidePassword(colon, i)
		case c == ' ' || c == '"' || c == '\'' || c == '\n' || c == '@':
			j = x.done // leaves the loop: not in a URL
		}
	}
	for _, network := range [...]string{"tcp(", "unix(", "tcp6("} {
		if strings.HasPrefix(x.s[next:], network) {
			return x.hidePassword(colon, i)
		}
	}
	return false
}

func (x *scan) hidePassword(colon, at int) bool {
	if colon < 0 || colon+1 >= at {
		return false
	}
	x.replace(colon+1, at, Text)
	return true
}
