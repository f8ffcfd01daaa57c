package session_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/ginx/session"
)

const browser = "Mozilla/5.0 (X11; Linux x86_64)"

// arena is a manager with one user logged in, and an attacker who may forge.
type arena struct {
	t      *testing.T
	keys   session.Keys
	m      *session.Manager
	tokens session.Tokens
}

func newArena(t *testing.T) *arena {
	a := &arena{t: t, keys: newKeys()}
	var err error
	a.m, err = session.New(session.NewMemoryStore(), a.keys, session.Config{})
	require.NoError(t, err)
	a.tokens = a.login(a.m)
	return a
}

func (a *arena) login(m *session.Manager) session.Tokens {
	a.t.Helper()
	tokens, err := m.Issue(a.t.Context(), 42, browser)
	require.NoError(a.t, err)
	return tokens
}

func (a *arena) verify(token string) error {
	_, err := a.m.Verify(a.t.Context(), token, browser)
	return err
}

func (a *arena) refresh(token string) error {
	_, err := a.m.Refresh(a.t.Context(), token, browser)
	return err
}

// both presents a forged access token and the same forgery of a refresh token,
// and returns the error if both give the same one.
func (a *arena) both(forge func(token string, key session.Key) string) error {
	err := a.verify(forge(a.tokens.Access, a.keys.Access[0]))
	other := a.refresh(forge(a.tokens.Refresh, a.keys.Refresh[0]))
	for _, kind := range []error{nil, session.ErrInvalid, session.ErrExpired, session.ErrRevoked} {
		if errors.Is(err, kind) && errors.Is(other, kind) {
			return err
		}
	}
	a.t.Fatalf("access token: %v, refresh token: %v", err, other)
	return nil
}

// sign signs the content of a token anew, after change, as somebody could who
// holds the key given.
func sign(t *testing.T, token string, method jwt.SigningMethod, key any, change func(header, claims map[string]any)) string {
	t.Helper()
	parsed, _, err := jwt.NewParser(jwt.WithJSONNumber()).ParseUnverified(token, jwt.MapClaims{})
	require.NoError(t, err)
	claims := parsed.Claims.(jwt.MapClaims)
	parsed.Header["alg"] = method.Alg()
	if change != nil {
		change(parsed.Header, claims)
	}
	forged := &jwt.Token{Header: parsed.Header, Claims: claims, Method: method}
	signed, err := forged.SignedString(key)
	require.NoError(t, err)
	return signed
}

// insider forges both tokens with the right keys.
func (a *arena) insider(change func(header, claims map[string]any)) error {
	return a.both(func(token string, key session.Key) string {
		return sign(a.t, token, jwt.SigningMethodHS256, key.Secret, change)
	})
}

// algorithm forges both tokens with another algorithm.
func (a *arena) algorithm(method jwt.SigningMethod, private any) error {
	return a.both(func(token string, key session.Key) string {
		secret := private
		if secret == nil {
			secret = key.Secret
		}
		return sign(a.t, token, method, secret, nil)
	})
}

func segment(v any) string {
	text, _ := json.Marshal(v)
	return base64.RawURLEncoding.EncodeToString(text)
}

// swap replaces one of the three segments of both tokens.
func (a *arena) swap(index int, with func(old string) string) error {
	return a.both(func(token string, _ session.Key) string {
		parts := strings.Split(token, ".")
		parts[index] = with(parts[index])
		return strings.Join(parts, ".")
	})
}

// in is a time claim relative to now.
func in(d time.Duration) int64 { return time.Now().Add(d).Unix() }

var attacks = []struct {
	name   string
	attack func(a *arena) error
	want   error
}{
	{"algorithm none", func(a *arena) error {
		return a.algorithm(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType)
	}, session.ErrInvalid},
	{"algorithm none in mixed case", func(a *arena) error {
		return a.swap(0, func(string) string { return segment(map[string]string{"alg": "nOnE", "kid": "a1"}) })
	}, session.ErrInvalid},
	{"algorithm none, signature left in place", func(a *arena) error {
		return a.swap(0, func(string) string { return segment(map[string]string{"alg": "none", "kid": "a1"}) })
	}, session.ErrInvalid},
	{"HS384 with the right key", func(a *arena) error {
		return a.algorithm(jwt.SigningMethodHS384, nil)
	}, session.ErrInvalid},
	{"HS512 with the right key", func(a *arena) error {
		return a.algorithm(jwt.SigningMethodHS512, nil)
	}, session.ErrInvalid},
	{"RS256 with a key of the attacker's", func(a *arena) error {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		require.NoError(a.t, err)
		return a.algorithm(jwt.SigningMethodRS256, key)
	}, session.ErrInvalid},
	{"ES256 with a key of the attacker's", func(a *arena) error {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(a.t, err)
		return a.algorithm(jwt.SigningMethodES256, key)
	}, session.ErrInvalid},
	{"algorithm missing", func(a *arena) error {
		return a.swap(0, func(string) string { return segment(map[string]string{"typ": "JWT", "kid": "a1"}) })
	}, session.ErrInvalid},
	{"signature cut off", func(a *arena) error {
		return a.swap(2, func(string) string { return "" })
	}, session.ErrInvalid},
	{"signature of another session's token", func(a *arena) error {
		other := a.login(a.m)
		return a.swap(2, func(string) string { return strings.Split(other.Access, ".")[2] })
	}, session.ErrInvalid},
	{"other bits behind the signature's last byte", func(a *arena) error {
		return a.swap(2, func(old string) string {
			const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
			last := strings.IndexByte(alphabet, old[len(old)-1])
			return old[:len(old)-1] + string(alphabet[last|1])
		})
	}, session.ErrInvalid},
	{"user changed, signature kept", func(a *arena) error {
		return a.swap(1, func(old string) string {
			text, err := base64.RawURLEncoding.DecodeString(old)
			require.NoError(a.t, err)
			changed := strings.Replace(string(text), `"uid":42`, `"uid":43`, 1)
			require.NotEqual(a.t, string(text), changed)
			return base64.RawURLEncoding.EncodeToString([]byte(changed))
		})
	}, session.ErrInvalid},
	{"key id unknown", func(a *arena) error {
		return a.insider(func(header, _ map[string]any) { header["kid"] = "a2" })
	}, session.ErrInvalid},
	{"key id missing", func(a *arena) error {
		return a.insider(func(header, _ map[string]any) { delete(header, "kid") })
	}, session.ErrInvalid},
	{"key id that is no text", func(a *arena) error {
		return a.insider(func(header, _ map[string]any) { header["kid"] = []int{1} })
	}, session.ErrInvalid},
	{"unknown key id and the empty key", func(a *arena) error {
		return a.both(func(token string, _ session.Key) string {
			return sign(a.t, token, jwt.SigningMethodHS256, []byte{}, func(header, _ map[string]any) { header["kid"] = "../dev/null" })
		})
	}, session.ErrInvalid},
	{"key brought along in the header", func(a *arena) error {
		mine := newKey("a1")
		return a.both(func(token string, _ session.Key) string {
			return sign(a.t, token, jwt.SigningMethodHS256, mine.Secret, func(header, _ map[string]any) {
				header["jwk"] = map[string]string{"kty": "oct", "k": base64.RawURLEncoding.EncodeToString(mine.Secret)}
			})
		})
	}, session.ErrInvalid},
	{"critical extension that nobody understands", func(a *arena) error {
		return a.insider(func(header, _ map[string]any) { header["crit"] = []string{"b64"} })
	}, session.ErrInvalid},
	{"key that was retired", func(a *arena) error {
		old := a.tokens
		a.keys = newKeys()
		a.keys.Access[0].ID, a.keys.Refresh[0].ID = "a2", "r2"
		a.restart()
		require.ErrorIs(a.t, a.refresh(old.Refresh), session.ErrInvalid)
		return a.verify(old.Access)
	}, session.ErrInvalid},
	{"issuer of another service", func(a *arena) error {
		return a.insider(func(_, claims map[string]any) { claims["iss"] = "other" })
	}, session.ErrInvalid},
	{"issuer missing", func(a *arena) error {
		return a.insider(func(_, claims map[string]any) { delete(claims, "iss") })
	}, session.ErrInvalid},
	{"audience of another service", func(a *arena) error {
		return a.insider(func(_, claims map[string]any) { claims["aud"] = "other/access" })
	}, session.ErrInvalid},
	{"audience missing", func(a *arena) error {
		return a.insider(func(_, claims map[string]any) { delete(claims, "aud") })
	}, session.ErrInvalid},
	{"type missing", func(a *arena) error {
		return a.insider(func(_, claims map[string]any) { delete(claims, "typ") })
	}, session.ErrInvalid},
	{"access token as refresh token", func(a *arena) error {
		return a.refresh(a.tokens.Access)
	}, session.ErrInvalid},
	{"refresh token as access token", func(a *arena) error {
		return a.verify(a.tokens.Refresh)
	}, session.ErrInvalid},
	{"access token dressed up as refresh token by who holds its key", func(a *arena) error {
		return a.refresh(sign(a.t, a.tokens.Access, jwt.SigningMethodHS256, a.keys.Access[0].Secret, func(header, claims map[string]any) {
			header["kid"], claims["typ"], claims["gen"], claims["aud"] = "r1", "refresh", 1, "bulwark/refresh"
		}))
	}, session.ErrInvalid},
	{"expired access token", func(a *arena) error {
		wait(30*time.Minute + 11*time.Second)
		return a.verify(a.tokens.Access)
	}, session.ErrExpired},
	{"expired refresh token", func(a *arena) error {
		wait(7*24*time.Hour + 11*time.Second)
		return a.refresh(a.tokens.Refresh)
	}, session.ErrExpired},
	{"expired token of another service is no expired token", func(a *arena) error {
		return a.insider(func(_, claims map[string]any) { claims["iss"], claims["exp"] = "other", in(-time.Hour) })
	}, session.ErrInvalid},
	{"not yet valid", func(a *arena) error {
		return a.insider(func(_, claims map[string]any) { claims["nbf"] = in(time.Minute) })
	}, session.ErrInvalid},
	{"issued in the future", func(a *arena) error {
		return a.insider(func(_, claims map[string]any) { claims["iat"] = in(time.Minute) })
	}, session.ErrInvalid},
	{"no expiry", func(a *arena) error {
		return a.insider(func(_, claims map[string]any) { delete(claims, "exp") })
	}, session.ErrInvalid},
	{"clocks that differ by less than the leeway are no attack", func(a *arena) error {
		return a.insider(func(_, claims map[string]any) {
			claims["iat"], claims["nbf"], claims["exp"] = in(9*time.Second), in(9*time.Second), in(-9*time.Second)
		})
	}, nil},
	{"nobody as user", func(a *arena) error {
		return a.insider(func(_, claims map[string]any) { claims["uid"] = 0 })
	}, session.ErrInvalid},
	{"stolen into another browser", func(a *arena) error {
		_, err := a.m.Refresh(a.t.Context(), a.tokens.Refresh, "curl/8")
		require.ErrorIs(a.t, err, session.ErrInvalid)
		_, err = a.m.Verify(a.t.Context(), a.tokens.Access, "curl/8")
		return err
	}, session.ErrInvalid},
	{"token after logout", func(a *arena) error {
		require.NoError(a.t, a.m.Revoke(a.t.Context(), a.tokens.Claims.SessionID))
		require.ErrorIs(a.t, a.refresh(a.tokens.Refresh), session.ErrRevoked)
		return a.verify(a.tokens.Access)
	}, session.ErrRevoked},
	{"spent refresh token after the grace", func(a *arena) error {
		next, err := a.m.Refresh(a.t.Context(), a.tokens.Refresh, browser)
		require.NoError(a.t, err)
		wait(10 * time.Second)
		err = a.refresh(a.tokens.Refresh)
		require.ErrorIs(a.t, a.verify(next.Access), session.ErrRevoked)
		require.ErrorIs(a.t, a.refresh(next.Refresh), session.ErrRevoked)
		return err
	}, session.ErrReused},
	{"parallel refresh within the grace is no attack", func(a *arena) error {
		one, err := a.m.Refresh(a.t.Context(), a.tokens.Refresh, browser)
		require.NoError(a.t, err)
		wait(9 * time.Second)
		two, err := a.m.Refresh(a.t.Context(), a.tokens.Refresh, browser)
		require.NoError(a.t, err)
		require.NoError(a.t, errors.Join(a.verify(one.Access), a.verify(two.Access)))
		return a.refresh(two.Refresh)
	}, nil},
	{"refreshing for ever", func(a *arena) error {
		end := a.tokens.Claims.EndsAt
		for time.Until(end) > 6*24*time.Hour {
			wait(6 * 24 * time.Hour)
			next, err := a.m.Refresh(a.t.Context(), a.tokens.Refresh, browser)
			require.NoError(a.t, err)
			require.Equal(a.t, end, next.Claims.EndsAt)
			require.False(a.t, next.RefreshExpiresAt.After(end))
			a.tokens = next
		}
		wait(time.Until(end))
		require.ErrorIs(a.t, a.verify(a.tokens.Access), session.ErrExpired)
		return a.refresh(a.tokens.Refresh)
	}, session.ErrExpired},
}

// restart makes the manager anew with the keys, on an empty store.
func (a *arena) restart() {
	var err error
	a.m, err = session.New(session.NewMemoryStore(), a.keys, session.Config{})
	require.NoError(a.t, err)
}

func TestAttacks(t *testing.T) {
	require.Len(t, attacks, 40)
	for _, attack := range attacks {
		t.Run(attack.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newArena(t)
				require.NoError(t, a.verify(a.tokens.Access), "the genuine token must pass")
				err := attack.attack(a)
				if attack.want == nil {
					require.NoError(t, err)
					return
				}
				require.ErrorIs(t, err, attack.want)
			})
		})
	}
}
