package saramax_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/saramax"
)

// eager is sarama's default.
func eager(cfg *sarama.Config) {
	cfg.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategySticky()}
}

var protocols = map[string]func(*sarama.Config){"eager": eager, "cooperative": cooperative}

func TestConsumerGoesOnAfterRebalances(t *testing.T) {
	for name, protocol := range protocols {
		t.Run(name, func(t *testing.T) {
			k := newCluster(t, 4)
			group := testenv.Name(t)
			var seen sync.Map
			var count atomic.Int64
			work := func() saramax.Work {
				return saramax.Each(func(_ context.Context, rec saramax.Record[event]) error {
					if _, again := seen.LoadOrStore([2]int64{int64(rec.Partition), rec.Offset}, true); !again {
						count.Add(1)
					}
					return nil
				})
			}
			member := func() *running {
				c, err := saramax.NewConsumer(client(t, k.addrs, protocol), group, []string{k.topic}, work(),
					saramax.WithCommitEvery(50*time.Millisecond))
				require.NoError(t, err)
				return start(t, c)
			}
			total := int64(0)
			feed := func() {
				for p := range int32(4) {
					k.send(k.events(p, 50, 5)...)
				}
				total += 200
				eventually(t, "all records", func() bool { return count.Load() == total })
			}
			first := member()
			feed()
			second := member()
			eventually(t, "a share for each", func() bool {
				return len(first.Status().Partitions) == 2 && len(second.Status().Partitions) == 2
			})
			feed()
			require.NoError(t, second.end())
			eventually(t, "all back", func() bool { return len(first.Status().Partitions) == 4 })
			feed()
			require.NoError(t, first.end())
			require.False(t, first.Status().Up)
		})
	}
}

// A handler that does not care for its context ends after its partition went to another
// member and came back. The session, in cooperative mode, is the one it began in.
func TestLateCompletionsAreFencedByTheGroupsOwnRebalances(t *testing.T) {
	for name, protocol := range protocols {
		t.Run(name, func(t *testing.T) {
			k := newCluster(t, 2)
			k.send(k.events(0, 500, 1)...)
			k.send(k.events(1, 500, 1)...)
			group := testenv.Name(t)
			release := make(chan struct{})
			var tenures, fenced atomic.Int64
			cl := client(t, k.addrs, protocol)
			// The first batches hang until they are released; those after a rebalance hold
			// on until the test is over, so nothing may be committed.
			over := make(chan struct{})
			defer close(over)
			work := saramax.Batch(func(context.Context, []saramax.Record[event]) []saramax.Verdict {
				if tenures.Add(1) <= 2 {
					<-release
				} else {
					<-over
				}
				return nil
			})
			c, err := saramax.NewConsumer(cl, group, []string{k.topic}, work, saramax.WithBatch(500, 200*time.Millisecond),
				saramax.WithDrain(300*time.Millisecond), saramax.WithCommitEvery(20*time.Millisecond),
				saramax.OnEvent(func(e saramax.Event) {
					if e.Kind == saramax.EventFenced {
						fenced.Add(1)
					}
				}))
			require.NoError(t, err)
			first := start(t, c)
			eventually(t, "both batches under way", func() bool { return tenures.Load() == 2 })

			other, err := saramax.NewConsumer(client(t, k.addrs, protocol), group, []string{k.topic},
				saramax.Batch(func(ctx context.Context, _ []saramax.Record[event]) []saramax.Verdict {
					<-ctx.Done()
					return []saramax.Verdict{}
				}), saramax.WithBatch(500, 200*time.Millisecond), saramax.WithDrain(300*time.Millisecond))
			require.NoError(t, err)
			second := start(t, other)
			eventually(t, "one partition moves", func() bool { return len(second.Status().Partitions) == 1 })
			second.stop()
			eventually(t, "it comes back", func() bool { return len(first.Status().Partitions) == 2 })
			moved := int64(1) // in eager mode both were given up
			if name == "eager" {
				moved = 2
			}
			eventually(t, "the new tenure's batch", func() bool { return tenures.Load() >= 2+moved })
			close(release)
			eventually(t, "late ends", func() bool { return fenced.Load() >= moved })
			_ = second.wait()

			sum := int64(0)
			for range 20 { // commits come every 20 ms
				sum = 0
				for p := range int32(2) {
					sum += max(committed(t, cl, group, k.topic, p), 0)
				}
				time.Sleep(10 * time.Millisecond)
			}
			require.LessOrEqual(t, sum, 500*(2-moved), "a late end moved a commit that was not its own")
		})
	}
}

func TestWhatIsDoneIsCommittedBeforeAPartitionIsGivenUp(t *testing.T) {
	for name, protocol := range protocols {
		t.Run(name, func(t *testing.T) {
			k := newCluster(t, 2)
			group := testenv.Name(t)
			var handled [2]sync.Map
			var doubles, count atomic.Int64
			member := func() *running {
				c, err := saramax.NewConsumer(client(t, k.addrs, protocol), group, []string{k.topic},
					saramax.Each(func(_ context.Context, rec saramax.Record[event]) error {
						if _, again := handled[rec.Partition].LoadOrStore(rec.Offset, true); again {
							doubles.Add(1)
						}
						count.Add(1)
						return nil
					}), saramax.WithCommitEvery(time.Hour)) // nothing but the end commits
				require.NoError(t, err)
				return start(t, c)
			}
			first := member()
			k.send(append(k.events(0, 2000, 5), k.events(1, 2000, 5)...)...)
			eventually(t, "some records", func() bool { return count.Load() > 100 })
			for range 3 {
				other := member()
				eventually(t, "a share for each", func() bool { return len(other.Status().Partitions) == 1 })
				require.NoError(t, other.end())
				eventually(t, "all back", func() bool { return len(first.Status().Partitions) == 2 })
			}
			eventually(t, "all records", func() bool { return count.Load() >= 4000 })
			require.NoError(t, first.end())
			require.Zero(t, doubles.Load())
		})
	}
}
