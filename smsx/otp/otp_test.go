package otp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/observe/observetest"
	"github.com/bulwark-go/bulwark/smsx/otp"
)

// outbox is a sender that keeps what it was given, and answers err.
type outbox struct {
	mu   sync.Mutex
	sent []otp.Delivery
	err  error
}

func (o *outbox) SendCode(_ context.Context, d otp.Delivery) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent = append(o.sent, d)
	return o.err
}

func (o *outbox) code() string { return o.sent[len(o.sent)-1].Code }

func secret(sign byte) []byte { return bytes.Repeat([]byte{sign}, 32) }

func keys(ids ...string) otp.Keys {
	k := otp.Keys{Subject: secret('s')}
	for _, id := range ids {
		k.Codes = append(k.Codes, otp.Key{ID: id, Secret: secret(id[0])})
	}
	return k
}

const phone = "+8613800138000"

func newCodes(t *testing.T, store otp.Store, sender otp.Sender, k otp.Keys) *otp.Codes {
	t.Helper()
	codes, err := otp.New(store, sender, k, otp.Config{CountryCode: "86"})
	require.NoError(t, err)
	return codes
}

func check(t *testing.T, codes *otp.Codes, purpose, subject, code string) bool {
	t.Helper()
	ok, err := codes.Verify(t.Context(), purpose, subject, code)
	require.NoError(t, err)
	return ok
}

func TestOnePhoneInManySpellingsIsOneSubject(t *testing.T) {
	box := &outbox{}
	codes := newCodes(t, otp.NewMemory(), box, keys("a"))
	require.NoError(t, codes.Issue(t.Context(), "login", "138-0013-8000"))
	require.Equal(t, phone, box.sent[0].Subject)
	for _, s := range []string{"13800138000", "+86 138 0013 8000", "0086(138)0013.8000", " +8613800138000 "} {
		require.ErrorIs(t, codes.Issue(t.Context(), "login", s), otp.ErrLimited, s)
	}
	require.True(t, check(t, codes, "login", "008613800138000", " "+box.code()+"\n"))
	for _, s := range []string{"", "+", "00", "+86", "hello", "+8613800138000x", "+0123456789", "+86１３８００１３８０００", "013800138000", "+1234567890123456"} {
		require.ErrorIs(t, codes.Issue(t.Context(), "login", s), otp.ErrSubject, s)
		_, err := codes.Verify(t.Context(), "login", s, "1")
		require.ErrorIs(t, err, otp.ErrSubject, s)
	}
	_, err := otp.E164("")("13800138000")
	require.ErrorIs(t, err, otp.ErrSubject, "no country is guessed")
}

func FuzzE164IsIdempotent(f *testing.F) {
	for _, s := range []string{phone, "0086138", "(138) 0013-8000", "+\u00a0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once, err := otp.E164("86")(s)
		if err != nil {
			return
		}
		twice, err := otp.E164("1")(once)
		require.NoError(t, err)
		require.Equal(t, once, twice)
		require.Regexp(t, `^\+[1-9][0-9]{7,14}$`, once)
	})
}

func TestPurposesDoNotMix(t *testing.T) {
	box := &outbox{}
	codes := newCodes(t, otp.NewMemory(), box, keys("a"))
	require.NoError(t, codes.Issue(t.Context(), "login", phone))
	login := box.code()
	require.NoError(t, codes.Issue(t.Context(), "change phone", phone), "a purpose has limits of its own")
	if login != box.code() {
		require.False(t, check(t, codes, "change phone", phone, login))
	}
	require.True(t, check(t, codes, "login", phone, login))
	require.ErrorIs(t, codes.Issue(t.Context(), "", phone), otp.ErrPurpose)
}

func TestARejectedSendFreesTheMinuteAndAnUnknownOneDoesNot(t *testing.T) {
	box := &outbox{err: fmt.Errorf("no such number: %w", otp.ErrRejected)}
	codes := newCodes(t, otp.NewMemory(), box, keys("a"))
	require.ErrorIs(t, codes.Issue(t.Context(), "login", phone), otp.ErrRejected)
	require.False(t, check(t, codes, "login", phone, box.code()), "a code that was not sent")
	box.err = context.DeadlineExceeded
	require.ErrorIs(t, codes.Issue(t.Context(), "login", phone), context.DeadlineExceeded)
	require.ErrorIs(t, codes.Issue(t.Context(), "login", phone), otp.ErrLimited)
	require.True(t, check(t, codes, "login", phone, box.code()), "it arrived all the same")
}

func TestACallerWhoLeftStillGetsTheMinuteBack(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	codes := newCodes(t, otp.NewMemory(), otp.SenderFunc(func(context.Context, otp.Delivery) error {
		cancel()
		if calls++; calls == 1 {
			return otp.ErrRejected
		}
		return nil
	}), keys("a"))
	require.ErrorIs(t, codes.Issue(ctx, "login", phone), otp.ErrRejected)
	require.NoError(t, codes.Issue(t.Context(), "login", phone))
}

func TestKeysRotateWithoutAGap(t *testing.T) {
	store, box := otp.NewMemory(), &outbox{}
	require.NoError(t, newCodes(t, store, box, keys("a")).Issue(t.Context(), "login", phone))
	require.False(t, check(t, newCodes(t, store, box, keys("b")), "login", phone, box.code()), "a key that was dropped")
	require.True(t, check(t, newCodes(t, store, box, keys("b", "a")), "login", phone, box.code()))
	require.ErrorIs(t, newCodes(t, store, box, keys("b", "a")).Issue(t.Context(), "login", phone), otp.ErrLimited,
		"a new key forgets limits")
}

func TestCodesAreEquallyLikely(t *testing.T) {
	counts := [6][10]int{}
	box := &outbox{}
	codes := newCodes(t, otp.NewMemory(), box, keys("a"))
	const n = 20_000
	for i := range n {
		require.NoError(t, codes.Issue(t.Context(), "login", fmt.Sprintf("+86138%08d", i)))
		code := box.code()
		require.Len(t, code, 6)
		for place, digit := range []byte(code) {
			counts[place][digit-'0']++
		}
	}
	for place := range counts {
		chi := 0.0
		for _, got := range counts[place] {
			chi += (float64(got) - n/10) * (float64(got) - n/10) / (n / 10)
		}
		require.Less(t, chi, 60.0, "place %d: 9 degrees of freedom exceed 60 once in 10^9 runs", place)
	}
}

func TestGuessingIsBoundedAtConstruction(t *testing.T) {
	require.InDelta(t, 1e-4, otp.Config{}.Takeover(), 1e-8)
	require.LessOrEqual(t, otp.Config{}.Takeover(), 1e-4)
	for name, cfg := range map[string]otp.Config{
		"a larger budget":       {FailuresPerMonth: 101},
		"a larger daily budget": {FailuresPerMonth: 1000, FailuresPerDay: 70},
	} {
		_, err := otp.New(otp.NewMemory(), &outbox{}, keys("a"), cfg)
		var field *otp.FieldError
		require.ErrorAs(t, err, &field, name)
		require.Equal(t, "MaxTakeover", field.Field)
		cfg.Digits = 8
		_, err = otp.New(otp.NewMemory(), &outbox{}, keys("a"), cfg)
		require.NoError(t, err, "two digits more make up for it")
	}
	_, err := otp.New(otp.NewMemory(), &outbox{}, keys("a"), otp.Config{FailuresPerMonth: 1000, FailuresPerDay: 70, MaxTakeover: 1e-3})
	require.NoError(t, err, "who names the risk may take it")
	few := otp.Config{SendsPerDay: 1, Tries: 1, FailuresPerMonth: 1000, FailuresPerDay: 70}
	require.InDelta(t, 31e-6, few.Takeover(), 1e-9, "nobody guesses at codes that were not sent")
}

func TestNewNamesEveryViolation(t *testing.T) {
	_, err := otp.New(nil, nil, otp.Keys{Subject: []byte("tell-tale"), Codes: []otp.Key{{ID: "{", Secret: []byte("tell-tale")}}},
		otp.Config{Digits: 4, Tries: -1, Validity: time.Hour, Cooldown: time.Millisecond, CountryCode: "+86", MaxTakeover: 2},
		otp.WithNormaliser(nil))
	for _, field := range []string{
		"store", "sender", "Keys.Subject", "Keys.Codes.ID", "Keys.Codes.Secret", "Digits", "Tries", "Validity", "Cooldown",
		"CountryCode", "MaxTakeover", "normaliser",
	} {
		require.ErrorContains(t, err, "otp: "+field+" = ")
	}
	require.NotContains(t, err.Error(), "tell-tale")
}

func TestSecretsNeverPrint(t *testing.T) {
	k := otp.Keys{Subject: []byte("tell-tale"), Codes: []otp.Key{{ID: "a", Secret: []byte("tell-tale")}}}
	d := otp.Delivery{Purpose: "login", Subject: phone, Code: "918273"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		out := fmt.Sprintf(verb+verb+verb, k, k.Codes[0], d)
		for _, canary := range []string{"tell-tale", fmt.Sprint([]byte("tell-tale")), phone, "918273"} {
			require.NotContains(t, out, canary, verb)
		}
	}
}

// TestEveryRefusalLooksTheSame compares all that a caller gets to see.
func TestEveryRefusalLooksTheSame(t *testing.T) {
	c, box := newClock(), &outbox{}
	rec := observetest.NewRecorder(t)
	codes := newCodes(t, otp.Observe(otp.NewMemory(otp.WithClock(c.now)), rec), box, keys("a"))
	refused := func(code string) {
		t.Helper()
		ok, err := codes.Verify(t.Context(), "login", phone, code)
		require.False(t, ok)
		require.NoError(t, err)
	}
	wrong := func() string { return string('0'+('9'-box.code()[0])) + "x" }
	refused("000000") // absent
	require.NoError(t, codes.Issue(t.Context(), "login", phone))
	require.ErrorIs(t, codes.Issue(t.Context(), "login", phone), otp.ErrLimited)
	for range 3 {
		refused(wrong())
	}
	refused(box.code()) // exhausted
	c.advance(10 * time.Minute)
	refused(box.code()) // expired
	for range 2 {
		require.NoError(t, codes.Issue(t.Context(), "login", phone))
		for range 3 {
			refused(wrong())
		}
		c.advance(time.Minute)
	}
	require.NoError(t, codes.Issue(t.Context(), "login", phone))
	refused(wrong())
	refused(box.code()) // locked
	var limited *otp.LimitedError
	require.ErrorAs(t, codes.Issue(t.Context(), "login", phone), &limited)
	require.True(t, limited.Locked)
	c.advance(limited.RetryAfter)
	require.NoError(t, codes.Issue(t.Context(), "login", phone))
	require.True(t, check(t, codes, "login", phone, box.code()))

	seen := map[string]observe.Outcome{}
	for _, r := range rec.Records() {
		seen[r.Label("result")] = r.Outcome
		shown := fmt.Sprintf("%+v", r)
		require.False(t, strings.Contains(shown, "13800138000") || strings.Contains(shown, "login"), shown)
	}
	require.Equal(t, map[string]observe.Outcome{
		"absent": observe.Rejected, "issued": observe.OK, "limited": observe.Rejected, "wrong": observe.Rejected,
		"exhausted": observe.Rejected, "expired": observe.Rejected, "locked": observe.Rejected, "verified": observe.OK,
	}, seen)
}

// broken is a store that fails or panics.
type broken struct {
	otp.Store
	err error
}

func (b broken) Issue(context.Context, string, otp.Issue) (otp.Issued, error) {
	if b.err == nil {
		panic("broken")
	}
	return otp.Issued{}, b.err
}

func (b broken) Verify(context.Context, string, otp.Guess) (otp.Outcome, error) {
	return otp.Verified, b.err
}

func TestAFailingStoreSendsAndVerifiesNothing(t *testing.T) {
	box, rec, cause := &outbox{}, observetest.NewRecorder(t), errors.New("down")
	codes := newCodes(t, otp.Observe(broken{err: cause}, rec), box, keys("a"))
	require.ErrorIs(t, codes.Issue(t.Context(), "login", phone), cause)
	ok, err := codes.Verify(t.Context(), "login", phone, "1")
	require.ErrorIs(t, err, cause)
	require.False(t, ok)
	require.Empty(t, box.sent)
	require.Equal(t, "error", rec.Only("otp", "issue").Label("result"))

	panics := newCodes(t, otp.Observe(broken{}, rec), box, keys("a"))
	require.Panics(t, func() { _ = panics.Issue(t.Context(), "login", phone) })
	last := rec.Records()[len(rec.Records())-1]
	require.Equal(t, observe.Panicked, last.Outcome)
}
