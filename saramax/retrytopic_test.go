package saramax_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/saramax"
)

// failing fails a record as often as often says, by its origin.
type failing struct {
	mu    sync.Mutex
	often func(offset int64) int
	calls map[string]int
	when  map[string][]time.Time
}

func newFailing(often func(offset int64) int) *failing {
	return &failing{often: often, calls: map[string]int{}, when: map[string][]time.Time{}}
}

func (f *failing) handle(_ context.Context, rec saramax.Record[event]) error {
	origin := saramax.OriginOf(rec)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[origin.String()]++
	f.when[origin.String()] = append(f.when[origin.String()], time.Now())
	if f.calls[origin.String()] <= f.often(origin.Offset) {
		return errors.New("not yet")
	}
	return nil
}

func (f *failing) of(topic string, partition int32, offset int64) (calls int, when []time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := fmt.Sprintf("%s/%d/%d", topic, partition, offset)
	return f.calls[key], slices.Clone(f.when[key])
}

func (f *failing) total() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.calls {
		n += c
	}
	return n
}

func TestAFailedRecordGoesThroughTheRetryTopicsAndThenIsDead(t *testing.T) {
	delays := []time.Duration{200 * time.Millisecond, 400 * time.Millisecond}
	w := newWard(t, 1, delays...)
	w.send(w.events(0, 5, 1)...)
	// Three attempts in place, then one topic after the other with three more.
	f := newFailing(func(offset int64) int { return []int{0, 2, 3, 8, 100}[offset] })
	r := start(t, w.consumer(saramax.Each(f.handle), quick(3), saramax.WithDeadLetter(w.producer),
		saramax.WithRetryTopics(w.producer, delays...), saramax.WithRetryOrder(saramax.BlockNothing)))
	eventually(t, "the dead letter", func() bool { return len(w.deadLetters()) == 1 })
	eventually(t, "the commits", func() bool {
		return w.committed(0) == 5 && w.committedIn(saramax.RetryTopic(w.topic, w.group, delays[0]), 0) == 3 &&
			w.committedIn(saramax.RetryTopic(w.topic, w.group, delays[1]), 0) == 2
	})
	require.NoError(t, r.end())
	for offset, want := range []int{1, 3, 4, 9, 9} {
		calls, _ := f.of(w.topic, 0, int64(offset))
		require.Equal(t, want, calls, "calls for offset %d", offset)
	}
	dead, ok := saramax.FailureIn(headers(w.deadLetters()[0]))
	require.True(t, ok)
	require.Equal(t, fmt.Sprintf("%s/0/4", w.topic), dead.Origin.String())
	require.Equal(t, 9, dead.Attempt)
	require.GreaterOrEqual(t, dead.Last.Sub(dead.First), delays[0]+delays[1]-10*time.Millisecond)
}

func TestNothingIsHandledBeforeItIsDue(t *testing.T) {
	delay := 700 * time.Millisecond
	for name, work := range map[string]func(*failing) (saramax.Work, []saramax.Option){
		"one by one": func(f *failing) (saramax.Work, []saramax.Option) { return saramax.Each(f.handle), nil },
		"batch": func(f *failing) (saramax.Work, []saramax.Option) {
			return saramax.Batch(func(ctx context.Context, batch []saramax.Record[event]) []saramax.Verdict {
				verdicts := make([]saramax.Verdict, len(batch))
				for i, rec := range batch {
					verdicts[i] = saramax.VerdictOf(f.handle(ctx, rec))
				}
				return verdicts
			}), []saramax.Option{saramax.WithBatch(50, 0)}
		},
		"keys": func(f *failing) (saramax.Work, []saramax.Option) {
			return saramax.Each(f.handle), []saramax.Option{saramax.WithOrder(saramax.OrderKey, 4)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWard(t, 1, delay)
			f := newFailing(func(int64) int { return 1 })
			handler, opts := work(f)
			r := start(t, w.consumer(handler, append(opts, quick(1), saramax.WithDeadLetter(w.producer),
				saramax.WithRetryTopics(w.producer, delay), saramax.WithRetryOrder(saramax.BlockNothing))...))
			const n = 60
			for i := range n { // some at once, and some that become due one by one
				w.send(&sarama.ProducerMessage{
					Topic: w.topic, Key: sarama.StringEncoder(fmt.Sprint(i % 7)), Value: sarama.ByteEncoder(encoded(event{})),
				})
			}
			eventually(t, "second calls", func() bool { return f.total() == 2*n })
			require.NoError(t, r.end())
			for i := range int64(n) {
				calls, when := f.of(w.topic, 0, i)
				require.Equal(t, 2, calls)
				// The timestamp that counts is of the publication, in whole milliseconds.
				require.GreaterOrEqual(t, when[1].Sub(when[0]), delay-2*time.Millisecond, "offset %d", i)
			}
		})
	}
}

// TestDelayedRecordsCostNoGoroutines: a record that waits does so in the broker.
func TestDelayedRecordsCostNoGoroutines(t *testing.T) {
	const delay = time.Hour
	n := testenv.Scale(5_000, 100_000)
	w := newWard(t, 1, delay)
	w.send(w.events(0, n, 100)...)
	r := start(t, w.consumer(saramax.Each(func(context.Context, saramax.Record[event]) error {
		return errors.New("not yet")
	}), quick(1), saramax.WithDeadLetter(w.producer), saramax.WithOrder(saramax.OrderKey, 8),
		saramax.WithRetryTopics(w.producer, delay), saramax.WithRetryOrder(saramax.BlockNothing),
		saramax.WithDeadLetterBudget(saramax.Budget{Run: n + 1})))
	retry := saramax.RetryTopic(w.topic, w.group, delay)
	eventually(t, "all in the retry topic", func() bool { return w.committed(0) == int64(n) })
	var held saramax.PartitionStatus
	eventually(t, "a paused partition", func() bool {
		for _, p := range r.Status().Partitions {
			if p.Topic == retry {
				held = p
				return p.Paused&saramax.PauseDelay != 0
			}
		}
		return false
	})
	require.Zero(t, held.InFlight)
	require.Less(t, runtime.NumGoroutine(), 300)
	t.Logf("%d delayed records, %d of them in memory, %d goroutines in all", n, held.Waiting, runtime.NumGoroutine())
	require.NoError(t, r.end())
}

// TestRetriesComeOnTime logs how late retries are; how late they may be is measured
// where the machine is not shared.
func TestRetriesComeOnTime(t *testing.T) {
	delay := time.Second
	w := newWard(t, 1, delay)
	n := testenv.Scale(200, 2_000)
	f := newFailing(func(int64) int { return 1 })
	r := start(t, w.consumer(saramax.Each(f.handle), quick(1), saramax.WithDeadLetter(w.producer),
		saramax.WithRetryTopics(w.producer, delay), saramax.WithRetryOrder(saramax.BlockNothing),
		saramax.WithDeadLetterBudget(saramax.Budget{Run: n + 1})))
	w.send(w.events(0, n, 10)...)
	eventually(t, "second calls", func() bool { return f.total() == 2*n })
	require.NoError(t, r.end())
	var late []time.Duration
	for i := range int64(n) {
		_, when := f.of(w.topic, 0, i)
		late = append(late, when[1].Sub(when[0])-delay)
	}
	slices.Sort(late)
	require.GreaterOrEqual(t, late[0], -2*time.Millisecond)
	t.Logf("late after %v: median %v, p99 %v, most %v", delay, late[n/2], late[n*99/100], late[n-1])
}

func TestAPolicyDecidesWhereAFailureGoes(t *testing.T) {
	delays := []time.Duration{100 * time.Millisecond, 300 * time.Millisecond, 500 * time.Millisecond}
	w := newWard(t, 1, delays...)
	w.send(w.events(0, 3, 1)...)
	r := start(t, w.consumer(saramax.Each(func(_ context.Context, rec saramax.Record[event]) error {
		return errors.New("no")
	}), quick(1), saramax.WithDeadLetter(w.producer), saramax.WithRetryTopics(w.producer, delays...),
		saramax.WithRetryOrder(saramax.BlockNothing),
		saramax.WithFailurePolicy(func(f saramax.Failure) saramax.Step {
			switch {
			case f.Tier > 0:
				return saramax.Bury()
			case f.Origin.Offset == 0:
				return saramax.Bury()
			case f.Origin.Offset == 1:
				return saramax.After(200 * time.Millisecond)
			default:
				return saramax.After(time.Hour)
			}
		})))
	eventually(t, "dead letters", func() bool { return len(w.deadLetters()) == 3 })
	require.NoError(t, r.end())
	for i, want := range []int{0, 1, 1} {
		require.Len(t, topicContent(t, w.client, saramax.RetryTopic(w.topic, w.group, delays[i])), want, "retry topic %d", i+1)
	}
}

func TestRunRefusesTopicsThatDoNotFit(t *testing.T) {
	k := newCluster(t, 1)
	p, cl := syncProducer(t, k.addrs), client(t, k.addrs)
	work := saramax.Each(func(context.Context, saramax.Record[event]) error { return nil })
	c, err := saramax.NewConsumer(cl, "g", []string{k.topic}, work, saramax.WithDeadLetter(p), saramax.WithRetryTopics(p, time.Minute))
	require.NoError(t, err)
	require.ErrorContains(t, c.Run(t.Context()), "does not exist: create it")
	c, err = saramax.NewConsumer(cl, "g", []string{k.topic}, work, saramax.WithDeadLetter(p), saramax.WithUncheckedTopics())
	require.NoError(t, err)
	require.NoError(t, start(t, c).end(), "unchecked")
}
