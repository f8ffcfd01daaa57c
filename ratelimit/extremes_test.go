package ratelimit_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/ratelimit"
)

// The bound of a window of any length is never less than that of a shorter one.
func TestTheBoundOfExtremeWindowsDoesNotWrapAround(t *testing.T) {
	quick := ratelimit.Rate{Count: 1000, Per: 1000} // one in each nanosecond
	bounded := map[string]ratelimit.Bounded{"leaky bucket": newLeaky(t, quick)}
	for name, local := range locals {
		l, err := local.make(quick, ratelimit.WithCapacity(1))
		require.NoError(t, err)
		bounded[name] = l
	}
	bucket, err := ratelimit.NewBucket(quick)
	require.NoError(t, err)
	bounded["bucket"] = bucket
	striped, err := ratelimit.NewStriped(bucket, 10)
	require.NoError(t, err)
	bounded["striped"] = striped
	for name, b := range bounded {
		before := int64(0)
		for _, window := range []time.Duration{1, 1000, time.Hour, 1 << 61, 1<<62 - 1, math.MaxInt64 - 1, math.MaxInt64} {
			most := b.Most(window)
			require.GreaterOrEqual(t, most, before, "%s: %d ns", name, window)
			require.GreaterOrEqual(t, most, int64(window), "%s: one in each nanosecond of %d", name, window)
			before = most
		}
		require.Zero(t, b.Most(math.MinInt64), name)
	}
}

func TestNilOptionsAreRefused(t *testing.T) {
	rate := ratelimit.PerSecond(10)
	base, err := ratelimit.NewTokenBucket(rate)
	require.NoError(t, err)
	constructors := map[string]func(...ratelimit.Option) error{
		"leaky":  func(o ...ratelimit.Option) error { _, err := ratelimit.NewLeakyBucket(rate, o...); return err },
		"bucket": func(o ...ratelimit.Option) error { _, err := ratelimit.NewBucket(rate, o...); return err },
		"queue":  func(o ...ratelimit.Option) error { _, err := ratelimit.NewQueue(base, o...); return err },
		"open":   func(o ...ratelimit.Option) error { _, err := ratelimit.FailOpen(base, o...); return err },
		"closed": func(o ...ratelimit.Option) error { _, err := ratelimit.FailClosed(base, o...); return err },
		"share":  func(o ...ratelimit.Option) error { _, err := ratelimit.Share(base, 2, o...); return err },
		"multi": func(o ...ratelimit.Option) error {
			_, err := ratelimit.NewMulti([]ratelimit.Limit{{Name: "a", Quota: ratelimit.Quota{Rate: rate}}}, o...)
			return err
		},
	}
	for name, local := range locals {
		constructors[name] = func(o ...ratelimit.Option) error { _, err := local.make(rate, o...); return err }
	}
	for name, create := range constructors {
		require.NoError(t, create(), name)
		var field *ratelimit.FieldError
		require.ErrorAs(t, create(ratelimit.WithMaxWait(time.Second), nil), &field, name)
		require.Equal(t, "options[1]", field.Field, name)
	}
}
