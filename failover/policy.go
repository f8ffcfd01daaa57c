package failover

import (
	"math"
	"math/bits"
)

// policy picks the provider to begin with. The zero policy is roundRobin.
type policy uint8

const (
	roundRobin policy = iota
	sticky
	ordered
	weighted
	twoChoices

	policies
)

var policyNames = [policies]string{"round-robin", "sticky-timeouts", "ordered", "weighted", "two-choices"}

func (p policy) String() string { return policyNames[p] }

// maxWeight bounds the length of a weighted sequence.
const maxWeight = 1000

// allOf returns the set of n candidates.
func allOf(n int) uint64 {
	if n >= maxCandidates {
		return math.MaxUint64
	}
	return 1<<n - 1
}

// bit is the set of candidate i alone.
func bit(i int) uint64 { return 1 << i }

// matesOf returns for each member the set of those that share its fate.
func matesOf(members []member) []uint64 {
	mates := make([]uint64, len(members))
	for i, m := range members {
		for j, other := range members {
			if i < maxCandidates && j < maxCandidates && (i == j || m.domain != "" && m.domain == other.domain) {
				mates[i] |= bit(j)
			}
		}
	}
	return mates
}

// sequenceOf returns whose turn it is, one after the other, for a policy that takes
// turns; nil for others. Weighted turns are spread evenly: at each one everybody gains
// their weight, the richest has the turn and pays the sum of all weights for it.
func sequenceOf(p policy, members []member) []uint8 {
	if p != roundRobin && p != weighted {
		return nil
	}
	weights, divisor := make([]int, len(members)), 0
	for i, m := range members {
		weights[i] = 1
		if p == weighted {
			weights[i] = m.weight
		}
		divisor = gcd(divisor, weights[i])
	}
	total := 0
	for i := range weights {
		weights[i] /= divisor
		total += weights[i]
	}
	sequence, credit := make([]uint8, total), make([]int, len(members))
	for turn := range sequence {
		richest := 0
		for i, w := range weights {
			credit[i] += w
			if credit[i] > credit[richest] {
				richest = i
			}
		}
		credit[richest] -= total
		sequence[turn] = uint8(richest)
	}
	return sequence
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// pick chooses from a set that is not empty: one that an operator forces, if there is
// one; one outside of the domains to be avoided, if there is one; and of what is left,
// the one that the policy says.
func (c *core) pick(set *settings, from, avoid uint64) int {
	if forced := from & c.forced.Load(); forced != 0 {
		from = forced
	}
	if apart := from &^ avoid; apart != 0 {
		from = apart
	}
	switch set.policy {
	case sticky:
		return after(position(c.sticky.Load()).index(), from)
	case ordered:
		return bits.TrailingZeros64(from)
	case twoChoices:
		return c.lighter(set, from)
	default:
		return c.take(set, from)
	}
}

// after returns the first of a set that is not empty, in a circle that begins at
// start.
func after(start int, from uint64) int {
	if rest := from >> start << start; rest != 0 {
		return bits.TrailingZeros64(rest)
	}
	return bits.TrailingZeros64(from)
}

// take draws turns until it is somebody's in the set, so that those who stand in for
// one that is out share its turns by the same policy. Whoever wants all turns in a
// long sequence to be in vain is spared the search.
func (c *core) take(set *settings, from uint64) int {
	n := uint64(len(set.sequence))
	i := 0
	for range 4 * maxCandidates {
		i = int(set.sequence[(c.turn.Add(1)-1)%n])
		if from&bit(i) != 0 {
			return i
		}
	}
	return after(i, from)
}

// lighter draws two of a set that is not empty and returns the one that has less to
// do for its weight.
func (c *core) lighter(set *settings, from uint64) int {
	n := bits.OnesCount64(from)
	if n == 1 {
		return bits.TrailingZeros64(from)
	}
	first := draw(set, n)
	second := draw(set, n-1)
	if second >= first {
		second++
	}
	a, b := nth(from, first), nth(from, second)
	loadA := int64(c.health[a].inFlight.Load()+1) * int64(c.members[b].weight)
	loadB := int64(c.health[b].inFlight.Load()+1) * int64(c.members[a].weight)
	if loadB < loadA {
		return b
	}
	return a
}

// draw returns a number from 0 to n-1, whatever the source of chance returns.
func draw(set *settings, n int) int { return min(max(int(set.rand()*float64(n)), 0), n-1) }

// nth returns the nth of a set, counted from 0.
func nth(from uint64, n int) int {
	for range n {
		from &= from - 1
	}
	return bits.TrailingZeros64(from)
}
