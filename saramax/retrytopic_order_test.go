package saramax_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/saramax"
)

// keyOracle watches the order of each key. Every key counts its records from 0.
type keyOracle struct {
	mu      sync.Mutex
	highest map[string]int // worked off
	handled map[string]int
	repeats int
	jumps   []string
	fails   map[string]int // how often a record is still to fail
	fail    func(e event) int
}

func newKeyOracle(fail func(event) int) *keyOracle {
	return &keyOracle{highest: map[string]int{}, handled: map[string]int{}, fails: map[string]int{}, fail: fail}
}

func (o *keyOracle) handle(_ context.Context, rec saramax.Record[event]) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	key, seq := rec.Value.Key, rec.Value.Seq
	high, seen := o.highest[key]
	if !seen {
		high = -1
	}
	// An attempt, too, must not come before all earlier records are worked off.
	if seq > high+1 {
		o.jumps = append(o.jumps, fmt.Sprintf("%s: %d after %d in %s at %d", key, seq, high, rec.Topic, rec.Offset))
	}
	id := fmt.Sprintf("%s/%d", key, seq)
	left, known := o.fails[id]
	if !known {
		left = o.fail(rec.Value)
	}
	// In the last topic all is well: a record that followed others there has no more
	// attempts than those in place.
	if o.fails[id] = left - 1; left > 0 && !strings.HasSuffix(rec.Topic, ".retry.90ms") {
		return errors.New("not yet")
	}
	if o.handled[id]++; o.handled[id] > 1 {
		o.repeats++
	}
	o.highest[key] = max(high, seq)
	return nil
}

func (o *keyOracle) state() (records, repeats int, jumps []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.handled), o.repeats, o.jumps
}

// fivePercent fails one record in twenty, from once to so often that it needs the last
// retry topic.
func fivePercent(event) int {
	if rand.N(100) < 5 {
		return 1 + rand.N(8)
	}
	return 0
}

// stream sends n records over keys in turn, to the partitions of their keys.
func (w *ward) stream(n, keys int) {
	w.t.Helper()
	for from := 0; from < n; from += 1000 {
		w.streamFrom(from, min(1000, n-from), keys)
	}
}

var orderDelays = []time.Duration{30 * time.Millisecond, 60 * time.Millisecond, 90 * time.Millisecond}

func (w *ward) keeping(work saramax.Work, opts ...saramax.Option) *saramax.Consumer {
	return w.consumer(work, append([]saramax.Option{
		quick(2), saramax.WithOrder(saramax.OrderKey, 8), saramax.WithDeadLetter(w.producer),
		saramax.WithRetryTopics(w.producer, orderDelays...), saramax.WithDeadLetterBudget(saramax.Budget{Run: 1 << 30}),
	}, opts...)...)
}

func TestTheOrderOfAKeyHoldsAcrossRetryTopics(t *testing.T) {
	n, keys := testenv.Scale(1_500, 100_000), testenv.Scale(50, 1_000)
	w := newWard(t, 2, orderDelays...)
	o := newKeyOracle(fivePercent)
	r := start(t, w.keeping(saramax.Each(o.handle)))
	began := time.Now()
	w.stream(n, keys)
	eventually(t, "all records", func() bool {
		records, _, _ := o.state()
		return records == n
	})
	t.Logf("%d records in %v", n, time.Since(began))
	require.NoError(t, r.end())
	_, repeats, jumps := o.state()
	require.Empty(t, jumps)
	require.Zero(t, repeats)
	require.Empty(t, w.deadLetters())
	moved := 0
	for _, d := range orderDelays {
		moved += len(topicContent(t, w.client, saramax.RetryTopic(w.topic, w.group, d)))
	}
	require.Positive(t, moved)
	t.Logf("%d went through retry topics", moved)
}

// TestTheOrderOfAKeyHoldsOverRebalances: members come and go, and with them what they
// know. A record may be handled again then, but none before its time.
func TestTheOrderOfAKeyHoldsOverRebalances(t *testing.T) {
	// A strategy has state: each member needs its own.
	for name, strategy := range map[string]func() sarama.BalanceStrategy{
		"eager": sarama.NewBalanceStrategySticky, "cooperative": sarama.NewBalanceStrategyCooperativeSticky,
	} {
		t.Run(name, func(t *testing.T) {
			n := testenv.Scale(1_000, 50_000)
			w := newWard(t, 3, orderDelays...)
			o := newKeyOracle(fivePercent)
			tune := func(cfg *sarama.Config) {
				cfg.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategy()}
			}
			member := func() *running {
				m := *w
				m.client = client(t, w.addrs, tune)
				return start(t, m.keeping(saramax.Each(o.handle)))
			}
			members := []*running{member(), member()}
			for round := range 4 {
				w.streamFrom(n/4*round, n/4, 60)
				half := n / 4 * round
				eventually(t, "some progress", func() bool {
					records, _, _ := o.state()
					return records > half+n/8
				})
				require.NoError(t, members[0].end())
				members = append(members[1:], member())
			}
			eventually(t, "all records", func() bool {
				records, _, _ := o.state()
				return records == n/4*4
			})
			for _, m := range members {
				require.NoError(t, m.end())
			}
			_, repeats, jumps := o.state()
			require.Empty(t, jumps)
			t.Logf("%d of %d handled again", repeats, n)
		})
	}
}

// streamFrom is stream for n records from the one numbered from on.
func (w *ward) streamFrom(from, n, keys int) {
	w.t.Helper()
	messages := make([]*sarama.ProducerMessage, n)
	for i := range n {
		key := fmt.Sprintf("k%d", (from+i)%keys)
		messages[i] = &sarama.ProducerMessage{
			Topic: w.topic, Key: sarama.StringEncoder(key), Value: sarama.ByteEncoder(encoded(event{key, (from + i) / keys})),
		}
	}
	require.NoError(w.t, w.producer.SendMessages(messages))
}

// TestADeadLetterReleasesItsKey: what followed a record is handled once that is dead.
func TestADeadLetterReleasesItsKey(t *testing.T) {
	w := newWard(t, 1, orderDelays...)
	var seen journal[int]
	r := start(t, w.keeping(saramax.Each(func(_ context.Context, rec saramax.Record[event]) error {
		if rec.Value.Seq == 0 {
			return errors.New("never")
		}
		seen.add(rec.Value.Seq)
		return nil
	})))
	w.stream(20, 1)
	eventually(t, "the followers", func() bool { return seen.len() == 19 })
	require.NoError(t, r.end())
	require.Len(t, w.deadLetters(), 1)
	for i, seq := range seen.list() {
		require.Equal(t, i+1, seq)
	}
}

// TestBlockedKeysSurviveARestart: the process that comes next knows which keys wait.
func TestBlockedKeysSurviveARestart(t *testing.T) {
	delay := 1500 * time.Millisecond
	w := newWard(t, 1, delay)
	opts := []saramax.Option{
		quick(1), saramax.WithDeadLetter(w.producer), saramax.WithRetryTopics(w.producer, delay),
		saramax.WithDeadLetterBudget(saramax.Budget{Run: 1 << 30}),
	}
	o := newKeyOracle(func(e event) int {
		if e.Seq == 0 {
			return 1
		}
		return 0
	})
	r := start(t, w.consumer(saramax.Each(o.handle), opts...))
	w.stream(10, 10) // each key's first record, and it fails
	eventually(t, "all in the retry topic", func() bool { return w.committed(0) == 10 })
	require.NoError(t, r.end())

	r = start(t, w.consumer(saramax.Each(o.handle), opts...))
	w.streamFrom(10, 20, 10)
	eventually(t, "all records", func() bool {
		records, _, _ := o.state()
		return records == 30
	})
	require.NoError(t, r.end())
	_, _, jumps := o.state()
	require.Empty(t, jumps)
}
