package guard_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/simulate"
	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/smsx/otp/guard"
)

func replay(t *testing.T, p simulate.Pumping) simulate.Pumped {
	t.Helper()
	f, err := p.Replay(guard.Config{DailyCap: 100_000})
	require.NoError(t, err)
	t.Logf("%v from 3 x %d addresses: spend %d of %d (%.2f %%), %d of %d honest blocked (%.3f %%), refused by %v",
		p.Lasting, p.Addresses, f.Spent, simulate.Attacked, 100*float64(f.Spent)/simulate.Attacked,
		f.Blocked, f.Honest, 100*float64(f.Blocked)/float64(f.Honest), f.Refused)
	return f
}

// TestAnAttackIsCutToThreePercentAndPeopleAreNot replays it fast and slow, from pools
// of a /24 and a /22 each.
func TestAnAttackIsCutToThreePercentAndPeopleAreNot(t *testing.T) {
	for _, lasting := range []time.Duration{20 * time.Hour, 10 * time.Minute, 6 * time.Hour}[:testenv.Scale(1, 3)] {
		for _, size := range []int{1024, 256}[:testenv.Scale(1, 2)] {
			f := replay(t, simulate.Pumping{Lasting: lasting, Addresses: size, Seed: uint64(size)})
			require.LessOrEqual(t, float64(f.Spent), 0.03*simulate.Attacked)
			require.LessOrEqual(t, float64(f.Blocked), 0.001*float64(f.Honest))
			require.Positive(t, f.Spent, "nobody is refused before they showed what they are")
		}
	}
}

// TestAnAttackFromManyNetworksIsCutByItsPrefixes has 768 networks: new users of the
// attacked prefixes pay for it, all others do not. It gets four sends for each person
// of these prefixes who enters a code, besides what their accounts hold.
func TestAnAttackFromManyNetworksIsCutByItsPrefixes(t *testing.T) {
	f := replay(t, simulate.Pumping{Lasting: 6 * time.Hour, Addresses: 65_536, Seed: 3})
	require.LessOrEqual(t, float64(f.Spent), 0.20*simulate.Attacked)
	require.LessOrEqual(t, float64(f.Blocked), 0.03*float64(f.Honest), "3 % are new and have such a number")
	require.Positive(t, f.Refused[guard.ByPrefix])
}

// TestPeopleAloneAreNeverBlocked is the same day without an attack.
func TestPeopleAloneAreNeverBlocked(t *testing.T) {
	f := replay(t, simulate.Pumping{Seed: 4})
	require.LessOrEqual(t, float64(f.Blocked), 0.001*float64(f.Honest))
	require.Equal(t, simulate.HonestUsers, f.Honest)
}
