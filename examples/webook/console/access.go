package console

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/ratelimit"
)

const (
	// sessionName is the cookie of who has unlocked the page, and sessionLife how
	// long that holds.
	sessionName = "webook-console"
	sessionLife = time.Hour
	longestName = 64
)

// The reasons to refuse a change.
var (
	errReadOnly = errors.New("the console is read only: no token is configured")
	errLocked   = errors.New("changes need the token")
	errToken    = errors.New("this is not the token")
	errTooMany  = errors.New("too many wrong tokens from your address: wait a minute")
	errNameless = errors.New("say who you are, in 1 to 64 characters: the history shows it")
)

// access tells who may change things: who has the token, as a bearer or in a session
// that was opened with it. A session is a signed cookie, so nothing is kept here and
// every instance with the same token knows it.
type access struct {
	token   logger.Secret
	key     []byte
	guesses ratelimit.Limiter
}

func newAccess(token logger.Secret) (*access, error) {
	guesses, err := ratelimit.NewTokenBucket(ratelimit.PerMinute(10), ratelimit.WithBurst(10))
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, []byte(token.Reveal()))
	mac.Write([]byte("webook console session"))
	return &access{token: token, key: mac.Sum(nil), guesses: guesses}, nil
}

// possible tells whether anybody can change anything.
func (a *access) possible() bool { return !a.token.Empty() }

// check compares a token in a time that says nothing about it. Wrong ones are
// limited by the address they come from.
func (a *access) check(r *http.Request, token string) error {
	if !a.possible() {
		return errReadOnly
	}
	from, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		from = r.RemoteAddr
	}
	if d, err := a.guesses.Take(r.Context(), from, 0); err != nil || d.Remaining == 0 {
		return errors.Join(errTooMany, err)
	}
	if a.token.Equal(logger.NewSecret(token)) {
		return nil
	}
	if _, err := a.guesses.Take(r.Context(), from, 1); err != nil {
		return err
	}
	return errToken
}

// session is what the cookie says.
type session struct {
	Name  string `json:"name"`
	Until int64  `json:"until"` // s
}

// unlock opens a session.
func (a *access) unlock(w http.ResponseWriter, r *http.Request, token, name string) error {
	if err := a.check(r, token); err != nil {
		return err
	}
	name = strings.TrimSpace(name)
	if name == "" || len(name) > longestName {
		return errNameless
	}
	text, err := json.Marshal(session{Name: name, Until: time.Now().Add(sessionLife).Unix()})
	if err != nil {
		return err
	}
	setSession(w, r, a.seal(text), int(sessionLife.Seconds()))
	return nil
}

func (a *access) lock(w http.ResponseWriter, r *http.Request) { setSession(w, r, "", -1) }

func setSession(w http.ResponseWriter, r *http.Request, value string, life int) {
	http.SetCookie(w, &http.Cookie{
		Name: sessionName, Value: value, Path: "/console", MaxAge: life, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		// Over plain HTTP the token has been seen by whoever listens anyway.
		Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https",
	})
}

// who returns the name of who may change things, or why nobody may.
func (a *access) who(r *http.Request) (string, error) {
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return strings.TrimSpace(r.FormValue("author")), a.check(r, token)
	}
	return a.visitor(r)
}

// visitor is who, for those who come with a session.
func (a *access) visitor(r *http.Request) (string, error) {
	if !a.possible() {
		return "", errReadOnly
	}
	cookie, err := r.Cookie(sessionName)
	if err != nil {
		return "", errLocked
	}
	var s session
	text, ok := a.open(cookie.Value)
	if !ok || json.Unmarshal(text, &s) != nil || time.Now().Unix() >= s.Until {
		return "", errLocked
	}
	return s.Name, nil
}

func (a *access) seal(text []byte) string {
	mac := hmac.New(sha256.New, a.key)
	mac.Write(text)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(text))
}

func (a *access) open(sealed string) ([]byte, bool) {
	all, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil || len(all) < sha256.Size {
		return nil, false
	}
	text := all[:len(all)-sha256.Size]
	mac := hmac.New(sha256.New, a.key)
	mac.Write(text)
	return text, hmac.Equal(mac.Sum(nil), all[len(text):])
}
