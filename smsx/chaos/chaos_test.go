package chaos_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/smsx"
	"github.com/bulwark-go/bulwark/smsx/chaos"
	"github.com/bulwark-go/bulwark/smsx/memory"
	"github.com/bulwark-go/bulwark/smsx/smsxtest"
)

func TestConformance(t *testing.T) {
	smsxtest.Test(t, func(testing.TB) smsxtest.Bench {
		s := memory.New("memory")
		return smsxtest.Bench{Service: chaos.New("chaos", s), Sent: func(n smsx.Number) (count int) {
			for _, m := range s.Sent() {
				if slices.Contains(m.Numbers, n) {
					count++
				}
			}
			return count
		}}
	})
}

func TestEveryFaultDoesWhatItSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cases := []struct {
			fault   chaos.Fault
			outcome smsx.Outcome
			sent    int
			took    time.Duration
		}{
			{chaos.Fault{}, smsx.Accepted, 1, 0},
			{chaos.Fault{Kind: chaos.Slow, Delay: time.Second}, smsx.Accepted, 1, time.Second},
			{chaos.Fault{Kind: chaos.Rejects, Reason: smsx.ReasonBalance}, smsx.Rejected, 0, 0},
			{chaos.Fault{Kind: chaos.Lost}, smsx.Unknown, 1, 0},
			{chaos.Fault{Kind: chaos.Vanished}, smsx.Unknown, 0, 0},
			{chaos.Fault{Kind: chaos.Hangs}, smsx.Unknown, 0, time.Minute},
			{chaos.Fault{Kind: chaos.Lies}, smsx.Accepted, 0, 0},
			{chaos.Fault{Kind: chaos.Slow, Delay: time.Hour}, smsx.Rejected, 0, time.Minute},
		}
		behind := memory.New("memory")
		s := chaos.New("chaos", behind)
		for _, c := range cases {
			require.NoError(t, s.Script(c.fault))
		}
		for _, c := range cases {
			before, began := len(behind.Sent()), time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			_, err := s.Send(ctx, smsxtest.Message(t, 1))
			cancel()
			require.Equal(t, c.outcome, smsx.OutcomeOf(err), c.fault.Kind)
			require.Equal(t, c.sent, len(behind.Sent())-before, c.fault.Kind)
			require.Equal(t, c.took, time.Since(began), c.fault.Kind)
		}
		require.Zero(t, s.Left())
	})
}

func TestFaultsChangeWhileItRuns(t *testing.T) {
	s := chaos.New("chaos", memory.New("memory"))
	send := func() error { _, err := s.Send(t.Context(), smsxtest.Message(t, 1)); return err }
	require.NoError(t, send())
	require.NoError(t, s.Set(chaos.Fault{Kind: chaos.Rejects, Reason: smsx.ReasonDown}))
	require.ErrorIs(t, send(), chaos.ErrChaos)
	require.NoError(t, s.Script(chaos.Fault{}))
	require.NoError(t, send(), "a script goes first")
	require.ErrorIs(t, send(), smsx.ErrRejected)
	for _, bad := range []chaos.Fault{{Kind: 99}, {Delay: -1}, {Share: 1.1}, {Kind: chaos.Rejects, Reason: smsx.ReasonAccepted}} {
		require.Error(t, s.Set(bad))
		require.Error(t, s.Script(bad))
	}
	require.ErrorIs(t, send(), smsx.ErrRejected, "a bad one changes nothing")
	require.NoError(t, s.Set(chaos.Fault{Kind: chaos.Vanished, Share: 0.5}))
	failed := 0
	for range 200 {
		if send() != nil {
			failed++
		}
	}
	require.InDelta(t, 100, failed, 60)
}

func ExampleNew() {
	svc := chaos.New("aliyun", memory.New("aliyun"))
	_ = svc.Set(chaos.Fault{Kind: chaos.Rejects, Reason: smsx.ReasonDown})
	number, _ := smsx.ParseNumber("+8613912345678")
	receipt, err := svc.Send(context.Background(), smsx.Message{Template: "SMS_1", Numbers: []smsx.Number{number}})
	fmt.Println(receipt.Results[0].Reason, err)
	// Output: down smsx: rejected: aliyun: ***78 is rejected: down (""): chaos: on purpose
}
