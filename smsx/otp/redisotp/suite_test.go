package redisotp_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/smsx/otp"
	"github.com/bulwark-go/bulwark/smsx/otp/otptest"
	"github.com/bulwark-go/bulwark/smsx/otp/redisotp"
)

func newStore(t require.TestingT, rdb redis.UniversalClient) *redisotp.Store {
	s, err := redisotp.New(rdb)
	require.NoError(t, err)
	return s
}

func TestRedisConforms(t *testing.T) {
	options := testenv.RedisOptions(t)
	options.PoolTimeout, options.ReadTimeout = 5*time.Minute, time.Minute // a thousand at once, on a slow machine
	rdb := redis.NewClient(options)
	t.Cleanup(func() { _ = rdb.Close() })
	otptest.Test(t, func(t *testing.T) otptest.Harness {
		require.NoError(t, rdb.FlushDB(context.Background()).Err())
		c := testenv.NewRedisClock(t, rdb)
		return otptest.Harness{Store: newStore(t, rdb).OnClock(testenv.RedisClockKey), Advance: c.Advance}
	})
}

// TestRedisAndMemoryAgree walks at random through both, with a clock that jumps.
func TestRedisAndMemoryAgree(t *testing.T) {
	rdb := testenv.Redis(t)
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		require.NoError(t, rdb.FlushDB(ctx).Err())
		c := testenv.NewRedisClock(t, rdb)
		ours, model := newStore(t, rdb).OnClock(testenv.RedisClockKey), otp.NewMemory(otp.WithClock(c.Now))
		limits := otp.Limits{
			Validity: 2 * time.Minute, Cooldown: 30 * time.Second, Tries: rapid.IntRange(1, 3).Draw(t, "tries"),
			SendsPerHour: 3, SendsPerDay: 6, FailuresPerDay: 4, FailuresPerMonth: 9,
		}
		// Back by less than what lets the model forget a subject that Redis keeps.
		steps := []time.Duration{
			1, 500 * time.Millisecond, 30 * time.Second, 2 * time.Minute, time.Hour, 7 * time.Hour, 26 * time.Hour, 9 * 24 * time.Hour,
			-time.Millisecond, -20 * time.Second, -10 * time.Minute,
		}
		last := "none"
		for i := range rapid.IntRange(1, 60).Draw(t, "length") {
			id := fmt.Sprint("id", i)
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0, 1:
				in := otp.Issue{ID: id, MAC: "k.1", Limits: limits}
				want, err := model.Issue(ctx, "a", in)
				require.NoError(t, err)
				got, err := ours.Issue(ctx, "a", in)
				require.NoError(t, err)
				require.Equal(t, want, got, "step %d", i)
				last = id
			case 2, 3:
				code := rapid.SampledFrom([]string{"k.1", "k.2", "k.2"}).Draw(t, "guess")
				in := otp.Guess{ID: id, MACs: []string{code}, Limits: limits}
				want, err := model.Verify(ctx, "a", in)
				require.NoError(t, err)
				got, err := ours.Verify(ctx, "a", in)
				require.NoError(t, err)
				// Codes end, and then the key; which of the two comes first nobody sees.
				if want != got {
					require.ElementsMatch(t, []otp.Outcome{otp.Absent, otp.Expired}, []otp.Outcome{want, got}, "step %d", i)
				}
			case 4:
				require.NoError(t, model.Refund(ctx, "a", last))
				require.NoError(t, ours.Refund(ctx, "a", last))
			default:
				c.Advance(rapid.SampledFrom(steps).Draw(t, "step"))
			}
			if rdb.Exists(ctx, "otp:{#:a}").Val() == 1 {
				require.Positive(t, rdb.PTTL(ctx, "otp:{#:a}").Val(), "a key without end")
			}
		}
	})
}
