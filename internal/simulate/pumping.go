package simulate

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/bulwark-go/bulwark/smsx/otp/guard"
)

// Pumping is a day on which 60,000 people ask for codes, and six hours into it somebody
// begins to ask for 50,000 codes to numbers of 40 prefixes in eight countries, and
// enters none.
type Pumping struct {
	// Lasting is for how long the attack goes on.
	Lasting time.Duration
	// Addresses is how many the attack has in each of its three pools, up to 65,536 in
	// a few networks of 256; 0 is no attack.
	Addresses int
	Seed      uint64
}

// Attacked is how many numbers an attack asks for, HonestUsers how many people ask.
const (
	Attacked    = 50_000
	HonestUsers = 60_000
)

// Pumped is what came of a [Pumping].
type Pumped struct {
	// Spent counts the attack's messages that were sent, Honest the people that asked
	// and Blocked those of them that got none.
	Spent, Honest, Blocked int
	// Refused counts the attack's refusals.
	Refused map[guard.Reason]int
	// Sent is when the attack's messages were sent, in order, from the day's beginning.
	Sent []time.Duration
}

// asked is something that happens at a time of the replay.
type asked struct {
	at     time.Duration
	number string
	addr   netip.Addr
	attack bool
	verify bool // a code is entered, if it was sent
}

// pumpedDay is what is replayed: an attack within honest traffic.
type pumpedDay struct {
	random   *rand.Rand
	prefixes []string // that the attack goes for
	events   []asked
	known    map[string]bool
}

// Replay runs the day through a guard. It fails with a bad configuration.
func (p Pumping) Replay(cfg guard.Config) (Pumped, error) {
	d := &pumpedDay{random: rand.New(rand.NewPCG(p.Seed, 7)), known: map[string]bool{}}
	for i := range 40 {
		d.prefixes = append(d.prefixes, fmt.Sprintf("+%s%05d", []string{"86", "62", "92", "84", "94", "95", "63", "98"}[i%8], 13_000+i))
	}
	if p.Addresses > 0 {
		d.attack(p.Lasting, p.Addresses)
	}
	d.people()
	slices.SortStableFunc(d.events, func(a, b asked) int { return int(a.at - b.at) })
	return d.replay(cfg)
}

// attack asks from three pools of so many addresses.
func (d *pumpedDay) attack(lasting time.Duration, size int) {
	pools := []netip.Addr{netip.MustParseAddr("45.0.0.0"), netip.MustParseAddr("91.0.0.0"), netip.MustParseAddr("185.0.0.0")}
	for i := range Attacked {
		a := pools[i%3].As4()
		offset := d.random.IntN(size)
		a[1], a[2], a[3] = byte(offset>>16), byte(offset>>8), byte(offset)
		d.events = append(d.events, asked{
			at: 6*time.Hour + time.Duration(d.random.Int64N(int64(lasting))), attack: true,
			number: fmt.Sprintf("%s%05d", d.prefixes[i%40], i/40), addr: netip.AddrFrom4(a),
		})
	}
}

// people ask through a day of two peaks. A tenth of them have numbers of the attacked
// prefixes, seven in ten were verified before, and one in eight never enters a code.
// Four in ten come through their country's carrier, 2,048 shared addresses, the others
// from home, and one in two hundred from a home in another country.
func (d *pumpedDay) people() {
	for i := range HonestUsers {
		number, country := fmt.Sprintf("+86%05d%04d", 15_000+d.random.IntN(2_000), i%10_000), 0
		if i%10 == 0 {
			prefix := d.random.IntN(40)
			country = prefix % 8
			number = fmt.Sprintf("%s%05d", d.prefixes[prefix], 50_000+d.random.IntN(50_000))
		}
		addr := netip.AddrFrom4([4]byte{117, byte(country), byte(d.random.IntN(8)), byte(d.random.IntN(256))})
		if d.random.IntN(10) >= 4 {
			if d.random.IntN(200) == 0 {
				country = d.random.IntN(8)
			}
			addr = netip.AddrFrom4([4]byte{110, byte(country*16 + d.random.IntN(16)), byte(d.random.IntN(256)), byte(d.random.IntN(256))})
		}
		if d.random.IntN(10) < 7 {
			d.known[number] = true
		}
		hour := []float64{9, 20}[d.random.IntN(2)] + 2.5*d.random.NormFloat64()
		at := time.Duration(min(max(hour, 0), 29) * float64(time.Hour))
		d.events = append(d.events, asked{at: at, number: number, addr: addr})
		if d.random.IntN(8) != 0 {
			delay := 5*time.Second + time.Duration(d.random.ExpFloat64()*float64(20*time.Second))
			d.events = append(d.events, asked{at: at + delay, number: number, addr: addr, verify: true})
		}
	}
}

func (d *pumpedDay) replay(cfg guard.Config) (Pumped, error) {
	began := time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)
	now := began
	p := Pumped{Refused: map[guard.Reason]int{}}
	ctx := context.Background()
	g, err := guard.New(guard.NewMemory(guard.WithClock(func() time.Time { return now })), cfg,
		guard.WithKnown(func(_ context.Context, n string) bool { return d.known[n] }))
	if err != nil {
		return p, err
	}
	sent := map[string]bool{}
	for _, e := range d.events {
		now = began.Add(e.at)
		if e.verify {
			if sent[e.number] {
				if err := g.Verified(ctx, e.number, e.addr); err != nil {
					return p, err
				}
			}
			continue
		}
		decision, err := g.Allow(ctx, e.number, e.addr)
		if err != nil {
			return p, err
		}
		switch {
		case e.attack && decision.Allowed:
			p.Spent++
			p.Sent = append(p.Sent, e.at)
		case e.attack:
			p.Refused[decision.Reason]++
		default:
			p.Honest++
			if sent[e.number] = decision.Allowed; !decision.Allowed {
				p.Blocked++
			}
		}
	}
	return p, nil
}
