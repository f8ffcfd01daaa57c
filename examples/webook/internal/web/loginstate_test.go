package web

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
)

func TestAStateLivesAsLongAsItsCookie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := stateKeeper{key: []byte(strings.Repeat("k", 32)), ttl: 10 * time.Minute, path: wechatCallback}
		state, cookie, err := k.issue()
		require.NoError(t, err)
		header := "other=1; " + cookie.Name + "=" + cookie.Value
		time.Sleep(10*time.Minute - time.Second)
		require.NoError(t, k.check(header, state))
		time.Sleep(2 * time.Second)
		require.ErrorIs(t, k.check(header, state), jwt.ErrTokenExpired)
	})
}

func TestOnlyOurSignatureMakesAState(t *testing.T) {
	k := stateKeeper{key: []byte(strings.Repeat("k", 32)), ttl: time.Minute}
	sign := func(method jwt.SigningMethod, key any, audience string, expires bool) string {
		claims := stateClaims{State: "s", RegisteredClaims: jwt.RegisteredClaims{Audience: jwt.ClaimStrings{audience}}}
		if expires {
			claims.ExpiresAt = jwt.NewNumericDate(time.Now().Add(time.Minute))
		}
		text, err := jwt.NewWithClaims(method, claims).SignedString(key)
		require.NoError(t, err)
		return stateCookie + "=" + text
	}
	require.NoError(t, k.check(sign(jwt.SigningMethodHS256, k.key, stateAudience, true), "s"))
	for name, header := range map[string]string{
		"another key":       sign(jwt.SigningMethodHS256, []byte(strings.Repeat("x", 32)), stateAudience, true),
		"no signature":      sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, stateAudience, true),
		"another algorithm": sign(jwt.SigningMethodHS384, k.key, stateAudience, true),
		"another purpose":   sign(jwt.SigningMethodHS256, k.key, "webook", true),
		"no end":            sign(jwt.SigningMethodHS256, k.key, stateAudience, false),
		"no cookie":         "",
		"another cookie":    "a=b",
		"nonsense":          "\x00",
	} {
		require.Error(t, k.check(header, "s"), name)
	}
	require.ErrorIs(t, k.check(sign(jwt.SigningMethodHS256, k.key, stateAudience, true), "t"), errOtherState)
}
