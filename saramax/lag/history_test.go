package lag

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var origin = time.Unix(1_700_000_000, 0)

func at(seconds int) time.Time { return origin.Add(time.Duration(seconds) * time.Second) }

// The model keeps when each record was really appended. What the ring says is never
// further off than the two polls around the record lie apart.
func TestAgeIsRightToAPoll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := ring{most: 10_000}
		var appended []int // second of each offset
		polls := []int{0}
		r.add(at(0), 0)
		for second := 1; second < 200; second++ {
			for range rapid.IntRange(0, 3).Draw(t, "records") {
				appended = append(appended, second)
			}
			if rapid.IntRange(0, 4).Draw(t, "poll") == 0 {
				r.add(at(second), int64(len(appended)))
				polls = append(polls, second)
			}
		}
		last := polls[len(polls)-1]
		for offset, second := range appended {
			when, sure, known := r.passed(int64(offset))
			if second > last {
				require.False(t, known)
				continue
			}
			require.True(t, known)
			require.True(t, sure)
			before, after := 0, 0
			for _, p := range polls {
				if p < second {
					before = p
				}
				if p >= second {
					after = p
					break
				}
			}
			require.False(t, when.Before(at(before)), "offset %d of second %d", offset, second)
			require.False(t, when.After(at(after)))
		}
	})
}

func TestOldSamplesAreThinnedAndReachFarBack(t *testing.T) {
	r := ring{most: 64}
	for i := range 10_000 {
		r.add(at(i*10), int64(i)*100)
		require.LessOrEqual(t, len(r.samples), 64)
	}
	recent, sure, known := r.passed(9_990*100 + 50)
	require.True(t, sure && known)
	require.WithinDuration(t, at(99_905), recent, 10*time.Second, "the newest half is kept in full")
	_, sure, known = r.passed(0)
	require.True(t, known)
	require.True(t, sure, "the first sample is never dropped")
}

func TestOlderThanRememberedIsAtLeast(t *testing.T) {
	h := newHistory(Config{}.withDefaults())
	h.commits(at(0), 10)
	h.ends(at(0), 100)
	h.ends(at(60), 100)
	age, atLeast := h.behind(at(90), 10)
	require.Equal(t, 90*time.Second, age)
	require.True(t, atLeast)
	age, atLeast = h.behind(at(90), 100)
	require.Zero(t, age, "all is committed")
	require.False(t, atLeast)
}

func TestIdleTopicTakesTwoSamples(t *testing.T) {
	r := ring{most: 100}
	for i := range 1000 {
		r.add(at(i), 5)
	}
	require.Len(t, r.samples, 2)
	r.add(at(1000), 6)
	when, sure, _ := r.passed(5)
	require.True(t, sure)
	require.Equal(t, at(1000), when, "appended after the last poll that did not see it")
}

func TestTopicMadeAnewForgetsTheOldOne(t *testing.T) {
	r := ring{most: 100}
	r.add(at(0), 1000)
	r.add(at(10), 0)
	r.add(at(20), 10)
	when, sure, known := r.passed(9)
	require.True(t, sure && known)
	require.Equal(t, at(20), when)
}

// polls feeds a window with commits against ends.
func polls(window int, pairs ...[2]int64) *history {
	h := newHistory(Config{Window: window}.withDefaults())
	h.start = 0
	for i, p := range pairs {
		h.commits(at(i*10), p[0])
		h.ends(at(i*10), p[1])
	}
	return h
}

func TestStates(t *testing.T) {
	type pairs = [][2]int64
	cases := []struct {
		name  string
		polls pairs
		want  State
	}{
		{"nothing known", nil, Unknown},
		{"too few polls", pairs{{1, 5}, {1, 6}}, Unknown},
		{"no lag", pairs{{5, 5}, {6, 6}, {7, 7}, {8, 8}}, Current},
		{"idle for long, and a record just now", pairs{{5, 5}, {5, 5}, {5, 5}, {5, 6}}, Current},
		{"catching up", pairs{{1, 50}, {11, 55}, {25, 60}, {40, 65}}, Current},
		{"falling behind", pairs{{1, 50}, {2, 60}, {3, 70}, {4, 80}}, Behind},
		{"falling behind with a breath", pairs{{1, 50}, {2, 60}, {15, 61}, {16, 80}}, Behind},
		{"standing still", pairs{{1, 50}, {1, 60}, {1, 70}, {1, 70}}, Stalled},
		{"standing still with nothing new", pairs{{1, 2}, {1, 2}, {1, 2}, {1, 2}}, Stalled},
		{"went back", pairs{{10, 50}, {11, 60}, {2, 70}, {3, 80}}, Rewound},
		{"went back out of the window", pairs{{10, 50}, {2, 52}, {12, 54}, {22, 56}, {32, 58}}, Current},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, polls(4, c.polls...).state()) })
	}
	overtaken := polls(4, [2]int64{5, 50})
	overtaken.start = 6
	require.Equal(t, Overtaken, overtaken.state())
	require.Equal(t, "overtaken", Overtaken.String())
	require.Equal(t, "unknown", State(99).String())
}

func TestCatchUp(t *testing.T) {
	require.Equal(t, time.Duration(0), polls(4, [2]int64{5, 5}, [2]int64{6, 6}).catchUp(0))
	require.Equal(t, Never, polls(4, [2]int64{0, 10}, [2]int64{1, 20}).catchUp(19))
	require.Equal(t, Never, polls(4, [2]int64{0, 10}, [2]int64{5, 15}).catchUp(10), "what neither shrinks nor grows stays")
	// 100, 90, 80: a record a second.
	require.Equal(t, 80*time.Second, polls(4, [2]int64{0, 100}, [2]int64{20, 110}, [2]int64{40, 120}).catchUp(80))
}

func TestGroupWithoutACommitStandsAtTheOldestRecord(t *testing.T) {
	h := newHistory(Config{}.withDefaults())
	_, known := h.position()
	require.False(t, known)
	h.commits(at(0), -1)
	_, known = h.position()
	require.False(t, known)
	h.begins(at(0), 7)
	position, known := h.position()
	require.True(t, known)
	require.EqualValues(t, 7, position)
	h.ends(at(0), 10)
	require.Equal(t, Unknown, h.state())
}
