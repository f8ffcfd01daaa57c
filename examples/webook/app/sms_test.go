package app_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/examples/webook/config"
	"github.com/bulwark-go/bulwark/examples/webook/internal/errs"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/smsx/fake"
)

// withVendors returns a configuration whose two vendors are ours to steer, the first
// of which is asked first.
func withVendors(t *testing.T) (cfg config.Config, first, second *fake.Vendor) {
	t.Helper()
	key := fake.Config{KeyID: "id", Secret: "only-this-test-knows-it"}
	first, second = fake.NewAliyun(key), fake.NewTencent(key)
	serve := func(v *fake.Vendor) string {
		server := httptest.NewServer(v)
		t.Cleanup(server.Close)
		return server.URL
	}
	cfg = testConfig(t)
	secret := logger.NewSecret(key.Secret)
	cfg.SMS.Aliyun = config.Aliyun{Endpoint: serve(first), KeyID: key.KeyID, KeySecret: secret, SignName: "webook", Template: "SMS_1"}
	cfg.SMS.Tencent = config.Tencent{Endpoint: serve(second), SecretID: key.KeyID, SecretKey: secret, AppID: "1", SignName: "webook", Template: "1"}
	cfg.SMS.Backoff = 50 * time.Millisecond
	cfg.SMS.Out = 300 * time.Millisecond
	return cfg, first, second
}

// somePhone is a number of its own for each call, as each may have a code a minute.
func somePhone() string { return fmt.Sprintf("+8613%09d", rand.IntN(1_000_000_000)) }

func (i *instance) askCode(t *testing.T, phone string) answer {
	t.Helper()
	return i.call(t, http.MethodPost, "/users/login_sms/code/send", "", `{"phone":"`+phone+`"}`)
}

func (i *instance) loginByCode(t *testing.T, phone, code string) answer {
	t.Helper()
	return i.call(t, http.MethodPost, "/users/login_sms", "", `{"phone":"`+phone+`","code":"`+code+`"}`)
}

// codeAt is what a phone was sent last by any of the vendors; empty when nothing.
func codeAt(phone string, vendors ...*fake.Vendor) (code string) {
	for _, v := range vendors {
		for _, sms := range v.Sent() {
			if sms.Number != phone {
				continue
			}
			for _, value := range sms.Params {
				code = value
			}
		}
	}
	return code
}

// other is a code that is not this one.
func other(code string) string {
	return fmt.Sprintf("%06d", (atoi(code)+1)%1_000_000)
}

func atoi(digits string) (n int) {
	for _, d := range digits {
		n = 10*n + int(d-'0')
	}
	return n
}

func TestAVisitorLogsInByPhone(t *testing.T) {
	cfg, first, second := withVendors(t)
	i := start(t, cfg)
	phone := somePhone()
	a := i.askCode(t, phone)
	require.Equal(t, http.StatusOK, a.status)
	require.Zero(t, a.Code, a.raw)
	require.Equal(t, "sent", a.Msg)
	code := codeAt(phone, first, second)
	require.Len(t, code, 6)
	require.Equal(t, 1, first.Count(phone)+second.Count(phone))

	wrong := i.loginByCode(t, phone, other(code))
	require.Equal(t, errs.CodeBadCode, wrong.Code)
	require.Empty(t, wrong.access())
	in := i.loginByCode(t, phone, code)
	require.Zero(t, in.Code, in.raw)
	profile := i.call(t, http.MethodGet, "/users/profile", in.access(), "")
	require.Contains(t, profile.raw, `"Phone":"`+phone+`"`)
	require.NotEmpty(t, in.refresh())

	again := i.loginByCode(t, phone, code)
	require.Equal(t, wrong.raw, again.raw, "a code that was used answers like a wrong one")
	never := i.loginByCode(t, somePhone(), code)
	require.Equal(t, wrong.raw, never.raw, "so does one that was never sent")

	log := i.log.String()
	require.NotContains(t, log, phone)
	require.NotContains(t, log, phone[3:])
	require.NotContains(t, log, code)
}

func TestSpellingsOfAPhoneAreOnePhone(t *testing.T) {
	cfg, first, second := withVendors(t)
	i := start(t, cfg)
	phone := somePhone()
	require.Zero(t, i.askCode(t, " 0086 "+phone[3:6]+"-"+phone[6:10]+" "+phone[10:]).Code)
	a := i.askCode(t, phone[3:])
	require.Equal(t, http.StatusOK, a.status)
	require.Equal(t, errs.CodeTooManyCodes, a.Code, "one a minute, however it is written")
	require.Equal(t, 1, first.Count(phone)+second.Count(phone))
	require.Zero(t, i.loginByCode(t, phone, codeAt(phone, first, second)).Code)
}

func TestWhatIsNoPhoneIsRefused(t *testing.T) {
	cfg, first, second := withVendors(t)
	i := start(t, cfg)
	for _, phone := range []string{"", "1", "hello", "+8601065551234", "+861391234567890", "13912345678; drop", "١٣٩١٢٣٤٥٦٧"} {
		a := i.askCode(t, phone)
		require.Equal(t, http.StatusOK, a.status, phone)
		require.Equal(t, errs.CodeInvalidInput, a.Code, phone)
		require.Equal(t, errs.CodeInvalidInput, i.loginByCode(t, phone, "123456").Code, phone)
	}
	long := i.call(t, http.MethodPost, "/users/login_sms/code/send", "", `{"phone":"`+fmt.Sprintf("%0100d", 1)+`"}`)
	require.Equal(t, http.StatusBadRequest, long.status)
	require.Zero(t, first.Requests()+second.Requests())
}

func TestOfManyTriesOfACodeThreeCountAndOneHolds(t *testing.T) {
	cfg, first, second := withVendors(t)
	i := start(t, cfg)
	phone := somePhone()
	require.Zero(t, i.askCode(t, phone).Code)
	code := codeAt(phone, first, second)
	var in atomic.Int32
	var all sync.WaitGroup
	for range 40 {
		all.Go(func() {
			if i.loginByCode(t, phone, code).Code == 0 {
				in.Add(1)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 1, in.Load())

	phone = somePhone()
	require.Zero(t, i.askCode(t, phone).Code)
	code = codeAt(phone, first, second)
	for range 40 {
		all.Go(func() { i.loginByCode(t, phone, other(code)) })
	}
	all.Wait()
	require.Equal(t, errs.CodeBadCode, i.loginByCode(t, phone, code).Code, "its tries are spent")
}

func TestOneVendorDownIsOneSwitchAndNoError(t *testing.T) {
	cfg, first, second := withVendors(t)
	cfg.SMS.Out = time.Hour
	i := start(t, cfg)
	require.NoError(t, first.Set(fake.Fault{Kind: fake.Down}))
	for range 30 {
		phone := somePhone()
		a := i.askCode(t, phone)
		require.Zero(t, a.Code, a.raw)
		require.Equal(t, "sent", a.Msg)
		require.Equal(t, 1, second.Count(phone))
	}
	require.Less(t, first.Requests(), 15, "it is left alone")
	_, page := get(t, i.URL()+"/console/messages")
	require.Equal(t, 1, strings.Count(page, `data-event="out"`), "one incident, one switch")
	require.Contains(t, page, "aliyun")
}

func TestWhatNoVendorTakesIsAcceptedForLaterAndSentOnce(t *testing.T) {
	cfg, first, second := withVendors(t)
	i := start(t, cfg)
	for _, v := range []*fake.Vendor{first, second} {
		require.NoError(t, v.Set(fake.Fault{Kind: fake.Down}))
	}
	phones := make([]string, 12)
	for n := range phones {
		phones[n] = somePhone()
		began := time.Now()
		a := i.askCode(t, phones[n])
		require.Less(t, time.Since(began), cfg.HTTP.Timeout, "within the deadline")
		require.Equal(t, http.StatusOK, a.status)
		require.Zero(t, a.Code, a.raw)
		require.Contains(t, a.Msg, "accepted for later")
		require.Equal(t, errs.CodeTooManyCodes, i.askCode(t, phones[n]).Code, "it is accepted, so it counts")
	}
	_, page := get(t, i.URL()+"/console")
	require.Contains(t, page, "data-queue")
	_, metrics := get(t, i.MetricsURL()+"/metrics")
	require.Contains(t, metrics, `async_depth{queue="sms",state="queued"}`)

	require.NoError(t, second.Set(fake.Fault{}))
	for _, phone := range phones {
		eventually(t, func() bool { return codeAt(phone, first, second) != "" }, "sent after the recovery")
		require.Zero(t, i.loginByCode(t, phone, codeAt(phone, first, second)).Code)
	}
	for _, phone := range phones {
		require.Equal(t, 1, first.Count(phone)+second.Count(phone), "and once")
	}
}

func TestACodeThatIsLateIsNotSent(t *testing.T) {
	cfg, first, second := withVendors(t)
	cfg.SMS.MinLeft = 9 * time.Minute // the code's message lives for nine
	i := start(t, cfg)
	require.NoError(t, first.Set(fake.Fault{Kind: fake.Down}))
	require.NoError(t, second.Set(fake.Fault{Kind: fake.Down}))
	phone := somePhone()
	require.NotZero(t, i.askCode(t, phone).Code, "not worth keeping, so not accepted")
	require.Zero(t, first.Count(phone)+second.Count(phone))
}

func TestAVendorThatDoesNotAnswerIsNotAskedTwice(t *testing.T) {
	cfg, first, second := withVendors(t)
	cfg.SMS.Timeout = time.Second
	i := start(t, cfg)
	require.NoError(t, first.Set(fake.Fault{Kind: fake.Silent}))
	phone := somePhone()
	a := i.askCode(t, phone)
	require.Equal(t, http.StatusOK, a.status)
	require.Zero(t, a.Code, a.raw)
	require.Contains(t, a.Msg, "if nothing comes")
	require.Equal(t, 1, first.Count(phone), "it was sent, though nobody said so")
	require.Zero(t, second.Count(phone), "a second one would have doubled it")
	require.Zero(t, i.loginByCode(t, phone, codeAt(phone, first)).Code)
}

// Somebody who asks for codes and enters none is refused, without a message going out;
// whoever has an account is not.
func TestWhoAsksForCodesOnlyIsRefused(t *testing.T) {
	cfg, first, second := withVendors(t)
	cfg.SMS.Guard.Network = 4
	i := start(t, cfg)
	resident := somePhone()
	require.Zero(t, i.askCode(t, resident).Code)
	require.Zero(t, i.loginByCode(t, resident, codeAt(resident, first, second)).Code) // the network is full again
	refused := 0
	for range 10 {
		phone := somePhone()
		a := i.askCode(t, phone)
		require.Equal(t, http.StatusOK, a.status)
		if a.Code == 0 {
			require.Equal(t, 1, first.Count(phone)+second.Count(phone))
			continue
		}
		refused++
		require.Equal(t, errs.CodeTooManyCodes, a.Code, a.raw)
		require.Zero(t, first.Count(phone)+second.Count(phone), "refused, so not sent")
		require.NotContains(t, a.raw, "network", "how it is found out is nobody's business")
	}
	require.Equal(t, 6, refused, "four on trust")
	require.Equal(t, errs.CodeTooManyCodes, i.askCode(t, resident).Code, "one a minute, as for everybody")
	_, metrics := get(t, i.MetricsURL()+"/metrics")
	require.Regexp(t, `otp_guard_take\w*{[^}]*result="network"[^}]*} 6`, metrics)
	require.Regexp(t, `otp_guard_take\w*{[^}]*result="allowed"[^}]*} 5`, metrics)
}
