package mask

import (
	"strings"
	"unicode/utf8"
)

// String returns s with every phone number, e-mail address, token and password that
// can be told by its form or its key hidden, under the default settings. A text in
// which nothing is hidden is returned as it is, without allocation.
func String(s string) string { return defaults.text(s) }

// Value returns a value that stands under key, such as a header's or a form's,
// hidden whole or in part as the key says, else as [String] does.
func Value(key, value string) string { return defaults.value(defaults.classify(key), value) }

func (m *masker) value(c class, s string) string {
	switch {
	case s == "":
		return s
	case c == secret:
		return Text
	case c == phone:
		return Phone(s)
	case c == email:
		return Email(s)
	}
	return m.text(s)
}

// Properties of bytes.
const (
	isDigit = 1 << iota
	isLower // a-z
	isUpper // A-Z
	isAlnum // digit or ASCII letter
	isToken // part of a base64url or opaque token
	isLocal // part of an e-mail address, before or after the @
	mayGoOn // may follow a group of digits in a number, or begin what may
)

var kinds = func() (t [256]uint8) {
	for c := range 256 {
		b := byte(c)
		switch {
		case b >= '0' && b <= '9':
			t[c] = isDigit | isAlnum | isToken | isLocal
		case b >= 'a' && b <= 'z':
			t[c] = isLower | isAlnum | isToken | isLocal
		case b >= 'A' && b <= 'Z':
			t[c] = isUpper | isAlnum | isToken | isLocal
		case strings.IndexByte("-._~+/=", b) >= 0:
			t[c] = isToken
		}
		if strings.IndexByte("-._+", b) >= 0 || b >= 0x80 {
			t[c] |= isLocal
		}
		if strings.IndexByte(" -.()+%", b) >= 0 || b >= 0x80 {
			t[c] |= mayGoOn
		}
	}
	return t
}()

// What a byte may begin, or be the sign of.
const (
	none = iota
	digit
	jwtThird // of eyJ; the first two are everywhere
	bearerStart
	sign // of an assignment
	escape
	other
)

var triggers = func() (t [256]uint8) {
	for c := byte('0'); c <= '9'; c++ {
		t[c] = digit
	}
	t['J'] = jwtThird
	t['b'], t['B'] = bearerStart, bearerStart
	t['='], t[':'] = sign, sign
	t['\\'] = escape
	t['+'], t['@'], t['%'], t[0xef] = other, other, other, other
	return t
}()

// scan is a walk over a text that copies only when something is replaced.
type scan struct {
	m    *masker
	s    string
	out  []byte
	done int // s[:done] is in out, if out is used at all
	edge int // a position before which an escape ends: the letter there is none
	// plain is where a run of token characters ends that is no JWT.
	plain int
}

func (m *masker) text(s string) string {
	x := scan{m: m, s: s, edge: -1}
	for i := 0; i < len(s); {
		switch triggers[s[i]] {
		case none:
			for i++; i < len(s) && triggers[s[i]] == none; i++ {
			}
		case digit:
			if end := m.skippable(s, i); end > 0 {
				i = end
				continue
			}
			i = x.number(i)
		case jwtThird:
			i = x.jwt(i - 2)
		case bearerStart:
			if i+1 < len(s) && s[i+1]|0x20 == 'e' {
				i = x.bearer(i)
				continue
			}
			i++
		case sign:
			if s[i] == ':' && i > 0 && kinds[s[i-1]]&isDigit != 0 { // a time, as a rule
				i++
				continue
			}
			i = x.assigned(i, i+1)
		case escape:
			i = x.backslash(i)
		default:
			i = x.at(i)
		}
	}
	if x.out == nil {
		return s
	}
	return string(append(x.out, s[x.done:]...))
}

// skippable returns where the digits at i, and the word they are part of, end if no
// number that m knows begins so; else 0. Most numbers in a log end here.
func (m *masker) skippable(s string, i int) int {
	end := i + 1
	for end < len(s) && kinds[s[end]]&isDigit != 0 {
		end++
	}
	n := end - i
	inWord := end < len(s) && kinds[s[end]]&isAlnum != 0
	switch {
	case inWord, n > maxDigits, n < 2, !m.starts[(s[i]-'0')*10+s[i+1]-'0']:
	case n == 2 && s[i:end] != "86" && s[i:end] != "00": // see plausible
	case end < len(s) && kinds[s[end]]&mayGoOn != 0, n >= minNational:
		return 0
	}
	for inWord && end < len(s) && kinds[s[end]]&isAlnum != 0 {
		end++
	}
	return end
}

// minNational is the length of the shortest number known without a country code.
const minNational = 8

// at looks at a plus, an @ or something encoded, and returns where to go on, always
// beyond i.
func (x *scan) at(i int) int {
	r, size := glyph(x.s, i)
	switch {
	case r >= '0' && r <= '9', r >= '０' && r <= '９':
		return x.number(i)
	case isPlus(r):
		return x.international(i, size)
	case r == '@':
		return x.address(i, size)
	case size > 1: // the letters of an encoded byte are no part of a word
		x.edge = i + size
	}
	if r == '=' || r == ':' {
		return x.assigned(i, i+size)
	}
	return i + size
}

// replace puts text in the place of s[from:to].
func (x *scan) replace(from, to int, text string) {
	x.out = append(append(x.out, x.s[x.done:from]...), text...)
	x.done = to
}

// bounded tells whether what begins at i begins there for a reader, too: not in the
// middle of a word or number.
func (x *scan) bounded(i int) bool {
	return i == 0 || i == x.edge || kinds[x.s[i-1]]&isAlnum == 0
}

// glyph reads the character at i, URL-encoded or not; size is at least 1.
func glyph(s string, i int) (r rune, size int) {
	if c := s[i]; c < utf8.RuneSelf && c != '%' {
		return rune(c), 1
	} else if c != '%' {
		return utf8.DecodeRuneInString(s[i:])
	}
	var raw [utf8.UTFMax]byte
	n := 0
	for next := i; n < len(raw) && next < len(s) && s[next] == '%'; n++ {
		c, width := unhex(s, next)
		if width == 0 {
			break
		}
		raw[n] = c
		next += width
		if utf8.FullRune(raw[:n+1]) {
			r, _ = utf8.DecodeRune(raw[:n+1])
			return r, next - i
		}
	}
	return '%', 1
}

// unhex reads the encoded byte at i, whose percent sign may be encoded itself.
func unhex(s string, i int) (c byte, size int) {
	j := i + 1
	for strings.HasPrefix(s[j:], "25") {
		j += 2
	}
	if len(s)-j < 2 || !isHex(s[j]) || !isHex(s[j+1]) {
		return 0, 0
	}
	return hexDigit(s[j])<<4 | hexDigit(s[j+1]), j + 2 - i
}

func isHex(c byte) bool { return kinds[c]&isDigit != 0 || c|0x20 >= 'a' && c|0x20 <= 'f' }

func hexDigit(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

// backslash steps over an escape, however often it was escaped again.
func (x *scan) backslash(i int) int {
	for i < len(x.s) && x.s[i] == '\\' {
		i++
	}
	if i < len(x.s) && strings.IndexByte("nrtbfv", x.s[i]) >= 0 {
		i++
	} else if strings.HasPrefix(x.s[i:], "u") && len(x.s) >= i+5 {
		i += 5
	}
	x.edge = i
	return i
}
