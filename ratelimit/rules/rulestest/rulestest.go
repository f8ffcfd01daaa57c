// Package rulestest has the tests that every [rollout.Store] must pass.
//
//	func TestTheStoreConforms(t *testing.T) {
//		rulestest.Test(t, func(t *testing.T, history int) rollout.Store { … })
//	}
package rulestest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/rules"
	"github.com/bulwark-go/bulwark/ratelimit/rules/rollout"
)

// patience bounds what has to happen soon, even on a slow machine.
const patience = 30 * time.Second

// Test runs the suite. The function returns an empty store that keeps so many
// revisions.
func Test(t *testing.T, empty func(t *testing.T, history int) rollout.Store) {
	for name, test := range map[string]func(*testing.T, rollout.Store){
		"an empty store has the zero revision":      testEmpty,
		"what is saved is read":                     testSaved,
		"a stale save changes nothing":              testStale,
		"of concurrent saves one wins":              testConcurrent,
		"numbers pass what is restored":             testRestores,
		"history is newest first and bounded":       testHistory,
		"bad edits are refused":                     testBad,
		"watchers hear of saves":                    testWatch,
		"instances are listed, and forgotten":       testInstances,
		"a cancelled call changes nothing":          testCancelled,
		"what a caller changes after a save is his": testShared,
	} {
		t.Run(name, func(t *testing.T) { test(t, empty(t, kept)) })
	}
}

// kept is the history of the stores under test.
const kept = 5

// Edit is a good edit with a rule of so many calls in a second.
func Edit(count int64) rollout.Edit {
	return rollout.Edit{Author: "kim", Note: "why", Rules: []rules.Rule{{
		Name: "default", Per: []rules.Field{rules.User}, Rate: ratelimit.PerSecond(count), Burst: count,
	}}}
}

func save(t *testing.T, s rollout.Ledger, after uint64, e rollout.Edit) rollout.Revision {
	t.Helper()
	r, err := s.Save(t.Context(), after, e)
	require.NoError(t, err)
	return r
}

func latest(t *testing.T, s rollout.Ledger) rollout.Revision {
	t.Helper()
	r, now, err := s.Latest(t.Context())
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), now, time.Hour)
	return r
}

func testEmpty(t *testing.T, s rollout.Store) {
	require.Equal(t, rollout.Revision{}, latest(t, s))
	history, err := s.History(t.Context(), 10)
	require.NoError(t, err)
	require.Empty(t, history)
	instances, err := s.Instances(t.Context())
	require.NoError(t, err)
	require.Empty(t, instances)
}

func testSaved(t *testing.T, s rollout.Store) {
	e := Edit(7)
	e.For, e.Then, e.Base, e.Configured = time.Minute, Edit(3).Rules, 4, "digest"
	r := save(t, s, 0, e)
	require.EqualValues(t, 1, r.Number)
	require.Equal(t, e, r.Edit)
	require.Equal(t, time.Minute, r.Until.Sub(r.Time))
	require.Equal(t, r, latest(t, s))

	forGood := save(t, s, 1, Edit(8))
	require.False(t, forGood.Temporary())
	require.Equal(t, forGood, latest(t, s))
}

func testStale(t *testing.T, s rollout.Store) {
	first := save(t, s, 0, Edit(1))
	for _, after := range []uint64{0, 2, 100} {
		_, err := s.Save(t.Context(), after, Edit(2))
		require.ErrorIs(t, err, rules.ErrStale)
	}
	require.Equal(t, first, latest(t, s))
}

func testConcurrent(t *testing.T, s rollout.Store) {
	const writers, rounds = 8, 5
	var won [rounds]atomic.Int64
	for round := range rounds {
		var all sync.WaitGroup
		for range writers {
			all.Go(func() {
				if _, err := s.Save(t.Context(), uint64(round), Edit(1)); err == nil {
					won[round].Add(1)
				}
			})
		}
		all.Wait()
		require.EqualValues(t, 1, won[round].Load())
	}
	require.EqualValues(t, rounds, latest(t, s).Number)
}

func testRestores(t *testing.T, s rollout.Store) {
	e := Edit(1)
	e.Restores = 41
	require.EqualValues(t, 42, save(t, s, 0, e).Number)
	e.Restores = 7
	require.EqualValues(t, 43, save(t, s, 42, e).Number)
}

func testHistory(t *testing.T, s rollout.Store) {
	var want []rollout.Revision
	for i := range kept + 3 {
		want = append([]rollout.Revision{save(t, s, uint64(i), Edit(int64(i+1)))}, want...)
	}
	for n, expect := range map[int]int{-1: 0, 0: 0, 2: 2, kept: kept, 1000: kept} {
		got, err := s.History(t.Context(), n)
		require.NoError(t, err)
		require.Len(t, got, expect)
		for i := range got {
			require.Equal(t, want[i], got[i])
		}
	}
}

func testBad(t *testing.T, s rollout.Store) {
	anonymous, ruleless := Edit(1), Edit(1)
	anonymous.Author = ""
	ruleless.Rules[0].Rate = ratelimit.Rate{}
	for _, e := range []rollout.Edit{anonymous, ruleless} {
		_, err := s.Save(t.Context(), 0, e)
		var field *ratelimit.FieldError
		require.ErrorAs(t, err, &field)
	}
	require.Zero(t, latest(t, s))
}

func testWatch(t *testing.T, s rollout.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	heard, ended := make(chan struct{}, 100), make(chan error, 1)
	go func() { ended <- s.Watch(ctx, func() { heard <- struct{}{} }) }()
	for i := range 3 {
		select {
		case <-heard: // first that it listens
		case <-time.After(patience):
			require.Fail(t, "nothing was heard", "save %d", i)
		}
		save(t, s, uint64(i), Edit(1))
	}
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
}

func testInstances(t *testing.T, s rollout.Store) {
	ctx := t.Context()
	names := func() (list []string) {
		all, err := s.Instances(ctx)
		require.NoError(t, err)
		for _, i := range all {
			require.False(t, i.Seen.IsZero())
			list = append(list, fmt.Sprint(i.Name, i.Revision, i.Problem))
		}
		return list
	}
	require.NoError(t, s.Acknowledge(ctx, rollout.Instance{Name: "b", Revision: 2, Problem: "bad"}, time.Hour))
	require.NoError(t, s.Acknowledge(ctx, rollout.Instance{Name: "a", Revision: 1}, time.Hour))
	require.Equal(t, []string{"a1", "b2bad"}, names())
	require.NoError(t, s.Acknowledge(ctx, rollout.Instance{Name: "b", Revision: 3}, time.Millisecond))
	require.Eventually(t, func() bool { return len(names()) == 1 }, patience, time.Millisecond)
	require.NoError(t, s.Acknowledge(ctx, rollout.Instance{Name: "a"}, 0))
	require.Empty(t, names())
}

func testCancelled(t *testing.T, s rollout.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Save(ctx, 0, Edit(1))
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, latest(t, s))
}

func testShared(t *testing.T, s rollout.Store) {
	e := Edit(1)
	r := save(t, s, 0, e)
	e.Rules[0].Per[0], r.Rules[0].Name = rules.IP, "other"
	require.Equal(t, Edit(1).Rules, latest(t, s).Rules)
}
