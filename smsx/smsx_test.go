package smsx_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/failover"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/smsx"
)

func number(t testing.TB, s string) smsx.Number {
	n, err := smsx.ParseNumber(s)
	require.NoError(t, err)
	return n
}

func TestNoSinkShowsNumbersOrArguments(t *testing.T) {
	const phone, code = "+8613912345678", "493817"
	m := smsx.Message{Template: "T", Args: []smsx.Arg{{Name: "code", Value: code}}, Numbers: []smsx.Number{number(t, phone)}}
	receipt := smsx.Same(m, smsx.Result{Code: "X"})
	var sink bytes.Buffer
	for _, v := range []any{m, &m, m.Numbers, m.Numbers[0], m.Args, m.Args[0], receipt, receipt.Err(nil)} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
			fmt.Fprintf(&sink, verb+"\n", v)
		}
		slog.New(slog.NewJSONHandler(&sink, nil)).Info("x", "v", v)
		slog.New(slog.NewTextHandler(&sink, nil)).Info("x", "v", v)
		require.NoError(t, json.NewEncoder(&sink).Encode(v))
	}
	_, err := smsx.ParseNumber(phone + "x")
	fmt.Fprintln(&sink, err)
	for _, secret := range []string{phone[1:], "13912345678", fmt.Sprintf("%x", phone), code, fmt.Sprintf("%x", code)} {
		require.NotContains(t, sink.String(), secret)
	}
	require.Contains(t, sink.String(), "***78", "something must have been printed")
}

func TestOnlyE164IsANumber(t *testing.T) {
	for _, bad := range []string{"", "+", "13912345678", "008613912345678", "+0123456789", "+861391234567x", "+123456", "+1234567890123456", "+86 13912345678"} {
		_, err := smsx.ParseNumber(bad)
		require.ErrorIs(t, err, smsx.ErrNumber, bad)
	}
	require.Equal(t, "+8613912345678", number(t, "+8613912345678").E164())
}

func TestBadMessagesAreNamedAll(t *testing.T) {
	n := number(t, "+8613912345678")
	now := time.Unix(1000, 0)
	require.NoError(t, smsx.Message{Template: "T", Numbers: []smsx.Number{n}, NotAfter: now.Add(1)}.Check(now))
	err := smsx.Message{Numbers: []smsx.Number{n, n}, Class: 7, NotAfter: now}.Check(now)
	require.ErrorIs(t, err, smsx.ErrMessage)
	require.ErrorIs(t, err, smsx.ErrExpired)
	for _, part := range []string{"Template", "Numbers[1]", "Class is 7"} {
		require.ErrorContains(t, err, part)
	}
	require.ErrorContains(t, smsx.Message{Template: "T"}.Check(now), "Numbers is empty")
}

func TestAnErrorSaysTheWorstThatMayBe(t *testing.T) {
	a, r, u := smsx.Accepted, smsx.Rejected, smsx.Unknown
	cases := []struct {
		outcomes []smsx.Outcome
		want     error
		whole    smsx.Outcome
	}{
		{[]smsx.Outcome{a, a}, nil, a},
		{[]smsx.Outcome{r, r}, smsx.ErrRejected, r},
		{[]smsx.Outcome{a, r}, smsx.ErrPartial, u},
		{[]smsx.Outcome{r, u}, smsx.ErrUnknown, u},
		{[]smsx.Outcome{a, u, r}, smsx.ErrUnknown, u},
		{nil, smsx.ErrUnknown, u},
	}
	cause := errors.New("cause")
	for _, c := range cases {
		var receipt smsx.Receipt
		for _, o := range c.outcomes {
			receipt.Results = append(receipt.Results, smsx.Result{Outcome: o})
		}
		err := receipt.Err(cause)
		require.Equal(t, c.whole, smsx.OutcomeOf(err))
		if c.want == nil {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, c.want)
		require.ErrorIs(t, err, cause)
	}
	require.Equal(t, smsx.Unknown, smsx.OutcomeOf(cause), "what nobody classified")
	require.Equal(t, smsx.Rejected, smsx.OutcomeOf(smsx.ErrExpired))
}

func TestFailoverHearsWhatMayBeDone(t *testing.T) {
	a, r, u := smsx.Accepted, smsx.Rejected, smsx.Unknown
	result := func(o smsx.Outcome, why smsx.Reason) smsx.Result { return smsx.Result{Outcome: o, Reason: why} }
	cases := []struct {
		results []smsx.Result
		want    failover.Outcome
	}{
		{nil, failover.Unknown},
		{[]smsx.Result{result(u, smsx.ReasonDown)}, failover.Unknown},
		{[]smsx.Result{result(r, smsx.ReasonDown)}, failover.Rejected},
		{[]smsx.Result{result(r, smsx.ReasonUnknown)}, failover.Rejected},
		{[]smsx.Result{result(r, smsx.ReasonNumber)}, failover.Final},
		{[]smsx.Result{result(r, smsx.ReasonNumberLimit)}, failover.Final},
		{[]smsx.Result{result(r, smsx.ReasonNumber), result(r, smsx.ReasonBalance)}, failover.Rejected},
		{[]smsx.Result{result(a, smsx.ReasonAccepted), result(r, smsx.ReasonBalance)}, failover.Unknown},
		{[]smsx.Result{result(r, smsx.ReasonBalance), result(u, smsx.ReasonDown)}, failover.Unknown},
	}
	for _, c := range cases {
		err := fmt.Errorf("wrapped: %w", smsx.Receipt{Results: c.results}.Err(nil))
		require.Equal(t, c.want, failover.Classify(t.Context(), err), "%v", err)
	}
	require.Equal(t, failover.Final, failover.Classify(t.Context(), smsx.Message{}.Check(time.Now())), "nobody can send it")
	require.True(t, failover.TimedOut(smsx.Receipt{}.Err(fmt.Errorf("calling: %w", context.DeadlineExceeded))))
	require.False(t, failover.TimedOut(smsx.Receipt{}.Err(errors.New("refused"))))
	require.False(t, failover.TimedOut(smsx.Receipt{}.Err(nil)))
}

func TestOnlyTheProvidersOwnFaultSpeaksAgainstIt(t *testing.T) {
	rejected := func(why smsx.Reason, cause error) error {
		return smsx.Receipt{Results: []smsx.Result{{Outcome: smsx.Rejected, Reason: why}}}.Err(cause)
	}
	for _, err := range []error{
		nil, smsx.ErrMessage, smsx.ErrExpired, context.Canceled, rejected(smsx.ReasonNumber, nil), rejected(smsx.ReasonNumberLimit, nil),
		rejected(smsx.ReasonTemplate, nil), rejected(smsx.ReasonAccountLimit, ratelimit.ErrLimited), rejected(smsx.ReasonDown, circuitbreaker.ErrOpen),
	} {
		require.False(t, smsx.Fault(err), "%v", err)
	}
	for _, err := range []error{
		errors.New("what nobody classified"), smsx.Receipt{}.Err(nil), rejected(smsx.ReasonDown, nil), rejected(smsx.ReasonAuth, nil),
		rejected(smsx.ReasonBalance, nil), rejected(smsx.ReasonAccountLimit, nil), rejected(smsx.ReasonUnknown, context.DeadlineExceeded),
		smsx.Receipt{Results: []smsx.Result{{Outcome: smsx.Unknown}}}.Err(nil),
	} {
		require.True(t, smsx.Fault(err), "%v", err)
	}
}

func TestSegmentsAtEveryBorder(t *testing.T) {
	cases := []struct {
		unit string
		n    int
		want int
	}{
		{"", 0, 1}, {"a", 160, 1}, {"a", 161, 2}, {"a", 306, 2}, {"a", 307, 3},
		{"€", 80, 1}, {"€", 81, 2}, {"€", 152, 2}, {"€", 153, 3},
		{"码", 70, 1}, {"码", 71, 2}, {"码", 134, 2}, {"码", 135, 3},
		{"😀", 35, 1}, {"😀", 36, 2}, {"😀", 66, 2}, {"😀", 67, 3},
	}
	for _, c := range cases {
		require.Equal(t, c.want, smsx.Segments(strings.Repeat(c.unit, c.n)), "%d of %s", c.n, c.unit)
	}
	require.Equal(t, 2, smsx.Segments("码"+strings.Repeat("a", 70)), "one character changes the alphabet of all")
}

func FuzzSegments(f *testing.F) {
	f.Add("hello")
	f.Add("验证码😀")
	f.Add("\xff€")
	f.Fuzz(func(t *testing.T, text string) {
		n := smsx.Segments(text)
		units := len(utf16.Encode([]rune(text)))
		require.GreaterOrEqual(t, n, 1)
		require.LessOrEqual(t, n, units/66+1, "never more than UCS-2 with a pair at each border")
		require.GreaterOrEqual(t, smsx.Segments(text+"a"), n)
	})
}

func ExampleParseNumber() {
	n, err := smsx.ParseNumber("+8613912345678")
	fmt.Println(n, err)
	// Output: ***78 <nil>
}

func ExampleSegments() {
	fmt.Println(smsx.Segments("Your code is 493817"))
	// Output: 1
}
