// Package smsxtest holds the suite that every [smsx.Service] must pass, vendors
// and decorators alike.
package smsxtest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/smsx"
)

// Number returns the i-th of a million Chinese numbers.
func Number(t testing.TB, i int) smsx.Number {
	t.Helper()
	digits := []byte("+8613900000000")
	for at := len(digits) - 1; i > 0; at, i = at-1, i/10 {
		digits[at] = byte('0' + i%10)
	}
	n, err := smsx.ParseNumber(string(digits))
	require.NoError(t, err)
	return n
}

// Message returns a message to n numbers.
func Message(t testing.TB, n int) smsx.Message {
	t.Helper()
	m := smsx.Message{Template: "SMS_1", ID: "id-1", Args: []smsx.Arg{{Name: "code", Value: "493817"}, {Name: "minutes", Value: "10"}}}
	for i := range n {
		m.Numbers = append(m.Numbers, Number(t, i))
	}
	return m
}

// Bench is a service and what lies behind it.
type Bench struct {
	// Service is under test; what lies behind it accepts everything.
	Service smsx.Service
	// Sent returns how often a number was sent to, behind the service.
	Sent func(smsx.Number) int
}

// Test runs the suite; build makes a fresh bench for each test.
func Test(t *testing.T, build func(testing.TB) Bench) {
	t.Run("accepts and passes every number on", func(t *testing.T) { accepts(t, build(t)) })
	t.Run("sends nothing of a bad message", func(t *testing.T) { refusesBad(t, build(t)) })
	t.Run("sends nothing too late", func(t *testing.T) { refusesLate(t, build(t)) })
	t.Run("sends nothing for a caller who left", func(t *testing.T) { refusesCancelled(t, build(t)) })
}

func accepts(t *testing.T, b Bench) {
	m := Message(t, 3)
	receipt, err := b.Service.Send(t.Context(), m)
	require.NoError(t, err)
	require.Len(t, receipt.Results, 3)
	for i, r := range receipt.Results {
		require.Equal(t, m.Numbers[i], r.Number)
		require.Equal(t, smsx.Accepted, r.Outcome)
		require.Equal(t, smsx.ReasonAccepted, r.Reason)
		require.NotEmpty(t, r.Provider)
		require.NotEmpty(t, r.MessageID)
		require.Equal(t, 1, b.Sent(r.Number))
	}
}

func refusesBad(t *testing.T, b Bench) {
	m := Message(t, 1)
	m.Template = ""
	_, err := b.Service.Send(t.Context(), m)
	require.ErrorIs(t, err, smsx.ErrMessage)
	require.Zero(t, b.Sent(m.Numbers[0]))
}

func refusesLate(t *testing.T, b Bench) {
	m := Message(t, 1)
	m.NotAfter = time.Now().Add(-time.Second)
	_, err := b.Service.Send(t.Context(), m)
	require.ErrorIs(t, err, smsx.ErrExpired)
	require.Equal(t, smsx.Rejected, smsx.OutcomeOf(err))
	require.Zero(t, b.Sent(m.Numbers[0]))
}

func refusesCancelled(t *testing.T, b Bench) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m := Message(t, 1)
	_, err := b.Service.Send(ctx, m)
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, b.Sent(m.Numbers[0]))
}
