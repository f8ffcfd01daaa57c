package saramax_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/saramax"
)

func TestBatchFiresAtSizeOrAtTheLingerOfItsFirstRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type fired struct {
			n     int
			after time.Duration
		}
		var got journal[fired]
		began := time.Now()
		u := newUnit(t, batches(func(_ context.Context, batch []rawRecord) []saramax.Verdict {
			got.add(fired{len(batch), time.Since(began)})
			return nil
		}), saramax.WithBatch(10, time.Second))
		c := u.Claim(topic, 0)
		c.Send(raw(10)...) // full at once
		pass(100 * time.Millisecond)
		c.Send(raw(3)...)
		pass(600 * time.Millisecond)
		c.Send(raw(3)...)
		pass(10 * time.Second) // fires a second after the first of six
		c.Send(raw(25)...)     // two full ones, and a rest after its linger
		pass(10 * time.Second)
		require.Equal(t, []fired{
			{10, 0}, {6, 1100 * time.Millisecond}, {10, 10700 * time.Millisecond}, {10, 10700 * time.Millisecond},
			{5, 11700 * time.Millisecond},
		}, got.list())
		require.EqualValues(t, 41, u.committed())
	})
}

func TestIdleBatchConsumerSleeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUnit(t, batches(func(context.Context, []rawRecord) []saramax.Verdict { return nil }), saramax.WithBatch(10, time.Second))
		c := u.Claim(topic, 0)
		c.Send(raw(15)...) // the second batch is not full
		pass(time.Minute)
		before := saramax.Looks(u.handler)
		pass(time.Hour)
		require.Equal(t, before, saramax.Looks(u.handler), "nothing but the session's ticker runs while no record comes")
		require.LessOrEqual(t, saramax.Ticks(u.handler), int64(3660*2+2), "two wake-ups a second")
		_ = c
	})
}

func TestBatchThatWasFillingIsFlushedAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, end := range []string{"session", "revoked"} {
			var sizes journal[int]
			u := newUnit(t, batches(func(ctx context.Context, batch []rawRecord) []saramax.Verdict {
				if ctx.Err() != nil {
					return nil
				}
				sizes.add(len(batch))
				return nil
			}), saramax.WithBatch(100, time.Hour))
			c := u.Claim(topic, 0)
			c.Send(raw(3)...)
			settle()
			if end == "session" {
				u.Cancel()
			}
			require.NoError(t, c.Revoke())
			require.Equal(t, []int{3}, sizes.list(), end)
			u.End()
			require.EqualValues(t, 3, u.committed(), end)
		}
	})
}

func TestWhatWasOnlyReadAheadIsNotFlushed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes journal[int]
		u := newUnit(t, batches(func(_ context.Context, batch []rawRecord) []saramax.Verdict {
			sizes.add(len(batch))
			time.Sleep(time.Second)
			return nil
		}), saramax.WithBatch(10, 0))
		c := u.Claim(topic, 0)
		c.Send(raw(1)...)
		settle()
		c.Send(raw(25)...)
		settle()
		require.NoError(t, c.Revoke())
		require.Equal(t, []int{1}, sizes.list())
		require.EqualValues(t, 1, u.committed())
	})
}

func TestFailedBatchIsNeitherCommittedNorJumpedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var well atomic.Bool
		u := newUnit(t, bulk(func(_ context.Context, batch []rawRecord) error {
			if batch[0].Offset < 10 && !well.Load() {
				return errTransient
			}
			return nil
		}), saramax.WithBatch(10, 0), saramax.WithRetry(saramax.RetryPolicy{Attempts: 1000, Max: time.Second}))
		u.Claim(topic, 0).Send(raw(40)...)
		pass(20 * time.Second)
		require.EqualValues(t, 0, u.committed())
		well.Store(true)
		pass(time.Minute)
		require.EqualValues(t, 40, u.committed())
		require.Empty(t, u.parked.list())
	})
}

func TestVerdictsHoldForEachRecordOfABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls journal[string]
		u := newUnit(t, batches(func(_ context.Context, batch []rawRecord) []saramax.Verdict {
			out := make([]saramax.Verdict, len(batch))
			line := ""
			for i, rec := range batch {
				line += fmt.Sprintf(" %d#%d", rec.Offset, rec.Attempt)
				switch {
				case rec.Offset == 1 && rec.Attempt < 3, rec.Offset == 4:
					out[i] = saramax.Retry(errTransient)
				case rec.Offset == 2:
					out[i] = saramax.DeadLetter(errTransient)
				case rec.Offset == 3:
					out[i] = saramax.Skip()
				}
			}
			calls.add(line)
			return out
		}), saramax.WithBatch(5, 0), saramax.WithRetry(saramax.RetryPolicy{Attempts: 4, Base: time.Millisecond}))
		u.Claim(topic, 0).Send(raw(7)...)
		pass(time.Minute)
		require.Equal(t, []string{" 0#1 1#1 2#1 3#1 4#1", " 1#2 4#2", " 1#3 4#3", " 4#4", " 5#1 6#1"}, calls.list())
		var parked []string
		for _, r := range u.parked.list() {
			parked = append(parked, fmt.Sprint(r.Message.Offset, " ", r.Reason))
		}
		require.Equal(t, []string{"2 permanent", "4 attempts"}, parked)
		require.EqualValues(t, 7, u.committed())
	})
}

func TestPoisonRecordIsIsolatedByBisection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		poison := map[string]func(context.Context, []rawRecord) error{
			"error": func(context.Context, []rawRecord) error { return errTransient },
			"panic": func(context.Context, []rawRecord) error { panic("poison") },
		}
		for name, fail := range poison {
			for _, bad := range []int64{0, 137, 250, 499} {
				var calls atomic.Int64
				var done journal[int64]
				u := newUnit(t, bulk(func(ctx context.Context, batch []rawRecord) error {
					calls.Add(1)
					for _, rec := range batch {
						if rec.Offset == bad {
							return fail(ctx, batch)
						}
					}
					for _, rec := range batch {
						done.add(rec.Offset)
					}
					return nil
				}), saramax.WithBatch(500, time.Hour), saramax.WithRetry(saramax.RetryPolicy{Attempts: 3, Base: time.Millisecond}))
				u.Claim(topic, 0).Send(raw(500)...)
				pass(time.Minute)
				require.LessOrEqual(t, calls.Load(), int64(20), "%s at %d", name, bad)
				require.Len(t, u.parked.list(), 1)
				require.Equal(t, bad, u.parked.list()[0].Message.Offset)
				require.Len(t, done.list(), 499, "the others are handled once each")
				require.IsIncreasing(t, done.list(), "and in their order")
				require.EqualValues(t, 500, u.committed())
				u.End()
			}
		}
	})
}

func TestWrongNumberOfVerdictsCountsForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUnit(t, batches(func(_ context.Context, batch []rawRecord) []saramax.Verdict {
			return make([]saramax.Verdict, len(batch)+1)
		}), saramax.WithBatch(3, 0), saramax.WithRetry(saramax.RetryPolicy{Attempts: 2, Base: time.Millisecond}))
		u.Claim(topic, 0).Send(raw(3)...)
		pass(time.Minute)
		require.Len(t, u.parked.list(), 3)
		require.EqualValues(t, 3, u.committed())
	})
}

func TestBulkReadsVerdictsOfItsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		u := newUnit(t, bulk(func(_ context.Context, batch []rawRecord) error {
			calls.Add(1)
			if batch[0].Offset == 0 {
				return saramax.ErrSkip
			}
			return saramax.Permanent(errors.New("never"))
		}), saramax.WithBatch(4, time.Second))
		c := u.Claim(topic, 0)
		c.Send(raw(4)...)
		settle()
		require.EqualValues(t, 1, calls.Load())
		c.Send(raw(1)...)
		pass(3 * time.Second)
		require.EqualValues(t, 2, calls.Load())
		require.Equal(t, saramax.ReasonPermanent, u.parked.list()[0].Reason)
		require.EqualValues(t, 5, u.committed())
	})
}

func TestHandlerMayEndItsGoroutineInABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var done journal[int64]
		u := newUnit(t, bulk(func(_ context.Context, batch []rawRecord) error {
			for _, rec := range batch {
				if rec.Offset == 5 {
					exit()
				}
			}
			for _, rec := range batch {
				done.add(rec.Offset)
			}
			return nil
		}), saramax.WithBatch(8, 0), saramax.WithRetry(saramax.RetryPolicy{Attempts: 2, Base: time.Millisecond}))
		u.Claim(topic, 0).Send(raw(20)...)
		pass(time.Minute)
		require.Len(t, done.list(), 19)
		require.Len(t, u.parked.list(), 1)
		require.Equal(t, saramax.ReasonPanic, u.parked.list()[0].Reason)
		require.EqualValues(t, 20, u.committed())
	})
}
