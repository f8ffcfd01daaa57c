package mask

import "strings"

// Region is where mobile numbers are known by their form without a country code.
type Region uint8

// The regions. The zero Region is China.
const (
	China Region = iota
	NorthAmerica
	Britain
	France
	Germany
	Japan
	Korea
	India
	HongKong
	Taiwan
	Singapore
	Australia
)

// form is how a region writes its mobile numbers for itself.
type form struct {
	min, max int
	begin    []string
}

var forms = [...]form{
	China:        {11, 11, nil}, // see chinese
	NorthAmerica: {10, 10, nil}, // see american
	Britain:      {11, 11, []string{"07"}},
	France:       {10, 10, []string{"06", "07"}},
	Germany:      {11, 12, []string{"015", "016", "017"}},
	Japan:        {11, 11, []string{"070", "080", "090"}},
	Korea:        {10, 11, []string{"010"}},
	India:        {10, 10, []string{"6", "7", "8", "9"}},
	HongKong:     {8, 8, []string{"5", "6", "9"}},
	Taiwan:       {10, 10, []string{"09"}},
	Singapore:    {8, 8, []string{"8", "9"}},
	Australia:    {10, 10, []string{"04"}},
}

func (r Region) matches(n []byte) bool {
	if int(r) >= len(forms) || len(n) < forms[r].min || len(n) > forms[r].max {
		return false
	}
	switch r {
	case China:
		return chinese(n)
	case NorthAmerica:
		return american(n)
	}
	for _, p := range forms[r].begin {
		if strings.HasPrefix(string(n), p) {
			return true
		}
	}
	return false
}

// addStarts notes the first two digits that numbers of r can have.
func (r Region) addStarts(starts *[100]bool) {
	if int(r) >= len(forms) {
		return
	}
	begin := forms[r].begin
	switch r {
	case China:
		begin = []string{"1"}
	case NorthAmerica:
		begin = []string{"2", "3", "4", "5", "6", "7", "8", "9"}
	}
	for i := range starts {
		for _, p := range begin {
			two := string([]byte{'0' + byte(i/10), '0' + byte(i%10)})
			if strings.HasPrefix(two, p) || strings.HasPrefix(p, two) {
				starts[i] = true
			}
		}
	}
	if r == China {
		starts[10], starts[11], starts[12] = false, false, false
	}
}

// unused are the three-digit beginnings from 130 on that no Chinese operator gives
// out for telephones. Source: the numbering plan of the Ministry of Industry and
// Information Technology.
var unused = [200]bool{
	140: true, 141: true, 142: true, 143: true, 144: true, 154: true,
	160: true, 161: true, 163: true, 164: true, 168: true, 169: true,
	179: true, 194: true,
}

func chinese(n []byte) bool {
	if len(n) != 11 || n[0] != '1' || n[1] < '3' {
		return false
	}
	return !unused[100+int(n[1]-'0')*10+int(n[2]-'0')]
}

// american holds the rule of the North American plan: area and exchange begin with
// 2 to 9.
func american(n []byte) bool { return len(n) == 10 && n[0] >= '2' && n[3] >= '2' }

// match looks for a number that begins with the first group of d and ends with
// group g. inID tells that d goes on something like "333-", after which two zeros are
// no international prefix.
func (m *masker) match(d *digits, s string, inID bool) (v view, g int, ok bool) {
	if d.ends[0] >= 2 && d.text[0] == '0' && d.text[1] == '0' {
		if v, g, ok = matchInternational(d, 2); ok {
			return v, g, !inID
		}
	}
	for g := range d.groups {
		n := d.text[:d.ends[g]]
		if len(n) > 13 {
			break
		}
		if len(n) < 8 || !plausible(d, g, s) {
			continue
		}
		for _, r := range m.regions {
			if r.matches(n) {
				return shown(n, len(n), 0), g, true
			}
		}
		if len(n) == 13 && string(n[:2]) == "86" && chinese(n[2:]) {
			return view{head: 5, tail: 9}, g, true
		}
	}
	return view{}, 0, false
}

// plausible tells whether people write a number in the groups up to g: all parted by
// the same separator, and of at least three digits, but for a country code before.
func plausible(d *digits, g int, s string) bool {
	start := 0
	for i := range g + 1 {
		size := d.ends[i] - start
		start = d.ends[i]
		code := i == 0 && size == 2 && string(d.text[:2]) == "86"
		if g > 0 && size < 3 && !code {
			return false
		}
	}
	first := 1
	if string(d.text[:2]) == "86" && d.ends[0] == 2 {
		first = 2
		if g > 0 && s[d.gaps[1].from:d.gaps[1].to] == "." {
			return false // a fraction
		}
	}
	for i := first + 1; i <= g; i++ {
		if !sameGap(s, d.gaps[first], d.gaps[i]) {
			return false
		}
	}
	return true
}

// sameGap compares separators; "(138) 0013-8000" shows that a parenthesis counts
// for the one that follows.
func sameGap(s string, a, b gap) bool {
	x, y := s[a.from:a.to], s[b.from:b.to]
	if x == y {
		return true
	}
	r, _ := glyph(x, 0)
	return r == ')' || r == '）'
}

// matchInternational looks for a number that begins with a country code after the
// first skip digits of d. With them it has up to the 15 digits of E.164.
func matchInternational(d *digits, skip int) (v view, group int, ok bool) {
	for g := d.groups - 1; g >= 0; g-- {
		end := d.ends[g]
		if end > 15 || end <= skip {
			continue
		}
		n := d.text[skip:end]
		cc, span := countryOf(n)
		if cc == 0 {
			return view{}, 0, false
		}
		national := n[cc:]
		size := len(national)
		if trunkZero(d, g, skip+cc) { // "+44 (0)20 ..." has a digit that is not dialled
			size--
		}
		if size < int(span.min) || size > int(span.max) || !dialled(n[:cc], national) {
			continue
		}
		return shown(d.text[:end], end, skip+cc), g, true
	}
	return view{}, 0, false
}

// trunkZero tells whether the group after the country code is a lone zero.
func trunkZero(d *digits, g, code int) bool {
	for i := range g {
		if d.ends[i] == code {
			return d.ends[i+1] == code+1 && d.text[code] == '0'
		}
	}
	return false
}

// dialled holds the two plans whose rules are sharp enough to save order numbers.
func dialled(cc, national []byte) bool {
	switch string(cc) {
	case "1":
		return american(national)
	case "86":
		return national[0] != '1' || len(national) < 11 || chinese(national)
	}
	return true
}
