// Package session keeps people logged in: with a pair of signed tokens, or with
// a cookie and data on the server.
//
// # Tokens
//
// A login makes a session with a random id and hands out two tokens. The access
// token is short-lived and goes with each request; the refresh token lives for
// days and buys the next pair. They differ in key, audience and type, so neither
// passes for the other. Both are bound to the user agent that logged in.
//
//	m, err := session.New(redissession.New(rdb), keys, session.Config{})
//	tokens, err := m.Issue(ctx, userID, userAgent)   // after the password was checked
//	rules, err := session.NewRules(session.Public("/users/login", "/users/refresh_token"))
//	router.Use(m.Login(rules))                       // everything else needs a login
//	err = m.Revoke(ctx, claims.SessionID)            // logout, on all nodes
//
// The store holds a record for every living session, and nothing for a dead one.
// So logout is the deletion of the record, a lost database ends sessions rather
// than reviving them, and no revocation can outlive or fall short of the token
// it is about. Each node remembers a record for [Config.CacheTTL] (1 s): a
// request costs at most one round trip, usually none, and a logout holds on
// every node a second later at the latest.
//
// Refreshing rotates: each refresh token carries the generation of its session,
// and the store moves one generation on. A token of an older generation means
// that two parties hold it, so the whole session ends, except within
// [Config.Grace] (10 s), in which parallel tabs get the successor too. The
// session's absolute end is fixed at login; refreshing never moves it.
//
// # Server-side sessions
//
// [ServerSide] is for those who do not want tokens: a cookie with a random id,
// and the fields in Redis, in memory, or sealed in the cookie itself.
//
// # Errors
//
// [ErrMissing], [ErrInvalid], [ErrExpired], [ErrRevoked] and [ErrReused] mean
// "log in again" and render as 401; [ErrUnavailable] means that the store did
// not answer and renders as 503; [ErrTooLarge] is for sealed cookies. Errors of
// the methods carry the *ginx.Error that renders them, so a handler returns
// them as they are. No error and no String method shows a token.
package session

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/bulwark-go/bulwark/observe"
)

// The response headers that carry the tokens. A browser needs them exposed by
// CORS.
const (
	HeaderAccess  = "X-Jwt-Token"
	HeaderRefresh = "X-Refresh-Token"
)

// Claims are what a handler learns about who is calling.
type Claims struct {
	// UserID is the logged-in user, always positive.
	UserID int64
	// SessionID names the session; it is safe to log, knowing it opens nothing.
	SessionID string
	// ExpiresAt is when the access token ends. Server-side sessions have none:
	// there it is EndsAt.
	ExpiresAt time.Time
	// EndsAt is the absolute end of the session, whatever is refreshed.
	EndsAt time.Time
}

// Tokens is what a login or a refresh hands out. It prints without the tokens
// and has no JSON form: send it with [Tokens.Header].
type Tokens struct {
	Access  string `json:"-"`
	Refresh string `json:"-"`
	// Claims are those of the access token.
	Claims Claims
	// RefreshExpiresAt is when the refresh token ends.
	RefreshExpiresAt time.Time
}

// Header returns the response headers that carry the tokens, and the one that
// keeps caches from storing them.
func (t Tokens) Header() http.Header {
	return http.Header{HeaderAccess: {t.Access}, HeaderRefresh: {t.Refresh}, "Cache-Control": {"no-store"}}
}

// String names the session only.
func (t Tokens) String() string { return "session.Tokens(" + t.Claims.SessionID + ")" }

// GoString is [Tokens.String], for %#v.
func (t Tokens) GoString() string { return t.String() }

// LogValue is [Tokens.String], for slog.
func (t Tokens) LogValue() slog.Value { return slog.StringValue(t.String()) }

// Manager issues, checks, refreshes and revokes token sessions. Nodes that share
// the store, the keys and the config are one. It runs no goroutine and needs no
// Close; it is safe for concurrent use.
type Manager struct {
	cfg      Config
	store    Store
	access   *signer
	refresh  *signer
	live     *liveness[struct{}]
	settings settings
}

// Option configures [New] and [NewServerSide].
type Option interface{ apply(*settings) }

type settings struct{ observer observe.Observer }

type optionFunc func(*settings)

func (f optionFunc) apply(s *settings) { f(s) }

// WithObserver reports each login check of the Login middleware to o. Default:
// nobody.
func WithObserver(o observe.Observer) Option {
	return optionFunc(func(s *settings) { s.observer = observe.OrNop(o) })
}

func newSettings(opts []Option) settings {
	s := settings{observer: observe.Nop()}
	for _, o := range opts {
		o.apply(&s)
	}
	return s
}

// New returns a Manager. The error joins everything that is wrong with the keys
// and the config.
func New(store Store, keys Keys, cfg Config, opts ...Option) (*Manager, error) {
	cfg = cfg.withDefaults()
	err := errors.Join(cfg.validate(), keys.validate())
	if store == nil {
		err = errors.Join(errors.New("session: store is nil"), err)
	}
	if err != nil {
		return nil, err
	}
	m := &Manager{
		cfg:      cfg,
		store:    store,
		access:   newSigner(kindAccess, keys.Access, cfg),
		refresh:  newSigner(kindRefresh, keys.Refresh, cfg),
		settings: newSettings(opts),
	}
	m.live = newLiveness(cfg.bounds(), func(id string) string { return id }, m.alive)
	return m, nil
}

// Issue starts a session for a user who has just proved who they are, and
// returns its first tokens. Each call makes a session of its own.
func (m *Manager) Issue(ctx context.Context, userID int64, userAgent string) (Tokens, error) {
	if userID <= 0 {
		return Tokens{}, fmt.Errorf("session: user id %d: must be positive", userID)
	}
	now := time.Now()
	p := payload{UserID: userID, Session: rand.Text(), Generation: 1, End: now.Add(m.cfg.SessionTTL).Unix()}
	p.Fingerprint = fingerprint(p.Session, userAgent)
	err := m.live.call(ctx, func(ctx context.Context) error {
		return m.store.Create(ctx, p.Session, m.recordTTL(p, now))
	})
	if err != nil {
		return Tokens{}, refuse(err)
	}
	m.live.learn(p.Session, verdict[struct{}]{asked: now})
	return m.mint(p, now)
}

// Refresh trades a refresh token for the next pair. The token given is spent:
// used again after [Config.Grace] it ends the session with [ErrReused].
func (m *Manager) Refresh(ctx context.Context, refreshToken, userAgent string) (Tokens, error) {
	now := time.Now()
	p, err := m.refresh.open(refreshToken, userAgent, now)
	if err != nil {
		return Tokens{}, refuse(err)
	}
	err = m.live.call(ctx, func(ctx context.Context) (err error) {
		p.Generation, err = m.store.Rotate(ctx, p.Session, Rotation{
			Generation: p.Generation, Grace: m.cfg.Grace, TTL: m.recordTTL(p, now),
		})
		return err
	})
	if err != nil {
		if errors.Is(err, ErrReused) || errors.Is(err, ErrRevoked) {
			m.live.bury(p.Session)
		}
		return Tokens{}, refuse(err)
	}
	m.live.learn(p.Session, verdict[struct{}]{asked: now})
	return m.mint(p, now)
}

// Revoke ends a session: at once on this node, within [Config.CacheTTL] on the
// others. Revoking an unknown session is no error. When the store does not
// answer the session lives on, and the error is [ErrUnavailable].
func (m *Manager) Revoke(ctx context.Context, sessionID string) error {
	err := m.live.call(ctx, func(ctx context.Context) error { return m.store.Revoke(ctx, sessionID) })
	if err != nil {
		return refuse(err)
	}
	m.live.bury(sessionID)
	return nil
}

// Verify checks an access token and that its session lives, as [Manager.Login]
// does, for transports other than gin. It fails closed when the store is away.
func (m *Manager) Verify(ctx context.Context, accessToken, userAgent string) (Claims, error) {
	claims, _, err := m.verify(ctx, accessToken, userAgent, 0)
	if err != nil {
		return Claims{}, refuse(err)
	}
	return claims, nil
}

// verify also tells whether the session was taken on trust, because the store
// did not answer and failOpen allowed it.
func (m *Manager) verify(ctx context.Context, token, userAgent string, failOpen time.Duration) (Claims, bool, error) {
	p, err := m.access.open(token, userAgent, time.Now())
	if err != nil {
		return Claims{}, false, err
	}
	_, from, err := m.live.check(ctx, p.Session, failOpen)
	if err != nil {
		return Claims{}, false, err
	}
	return p.claims(), from == trusted, nil
}

// alive asks the store.
func (m *Manager) alive(ctx context.Context, id string) (none struct{}, _ error) {
	alive, err := m.store.Alive(ctx, id)
	if err == nil && !alive {
		err = ErrRevoked
	}
	return none, err
}

// recordTTL is how long the store must remember the session: as long as the
// refresh token that goes with it is accepted.
func (m *Manager) recordTTL(p payload, now time.Time) time.Duration {
	return m.expiry(p, now, m.cfg.RefreshTTL).Sub(now) + m.cfg.Leeway
}

// expiry is ttl from now, but never after the session's end.
func (m *Manager) expiry(p payload, now time.Time, ttl time.Duration) time.Time {
	if end := time.Unix(p.End, 0); now.Add(ttl).After(end) {
		return end
	}
	return now.Add(ttl)
}

func (m *Manager) mint(p payload, now time.Time) (Tokens, error) {
	access, err := m.access.sign(p, now, m.expiry(p, now, m.cfg.AccessTTL))
	if err != nil {
		return Tokens{}, err
	}
	refreshEnds := m.expiry(p, now, m.cfg.RefreshTTL)
	refresh, err := m.refresh.sign(p, now, refreshEnds)
	if err != nil {
		return Tokens{}, err
	}
	claims := Claims{
		UserID: p.UserID, SessionID: p.Session,
		ExpiresAt: m.expiry(p, now, m.cfg.AccessTTL), EndsAt: time.Unix(p.End, 0),
	}
	return Tokens{Access: access, Refresh: refresh, Claims: claims, RefreshExpiresAt: refreshEnds}, nil
}
