package dryrun

import (
	"hash/maphash"
	"math/bits"
	"net/netip"
	"strconv"

	"github.com/bulwark-go/bulwark/ratelimit/rules"
)

// names are the pseudonyms under which subjects are kept. Rules are put into the same
// ones for a replay, and match what they would have matched.
type names struct{ seed maphash.Seed }

func newNames() names { return names{maphash.MakeSeed()} }

// identity is a subject in hashes. Those of what is not known are 0.
type identity struct {
	id                   uint64 // of all together
	user, tenant, method uint64
	block                uint64 // of the part of the address that has a budget
	ip                   netip.Addr
}

// identify hashes a subject, all but its address.
func (n *names) identify(s rules.Subject) identity {
	id := identity{user: n.hash(s.User), tenant: n.hash(s.Tenant), method: n.hash(s.Method)}
	address := uint64(0)
	if s.IP.IsValid() {
		id.ip = s.IP.Unmap().WithZone("") // as the rules see it
		raw := id.ip.As16()
		address = max(maphash.Bytes(n.seed, raw[:]), 1)
		id.block = address
		if !id.ip.Is4() {
			id.block = max(maphash.Bytes(n.seed, raw[:8]), 1)
		}
	}
	// The order makes a difference, or a user could be taken for a tenant.
	id.id = fold(fold(id.user^0x9e3779b97f4a7c15, address^0xbf58476d1ce4e5b9)^id.tenant, id.method^0x94d049bb133111eb)
	return id
}

func (n *names) hash(text string) uint64 {
	if text == "" {
		return 0
	}
	return max(maphash.String(n.seed, text), 1)
}

func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// level is up to which level a hash is in the sample: half of all hashes is in that
// of level 1, a quarter in that of level 2.
func level(hash uint64) uint32 {
	if hash == 0 {
		return 0
	}
	return uint32(bits.TrailingZeros64(hash))
}

// within tells whether all calls of the subject's user, or of its address, are in the
// sample.
func (id *identity) within(l uint32) bool { return level(id.user) >= l || level(id.block) >= l }

// ticket is the lot that a call draws: up to which level it is in the sample of
// calls.
func (id *identity) ticket(now int64) uint32 {
	x := id.id + uint64(now)*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return min(level(x^x>>31), mostTicket)
}

// text is the pseudonym for a hash.
func text(hash uint64) string {
	if hash == 0 {
		return ""
	}
	return strconv.FormatUint(hash, 36)
}

// rule returns r with pseudonyms to match.
func (n *names) rule(r rules.Rule) rules.Rule {
	m := &r.Match
	m.User, m.Tenant, m.Method = text(n.hash(m.User)), text(n.hash(m.Tenant)), text(n.hash(m.Method))
	if m.IP.IsValid() {
		m.IP = netip.PrefixFrom(n.addr(m.IP.Addr()), m.IP.Bits()).Masked()
	}
	return r
}

// addr is the pseudonym of an address: those of two addresses begin with as many
// equal bits as the addresses. That a bit is flipped depends on those before it. (An
// IPv6 address could turn into one that stands for an IPv4 address; the odds are 1
// to 2^96.)
func (n *names) addr(ip netip.Addr) netip.Addr {
	raw := ip.As16()
	first := 0
	if ip.Is4() {
		first = 96
	}
	name := raw
	var before [17]byte // the bits before, and their number
	copy(before[:], raw[:first/8])
	for i := first; i < 128; i++ {
		before[16] = byte(i)
		bit := byte(1) << (7 - i%8)
		if maphash.Bytes(n.seed, before[:])&1 == 1 {
			name[i/8] ^= bit
		}
		before[i/8] |= raw[i/8] & bit
	}
	if ip.Is4() {
		return netip.AddrFrom16(name).Unmap()
	}
	return netip.AddrFrom16(name)
}
