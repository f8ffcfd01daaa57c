package otp_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/smsx"
	"github.com/bulwark-go/bulwark/smsx/memory"
	"github.com/bulwark-go/bulwark/smsx/otp"
)

func newSMS(t *testing.T, svc smsx.Service, cfg otp.SMSConfig) *otp.SMS {
	t.Helper()
	sms, err := otp.NewSMS(svc, "SMS_1", cfg)
	require.NoError(t, err)
	return sms
}

func TestACodeBecomesOneMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc := memory.New("desk")
		sms := newSMS(t, svc, otp.SMSConfig{MinutesArg: "min"})
		number, err := smsx.ParseNumber(phone)
		require.NoError(t, err)
		d := otp.Delivery{ID: "one", Purpose: "login", Subject: phone, Code: "918273", NotAfter: time.Now().Add(10 * time.Minute)}
		require.NoError(t, sms.SendCode(t.Context(), d))
		sent := svc.Sent()[0]
		require.Equal(t, "918273", sent.Args[0].Value)
		require.Equal(t, "10", sent.Args[1].Value)
		require.Equal(t, smsx.Message{
			Template: "SMS_1", Args: []smsx.Arg{{Name: "code", Value: "918273"}, {Name: "min", Value: "10"}},
			Numbers: []smsx.Number{number}, ID: "one", NotAfter: d.NotAfter.Add(-time.Minute), Class: smsx.AtMostOnce,
		}, sent)

		d.NotAfter = time.Now().Add(time.Minute)
		require.NoError(t, sms.SendCode(t.Context(), d))
		require.Equal(t, time.Now().Add(30*time.Second), svc.Sent()[1].NotAfter, "a short code is sent too")
		require.Equal(t, "1", svc.Sent()[1].Args[1].Value)

		twice := newSMS(t, svc, otp.SMSConfig{CodeArg: "pin", Class: smsx.AtLeastOnce})
		require.NoError(t, twice.SendCode(t.Context(), d))
		require.Equal(t, smsx.AtLeastOnce, svc.Sent()[2].Class)
		require.Len(t, svc.Sent()[2].Args, 1)
		require.Equal(t, "pin", svc.Sent()[2].Args[0].Name)
	})
}

func TestACodeThatIsNoUseAnyMoreIsNotSent(t *testing.T) {
	svc := memory.New("desk")
	err := newSMS(t, svc, otp.SMSConfig{}).SendCode(t.Context(), otp.Delivery{
		ID: "one", Subject: phone, Code: "918273", NotAfter: time.Now().Add(-time.Millisecond),
	})
	require.ErrorIs(t, err, smsx.ErrExpired)
	require.ErrorIs(t, err, otp.ErrRejected)
	require.Empty(t, svc.Sent())
}

// TestOnlyACertainRejectionFreesTheMinute runs every kind of answer through Issue.
func TestOnlyACertainRejectionFreesTheMinute(t *testing.T) {
	down := errors.New("connection reset")
	answer := func(o smsx.Outcome, cause error) func(smsx.Message) (smsx.Receipt, error) {
		return func(m smsx.Message) (smsx.Receipt, error) {
			r := smsx.Same(m, smsx.Result{Outcome: o, Provider: "desk"})
			return r, r.Err(cause)
		}
	}
	for name, tc := range map[string]struct {
		answer func(smsx.Message) (smsx.Receipt, error)
		err    error
		again  bool // at once
	}{
		"accepted": {answer(smsx.Accepted, nil), nil, false},
		"rejected": {answer(smsx.Rejected, down), otp.ErrRejected, true},
		"unknown":  {answer(smsx.Unknown, down), smsx.ErrUnknown, false},
		"timeout":  {answer(smsx.Unknown, context.DeadlineExceeded), context.DeadlineExceeded, false},
		"nameless": {func(smsx.Message) (smsx.Receipt, error) { return smsx.Receipt{}, down }, down, false},
		"invalid":  {func(smsx.Message) (smsx.Receipt, error) { return smsx.Receipt{}, smsx.ErrMessage }, otp.ErrRejected, true},
	} {
		t.Run(name, func(t *testing.T) {
			svc := memory.New("desk")
			svc.Answer(tc.answer)
			codes := newCodes(t, otp.NewMemory(), newSMS(t, svc, otp.SMSConfig{}), keys("a"))
			err := codes.Issue(t.Context(), "login", phone)
			require.ErrorIs(t, err, tc.err)
			require.Equal(t, tc.again, errors.Is(err, otp.ErrRejected))
			svc.Answer(nil)
			code := svc.Sent()[0].Args[0].Value
			require.Equal(t, !tc.again, check(t, codes, "login", phone, code), "what may have arrived can be used, else not")
			err = codes.Issue(t.Context(), "login", phone)
			require.Equal(t, !tc.again, errors.Is(err, otp.ErrLimited), "%v", err)
		})
	}
}

func TestASubjectThatIsNoNumberIsNotSent(t *testing.T) {
	svc := memory.New("desk")
	codes, err := otp.New(otp.NewMemory(), newSMS(t, svc, otp.SMSConfig{}), keys("a"), otp.Config{},
		otp.WithNormaliser(func(s string) (string, error) { return s, nil }))
	require.NoError(t, err)
	err = codes.Issue(t.Context(), "login", "someone@else")
	require.ErrorIs(t, err, otp.ErrRejected)
	require.ErrorIs(t, err, smsx.ErrNumber)
	require.NotContains(t, err.Error(), "someone")
	require.Empty(t, svc.Sent())
}

func TestNewSMSNamesEveryViolation(t *testing.T) {
	_, err := otp.NewSMS(nil, "", otp.SMSConfig{CodeArg: "a", MinutesArg: "a", Class: 7})
	for _, field := range []string{"svc", "template", "MinutesArg", "Class"} {
		require.ErrorContains(t, err, "otp: "+field+" = ")
	}
}
