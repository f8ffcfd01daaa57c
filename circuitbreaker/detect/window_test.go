package detect

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestTotalsForgetWhatIsOlderThanTheSpan(t *testing.T) {
	w := newWindow(10 * time.Second)
	w.add(0, 3, 1)
	good, bad := w.totals(9999 * time.Millisecond)
	require.Equal(t, [2]uint64{3, 1}, [2]uint64{good, bad})
	good, bad = w.totals(10 * time.Second)
	require.Equal(t, [2]uint64{0, 0}, [2]uint64{good, bad})
}

func TestAFullSliceStaysFull(t *testing.T) {
	w := newWindow(time.Second)
	w.add(0, math.MaxUint32, 0)
	w.add(0, 5, 0)
	good, _ := w.totals(0)
	require.EqualValues(t, uint32(math.MaxUint32), good)
}

func TestALateEventCountsWhereItBelongs(t *testing.T) {
	w := newWindow(10 * time.Second)
	w.add(30*time.Second, 1, 0)
	w.add(25*time.Second, 0, 1)
	w.add(20*time.Second, 0, 100)
	good, bad := w.totals(30 * time.Second)
	require.Equal(t, [2]uint64{1, 1}, [2]uint64{good, bad})
	good, bad = w.totals(35 * time.Second)
	require.Equal(t, [2]uint64{1, 0}, [2]uint64{good, bad})
}

// event is what the naive model remembers: everything.
type event struct {
	at        time.Duration
	good, bad uint32
}

func TestWindowAgreesWithAListOfAllEvents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width := time.Duration(rapid.IntRange(1, 50).Draw(t, "width"))
		w := newWindow(width * windowSlices)
		var all []event
		var now time.Duration
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now += time.Duration(rapid.IntRange(0, int(width)*4).Draw(t, "pause"))
			late := time.Duration(rapid.IntRange(0, int(width)*12).Draw(t, "late"))
			e := event{max(now-late, 0), uint32(rapid.IntRange(0, 9).Draw(t, "good")), uint32(rapid.IntRange(0, 9).Draw(t, "bad"))}
			w.totals(now)
			w.add(e.at, e.good, e.bad)
			all = append(all, e)
			good, bad := w.totals(now)
			wantGood, wantBad := recent(all, now, width)
			require.Equal(t, [2]uint64{wantGood, wantBad}, [2]uint64{good, bad})
		}
	})
}

// recent sums the events of the current slice and those before it.
func recent(all []event, now, width time.Duration) (good, bad uint64) {
	for _, e := range all {
		if e.at/width > now/width-windowSlices {
			good += uint64(e.good)
			bad += uint64(e.bad)
		}
	}
	return good, bad
}
