package smsxtest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/smsx"
	"github.com/bulwark-go/bulwark/smsx/fake"
)

// The account of the vendors in [TestVendor].
const (
	KeyID  = "test-id"
	Secret = "test-secret"
)

// Adapter is what sends through a vendor.
type Adapter struct {
	// Fake makes the vendor.
	Fake func(fake.Config) *fake.Vendor
	// New makes the adapter for an account of the vendor's at an endpoint, with a
	// signature name.
	New func(endpoint, id, secret string) (smsx.Service, error)
	// MaxBatch is how many numbers go into one request.
	MaxBatch int
	// Classify is the adapter's.
	Classify func(code string) (smsx.Reason, smsx.Outcome)
	// Codes has at least one code of the vendor's for each reason.
	Codes map[smsx.Reason][]string
	// Maybe are codes after which the message may have been sent.
	Maybe []string
}

func (a Adapter) start(t testing.TB) (*fake.Vendor, smsx.Service) {
	v := a.Fake(fake.Config{KeyID: KeyID, Secret: Secret})
	server := httptest.NewServer(v)
	t.Cleanup(server.Close)
	s, err := a.New(server.URL, KeyID, Secret)
	require.NoError(t, err)
	return v, s
}

// TestVendor runs [Test] and the suite for adapters of vendors.
func TestVendor(t *testing.T, a Adapter) {
	Test(t, func(t testing.TB) Bench {
		v, s := a.start(t)
		return Bench{Service: s, Sent: func(n smsx.Number) int { return v.Count(n.E164()) }}
	})
	t.Run("hands over template, arguments and id", a.handsOver)
	t.Run("splits long messages", a.splits)
	t.Run("sends abroad and at home", a.sendsAbroad)
	t.Run("knows every reason", a.knowsReasons)
	t.Run("a code decides the outcome", a.decides)
	t.Run("a wrong key is auth", a.wrongKey)
	t.Run("a lost answer leaves the outcome unknown", a.losesAnswers)
	t.Run("a caller who leaves hears unknown, and that it was a time-out", a.timesOut)
	t.Run("a refused connection is rejected", a.refusedConnection)
	t.Run("what follows a lost answer is not sent", a.stopsAfterLost)
}

func (a Adapter) handsOver(t *testing.T) {
	v, s := a.start(t)
	m := Message(t, 1)
	receipt, err := s.Send(t.Context(), m)
	require.NoError(t, err)
	require.Len(t, v.Sent(), 1)
	sent := v.Sent()[0]
	require.Equal(t, m.Template, sent.Template)
	require.Equal(t, m.ID, sent.Ref)
	require.Equal(t, receipt.Results[0].MessageID, sent.MessageID)
	require.Len(t, sent.Params, len(m.Args))
	for _, arg := range m.Args {
		require.Contains(t, sent.Params, func() string {
			for name, value := range sent.Params {
				if value == arg.Value {
					return name
				}
			}
			return arg.Name
		}())
	}
}

func (a Adapter) splits(t *testing.T) {
	v, s := a.start(t)
	m := Message(t, 2*a.MaxBatch+1)
	receipt, err := s.Send(t.Context(), m)
	require.NoError(t, err)
	require.Equal(t, 3, v.Requests())
	for i, n := range m.Numbers {
		require.Equal(t, n, receipt.Results[i].Number)
		require.Equal(t, 1, v.Count(n.E164()))
	}
}

func (a Adapter) sendsAbroad(t *testing.T) {
	v, s := a.start(t)
	m := Message(t, 3)
	for i, e164 := range []string{"+447700900123", "+85251234567"} {
		n, err := smsx.ParseNumber(e164)
		require.NoError(t, err)
		m.Numbers = append(m.Numbers, m.Numbers[i])
		m.Numbers[i] = n
	}
	receipt, err := s.Send(t.Context(), m)
	require.NoError(t, err)
	for i, n := range m.Numbers {
		require.Equal(t, n, receipt.Results[i].Number, "in the order of the message")
		require.Equal(t, 1, v.Count(n.E164()))
	}
}

func (a Adapter) knowsReasons(t *testing.T) {
	for reason := smsx.ReasonAccepted; reason <= smsx.ReasonDown; reason++ {
		require.NotEmpty(t, a.Codes[reason], reason.String())
		for _, code := range a.Codes[reason] {
			got, outcome := a.Classify(code)
			require.Equal(t, reason, got, code)
			require.Equal(t, reason == smsx.ReasonAccepted, outcome == smsx.Accepted, code)
		}
	}
	reason, outcome := a.Classify("Never.Seen")
	require.Equal(t, smsx.ReasonUnknown, reason)
	require.Equal(t, smsx.Unknown, outcome)
}

func (a Adapter) decides(t *testing.T) {
	v, s := a.start(t)
	check := func(code string, want smsx.Outcome) {
		require.NoError(t, v.Set(fake.Fault{Kind: fake.Refusing, Code: code}))
		receipt, err := s.Send(t.Context(), Message(t, 1))
		require.Equal(t, want, smsx.OutcomeOf(err), code)
		require.Equal(t, want, receipt.Results[0].Outcome, code)
		require.Equal(t, code, receipt.Results[0].Code)
	}
	maybe := map[string]bool{}
	for _, code := range append([]string{"Never.Seen"}, a.Maybe...) {
		maybe[code] = true
		check(code, smsx.Unknown)
	}
	for reason, codes := range a.Codes {
		for _, code := range codes {
			if reason != smsx.ReasonAccepted && !maybe[code] {
				check(code, smsx.Rejected)
			}
		}
	}
	require.Empty(t, v.Sent())
}

func (a Adapter) wrongKey(t *testing.T) {
	v := a.Fake(fake.Config{KeyID: KeyID, Secret: Secret})
	server := httptest.NewServer(v)
	defer server.Close()
	for _, key := range [][2]string{{KeyID, "wrong"}, {"wrong", Secret}} {
		s, err := a.New(server.URL, key[0], key[1])
		require.NoError(t, err)
		receipt, err := s.Send(t.Context(), Message(t, 1))
		require.ErrorIs(t, err, smsx.ErrRejected)
		require.Equal(t, smsx.ReasonAuth, receipt.Results[0].Reason)
		require.NotContains(t, err.Error(), key[1])
	}
	require.Empty(t, v.Sent())
}

// answerOnce lets the vendor work and something else answer.
func (a Adapter) answerOnce(t testing.TB, answer http.HandlerFunc) (*fake.Vendor, smsx.Service) {
	v := a.Fake(fake.Config{KeyID: KeyID, Secret: Secret})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v.ServeHTTP(httptest.NewRecorder(), r)
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	s, err := a.New(server.URL, KeyID, Secret)
	require.NoError(t, err)
	return v, s
}

func (a Adapter) losesAnswers(t *testing.T) {
	answers := map[string]http.HandlerFunc{
		"cut":       func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"no JSON":   func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"not its":   func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"ok":true,"Response":{}}`)) },
		"moved":     func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusTemporaryRedirect) },
		"a gateway": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			v, s := a.answerOnce(t, answer)
			m := Message(t, 2)
			receipt, err := s.Send(t.Context(), m)
			require.ErrorIs(t, err, smsx.ErrUnknown)
			for i, n := range m.Numbers {
				require.Equal(t, smsx.Unknown, receipt.Results[i].Outcome)
				require.Equal(t, 1, v.Count(n.E164()), "sent, and not twice")
				require.NotContains(t, err.Error(), n.E164()[3:])
			}
		})
	}
}

func (a Adapter) timesOut(t *testing.T) {
	v, s := a.start(t)
	require.NoError(t, v.Set(fake.Fault{Kind: fake.Silent}))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	receipt, err := s.Send(ctx, Message(t, 1))
	var failed *smsx.SendError
	require.ErrorAs(t, err, &failed)
	require.True(t, failed.Timeout())
	require.ErrorIs(t, err, context.DeadlineExceeded)
	if v.Requests() > 0 { // a slow machine may not get so far
		require.Equal(t, smsx.Unknown, receipt.Results[0].Outcome)
	}
}

func (a Adapter) refusedConnection(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	s, err := a.New(server.URL, KeyID, Secret)
	require.NoError(t, err)
	_, err = s.Send(t.Context(), Message(t, 1))
	require.ErrorIs(t, err, smsx.ErrRejected)
	require.True(t, smsx.Fault(err))
}

func (a Adapter) stopsAfterLost(t *testing.T) {
	v, s := a.answerOnce(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	m := Message(t, a.MaxBatch+1)
	receipt, err := s.Send(t.Context(), m)
	require.ErrorIs(t, err, smsx.ErrUnknown)
	require.Equal(t, 1, v.Requests())
	require.Equal(t, smsx.Unknown, receipt.Results[0].Outcome)
	require.Equal(t, smsx.Rejected, receipt.Results[a.MaxBatch].Outcome)
}
