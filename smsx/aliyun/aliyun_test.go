package aliyun_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/smsx"
	"github.com/bulwark-go/bulwark/smsx/aliyun"
	"github.com/bulwark-go/bulwark/smsx/smsxtest"
)

const id, secret = "test-id", "test-secret"

// fake answers as the vendor does: signature first, then the batch limit, then one
// status for all numbers.
type fake struct {
	mu    sync.Mutex
	sent  map[string]int
	after func(http.ResponseWriter) bool // answers in the vendor's place, after sending
	code  string
}

func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	auth := r.Header.Get("Authorization")
	_, rest, _ := strings.Cut(auth, "SignedHeaders=")
	signed, signature, _ := strings.Cut(rest, ",Signature=")
	canonical := r.Method + "\n/\n\n"
	for _, name := range strings.Split(signed, ";") {
		v := r.Header.Get(name)
		if name == "host" {
			v = r.Host
		}
		canonical += name + ":" + v + "\n"
	}
	canonical += "\n" + signed + "\n" + sum(string(body))
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "ACS3-HMAC-SHA256\n%s", sum(canonical))
	if signature != hex.EncodeToString(mac.Sum(nil)) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"Code":"SignatureDoesNotMatch"}`)
		return
	}
	form, _ := url.ParseQuery(string(body))
	numbers := strings.Split(form.Get("PhoneNumbers"), ",")
	f.mu.Lock()
	defer f.mu.Unlock()
	code := f.code
	if len(numbers) > aliyun.MaxBatch {
		code = "isv.MOBILE_COUNT_OVER_LIMIT"
	}
	if code == "" {
		code = "OK"
		for _, n := range numbers {
			f.sent["+"+n]++
		}
	}
	if f.after != nil && f.after(w) {
		return
	}
	fmt.Fprintf(w, `{"Code":%q,"BizId":"biz-1"}`, code)
}

func (f *fake) count(n smsx.Number) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sent[n.E164()]
}

func start(t testing.TB) (*fake, *aliyun.Service) {
	f := &fake{sent: map[string]int{}}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return f, service(t, server.URL, secret)
}

func service(t testing.TB, endpoint, secret string) *aliyun.Service {
	s, err := aliyun.New(aliyun.Config{Endpoint: endpoint, AccessKeyID: id, AccessKeySecret: secret, SignName: "sign"}, nil)
	require.NoError(t, err)
	return s
}

func TestConformance(t *testing.T) {
	smsxtest.Test(t, func(t testing.TB) smsxtest.Bench {
		f, s := start(t)
		return smsxtest.Bench{Service: s, Sent: f.count}
	})
}

func TestSignatureOfTheVendorsWorkedExample(t *testing.T) {
	req, err := http.NewRequest(http.MethodPost, "https://ecs.cn-shanghai.aliyuncs.com/?ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai", nil)
	require.NoError(t, err)
	req.Header.Set("x-acs-action", "RunInstances")
	req.Header.Set("x-acs-version", "2014-05-26")
	req.Header.Set("x-acs-date", "2023-10-26T10:22:32Z")
	req.Header.Set("x-acs-signature-nonce", "3156853299f313e23d1673dc12e1703d")
	aliyun.Sign(req, nil, "YourAccessKeyId", "YourAccessKeySecret")
	require.Contains(t, req.Header.Get("Authorization"), "Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0")
}

func TestLongMessagesAreSplit(t *testing.T) {
	f, s := start(t)
	m := smsxtest.Message(t, 2*aliyun.MaxBatch+1)
	_, err := s.Send(t.Context(), m)
	require.NoError(t, err)
	for _, n := range m.Numbers {
		require.Equal(t, 1, f.count(n))
	}
}

func TestCodesDecideTheOutcome(t *testing.T) {
	cases := map[string]smsx.Outcome{
		"isv.BUSINESS_LIMIT_CONTROL": smsx.Rejected, "isv.AMOUNT_NOT_ENOUGH": smsx.Rejected,
		"isp.SYSTEM_ERROR": smsx.Unknown, "isv.NEVER_SEEN": smsx.Unknown, "Throttling.Api": smsx.Rejected,
	}
	for code, want := range cases {
		f, s := start(t)
		f.code = code
		receipt, err := s.Send(t.Context(), smsxtest.Message(t, 1))
		require.Equal(t, want, smsx.OutcomeOf(err), code)
		require.Equal(t, code, receipt.Results[0].Code)
	}
}

func TestAWrongSecretIsAuth(t *testing.T) {
	server := httptest.NewServer(&fake{sent: map[string]int{}})
	defer server.Close()
	receipt, err := service(t, server.URL, "wrong").Send(t.Context(), smsxtest.Message(t, 1))
	require.ErrorIs(t, err, smsx.ErrRejected)
	require.Equal(t, smsx.ReasonAuth, receipt.Results[0].Reason)
}

func TestAnAnswerThatGotLostLeavesTheOutcomeUnknown(t *testing.T) {
	answers := map[string]func(http.ResponseWriter) bool{
		"cut":     func(http.ResponseWriter) bool { panic(http.ErrAbortHandler) },
		"no JSON": func(w http.ResponseWriter) bool { fmt.Fprint(w, "<html>"); return true },
		"moved":   func(w http.ResponseWriter) bool { w.Header().Set("Location", "/"); w.WriteHeader(307); return true },
	}
	for name, after := range answers {
		t.Run(name, func(t *testing.T) {
			f, s := start(t)
			f.after = after
			m := smsxtest.Message(t, 1)
			_, err := s.Send(t.Context(), m)
			require.ErrorIs(t, err, smsx.ErrUnknown)
			require.Equal(t, 1, f.count(m.Numbers[0]), "sent, and not twice")
		})
	}
}

func TestACallerWhoLeavesHearsUnknown(t *testing.T) {
	f, s := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	f.after = func(http.ResponseWriter) bool { cancel(); panic(http.ErrAbortHandler) }
	_, err := s.Send(ctx, smsxtest.Message(t, 1))
	require.ErrorIs(t, err, smsx.ErrUnknown)
}

func TestARefusedConnectionIsRejected(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	_, err := service(t, server.URL, secret).Send(t.Context(), smsxtest.Message(t, 1))
	require.ErrorIs(t, err, smsx.ErrRejected)
}

func TestBadSettingsAreNamedAndSecretsHidden(t *testing.T) {
	_, err := aliyun.New(aliyun.Config{Endpoint: "http://x"}, nil)
	for _, name := range []string{"AccessKeyID", "AccessKeySecret", "SignName"} {
		require.ErrorContains(t, err, name)
	}
	require.NotContains(t, fmt.Sprintf("%#v %+v %d", aliyun.Config{AccessKeySecret: secret}, aliyun.Config{AccessKeySecret: secret}, aliyun.Config{AccessKeySecret: secret}), secret)
}

func ExampleNew() {
	svc, err := aliyun.New(aliyun.Config{
		Endpoint: "https://dysmsapi.aliyuncs.com", AccessKeyID: "id", AccessKeySecret: "secret", SignName: "Bulwark",
	}, nil)
	fmt.Println(svc != nil, err)
	// Output: true <nil>
}
