package template_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/smsx"
	"github.com/bulwark-go/bulwark/smsx/quota"
	"github.com/bulwark-go/bulwark/smsx/smsxtest"
	"github.com/bulwark-go/bulwark/smsx/template"
)

// authorised sends each message by a token, as a caller's own code does. It asks for
// the template, which the service itself takes from the token.
type authorised struct {
	next  smsx.Service
	token string
}

func (a authorised) Send(ctx context.Context, m smsx.Message) (smsx.Receipt, error) {
	if err := m.Check(time.Now()); err != nil {
		return smsx.Same(m, smsx.Result{Outcome: smsx.Rejected}), err
	}
	return a.next.Send(template.WithToken(ctx, a.token), m)
}

func TestServiceConforms(t *testing.T) {
	smsxtest.Test(t, func(t testing.TB) smsxtest.Bench {
		a := newArena(t.(*testing.T))
		a.grant.MaxNumbers, a.grant.Capacity = 100, 100
		return smsxtest.Bench{
			Service: authorised{a.svc, a.approve(a.grant)},
			Sent: func(n smsx.Number) (count int) {
				for _, m := range a.vendor.Sent() {
					for _, to := range m.Numbers {
						if to == n {
							count++
						}
					}
				}
				return count
			},
		}
	})
}

// spent asks for more than there can be.
func (a *arena) spent() int64 {
	a.t.Helper()
	d, err := a.quota.Reserve(a.t.Context(), quota.Charge{Account: "4:shopSMS_1", ID: "probe", Content: "x", Units: 1000})
	require.NoError(a.t, err)
	return d.Spent
}

func answer(o ...smsx.Outcome) func(smsx.Message) (smsx.Receipt, error) {
	return func(m smsx.Message) (smsx.Receipt, error) {
		r := smsx.Same(m, smsx.Result{Provider: "vendor"})
		for i := range r.Results {
			r.Results[i].Outcome = o[i]
		}
		return r, r.Err(nil)
	}
}

func TestOnlyWhatMayHaveBeenSentIsPaid(t *testing.T) {
	down := errors.New("down")
	for name, tc := range map[string]struct {
		answer func(smsx.Message) (smsx.Receipt, error)
		spent  int64
		again  error
	}{
		"both accepted":    {answer(smsx.Accepted, smsx.Accepted), 2, template.ErrRepeated},
		"one accepted":     {answer(smsx.Accepted, smsx.Rejected), 1, template.ErrRepeated},
		"both rejected":    {answer(smsx.Rejected, smsx.Rejected), 0, nil},
		"one unknown":      {answer(smsx.Accepted, smsx.Unknown), 2, nil},
		"rejected unknown": {answer(smsx.Rejected, smsx.Unknown), 2, nil},
		"no receipt":       {func(smsx.Message) (smsx.Receipt, error) { return smsx.Receipt{}, down }, 2, nil},
		"too late":         {func(smsx.Message) (smsx.Receipt, error) { return smsx.Receipt{}, smsx.ErrExpired }, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			a := newArena(t)
			m := a.message("one")
			m.Numbers = append(m.Numbers, number(t, "+8613800138001"))
			a.vendor.Answer(tc.answer)
			_ = a.send(a.token, m)
			require.Equal(t, tc.spent, a.spent())
			a.vendor.Answer(nil)
			require.ErrorIs(t, a.send(a.token, m), tc.again)
			if tc.again == nil {
				require.EqualValues(t, 2, a.spent(), "a retry is the same message")
			}
		})
	}
}

// TestAnIDPaysForOneMessageOnly retries, under its ID, a message that nobody knows to
// be sent. The ID's charge stands and is open for a retry, of this message alone.
func TestAnIDPaysForOneMessageOnly(t *testing.T) {
	for name, change := range map[string]func(*testing.T, *smsx.Message){
		"another number": func(t *testing.T, m *smsx.Message) { m.Numbers = []smsx.Number{number(t, "+8613800138009")} },
		"a further number": func(t *testing.T, m *smsx.Message) {
			m.Numbers = append(m.Numbers, number(t, "+8613800138009"))
		},
		"another content": func(_ *testing.T, m *smsx.Message) { m.Args = []smsx.Arg{{Name: m.Args[0].Name, Value: "000000"}} },
		"a longer content": func(_ *testing.T, m *smsx.Message) {
			m.Args = []smsx.Arg{{Name: m.Args[0].Name, Value: fmt.Sprintf("%0200d", 0)}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newArena(t)
			a.grant.MaxNumbers = 2
			a.token = a.approve(a.grant)
			a.vendor.Answer(func(m smsx.Message) (smsx.Receipt, error) {
				r := smsx.Same(m, smsx.Result{Provider: "vendor", Outcome: smsx.Unknown})
				return r, r.Err(nil)
			})
			require.Error(t, a.send(a.token, a.message("one")))
			spent := a.spent()
			require.Positive(t, spent, "what may have been sent is paid")
			a.vendor.Answer(nil)
			sent := len(a.vendor.Sent())

			other := a.message("one")
			change(t, &other)
			err := a.send(a.token, other)
			require.ErrorIs(t, err, template.ErrRepeated)
			require.ErrorIs(t, err, smsx.ErrRejected)
			require.Len(t, a.vendor.Sent(), sent, "nothing was sent for the price of the first")
			require.Equal(t, spent, a.spent())

			require.NoError(t, a.send(a.token, a.message("one")), "the message itself may be retried")
			require.Equal(t, spent, a.spent())
		})
	}
}

func TestSegmentsArePaidForEachReceiver(t *testing.T) {
	a := newArena(t)
	a.grant.Template = "SMS_2"
	token := a.approve(a.grant)
	for text, segments := range map[string]int64{
		string(make([]byte, 161)) + "a":              3, // NUL is not in GSM-7
		fmt.Sprintf("%0160d", 0):                     1,
		fmt.Sprintf("%0161d", 0):                     2,
		fmt.Sprintf("%0159d€", 0):                    2, // a sign of two septets
		fmt.Sprintf("%069d验", 0):                     1,
		fmt.Sprintf("%069d验证", 0):                    2,
		fmt.Sprintf("%069d😀", 0):                     2, // a sign of two units
		"Your code is 493817. Don't tell it anyone.": 1,
	} {
		q, err := quota.NewMemory()
		require.NoError(t, err)
		verifier, err := template.NewVerifier([]template.Key{key("a")}, config)
		require.NoError(t, err)
		svc, err := template.New(a.vendor, verifier, q, template.Texts(map[string]string{"SMS_2": "${text}"}), key("content").Secret)
		require.NoError(t, err)
		m := smsx.Message{ID: "1", Args: []smsx.Arg{{Name: "text", Value: text}},
			Numbers: []smsx.Number{number(t, "+8613800138000"), number(t, "+8613800138001")}}
		_, err = svc.Send(template.WithToken(t.Context(), token), m)
		require.NoError(t, err)
		d, err := q.Reserve(t.Context(), quota.Charge{Account: "4:shopSMS_2", ID: "probe", Content: "x", Units: 1000})
		require.NoError(t, err)
		require.Equal(t, 2*segments, d.Spent, "%q", text)
	}
}

func TestCapacityAndRateAreTheTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newArena(t)
		for i := range 10 {
			require.NoError(t, a.send(a.token, a.message(fmt.Sprint(i))))
		}
		err := a.send(a.token, a.message("more"))
		require.ErrorIs(t, err, template.ErrExhausted)
		require.ErrorIs(t, a.send(a.approve(a.grant), a.message("more")), template.ErrExhausted, "a second token brings no second capacity")
		var limited *template.LimitedError
		require.ErrorAs(t, err, &limited)
		_, end := quota.Month(time.Now(), time.UTC)
		require.Equal(t, time.Until(end), limited.RetryAfter)

		a.grant.Tenant, a.grant.RatePerMinute = "bank", 2
		slow := a.approve(a.grant)
		require.NoError(t, a.send(slow, a.message("first")))
		err = a.send(slow, a.message("fast"))
		require.ErrorIs(t, err, template.ErrLimited)
		require.ErrorAs(t, err, &limited)
		require.Equal(t, 30*time.Second, limited.RetryAfter)
		time.Sleep(limited.RetryAfter)
		require.NoError(t, a.send(slow, a.message("fast")))
	})
}

type brokenQuota struct{ quota.Quota }

func (brokenQuota) Reserve(context.Context, quota.Charge) (quota.Decision, error) {
	return quota.Decision{}, errors.New("quota is down")
}

func TestAFailingQuotaOrRateSendsNothing(t *testing.T) {
	a := newArena(t)
	verifier, err := template.NewVerifier([]template.Key{key("a")}, config)
	require.NoError(t, err)
	texts := template.Texts(map[string]string{"SMS_1": "x"})
	svc, err := template.New(a.vendor, verifier, brokenQuota{}, texts, key("content").Secret)
	require.NoError(t, err)
	_, err = svc.Send(template.WithToken(t.Context(), a.token), a.message("1"))
	require.ErrorContains(t, err, "quota is down")
	require.ErrorIs(t, err, smsx.ErrRejected)

	svc, err = template.New(a.vendor, verifier, a.quota, texts, key("content").Secret,
		template.WithRates(func(ratelimit.Rate) (ratelimit.Limiter, error) { return nil, errors.New("rates are down") }))
	require.NoError(t, err)
	a.grant.RatePerMinute = 1
	_, err = svc.Send(template.WithToken(t.Context(), a.approve(a.grant)), a.message("1"))
	require.ErrorContains(t, err, "rates are down")
	require.Empty(t, a.vendor.Sent())
	require.Zero(t, a.spent())
}

// TestKeysRotateWithoutAGap walks a fleet through a rotation: at each step old and
// new instances run side by side, and every token opens everywhere.
func TestKeysRotateWithoutAGap(t *testing.T) {
	steps := [][]template.Key{{key("a")}, {key("a"), key("b")}, {key("b"), key("a")}, {key("b")}}
	v, err := template.NewVerifier(steps[0], config)
	require.NoError(t, err)
	grant := newArena(t).grant
	var tokens []string
	issue := func(keys []template.Key) {
		issuer, err := template.NewIssuer(keys, config)
		require.NoError(t, err)
		token, err := issuer.Issue(grant)
		require.NoError(t, err)
		tokens = append(tokens, token)
	}
	issue(steps[0])
	for _, keys := range steps[1:3] {
		require.NoError(t, v.Rotate(keys))
		issue(keys)
		for i, token := range tokens {
			_, err := v.Verify(t.Context(), token)
			require.NoError(t, err, "token %d", i)
		}
		before, err := template.NewVerifier(steps[1], config) // an instance that is one step behind
		require.NoError(t, err)
		_, err = before.Verify(t.Context(), tokens[len(tokens)-1])
		require.NoError(t, err)
	}
	require.Error(t, v.Rotate(nil))
	_, err = v.Verify(t.Context(), tokens[0])
	require.NoError(t, err, "a refused rotation changed the keys")
	require.NoError(t, v.Rotate(steps[3]))
	_, err = v.Verify(t.Context(), tokens[0])
	require.ErrorIs(t, err, template.ErrToken)
	_, err = v.Verify(t.Context(), tokens[2])
	require.NoError(t, err)
}

func TestADeskNeedsASecondPerson(t *testing.T) {
	a := newArena(t)
	ctx := t.Context()
	r, err := a.desk.Ask(ctx, "ann", a.grant)
	require.NoError(t, err)
	_, err = a.desk.Approve(ctx, r.ID, "ann")
	require.ErrorIs(t, err, template.ErrOwnRequest)
	_, err = a.desk.Approve(ctx, r.ID, "")
	require.ErrorIs(t, err, template.ErrOwnRequest)
	gone, err := a.desk.Revoked(ctx, r.ID)
	require.NoError(t, err)
	require.True(t, gone, "a request that waits is no token")
	first, err := a.desk.Approve(ctx, r.ID, "bob")
	require.NoError(t, err)
	again, err := a.desk.Approve(ctx, r.ID, "bob")
	require.NoError(t, err)
	require.Equal(t, first, again, "the answer may get lost")
	require.ErrorIs(t, a.desk.Deny(ctx, r.ID, "bob"), template.ErrDecided)
	require.NoError(t, a.desk.Revoke(ctx, r.ID, "ann"))
	require.NoError(t, a.desk.Revoke(ctx, r.ID, "bob"))
	_, err = a.desk.Approve(ctx, r.ID, "bob")
	require.ErrorIs(t, err, template.ErrDecided)

	r, err = a.desk.Ask(ctx, "ann", a.grant)
	require.NoError(t, err)
	require.NoError(t, a.desk.Deny(ctx, r.ID, "bob"))
	_, err = a.desk.Approve(ctx, r.ID, "bob")
	require.ErrorIs(t, err, template.ErrDecided)
	_, err = a.desk.Approve(ctx, "nothing", "bob")
	require.ErrorIs(t, err, template.ErrNoRequest)
	a.grant.Capacity = 0
	_, err = a.desk.Ask(ctx, "", a.grant)
	require.ErrorContains(t, err, "Capacity")
	require.ErrorContains(t, err, "by is empty")
}

func TestConstructorsNameEveryViolation(t *testing.T) {
	bad := []template.Key{{}, {ID: "a", Secret: []byte("short")}, {ID: "b", Secret: make([]byte, 32)}, key("c"), {ID: "c", Secret: key("c").Secret}}
	_, err := template.NewIssuer(bad, template.Config{})
	for _, what := range []string{"keys[0]", "keys[1]", "keys[2]", "keys[4] (\"c\"): id", "same secret", "Issuer", "Audience"} {
		require.ErrorContains(t, err, what)
	}
	_, err = template.NewVerifier(nil, config, template.WithClock(nil))
	require.ErrorContains(t, err, "at least one")
	require.ErrorContains(t, err, "clock")
	_, err = template.New(nil, nil, nil, nil, nil, template.WithRates(nil))
	for _, what := range []string{"next", "verifier", "quota", "text", "rates", "secret"} {
		require.ErrorContains(t, err, what)
	}
	_, err = template.NewDesk(nil, nil)
	require.Error(t, err)
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", key("a"), key("a"), key("a")), string(key("a").Secret))
}
