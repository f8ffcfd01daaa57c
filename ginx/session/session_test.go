package session_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/ginx"
	"github.com/bulwark-go/bulwark/ginx/session"
)

func TestAccessTokenIsTheShortLivedOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newArena(t)
		require.Equal(t, 30*time.Minute, time.Until(a.tokens.Claims.ExpiresAt))
		require.Equal(t, 7*24*time.Hour, time.Until(a.tokens.RefreshExpiresAt))
		require.Equal(t, 30*24*time.Hour, time.Until(a.tokens.Claims.EndsAt))
		for token, life := range map[string]time.Duration{a.tokens.Access: 30 * time.Minute, a.tokens.Refresh: 7 * 24 * time.Hour} {
			var claims jwt.RegisteredClaims
			_, _, err := jwt.NewParser().ParseUnverified(token, &claims)
			require.NoError(t, err)
			require.Equal(t, life, claims.ExpiresAt.Sub(claims.IssuedAt.Time))
			require.Equal(t, claims.IssuedAt, claims.NotBefore)
		}
		wait(29 * time.Minute)
		require.NoError(t, a.verify(a.tokens.Access))
	})
}

func TestLifetimesAndBoundsAreChecked(t *testing.T) {
	store := session.NewMemoryStore()
	for name, c := range map[string]struct {
		cfg  session.Config
		want string
	}{
		"swapped":         {session.Config{AccessTTL: 7 * 24 * time.Hour, RefreshTTL: 30 * time.Minute}, "AccessTTL 168h0m0s"},
		"equal":           {session.Config{AccessTTL: time.Hour, RefreshTTL: time.Hour}, "AccessTTL 1h0m0s"},
		"access negative": {session.Config{AccessTTL: -1}, "AccessTTL -1ns"},
		"refresh beyond":  {session.Config{RefreshTTL: 31 * 24 * time.Hour}, "RefreshTTL 744h0m0s"},
		"grace":           {session.Config{Grace: 2 * time.Minute}, "Grace 2m0s"},
		"leeway":          {session.Config{Leeway: -time.Second}, "Leeway -1s"},
		"cache":           {session.Config{CacheTTL: time.Hour}, "CacheTTL 1h0m0s"},
		"size":            {session.Config{CacheSize: -1}, "CacheSize -1"},
		"timeout":         {session.Config{StoreTimeout: 2 * time.Second}, "StoreTimeout 2s"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := session.New(store, newKeys(), c.cfg)
			require.ErrorContains(t, err, "session: "+c.want)
		})
	}
	_, err := session.New(nil, session.Keys{}, session.Config{Grace: -1, Leeway: -1})
	for _, part := range []string{"store is nil", "Grace", "Leeway", "Access keys", "Refresh keys"} {
		require.ErrorContains(t, err, part, "all violations come at once")
	}
}

func TestKeysAreChecked(t *testing.T) {
	good, other, third := newKey("a"), newKey("b"), newKey("c")
	short := session.Key{ID: "s", Secret: good.Secret[:31]}
	for name, c := range map[string]struct {
		keys session.Keys
		want string
	}{
		"none":             {session.Keys{Access: []session.Key{good}}, "Refresh keys: at least one"},
		"short":            {session.Keys{Access: []session.Key{short}, Refresh: []session.Key{other}}, "at least 32 bytes, has 31"},
		"empty":            {session.Keys{Access: []session.Key{{ID: "e"}}, Refresh: []session.Key{other}}, "at least 32 bytes, has 0"},
		"zeros":            {session.Keys{Access: []session.Key{{ID: "z", Secret: make([]byte, 64)}}, Refresh: []session.Key{other}}, "not random"},
		"same for both":    {session.Keys{Access: []session.Key{good}, Refresh: []session.Key{{ID: "r", Secret: good.Secret}}}, "have the same secret"},
		"same, both old":   {session.Keys{Access: []session.Key{good, third}, Refresh: []session.Key{other, third}}, "have the same secret"},
		"id missing":       {session.Keys{Access: []session.Key{{Secret: good.Secret}}, Refresh: []session.Key{other}}, "id must have"},
		"id twice":         {session.Keys{Access: []session.Key{good, {ID: "a", Secret: third.Secret}}, Refresh: []session.Key{other}}, "id stands twice"},
		"secret twice":     {session.Keys{Access: []session.Key{good, {ID: "x", Secret: good.Secret}}, Refresh: []session.Key{other}}, "same secret as"},
		"id out of bounds": {session.Keys{Access: []session.Key{{ID: strings.Repeat("i", 65), Secret: good.Secret}}, Refresh: []session.Key{other}}, "has 65"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := session.New(session.NewMemoryStore(), c.keys, session.Config{})
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), string(good.Secret))
		})
	}
}

func TestKeysRotateWithoutLoggingAnybodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, old := session.NewMemoryStore(), newKeys()
		before, err := session.New(store, old, session.Config{})
		require.NoError(t, err)
		tokens, err := before.Issue(t.Context(), 42, browser)
		require.NoError(t, err)

		both := session.Keys{
			Access:  []session.Key{newKey("a2"), old.Access[0]},
			Refresh: []session.Key{newKey("r2"), old.Refresh[0]},
		}
		during, err := session.New(store, both, session.Config{})
		require.NoError(t, err)
		_, err = during.Verify(t.Context(), tokens.Access, browser)
		require.NoError(t, err)
		tokens, err = during.Refresh(t.Context(), tokens.Refresh, browser)
		require.NoError(t, err)

		after, err := session.New(store, session.Keys{Access: both.Access[:1], Refresh: both.Refresh[:1]}, session.Config{})
		require.NoError(t, err)
		_, err = after.Verify(t.Context(), tokens.Access, browser)
		require.NoError(t, err, "the first key must sign")
		_, err = after.Refresh(t.Context(), tokens.Refresh, browser)
		require.NoError(t, err)
	})
}

func TestTokensAndKeysNeverPrint(t *testing.T) {
	a := newArena(t)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "tokens", a.tokens)
	text, err := json.Marshal(map[string]any{"tokens": a.tokens, "keys": a.keys})
	require.NoError(t, err)
	printed := fmt.Sprintf("%v %+v %#v %s %v %+v %#v", a.tokens, a.tokens, a.tokens, a.tokens, a.keys, a.keys, a.keys)
	_, expired := a.m.Verify(t.Context(), a.tokens.Access, "other")
	_, garbage := a.m.Verify(t.Context(), a.tokens.Access[1:], "other")
	for _, secret := range []string{a.tokens.Access, a.tokens.Refresh, a.tokens.Access[1:], fmt.Sprint(a.keys.Access[0].Secret), string(a.keys.Access[0].Secret), base64.StdEncoding.EncodeToString(a.keys.Access[0].Secret)} {
		for _, output := range []string{log.String(), string(text), printed, expired.Error(), garbage.Error()} {
			require.NotContains(t, output, secret)
		}
	}
}

func TestUserAgentIsBoundButNotReadable(t *testing.T) {
	a := newArena(t)
	other := a.login(a.m)
	seen := map[any]bool{}
	for _, token := range []string{a.tokens.Access, other.Access} {
		claims := jwt.MapClaims{}
		_, _, err := jwt.NewParser().ParseUnverified(token, claims)
		require.NoError(t, err)
		require.NotContains(t, fmt.Sprint(claims), "Mozilla")
		seen[claims["ua"]] = true
	}
	require.Len(t, seen, 2, "sessions of one browser must not be linkable")
}

func TestHeaderCarriesBothTokens(t *testing.T) {
	a := newArena(t)
	h := a.tokens.Header()
	require.Equal(t, a.tokens.Access, h.Get("x-jwt-token"))
	require.Equal(t, a.tokens.Refresh, h.Get("x-refresh-token"))
	require.Equal(t, "no-store", h.Get("Cache-Control"))
}

func TestErrorsRenderAsLoginRequiredOrUnavailable(t *testing.T) {
	a := newArena(t)
	var public *ginx.Error
	require.ErrorAs(t, a.verify(""), &public)
	require.ErrorIs(t, a.verify(""), session.ErrMissing)
	require.Equal(t, http.StatusUnauthorized, public.HTTPStatus)
	require.Equal(t, ginx.CodeClient, public.Code)

	down, err := session.New(&outage{Store: session.NewMemoryStore(), down: true}, a.keys, session.Config{})
	require.NoError(t, err)
	_, err = down.Issue(t.Context(), 42, browser)
	require.ErrorIs(t, err, session.ErrUnavailable)
	require.ErrorAs(t, err, &public)
	require.Equal(t, http.StatusServiceUnavailable, public.HTTPStatus)
	require.Equal(t, ginx.CodeSystem, public.Code)
	require.NotContains(t, public.Msg, "outage", "the client learns nothing internal")
}

func TestTokensWithoutAClaimAreRefused(t *testing.T) {
	a := newArena(t)
	for _, claim := range []string{"iss", "aud", "exp", "nbf", "typ", "uid", "ssid", "ua", "end"} {
		err := a.insider(func(_, claims map[string]any) {
			require.Contains(t, claims, claim)
			delete(claims, claim)
		})
		require.ErrorIs(t, err, session.ErrInvalid, claim)
	}
	err := a.refresh(sign(t, a.tokens.Refresh, jwt.SigningMethodHS256, a.keys.Refresh[0].Secret, func(_, claims map[string]any) {
		delete(claims, "gen")
	}))
	require.ErrorIs(t, err, session.ErrInvalid)
	require.ErrorIs(t, a.verify(strings.Repeat("x", 1<<20)), session.ErrInvalid)
}

func TestIssueRefusesNobody(t *testing.T) {
	a := newArena(t)
	for _, id := range []int64{0, -1} {
		_, err := a.m.Issue(t.Context(), id, browser)
		require.ErrorContains(t, err, "user id")
	}
}

func FuzzTokens(f *testing.F) {
	m, err := session.New(session.NewMemoryStore(), newKeys(), session.Config{})
	if err != nil {
		f.Fatal(err)
	}
	tokens, err := m.Issue(f.Context(), 42, browser)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		"", ".", "..", "...", "null", "a.b.c", "bnVsbA.bnVsbA.bnVsbA", "e30.e30.e30", tokens.Access, tokens.Refresh,
		segment(map[string]any{"alg": nil}) + "." + segment(map[string]any{"exp": 1e300, "aud": []any{1}}) + ".",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		for _, text := range []string{token, segment(json.RawMessage(`{"alg":"HS256","kid":"a1"}`)) + "." + token + ".x"} {
			if _, err := m.Verify(t.Context(), text, browser); err == nil && text != tokens.Access {
				t.Fatalf("forged: %q", text)
			}
			if _, err := m.Refresh(t.Context(), text, browser); err == nil && text != tokens.Refresh {
				t.Fatalf("forged: %q", text)
			}
		}
	})
}
