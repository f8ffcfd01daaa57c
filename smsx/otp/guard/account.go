package guard

import (
	"net/netip"
	"strings"
	"time"
)

// account is what may be sent on trust.
type account struct {
	credit, most float64
	dry          bool // it ran dry and is not yet half full again
	at           time.Time
}

// open tells whether a send may be charged.
func (a *account) open() bool {
	if a.credit < 1 {
		a.dry = true
	} else if a.credit >= a.most/2 {
		a.dry = false
	}
	return !a.dry
}

// earn adds to the account, up to what it holds at most.
func (a *account) earn(n float64) { a.credit = min(a.credit+n, a.most) }

// pass adds what time brings: a full account in a day. A clock that was set back
// brings nothing.
func (a *account) pass(now time.Time) {
	if d := now.Sub(a.at); d > 0 {
		a.earn(a.most * d.Hours() / 24)
	}
	a.at = now
}

// table holds accounts by key; those beyond its capacity share one.
type table struct {
	most     float64
	capacity int
	byKey    map[string]*account
	rest     *account
	swept    time.Time
}

func newTable(most, capacity int) table {
	full := float64(most)
	return table{most: full, capacity: capacity, byKey: map[string]*account{}, rest: &account{credit: full, most: full}}
}

func (t *table) get(key string, now time.Time) *account {
	a := t.byKey[key]
	if a == nil {
		if !t.room(now) {
			a = t.rest
		} else {
			a = &account{credit: t.most, most: t.most, at: now}
			t.byKey[key] = a
		}
	}
	a.pass(now)
	return a
}

// room forgets full accounts, which are as good as new ones, when it has to and at
// most once a second.
func (t *table) room(now time.Time) bool {
	if len(t.byKey) < t.capacity {
		return true
	}
	if now.Sub(t.swept).Abs() < time.Second {
		return false
	}
	t.swept = now
	for key, a := range t.byKey {
		if a.pass(now); a.credit >= a.most {
			delete(t.byKey, key)
		}
	}
	return len(t.byKey) < t.capacity
}

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
