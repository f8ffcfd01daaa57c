package session

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// maxToken bounds what is parsed; ours have some 400 bytes.
const maxToken = 2048

// A kind tells the two tokens apart, in the type claim and the audience. The
// keys do as well.
type kind string

const (
	kindAccess  kind = "access"
	kindRefresh kind = "refresh"
)

// payload is the signed content of both tokens.
type payload struct {
	jwt.RegisteredClaims
	Type    kind   `json:"typ"`
	UserID  int64  `json:"uid"`
	Session string `json:"ssid"`
	// Fingerprint stands for the user agent.
	Fingerprint string `json:"ua"`
	// End is the absolute end of the session in Unix seconds, copied unchanged
	// from token to token.
	End int64 `json:"end"`
	// Generation counts the session's rotations; only refresh tokens have it.
	Generation int64 `json:"gen,omitempty"`
}

func (p payload) claims() Claims {
	return Claims{
		UserID: p.UserID, SessionID: p.Session,
		ExpiresAt: p.ExpiresAt.Time, EndsAt: time.Unix(p.End, 0),
	}
}

// signer signs and opens tokens of one kind.
type signer struct {
	kind     kind
	issuer   string
	audience string
	current  Key
	secrets  map[string][]byte
	parser   *jwt.Parser
}

// The algorithm is HMAC-SHA256: signer and verifier are the same service, and a
// verification must cost microseconds.
var method = jwt.SigningMethodHS256

func newSigner(k kind, keys []Key, cfg Config) *signer {
	s := &signer{
		kind: k, issuer: cfg.Issuer, audience: cfg.Issuer + "/" + string(k),
		secrets: make(map[string][]byte, len(keys)),
	}
	for _, key := range keys {
		s.secrets[key.ID] = bytes.Clone(key.Secret)
	}
	s.current = Key{ID: keys[0].ID, Secret: s.secrets[keys[0].ID]}
	s.parser = jwt.NewParser(
		jwt.WithValidMethods([]string{method.Alg()}),
		jwt.WithIssuer(s.issuer), jwt.WithAudience(s.audience),
		jwt.WithExpirationRequired(), jwt.WithNotBeforeRequired(), jwt.WithIssuedAt(),
		jwt.WithLeeway(cfg.Leeway), jwt.WithStrictDecoding(),
	)
	return s
}

func (s *signer) sign(p payload, now, expires time.Time) (string, error) {
	p.Type = s.kind
	if s.kind == kindAccess {
		p.Generation = 0
	}
	p.RegisteredClaims = jwt.RegisteredClaims{
		Issuer: s.issuer, Audience: jwt.ClaimStrings{s.audience},
		IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now),
		ExpiresAt: jwt.NewNumericDate(expires),
	}
	token := jwt.NewWithClaims(method, p)
	token.Header["kid"] = s.current.ID
	signed, err := token.SignedString(s.current.Secret)
	if err != nil {
		return "", fmt.Errorf("session: sign %s token: %w", s.kind, err)
	}
	return signed, nil
}

// open checks everything that the token alone can tell. Its errors are
// ErrMissing, ErrExpired and ErrInvalid.
func (s *signer) open(raw, userAgent string, now time.Time) (payload, error) {
	if raw == "" {
		return payload{}, ErrMissing
	}
	if len(raw) > maxToken {
		return payload{}, fmt.Errorf("%w: %d bytes long", ErrInvalid, len(raw))
	}
	var p payload
	if _, err := s.parser.ParseWithClaims(raw, &p, s.key); err != nil {
		return payload{}, classify(err)
	}
	switch {
	case p.Type != s.kind:
		return payload{}, fmt.Errorf("%w: not of type %s", ErrInvalid, s.kind)
	case p.UserID <= 0 || p.Session == "" || p.End <= 0 || (s.kind == kindRefresh) != (p.Generation > 0):
		return payload{}, fmt.Errorf("%w: incomplete claims", ErrInvalid)
	case p.Fingerprint != fingerprint(p.Session, userAgent):
		return payload{}, fmt.Errorf("%w: another user agent", ErrInvalid)
	case !now.Before(time.Unix(p.End, 0)):
		return payload{}, fmt.Errorf("%w: absolute end of the session", ErrExpired)
	}
	return p, nil
}

// key finds the secret by the key id, never by anything else in the header.
func (s *signer) key(t *jwt.Token) (any, error) {
	if _, ok := t.Header["crit"]; ok {
		return nil, errors.New("critical extensions are not understood")
	}
	id, _ := t.Header["kid"].(string)
	secret, ok := s.secrets[id]
	if !ok {
		return nil, errors.New("unknown key id")
	}
	return secret, nil
}

// classify tells a token that is only too old from one that was never good. The
// texts of the parser's errors stay inside: some quote the token.
func classify(err error) error {
	for _, reason := range []error{
		jwt.ErrTokenMalformed, jwt.ErrTokenUnverifiable, jwt.ErrTokenSignatureInvalid,
		jwt.ErrTokenInvalidAudience, jwt.ErrTokenInvalidIssuer, jwt.ErrTokenRequiredClaimMissing,
		jwt.ErrTokenUsedBeforeIssued, jwt.ErrTokenNotValidYet,
	} {
		if errors.Is(err, reason) {
			return fmt.Errorf("%w: %w", ErrInvalid, reason)
		}
	}
	if errors.Is(err, jwt.ErrTokenExpired) {
		return ErrExpired
	}
	return ErrInvalid
}

// fingerprint stands for a user agent without telling it, and differs from
// session to session, so that tokens can't be linked by it.
func fingerprint(session, userAgent string) string {
	sum := sha256.Sum256([]byte(session + "\n" + userAgent))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
