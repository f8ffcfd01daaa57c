package saramax_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bulwark-go/bulwark/saramax"
)

// handClock is moved by the test.
type handClock struct{ at time.Time }

func (c *handClock) now() time.Time          { return c.at }
func (c *handClock) advance(d time.Duration) { c.at = c.at.Add(d) }

func newHandClock() *handClock {
	return &handClock{time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}
}

func TestABudgetIsSpentByARunOfFailures(t *testing.T) {
	clock := newHandClock()
	l := saramax.NewLedger(saramax.Budget{Run: 7}, clock.now)
	for range 7 {
		require.True(t, l.Ask(saramax.ReasonAttempts))
	}
	require.False(t, l.Spent())
	require.False(t, l.Ask(saramax.ReasonAttempts), "the eighth in a row")
	require.True(t, l.Spent())
	clock.advance(time.Hour)
	require.False(t, l.Ask(saramax.ReasonAttempts), "time alone is no sign of recovery")
}

func TestASuccessEndsARun(t *testing.T) {
	clock := newHandClock()
	l := saramax.NewLedger(saramax.Budget{Run: 7, Ratio: 1}, clock.now)
	for range 100 {
		for range 7 {
			require.True(t, l.Ask(saramax.ReasonAttempts))
		}
		l.Passed()
	}
}

func TestABudgetIsSpentByTheShareOfAWindow(t *testing.T) {
	clock := newHandClock()
	l := saramax.NewLedger(saramax.Budget{Run: 10, Ratio: 0.2, Window: time.Minute}, clock.now)
	aside, all := 0, 0
	for !l.Spent() { // every second record fails
		l.Passed()
		all++
		if l.Ask(saramax.ReasonAttempts) {
			aside++
			all++
		}
		clock.advance(10 * time.Millisecond)
	}
	require.LessOrEqual(t, float64(aside), math.Max(0.2*float64(all+1), 10))
	require.GreaterOrEqual(t, aside, 10, "fewer are no sample")
}

func TestOldFailuresDoNotCountAgainstAWindow(t *testing.T) {
	clock := newHandClock()
	l := saramax.NewLedger(saramax.Budget{Run: 10, Ratio: 0.01, Window: time.Minute}, clock.now)
	for range 100 {
		for range 9 {
			require.True(t, l.Ask(saramax.ReasonAttempts))
		}
		l.Passed()
		clock.advance(time.Minute)
	}
}

func TestASpentBudgetLetsSingleProbesThroughUntilOneSucceeds(t *testing.T) {
	clock := newHandClock()
	l := saramax.NewLedger(saramax.Budget{Run: 1, Probe: time.Second}, clock.now)
	require.True(t, l.Ask(saramax.ReasonAttempts))
	most, _ := l.Probe()
	require.Equal(t, math.MaxInt, most)
	require.False(t, l.Ask(saramax.ReasonAttempts))

	most, wait := l.Probe()
	require.Zero(t, most)
	require.Equal(t, time.Second, wait)
	for range 10 {
		clock.advance(time.Second)
		most, _ = l.Probe()
		require.Equal(t, 1, most)
		most, wait = l.Probe()
		require.Zero(t, most, "one at a time")
		require.Equal(t, time.Second, wait)
		require.False(t, l.Ask(saramax.ReasonAttempts), "a probe that fails is kept")
	}
	require.True(t, l.Passed())
	most, _ = l.Probe()
	require.Equal(t, math.MaxInt, most)
	require.True(t, l.Ask(saramax.ReasonAttempts), "what is over does not count against what comes")
}

func TestALateSuccessDoesNotOpenASpentBudget(t *testing.T) {
	clock := newHandClock()
	l := saramax.NewLedger(saramax.Budget{Run: 3}, clock.now)
	for range 4 {
		l.Ask(saramax.ReasonAttempts)
	}
	require.False(t, l.Passed(), "it began before")
	require.False(t, l.Ask(saramax.ReasonAttempts))
}

func TestASpentBudgetStillTricklesPoison(t *testing.T) {
	for reason, trickles := range map[saramax.Reason]bool{
		saramax.ReasonUndecodable: true, saramax.ReasonPermanent: true,
		saramax.ReasonAttempts: false, saramax.ReasonPanic: false, saramax.ReasonStuck: false,
	} {
		t.Run(reason.String(), func(t *testing.T) {
			clock := newHandClock()
			l := saramax.NewLedger(saramax.Budget{Run: 3}, clock.now)
			for range 3 {
				require.True(t, l.Ask(reason))
			}
			require.False(t, l.Ask(reason), "no probe was started")
			clock.advance(time.Second)
			most, _ := l.Probe()
			require.Equal(t, 1, most)
			require.Equal(t, trickles, l.Ask(reason))
			require.True(t, l.Spent(), "that was no success")
			most, _ = l.Probe()
			require.Zero(t, most)
		})
	}
}

func TestAFailedPublicationIsNotCounted(t *testing.T) {
	clock := newHandClock()
	l := saramax.NewLedger(saramax.Budget{Run: 3}, clock.now)
	for range 100 {
		require.True(t, l.Ask(saramax.ReasonAttempts))
		l.Undo()
	}
	all, aside := l.Window()
	require.Zero(t, all)
	require.Zero(t, aside)
}

// TestNoOrderOfEventsExceedsABudget: whatever happens, between two openings no more are
// put aside in a window than the larger of the two bounds, but for trickled poison.
func TestNoOrderOfEventsExceedsABudget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := saramax.Budget{
			Run: rapid.IntRange(1, 20).Draw(t, "run"), Ratio: rapid.Float64Range(0.01, 1).Draw(t, "ratio"),
			Window: 20 * time.Second, Probe: time.Second,
		}
		clock := newHandClock()
		l := saramax.NewLedger(b, clock.now)
		type ended struct {
			second int64
			aside  bool
		}
		var history []ended
		for _, step := range rapid.SliceOfN(rapid.IntRange(0, 9), 1, 400).Draw(t, "steps") {
			switch {
			case step < 5:
				if l.Ask(saramax.ReasonAttempts) {
					history = append(history, ended{clock.at.Unix(), true})
				}
			case step < 7:
				if l.Passed() {
					history = nil
				}
				history = append(history, ended{clock.at.Unix(), false})
			case step < 8:
				l.Probe()
			default:
				clock.advance(time.Duration(step) * 100 * time.Millisecond)
			}
			all, aside, run := 0, 0, 0
			for _, e := range history {
				if run++; !e.aside {
					run = 0
				}
				if e.second > clock.at.Unix()-20 {
					if all++; e.aside {
						aside++
					}
				}
			}
			if run > b.Run {
				t.Fatalf("a run of %d with at most %d", run, b.Run)
			}
			if most := math.Max(b.Ratio*float64(all), float64(b.Run)); float64(aside) > most && history[len(history)-1].aside {
				t.Fatalf("%d of %d put aside with at most %v", aside, all, most)
			}
		}
	})
}

func TestABadBudgetIsRefusedFieldByField(t *testing.T) {
	require.NoError(t, saramax.Budget{}.Validate())
	err := saramax.Budget{Run: -1, Ratio: math.NaN(), Window: time.Millisecond, Probe: -1}.Validate()
	for _, field := range []string{"Run", "Ratio", "Window", "Probe"} {
		require.ErrorContains(t, err, "Budget."+field)
	}
}
