package saramax_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/saramax"
)

// dependency is what a handler needs: it is up or down.
type dependency struct {
	down          atomic.Bool
	calls         atomic.Int64
	done          journal[string]
	spent, opened atomic.Int64
}

func (d *dependency) handle(_ context.Context, rec saramax.Record[event]) error {
	d.calls.Add(1)
	if d.down.Load() {
		return errors.New("connection refused")
	}
	d.done.add(saramax.OriginOf(rec).String())
	return nil
}

func (d *dependency) batch(ctx context.Context, batch []saramax.Record[event]) []saramax.Verdict {
	verdicts := make([]saramax.Verdict, len(batch))
	for i, rec := range batch {
		verdicts[i] = saramax.VerdictOf(d.handle(ctx, rec))
	}
	return verdicts
}

func (d *dependency) bulk(ctx context.Context, batch []saramax.Record[event]) error {
	if d.down.Load() {
		d.calls.Add(1)
		return errors.New("connection refused")
	}
	for _, rec := range batch {
		if err := d.handle(ctx, rec); err != nil {
			return err
		}
	}
	return nil
}

func (d *dependency) listen() saramax.Option {
	return saramax.OnEvent(func(e saramax.Event) {
		switch e.Kind {
		case saramax.EventBudgetSpent:
			d.spent.Add(1)
		case saramax.EventBudgetOpened:
			d.opened.Add(1)
		}
	})
}

// TestAnOutageDoesNotDrainTheTopicIntoDeadLetters: with the dependency down no more than
// the budget is put aside, however many handlers run, and after it all the rest is
// worked off.
func TestAnOutageDoesNotDrainTheTopicIntoDeadLetters(t *testing.T) {
	const run = 20
	for name, tc := range map[string]struct {
		work func(*dependency) saramax.Work
		opts []saramax.Option
	}{
		"by partition": {func(d *dependency) saramax.Work { return saramax.Each(d.handle) }, nil},
		"by key": {func(d *dependency) saramax.Work { return saramax.Each(d.handle) },
			[]saramax.Option{saramax.WithOrder(saramax.OrderKey, 16)}},
		"unordered": {func(d *dependency) saramax.Work { return saramax.Each(d.handle) },
			[]saramax.Option{saramax.WithOrder(saramax.Unordered, 16)}},
		"batches": {func(d *dependency) saramax.Work { return saramax.Batch(d.batch) },
			[]saramax.Option{saramax.WithBatch(50, time.Millisecond)}},
		"bulk": {func(d *dependency) saramax.Work { return saramax.Bulk(d.bulk) },
			[]saramax.Option{saramax.WithBatch(50, time.Millisecond)}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWard(t, 3)
			n := testenv.Scale(300, 3_000)
			var d dependency
			d.down.Store(true)
			for p := range int32(3) {
				w.send(w.events(p, n, 20)...)
			}
			c := w.consumer(tc.work(&d), append(tc.opts, quick(2), saramax.WithDeadLetter(w.producer), d.listen(),
				saramax.WithDeadLetterBudget(saramax.Budget{Run: run, Probe: 20 * time.Millisecond}))...)
			r := start(t, c)
			eventually(t, "a spent budget", func() bool { return d.spent.Load() == 1 })
			began := d.calls.Load()
			eventually(t, "many probes", func() bool { return d.calls.Load() >= began+30 })
			require.Len(t, w.deadLetters(), run, "in the midst of the outage")
			require.Zero(t, d.opened.Load())
			for _, p := range c.Status().Partitions {
				require.Zero(t, p.Paused&saramax.PausePark, "nothing waits for the parker")
			}

			d.down.Store(false)
			recovered := time.Now()
			eventually(t, "an open budget", func() bool { return d.opened.Load() == 1 })
			t.Logf("resumed %v after recovery", time.Since(recovered))
			eventually(t, "the rest", func() bool { return d.done.len() == 3*n-run })
			require.NoError(t, r.end())
			require.Len(t, w.deadLetters(), run)
			seen := map[string]bool{}
			for _, origin := range d.done.list() {
				require.False(t, seen[origin], "%s twice", origin)
				seen[origin] = true
			}
			for p := range int32(3) {
				require.EqualValues(t, n, w.committed(p))
			}
		})
	}
}

// TestASpentBudgetProbesWithSingleRecords: while it is spent, handlers are not busy with
// all that is kept.
func TestASpentBudgetProbesWithSingleRecords(t *testing.T) {
	w := newWard(t, 2)
	var d dependency
	d.down.Store(true)
	for p := range int32(2) {
		w.send(w.events(p, 200, 50)...)
	}
	r := start(t, w.consumer(saramax.Each(d.handle), quick(1), saramax.WithOrder(saramax.OrderKey, 16), d.listen(),
		saramax.WithDeadLetter(w.producer), saramax.WithDeadLetterBudget(saramax.Budget{Run: 5, Probe: time.Hour})))
	eventually(t, "a spent budget", func() bool { return d.spent.Load() == 1 })
	eventually(t, "idle partitions", func() bool {
		idle := 0
		for _, p := range r.Status().Partitions {
			if p.InFlight == 0 && p.Paused&saramax.PauseBudget != 0 {
				idle++
			}
		}
		return idle == 2
	})
	require.LessOrEqual(t, d.calls.Load(), int64(5+2*16), "those under way, and no more")
	require.NoError(t, r.end())
	require.Len(t, w.deadLetters(), 5)
}

func TestPoisonTricklesThroughASpentBudget(t *testing.T) {
	w := newWard(t, 1)
	poison := make([][]byte, 12)
	for i := range poison {
		poison[i] = []byte("no JSON")
	}
	w.produce(0, poison...)
	w.send(w.events(0, 20, 2)...)
	var d dependency
	r := start(t, w.consumer(saramax.Each(d.handle), quick(1), d.listen(), saramax.WithDeadLetter(w.producer),
		saramax.WithDeadLetterBudget(saramax.Budget{Run: 5, Probe: 20 * time.Millisecond})))
	eventually(t, "what is behind the poison", func() bool { return d.done.len() == 20 })
	require.NoError(t, r.end())
	require.Len(t, w.deadLetters(), 12)
	require.EqualValues(t, 1, d.spent.Load())
	require.EqualValues(t, 1, d.opened.Load())
}

// TestABudgetCountsWhatGoesToRetryTopics: they are no way round it.
func TestABudgetCountsWhatGoesToRetryTopics(t *testing.T) {
	const delay = 100 * time.Millisecond
	w := newWard(t, 1, delay)
	var d dependency
	d.down.Store(true)
	w.send(w.events(0, 100, 100)...)
	r := start(t, w.consumer(saramax.Each(d.handle), quick(1), d.listen(), saramax.WithDeadLetter(w.producer),
		saramax.WithRetryTopics(w.producer, delay), saramax.WithRetryOrder(saramax.BlockNothing),
		saramax.WithDeadLetterBudget(saramax.Budget{Run: 10, Probe: 20 * time.Millisecond})))
	eventually(t, "a spent budget", func() bool { return d.spent.Load() == 1 })
	began := d.calls.Load()
	eventually(t, "many probes", func() bool { return d.calls.Load() >= began+20 })
	d.down.Store(false)
	aside := func() int {
		return len(w.deadLetters()) + len(topicContent(t, w.client, saramax.RetryTopic(w.topic, w.group, delay)))
	}
	require.Equal(t, 10, aside())
	eventually(t, "the rest", func() bool { return d.done.len() == 100-len(w.deadLetters()) })
	require.NoError(t, r.end())
	require.Equal(t, 10, aside())
}
