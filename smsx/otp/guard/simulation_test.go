package guard_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/smsx/otp/guard"
)

// event is something that happens at a time of the replay.
type event struct {
	at     time.Duration
	number string
	addr   netip.Addr
	attack bool
	verify bool // a code is entered, if it was sent
}

// world is what is replayed: an attack within honest traffic.
type world struct {
	random   *rand.Rand
	prefixes []string // that the attack goes for
	events   []event
	known    map[string]bool
}

const (
	attacked    = 50_000 // numbers
	honestUsers = 60_000
)

// newWorld makes 40 prefixes of eight countries.
func newWorld(seed uint64) *world {
	w := &world{random: rand.New(rand.NewPCG(seed, 7)), known: map[string]bool{}}
	for i := range 40 {
		w.prefixes = append(w.prefixes, fmt.Sprintf("+%s%05d", []string{"86", "62", "92", "84", "94", "95", "63", "98"}[i%8], 13_000+i))
	}
	return w
}

// attack asks for codes to numbers of its prefixes, from three pools of size
// addresses, and enters none.
func (w *world) attack(lasting time.Duration, size int) {
	pools := []netip.Addr{netip.MustParseAddr("45.0.0.0"), netip.MustParseAddr("91.0.0.0"), netip.MustParseAddr("185.0.0.0")}
	for i := range attacked {
		a := pools[i%3].As4()
		offset := w.random.IntN(size)
		a[1], a[2], a[3] = byte(offset>>16), byte(offset>>8), byte(offset)
		w.events = append(w.events, event{
			at: 6*time.Hour + time.Duration(w.random.Int64N(int64(lasting))), attack: true,
			number: fmt.Sprintf("%s%05d", w.prefixes[i%40], i/40), addr: netip.AddrFrom4(a),
		})
	}
}

// people ask through a day of two peaks. A tenth of them have numbers of the attacked
// prefixes, seven in ten were verified before, and one in eight never enters a code.
// Four in ten come through their country's carrier, 2,048 shared addresses, the others
// from home, and one in two hundred from a home in another country.
func (w *world) people() {
	for i := range honestUsers {
		number, country := fmt.Sprintf("+86%05d%04d", 15_000+w.random.IntN(2_000), i%10_000), 0
		if i%10 == 0 {
			prefix := w.random.IntN(40)
			country = prefix % 8
			number = fmt.Sprintf("%s%05d", w.prefixes[prefix], 50_000+w.random.IntN(50_000))
		}
		addr := netip.AddrFrom4([4]byte{117, byte(country), byte(w.random.IntN(8)), byte(w.random.IntN(256))})
		if w.random.IntN(10) >= 4 {
			if w.random.IntN(200) == 0 {
				country = w.random.IntN(8)
			}
			addr = netip.AddrFrom4([4]byte{110, byte(country*16 + w.random.IntN(16)), byte(w.random.IntN(256)), byte(w.random.IntN(256))})
		}
		if w.random.IntN(10) < 7 {
			w.known[number] = true
		}
		hour := []float64{9, 20}[w.random.IntN(2)] + 2.5*w.random.NormFloat64()
		at := time.Duration(min(max(hour, 0), 29) * float64(time.Hour))
		w.events = append(w.events, event{at: at, number: number, addr: addr})
		if w.random.IntN(8) != 0 {
			delay := 5*time.Second + time.Duration(w.random.ExpFloat64()*float64(20*time.Second))
			w.events = append(w.events, event{at: at + delay, number: number, addr: addr, verify: true})
		}
	}
}

// figures are what came out.
type figures struct{ spent, honest, blocked int }

func (w *world) replay(t *testing.T, cfg guard.Config) (f figures, why map[guard.Reason]int) {
	t.Helper()
	began := time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)
	now := began
	g, err := guard.New(cfg, guard.WithClock(func() time.Time { return now }), guard.WithKnown(func(n string) bool { return w.known[n] }))
	require.NoError(t, err)
	slices.SortStableFunc(w.events, func(a, b event) int { return int(a.at - b.at) })
	sent, why := map[string]bool{}, map[guard.Reason]int{}
	for _, e := range w.events {
		now = began.Add(e.at)
		if e.verify {
			if sent[e.number] {
				g.Verified(e.number, e.addr)
			}
			continue
		}
		d := g.Allow(e.number, e.addr)
		switch {
		case e.attack && d.Allowed:
			f.spent++
		case e.attack:
			why[d.Reason]++
		default:
			f.honest++
			if sent[e.number] = d.Allowed; !d.Allowed {
				f.blocked++
			}
		}
	}
	return f, why
}

// TestAnAttackIsCutToThreePercentAndPeopleAreNot replays it fast and slow, from pools
// of a /24 and a /22 each.
func TestAnAttackIsCutToThreePercentAndPeopleAreNot(t *testing.T) {
	for _, lasting := range []time.Duration{20 * time.Hour, 10 * time.Minute, 6 * time.Hour}[:testenv.Scale(1, 3)] {
		for _, size := range []int{1024, 256}[:testenv.Scale(1, 2)] {
			w := newWorld(uint64(size))
			w.attack(lasting, size)
			w.people()
			f, why := w.replay(t, guard.Config{DailyCap: 100_000})
			t.Logf("%v from 3 x %d addresses: spend %d of %d (%.2f %%), %d of %d honest blocked (%.3f %%), refused by %v",
				lasting, size, f.spent, attacked, 100*float64(f.spent)/attacked, f.blocked, f.honest, 100*float64(f.blocked)/float64(f.honest), why)
			require.LessOrEqual(t, float64(f.spent), 0.03*attacked)
			require.LessOrEqual(t, float64(f.blocked), 0.001*float64(f.honest))
			require.Positive(t, f.spent, "nobody is refused before they showed what they are")
		}
	}
}

// TestAnAttackFromManyNetworksIsCutByItsPrefixes has 768 networks: new users of the
// attacked prefixes pay for it, all others do not. It gets four sends for each person
// of these prefixes who enters a code, besides what their accounts hold.
func TestAnAttackFromManyNetworksIsCutByItsPrefixes(t *testing.T) {
	w := newWorld(3)
	w.attack(6*time.Hour, 65_536)
	w.people()
	f, why := w.replay(t, guard.Config{DailyCap: 100_000})
	t.Logf("spend %d of %d, %d of %d honest blocked, refused by %v", f.spent, attacked, f.blocked, f.honest, why)
	require.LessOrEqual(t, float64(f.spent), 0.20*attacked)
	require.LessOrEqual(t, float64(f.blocked), 0.03*float64(f.honest), "3 % are new and have such a number")
	require.Positive(t, why[guard.ByPrefix])
}

// TestPeopleAloneAreNeverBlocked is the same day without an attack.
func TestPeopleAloneAreNeverBlocked(t *testing.T) {
	w := newWorld(4)
	w.people()
	f, _ := w.replay(t, guard.Config{DailyCap: 100_000})
	t.Logf("%d of %d honest blocked", f.blocked, f.honest)
	require.LessOrEqual(t, float64(f.blocked), 0.001*float64(f.honest))
	require.Equal(t, honestUsers, f.honest)
}
