package mask

import (
	"strings"
)

// Phone hides the middle of a phone number and keeps its country code, its
// separators and so many of its last digits that six or more stay hidden, as far as
// there are: "13800138000" gives "138****8000". Letters are hidden as well.
func Phone(s string) string {
	n, cc := 0, 0
	var lead [maxDigits]byte
	for i := 0; i < len(s); {
		_, size := glyph(s, i)
		if d, digit := digitAt(s, i); digit > 0 {
			if n < maxDigits {
				lead[n] = d
			}
			n++
		}
		i += size
	}
	if n <= maxDigits && (strings.HasPrefix(s, "+") || strings.HasPrefix(s, "＋")) {
		cc, _ = countryOf(lead[:n])
	}
	return string(appendHidden(nil, s, shown(lead[:min(n, maxDigits)], n, cc), true))
}

// view tells which of a number's digits stay visible.
type view struct{ head, tail int }

// shown returns the view of n digits of which the first cc are a country code.
// Chinese mobile numbers are shown the way their owners know: 138****8000.
func shown(digits []byte, n, cc int) view {
	national := n - cc
	if national == 11 && (cc == 0 || n == len(digits) && isChina(digits[:cc])) && len(digits) > cc && digits[cc] == '1' {
		return view{head: cc + 3, tail: n - 4}
	}
	return view{head: cc, tail: n - min(max(national-6, 0), 4)}
}

func isChina(cc []byte) bool { return string(cc) == "86" || string(cc) == "0086" }

// appendHidden appends s with the digits outside the view as asterisks, and the
// letters too if they are part of the number. URL-encoded bytes stay.
func appendHidden(dst []byte, s string, v view, letters bool) []byte {
	n := 0
	for i := 0; i < len(s); {
		r, size := glyph(s, i)
		hide := letters && !isSeparator(r) && !isPlus(r)
		if _, digit := digitAt(s, i); digit > 0 {
			hide = n >= v.head && n < v.tail
			n++
		}
		if hide {
			dst = append(dst, '*')
		} else {
			dst = append(dst, s[i:i+size]...)
		}
		i += size
	}
	return dst
}

const (
	maxDigits = 24 // more than any number has, with a prefix and room to see that it goes on
	maxGroups = 8
)

// digitAt reads a digit at i, as glyph reads; size is 0 where there is none.
func digitAt(s string, i int) (d byte, size int) {
	r, size := glyph(s, i)
	switch {
	case r >= '0' && r <= '9':
		return byte(r), size
	case r >= '０' && r <= '９':
		return byte(r-'０') + '0', size
	}
	return 0, 0
}

func isPlus(r rune) bool { return r == '+' || r == '＋' }

func isSeparator(r rune) bool {
	switch r {
	case ' ', '-', '.', '(', ')', '\u00a0', '\u3000', '－', '（', '）', '．', '\u202f', '\u2007':
		return true
	}
	return r >= '\u2010' && r <= '\u2015'
}

// separatorAt returns the size of a separator at i; 0 for none. A plus between
// digits is a blank in a form.
func separatorAt(s string, i int) int {
	if r, size := glyph(s, i); isSeparator(r) || s[i] == '+' {
		return size
	}
	return 0
}

// digits are the groups of a possible number: digits, separators, digits, ...
type digits struct {
	text   [maxDigits]byte
	ends   [maxGroups]int // group g is text[ends[g-1]:ends[g]]
	at     [maxGroups]int // where group g ends in the text scanned
	gaps   [maxGroups]gap // the separators before group g
	groups int
	cut    bool // the last group goes on beyond text
}

// gap is what separates two groups; two gaps are equal when they look the same.
type gap struct{ from, to int }

// read reads groups from i, where a digit is.
func (d *digits) read(s string, i int) {
	n := 0
	for d.groups < maxGroups {
		start := n
		for i < len(s) {
			c, size := digitAt(s, i)
			if size == 0 {
				break
			}
			if n == maxDigits {
				d.cut = true
				return
			}
			d.text[n] = c
			n++
			i += size
		}
		if n == start {
			return
		}
		d.ends[d.groups], d.at[d.groups] = n, i
		d.groups++
		from := i
		for range 3 {
			if i >= len(s) {
				return
			}
			size := separatorAt(s, i)
			if size == 0 {
				break
			}
			i += size
		}
		if i == from || i >= len(s) || d.groups == maxGroups {
			return
		}
		d.gaps[d.groups] = gap{from, i}
	}
}

// number hides a phone number that begins with the digit at i, if one does.
func (x *scan) number(i int) int {
	var d digits
	d.read(x.s, i)
	if x.startsNumber(i) && d.groups > 0 {
		if v, g, ok := x.m.match(&d, x.s, x.inID(i)); ok && x.endsNumber(&d, g) {
			return x.hide(i, d.at[g], v)
		}
	}
	return skipDigits(x.s, i)
}

// international hides the number after the plus at i that takes size bytes.
func (x *scan) international(i, size int) int {
	next := i + size
	// A plus in a word is none, but right after a number it begins another one.
	if !x.bounded(i) && x.done != i {
		return next
	}
	x.edge = next
	start := next
	if start < len(x.s) {
		start += separatorAt(x.s, start)
	}
	if start >= len(x.s) {
		return next
	}
	if _, size := digitAt(x.s, start); size == 0 {
		return next
	}
	var d digits
	d.read(x.s, start)
	if v, g, ok := matchInternational(&d, 0); ok && x.endsNumber(&d, g) {
		return x.hide(start, d.at[g], v)
	}
	return next
}

func (x *scan) hide(from, to int, v view) int {
	x.out = appendHidden(append(x.out, x.s[x.done:from]...), x.s[from:to], v, false)
	x.done = to
	return to
}

// skipDigits goes beyond the digits at i: a number does not begin in another.
func skipDigits(s string, i int) int {
	for i < len(s) {
		_, size := digitAt(s, i)
		if size == 0 {
			return i
		}
		i += size
	}
	return i
}

// startsNumber is bounded for digits: those after a decimal point are a fraction.
func (x *scan) startsNumber(i int) bool {
	if !x.bounded(i) {
		return false
	}
	return i < 2 || x.s[i-1] != '.' || kinds[x.s[i-2]]&isDigit == 0
}

// inID tells whether digits and a hyphen stand before i.
func (x *scan) inID(i int) bool {
	return i >= 2 && x.s[i-1] == '-' && kinds[x.s[i-2]]&isAlnum != 0
}

// endsNumber tells whether group g can be the end of a number: no letter follows, no
// fraction, and where separators are used not more of the same, as in longer ids.
func (x *scan) endsNumber(d *digits, g int) bool {
	if d.cut && g == d.groups-1 && d.ends[g] == maxDigits {
		return false
	}
	end := d.at[g]
	if end == len(x.s) {
		return true
	}
	if kinds[x.s[end]]&isAlnum != 0 {
		return false
	}
	if g+1 >= d.groups {
		return true
	}
	next := x.s[d.gaps[g+1].from:d.gaps[g+1].to]
	if next == "." {
		return false
	}
	return g == 0 || next == " " || next != x.s[d.gaps[g].from:d.gaps[g].to]
}
