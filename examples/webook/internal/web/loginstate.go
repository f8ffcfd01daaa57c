package web

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

// stateCookie has the name that front ends know.
const stateCookie = "jwt-state"

// stateAudience keeps other tokens of ours from passing for a state.
const stateAudience = "oauth2-state"

// stateKeeper ties a login through another site to the browser that began it: the
// state goes out in the address and, signed, in a cookie, and both must come back.
// Without that, somebody could finish a login of theirs in another's browser.
type stateKeeper struct {
	key    []byte
	ttl    time.Duration
	path   string
	secure bool
}

type stateClaims struct {
	State string `json:"state"`
	jwt.RegisteredClaims
}

// issue returns a new state and the cookie that goes with it; both live as long.
func (k stateKeeper) issue() (state string, cookie *http.Cookie, err error) {
	state = uuid.NewString()
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, stateClaims{state, jwt.RegisteredClaims{
		Audience: jwt.ClaimStrings{stateAudience}, ExpiresAt: jwt.NewNumericDate(time.Now().Add(k.ttl)),
	}})
	signed, err := token.SignedString(k.key)
	if err != nil {
		return "", nil, fmt.Errorf("web: sign state: %w", err)
	}
	return state, k.cookie(signed, int(k.ttl.Seconds())), nil
}

// cookie is Lax, as the browser comes back from another site.
func (k stateKeeper) cookie(value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: stateCookie, Value: value, Path: k.path, MaxAge: maxAge,
		HttpOnly: true, Secure: k.secure, SameSite: http.SameSiteLaxMode,
	}
}

var (
	errNoState    = errors.New("web: no state cookie")
	errOtherState = errors.New("web: the state is another browser's")
)

// check tells whether state is the one in the Cookie header.
func (k stateKeeper) check(header, state string) error {
	signed, err := find(header)
	if err != nil {
		return err
	}
	var claims stateClaims
	_, err = jwt.ParseWithClaims(signed, &claims, func(*jwt.Token) (any, error) { return k.key, nil },
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithExpirationRequired(), jwt.WithAudience(stateAudience))
	if err != nil {
		return fmt.Errorf("web: state cookie: %w", err)
	}
	if claims.State == "" || subtle.ConstantTimeCompare([]byte(claims.State), []byte(state)) != 1 {
		return errOtherState
	}
	return nil
}

func find(header string) (string, error) {
	if header == "" {
		return "", errNoState
	}
	cookies, err := http.ParseCookie(header)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errNoState, err)
	}
	for _, c := range cookies {
		if c.Name == stateCookie {
			return c.Value, nil
		}
	}
	return "", errNoState
}
