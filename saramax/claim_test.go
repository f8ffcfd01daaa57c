package saramax_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/saramax"
)

func TestCommitStopsAtTheFirstRecordThatIsNotDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		u := newUnit(t, each(func(_ context.Context, rec rawRecord) error {
			if rec.Offset == 3 {
				<-release
			}
			return nil
		}), saramax.WithOrder(saramax.Unordered, 10))
		c := u.Claim(topic, 0)
		c.Send(raw(20)...)
		pass(2 * time.Second)
		require.EqualValues(t, 3, u.committed(), "marks are max-wins: a mark of 20 would lose record 3")
		close(release)
		pass(2 * time.Second)
		require.EqualValues(t, 20, u.committed())
	})
}

func TestFailedRecordIsRetriedInPlaceAndThenParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls journal[string]
		u := newUnit(t, each(func(_ context.Context, rec rawRecord) error {
			calls.add(fmt.Sprintf("%d#%d", rec.Offset, rec.Attempt))
			if rec.Offset == 1 {
				return errTransient
			}
			return nil
		}), saramax.WithRetry(saramax.RetryPolicy{Attempts: 3, Base: time.Second}))
		began := time.Now()
		c := u.Claim(topic, 0)
		c.Send(raw(3)...)
		settle()
		require.Equal(t, []string{"0#1", "1#1"}, calls.list(), "a failed record holds back those after it")
		pass(10 * time.Second)
		require.Equal(t, []string{"0#1", "1#1", "1#2", "1#3", "2#1"}, calls.list())
		require.GreaterOrEqual(t, time.Since(began), 750*time.Millisecond, "attempts are spread out")
		parked := u.parked.list()
		require.Len(t, parked, 1)
		require.EqualValues(t, 1, parked[0].Message.Offset)
		require.Equal(t, saramax.ReasonAttempts, parked[0].Reason)
		require.ErrorIs(t, parked[0].Cause, errTransient)
		require.Equal(t, 3, parked[0].Attempts)
		require.Equal(t, "group", parked[0].Group)
		require.EqualValues(t, 3, u.committed())
	})
}

func TestWithoutAParkerARejectedRecordHoldsThePartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var well atomic.Bool
		u := newUnit(t, each(func(_ context.Context, rec rawRecord) error {
			if rec.Offset == 0 && !well.Load() {
				return saramax.Permanent(errTransient)
			}
			return nil
		}), saramax.WithParker(nil))
		u.Claim(topic, 0).Send(raw(2)...)
		pass(2 * time.Minute)
		require.EqualValues(t, 0, u.committed())
		require.NotEmpty(t, u.kinds(saramax.EventParkFailed))
		well.Store(true)
		pass(time.Minute)
		require.EqualValues(t, 2, u.committed())
	})
}

func TestUndecodableRecordIsParkedAndNeverHandled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, work := range map[string]func(*journal[event]) saramax.Work{
			"each": func(seen *journal[event]) saramax.Work {
				return saramax.Each(func(_ context.Context, rec saramax.Record[event]) error {
					seen.add(rec.Value)
					return nil
				})
			},
			"batch": func(seen *journal[event]) saramax.Work {
				return saramax.Batch(func(_ context.Context, batch []saramax.Record[event]) []saramax.Verdict {
					for _, rec := range batch {
						require.EqualValues(t, rec.Value.Seq, rec.Offset, "value and record belong together")
						seen.add(rec.Value)
					}
					return nil
				})
			},
		} {
			var seen journal[event]
			u := newUnit(t, work(&seen), saramax.WithBatch(10, time.Second))
			c := u.Claim(topic, 0)
			for i, v := range []string{`{"seq":0}`, `not json`, `{"seq":2}`, ``, `{"seq":4} x`} {
				c.Send(&sarama.ConsumerMessage{Value: []byte(v), Offset: int64(i)})
			}
			pass(3 * time.Second)
			require.Equal(t, []event{{Seq: 0}, {Seq: 2}}, seen.list(), name)
			var offsets []int64
			for _, r := range u.parked.list() {
				require.Equal(t, saramax.ReasonUndecodable, r.Reason, name)
				var decode *saramax.DecodeError
				require.ErrorAs(t, r.Cause, &decode, name)
				offsets = append(offsets, r.Message.Offset)
			}
			require.Equal(t, []int64{1, 3, 4}, offsets, name)
			require.EqualValues(t, 5, u.committed(), "%s: a poison record at the end does not hold the commit", name)
			u.End()
		}
	})
}

func TestVerdictsOfSingleRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUnit(t, each(func(_ context.Context, rec rawRecord) error {
			switch rec.Offset {
			case 1:
				return fmt.Errorf("not mine: %w", saramax.ErrSkip)
			case 2:
				return saramax.Permanent(errTransient)
			}
			return nil
		}))
		u.Claim(topic, 0).Send(raw(4)...)
		pass(2 * time.Second)
		require.EqualValues(t, 4, u.committed())
		require.Len(t, u.parked.list(), 1)
		require.Equal(t, saramax.ReasonPermanent, u.parked.list()[0].Reason)
		require.Equal(t, 1, u.parked.list()[0].Attempts)
	})
}

func TestPanicsAndGoexitAreTheRecordsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := int64(20_000)
		if testenv.Long() {
			n = 100_000
		}
		var done atomic.Int64
		u := newUnit(t, each(func(_ context.Context, rec rawRecord) error {
			switch {
			case rec.Offset%200 == 7:
				panic(errTransient)
			case rec.Offset%200 == 9:
				runtime.Goexit()
			}
			done.Add(1)
			return nil
		}), saramax.WithRetry(saramax.RetryPolicy{Attempts: 2, Base: time.Millisecond}), saramax.WithOrder(saramax.Unordered, 4),
			saramax.WithWindow(saramax.Window{Messages: 1 << 20, Gap: 1 << 20}))
		u.Claim(topic, 0).Send(raw(int(n))...)
		pass(time.Minute)
		require.EqualValues(t, n-n/100, done.Load())
		require.EqualValues(t, n, u.committed())
		parked := u.parked.list()
		require.Len(t, parked, int(n/100))
		for _, r := range parked {
			require.Equal(t, saramax.ReasonPanic, r.Reason)
			require.Equal(t, 2, r.Attempts)
		}
		var panicked *saramax.PanicError
		i := slices.IndexFunc(parked, func(r saramax.Rejected) bool { return errors.As(r.Cause, &panicked) })
		require.GreaterOrEqual(t, i, 0)
		require.ErrorIs(t, panicked, errTransient)
		require.Contains(t, string(panicked.Stack), "claim_test.go")
		require.Len(t, u.kinds(saramax.EventPanicked), int(n/200*2))
	})
}

func TestNothingIsBegunAfterStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, end := range []string{"session", "revoked"} {
			var u *unit
			var calls atomic.Int64
			begin, release := make(chan struct{}), make(chan struct{})
			u = newUnit(t, each(func(context.Context, rawRecord) error {
				if calls.Add(1) == 1 {
					close(begin)
					<-release
				}
				return nil
			}))
			c := u.Claim(topic, 0)
			c.Send(raw(256)...)
			<-begin
			if end == "session" {
				u.Cancel()
			} else {
				c.Close()
			}
			settle()
			close(release)
			require.NoError(t, c.Revoke())
			require.EqualValues(t, 1, calls.Load(), end)
			u.End()
			require.EqualValues(t, 1, u.committed(), "%s: what was done before the end is committed", end)
		}
	})
}

func TestDrainWaitsForHandlersUpToItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended atomic.Bool
		u := newUnit(t, each(func(ctx context.Context, _ rawRecord) error {
			time.Sleep(20 * time.Second)
			require.NoError(t, ctx.Err(), "draining does not cancel handlers")
			ended.Store(true)
			return nil
		}), saramax.WithDrain(30*time.Second))
		c := u.Claim(topic, 0)
		c.Send(raw(1)...)
		settle()
		u.Cancel()
		<-c.Done()
		require.True(t, ended.Load())
		u.End()
		require.EqualValues(t, 1, u.committed())
		require.Empty(t, u.kinds(saramax.EventAbandoned))
	})
}

func TestStuckHandlerIsAbandonedAtTheDeadlineAndFencedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release, cause := make(chan struct{}), make(chan error, 1)
		u := newUnit(t, each(func(ctx context.Context, rec rawRecord) error {
			if rec.Offset == 0 {
				<-ctx.Done()
				cause <- context.Cause(ctx)
				<-release
			}
			return nil
		}), saramax.WithDrain(10*time.Second), saramax.WithOrder(saramax.Unordered, 2))
		c := u.Claim(topic, 0)
		c.Send(raw(5)...)
		settle()
		began := time.Now()
		c.Close()
		<-c.Done()
		require.Equal(t, 10*time.Second, time.Since(began))
		require.Error(t, <-cause)
		require.EqualValues(t, 0, u.committed())
		require.Len(t, u.kinds(saramax.EventAbandoned), 1)
		require.EqualValues(t, 0, u.kinds(saramax.EventAbandoned)[0].Offset)

		close(release)
		pass(2 * time.Second)
		require.Len(t, u.kinds(saramax.EventFenced), 1)
		require.EqualValues(t, 0, u.committed())
	})
}

func TestLateCompletionOfAnEarlierTenureMovesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var tenure atomic.Int64
		u := newUnit(t, batches(func(_ context.Context, batch []rawRecord) []saramax.Verdict {
			if tenure.Load() == 0 {
				<-release // does not care for its context
				return nil
			}
			time.Sleep(time.Hour) // the owner of now has done nothing yet
			return nil
		}), saramax.WithDrain(time.Second), saramax.WithBatch(500, 0), saramax.WithStuck(saramax.Stuck{After: 10 * time.Hour}))
		c := u.Claim(topic, 0)
		c.Send(raw(500)...)
		settle()
		require.NoError(t, c.Revoke()) // cooperative: the session goes on
		tenure.Store(1)
		again := u.Claim(topic, 0)
		again.Send(raw(500)...)
		settle()
		close(release)
		pass(5 * time.Second)
		require.EqualValues(t, 0, u.committed(), "500 records would be lost with a crash now")
		require.NotEmpty(t, u.kinds(saramax.EventFenced))
		pass(2 * time.Hour)
		require.EqualValues(t, 500, u.committed())
	})
}

func TestCommitsAtClaimEndAndInCleanup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUnit(t, each(func(context.Context, rawRecord) error { return nil }), saramax.WithCommitEvery(time.Hour))
		c := u.Claim(topic, 0)
		c.Send(raw(10)...)
		settle()
		require.EqualValues(t, 0, u.committed())
		require.NoError(t, c.Revoke())
		require.EqualValues(t, 10, u.committed())
	})
}

func TestGapsInOffsetsDoNotHoldTheCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUnit(t, each(func(context.Context, rawRecord) error { return nil }))
		c := u.Claim(topic, 0)
		for _, offset := range []int64{4, 5, 90, 1000} {
			c.Send(&sarama.ConsumerMessage{Value: []byte{1}, Offset: offset})
		}
		pass(2 * time.Second)
		require.EqualValues(t, 1001, u.committed())
	})
}
