package otp_test

import (
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/smsx/otp"
	"github.com/bulwark-go/bulwark/smsx/otp/otptest"
)

// clock is a wall clock that the test moves.
type clock struct{ ms atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ms.Store(1_795_408_549_123)
	return c
}

func (c *clock) now() time.Time          { return time.UnixMilli(c.ms.Load()) }
func (c *clock) advance(d time.Duration) { c.ms.Add(d.Milliseconds()) }

func TestMemoryConforms(t *testing.T) {
	otptest.Test(t, func(*testing.T) otptest.Harness {
		c := newClock()
		return otptest.Harness{Store: otp.NewMemory(otp.WithClock(c.now)), Advance: c.advance}
	})
}

func TestAFullMemoryRefusesRatherThanForgets(t *testing.T) {
	c := newClock()
	m := otp.NewMemory(otp.WithClock(c.now), otp.WithCapacity(2))
	l := otp.Limits{
		Validity: time.Minute, Cooldown: time.Minute, Tries: 3, SendsPerHour: 5, SendsPerDay: 5, FailuresPerDay: 5, FailuresPerMonth: 5,
	}
	issue := func(n int) error {
		_, err := m.Issue(t.Context(), strconv.Itoa(n), otp.Issue{ID: strconv.Itoa(n), MAC: "k.1", Limits: l})
		return err
	}
	require.NoError(t, issue(1))
	require.NoError(t, issue(2))
	require.ErrorIs(t, issue(3), otp.ErrFull)
	c.advance(24*time.Hour + 2*time.Second)
	require.NoError(t, issue(3), "what has ended makes room")
}
