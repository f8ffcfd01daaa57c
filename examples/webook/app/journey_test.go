package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAUserFromSignUpToLogout(t *testing.T) {
	i := start(t, testConfig(t))
	signUp := `{"email":"Ann@Example.com","password":"` + password + `","confirm_password":"` + password + `"}`
	require.Zero(t, i.call(t, http.MethodPost, "/users/signup", "", signUp).Code)
	login := i.call(t, http.MethodPost, "/users/login", "", credentials("ann@example.com"))
	require.Zero(t, login.Code)

	edit := `{"nickname":"阿明","birthday":"1990-05-17","aboutMe":"hi"}`
	require.Zero(t, i.call(t, http.MethodPost, "/users/edit", login.access(), edit).Code)
	profile := i.call(t, http.MethodGet, "/users/profile", login.access(), "")
	require.Equal(t, http.StatusOK, profile.status)
	require.JSONEq(t, `{
		"Email":"ann@example.com","Phone":"","Nickname":"阿明","Birthday":"1990-05-17","AboutMe":"hi",
		"code":0,"msg":"","data":{"email":"ann@example.com","phone":"","nickname":"阿明","birthday":"1990-05-17","aboutMe":"hi"}
	}`, profile.raw)

	refreshed := i.call(t, http.MethodPost, "/users/refresh_token", login.refresh(), "")
	require.Zero(t, refreshed.Code)
	require.NotEqual(t, login.refresh(), refreshed.refresh())
	again := i.call(t, http.MethodGet, "/users/refresh_token", refreshed.refresh(), "")
	require.Zero(t, again.Code, "some front ends use GET")

	require.Zero(t, i.call(t, http.MethodPost, "/users/logout", again.access(), "").Code)
	for _, token := range []string{login.access(), refreshed.access(), again.access()} {
		a := i.call(t, http.MethodGet, "/users/profile", token, "")
		require.Equal(t, http.StatusUnauthorized, a.status)
		require.NotZero(t, a.Code)
	}
	a := i.call(t, http.MethodPost, "/users/refresh_token", again.refresh(), "")
	require.Equal(t, http.StatusUnauthorized, a.status, "a logged-out session must not refresh")
}

func TestTheProfileIsServedFromTheCacheAndAnEditShowsAtOnce(t *testing.T) {
	i := start(t, testConfig(t))
	token := i.login(t, "ann@example.com").access()
	for n := range 3 {
		edit := fmt.Sprintf(`{"nickname":"n%d"}`, n)
		require.Zero(t, i.call(t, http.MethodPost, "/users/edit", token, edit).Code)
		for range 2 {
			require.Contains(t, i.call(t, http.MethodGet, "/users/profile", token, "").raw, fmt.Sprintf(`"Nickname":"n%d"`, n))
		}
	}
	bob := i.login(t, "bob@example.com").access()
	for range 5 {
		require.Zero(t, i.call(t, http.MethodGet, "/users/profile", bob, "").Code)
	}
	_, metrics := get(t, i.MetricsURL()+"/metrics")
	require.Contains(t, metrics, `webook_user_cache_read_total{outcome="ok",result="hit"} 4`)
}

func TestOfManySignUpsWithOneEmailExactlyOneWins(t *testing.T) {
	i := start(t, testConfig(t))
	const rivals = 24
	codes := make([]int, rivals)
	var all sync.WaitGroup
	for n := range rivals {
		email := "ann@example.com"
		if n%2 == 1 {
			email = "ANN@example.com"
		}
		all.Go(func() { codes[n] = i.call(t, http.MethodPost, "/users/signup", "", credentials(email)).Code })
	}
	all.Wait()
	count := map[int]int{}
	for _, code := range codes {
		count[code]++
	}
	require.Equal(t, map[int]int{0: 1, 401003: rivals - 1}, count)
}

func TestTokensLiveAsLongAsConfigured(t *testing.T) {
	standard := start(t, testConfig(t)).login(t, "ann@example.com")
	require.Equal(t, 30*time.Minute, lifetime(t, standard.access()))
	require.Equal(t, 7*24*time.Hour, lifetime(t, standard.refresh()))

	cfg := testConfig(t)
	cfg.Session.Access, cfg.Session.Refresh = 10*time.Minute, 2*time.Hour
	chosen := start(t, cfg).login(t, "ann@example.com")
	require.Equal(t, 10*time.Minute, lifetime(t, chosen.access()))
	require.Equal(t, 2*time.Hour, lifetime(t, chosen.refresh()))
}

func TestNoTokenPasswordOrWholeEmailReachesTheLog(t *testing.T) {
	cfg := testConfig(t)
	cfg.Log.Level = "debug"
	i := start(t, cfg)
	login := i.login(t, "ann.secretive@example.com")
	i.call(t, http.MethodGet, "/users/profile", login.access(), "")
	i.call(t, http.MethodGet, "/users/profile?token="+login.access(), login.access()+"x", "")
	refreshed := i.call(t, http.MethodPost, "/users/refresh_token", login.refresh(), "")
	i.call(t, http.MethodPost, "/users/login", "", `{"email":"ann.secretive@example.com","password":"wrong-`+password+`"}`)
	i.call(t, http.MethodPost, "/users/signup", "", credentials("ann.secretive@example.com"))
	require.NoError(t, i.stop())
	log := i.log.String()
	require.NotEmpty(t, i.log.all(t, requestLine))
	for _, token := range []string{login.access(), login.refresh(), refreshed.access(), refreshed.refresh()} {
		for _, part := range strings.Split(token, ".")[1:] {
			require.NotContains(t, log, part)
		}
	}
	require.NotContains(t, log, password)
	require.NotContains(t, log, "$2a$", "nor its hash")
	require.NotContains(t, log, "ann.secretive@example.com")
}

func TestFieldsBindByTheNamesThatFrontEndsSend(t *testing.T) {
	i := start(t, testConfig(t))
	token := i.login(t, "ann@example.com").access()
	require.Zero(t, i.call(t, http.MethodPost, "/users/edit", token, `{"nickname":"A","birthday":"2000-01-02","aboutMe":"me"}`).Code)
	var profile struct {
		Nickname, Birthday, AboutMe string
	}
	require.NoError(t, json.Unmarshal([]byte(i.call(t, http.MethodGet, "/users/profile", token, "").raw), &profile))
	require.Equal(t, "A", profile.Nickname)
	require.Equal(t, "2000-01-02", profile.Birthday)
	require.Equal(t, "me", profile.AboutMe)
}
