package app_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/examples/webook/config"
	"github.com/bulwark-go/bulwark/examples/webook/internal/errs"
	"github.com/bulwark-go/bulwark/examples/webook/internal/service/wechat/fakewechat"
	"github.com/bulwark-go/bulwark/logger"
)

const (
	wechatApp    = "wx-test"
	wechatSecret = "only-this-test-knows-it"
)

// withWechat returns a configuration whose WeChat is ours to steer.
func withWechat(t *testing.T) (config.Config, *fakewechat.Server) {
	t.Helper()
	fake := fakewechat.New(wechatApp, wechatSecret)
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	cfg := testConfig(t)
	cfg.Wechat.AppID, cfg.Wechat.Secret = wechatApp, logger.NewSecret(wechatSecret)
	cfg.Wechat.AuthURL, cfg.Wechat.APIURL = server.URL, server.URL
	return cfg, fake
}

// beginWechat asks for the address, and returns its state and the cookie.
func (i *instance) beginWechat(t *testing.T) (state string, cookie *http.Cookie) {
	t.Helper()
	a := i.call(t, http.MethodGet, "/oauth2/wechat/authurl", "", "")
	require.Equal(t, http.StatusOK, a.status)
	require.Zero(t, a.Code)
	address, err := url.Parse(strings.Trim(strings.ReplaceAll(string(a.Data), `\u0026`, "&"), `"`))
	require.NoError(t, err)
	query := address.Query()
	require.Equal(t, "code", query.Get("response_type"))
	require.Equal(t, "snsapi_login", query.Get("scope"))
	cookies := (&http.Response{Header: a.header}).Cookies()
	require.Len(t, cookies, 1)
	return query.Get("state"), cookies[0]
}

func (i *instance) finishWechat(t *testing.T, code, state string, cookie *http.Cookie) answer {
	t.Helper()
	address := i.URL() + "/oauth2/wechat/callback?" + url.Values{"code": {code}, "state": {state}}.Encode()
	req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, address, nil)
	require.NoError(t, err)
	req.Header.Set("User-Agent", agent)
	if cookie != nil {
		req.AddCookie(&http.Cookie{Name: cookie.Name, Value: cookie.Value})
	}
	return send(t, req)
}

func TestAVisitorLogsInWithWechat(t *testing.T) {
	cfg, fake := withWechat(t)
	i := start(t, cfg)
	state, cookie := i.beginWechat(t)
	require.Equal(t, "jwt-state", cookie.Name)
	require.Equal(t, "/oauth2/wechat/callback", cookie.Path)
	require.True(t, cookie.HttpOnly)
	require.True(t, cookie.Secure)
	require.Equal(t, http.SameSiteLaxMode, cookie.SameSite)
	require.Equal(t, int((10*time.Minute).Seconds()), cookie.MaxAge)

	first := i.finishWechat(t, fake.Grant("oX"), state, cookie)
	require.Equal(t, http.StatusOK, first.status)
	require.Zero(t, first.Code, first.raw)
	require.Contains(t, first.header.Get("Set-Cookie"), "Max-Age=0", "the cookie has done its work")
	require.Zero(t, i.call(t, http.MethodGet, "/users/profile", first.access(), "").Code)
	i.call(t, http.MethodPost, "/users/edit", first.access(), `{"nickname":"X"}`)

	state, cookie = i.beginWechat(t)
	again := i.finishWechat(t, fake.Grant("oX"), state, cookie)
	require.Contains(t, i.call(t, http.MethodGet, "/users/profile", again.access(), "").raw, `"nickname":"X"`, "the same account")

	state, cookie = i.beginWechat(t)
	other := i.finishWechat(t, fake.Grant("ox"), state, cookie)
	require.NotContains(t, i.call(t, http.MethodGet, "/users/profile", other.access(), "").raw, `"nickname":"X"`,
		"openids differ in case: somebody else")
	require.NotContains(t, i.log.String(), wechatSecret)
}

func TestALoginWithWechatHoldsOnlyWhereItBegan(t *testing.T) {
	cfg, fake := withWechat(t)
	i := start(t, cfg)
	state, cookie := i.beginWechat(t)
	otherState, otherCookie := i.beginWechat(t)
	forged := *cookie
	forged.Value = cookie.Value[:strings.LastIndex(cookie.Value, ".")+1]

	for name, c := range map[string]struct {
		state  string
		cookie *http.Cookie
	}{
		"no cookie":              {state, nil},
		"no state":               {"", cookie},
		"another's state":        {otherState, cookie},
		"another's cookie":       {state, otherCookie},
		"a cookie without proof": {state, &forged},
		"a cookie of nonsense":   {state, &http.Cookie{Name: "jwt-state", Value: "x"}},
	} {
		a := i.finishWechat(t, fake.Grant("o1"), c.state, c.cookie)
		require.Equal(t, errs.CodeLoginRefused, a.Code, name)
		require.Empty(t, a.access(), name)
	}

	refused := i.finishWechat(t, "made up", state, cookie)
	require.Equal(t, errs.CodeLoginRefused, refused.Code, "WeChat knows no such code")
	spent := i.finishWechat(t, fake.Grant("o1"), state, cookie)
	require.Equal(t, errs.CodeLoginRefused, spent.Code, "a state is good for one try")
}

func TestAWechatThatFailsIsNoLogin(t *testing.T) {
	cfg, fake := withWechat(t)
	i := start(t, cfg)
	fake.Break(true)
	state, cookie := i.beginWechat(t)
	a := i.finishWechat(t, fake.Grant("o1"), state, cookie)
	require.Equal(t, http.StatusServiceUnavailable, a.status)
	require.Empty(t, a.access())
	require.NotContains(t, a.raw, "html")
	fake.Break(false)
	state, cookie = i.beginWechat(t)
	require.Zero(t, i.finishWechat(t, fake.Grant("o1"), state, cookie).Code)
	require.NotContains(t, i.log.String(), wechatSecret, "the address of the call has our secret")
}

func TestAnUnreachableWechatKeepsItsSecret(t *testing.T) {
	cfg, fake := withWechat(t)
	cfg.Wechat.APIURL = "http://127.0.0.1:1"
	i := start(t, cfg)
	state, cookie := i.beginWechat(t)
	a := i.finishWechat(t, fake.Grant("o1"), state, cookie)
	require.Equal(t, http.StatusServiceUnavailable, a.status)
	require.Contains(t, i.log.String(), "connection refused")
	require.NotContains(t, i.log.String(), wechatSecret)
}

func TestOfManyFirstLoginsWithWechatOneMakesTheAccount(t *testing.T) {
	cfg, fake := withWechat(t)
	i := start(t, cfg)
	var wg sync.WaitGroup
	answers := make([]answer, 8)
	for n := range answers {
		state, cookie := i.beginWechat(t)
		code := fake.Grant("o-many")
		wg.Go(func() { answers[n] = i.finishWechat(t, code, state, cookie) })
	}
	wg.Wait()
	i.call(t, http.MethodPost, "/users/edit", answers[0].access(), `{"nickname":"Many"}`)
	for _, a := range answers {
		require.Zero(t, a.Code, a.raw)
		require.Contains(t, i.call(t, http.MethodGet, "/users/profile", a.access(), "").raw, `"nickname":"Many"`)
	}
}

func TestTheEmbeddedAppBringsAWechat(t *testing.T) {
	cfg := testConfig(t)
	if cfg.DB.Driver != "" {
		t.Skip("on real servers there is none without an app id")
	}
	i := start(t, cfg)
	a := i.call(t, http.MethodGet, "/oauth2/wechat/authurl", "", "")
	address := strings.Trim(strings.ReplaceAll(string(a.Data), `\u0026`, "&"), `"`)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
}
