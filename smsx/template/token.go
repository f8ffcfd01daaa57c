package template

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/bulwark-go/bulwark/smsx/quota"
)

const (
	// MinSecret is the least length of a secret in bytes: that of the hash it keys.
	MinSecret = 32
	// MaxLife is the longest that a token can be valid.
	MaxLife = 400 * 24 * time.Hour

	maxToken = 2048 // bytes that are parsed; ours have some 400
	maxName  = 100  // bytes of tenants and templates
)

// Grant is what a token allows.
type Grant struct {
	// ID is the token's own, to revoke it by; [Issuer.Issue] draws one if it is empty.
	ID string
	// Tenant is who sends, and Template by which template; 1 to 100 bytes each.
	Tenant, Template string
	// Capacity is the most segments in a calendar month, counted for each receiver. All
	// tokens of a tenant and template share the count.
	Capacity int64
	// RatePerMinute is how fast messages may follow each other, as evenly as the
	// limiter asks for (see [WithRates]); 0 is no limit.
	RatePerMinute int64
	// MaxNumbers is the most receivers of one message, at least 1.
	MaxNumbers int
	// NotBefore and ExpiresAt bound it, in whole seconds and at most [MaxLife] apart.
	NotBefore, ExpiresAt time.Time
}

func (g Grant) validate() error {
	var errs []error
	refuse := func(field string, value any) {
		errs = append(errs, fmt.Errorf("smsx/template: %s = %v is out of range", field, value))
	}
	for _, name := range [...]struct{ field, value string }{{"Tenant", g.Tenant}, {"Template", g.Template}, {"ID", g.ID}} {
		if name.value == "" || len(name.value) > maxName {
			refuse(name.field, strconv.Quote(name.value))
		}
	}
	if g.Capacity < 1 || g.Capacity > quota.MaxCapacity {
		refuse("Capacity", g.Capacity)
	}
	if g.RatePerMinute < 0 || g.RatePerMinute > 1_000_000 {
		refuse("RatePerMinute", g.RatePerMinute)
	}
	if g.MaxNumbers < 1 || g.MaxNumbers > 1000 {
		refuse("MaxNumbers", g.MaxNumbers)
	}
	if life := g.ExpiresAt.Sub(g.NotBefore); life <= 0 || life > MaxLife {
		refuse("ExpiresAt", g.ExpiresAt)
	}
	return errors.Join(errs...)
}

// account names the grant's count; the length keeps names from running together.
func (g Grant) account() string { return strconv.Itoa(len(g.Tenant)) + ":" + g.Tenant + g.Template }

// claims is the signed content. Times are Unix seconds and the audience is one text:
// we issue no others, and a plain field opens in a third of the time that the
// library's types take.
type claims struct {
	Issuer     string `json:"iss"`
	Audience   string `json:"aud"`
	Tenant     string `json:"sub"`
	ID         string `json:"jti"`
	IssuedAt   int64  `json:"iat"`
	NotBefore  int64  `json:"nbf"`
	ExpiresAt  int64  `json:"exp"`
	Template   string `json:"tpl"`
	Capacity   int64  `json:"cap"`
	Rate       int64  `json:"rpm"`
	MaxNumbers int    `json:"num"`
}

// The methods are those of [jwt.Claims]; what is missing is nil or empty.

func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return date(c.ExpiresAt), nil }
func (c *claims) GetNotBefore() (*jwt.NumericDate, error)      { return date(c.NotBefore), nil }
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error)       { return date(c.IssuedAt), nil }
func (c *claims) GetIssuer() (string, error)                   { return c.Issuer, nil }
func (c *claims) GetSubject() (string, error)                  { return c.Tenant, nil }

func (c *claims) GetAudience() (jwt.ClaimStrings, error) {
	if c.Audience == "" {
		return nil, nil
	}
	return jwt.ClaimStrings{c.Audience}, nil
}

func date(seconds int64) *jwt.NumericDate {
	if seconds == 0 {
		return nil
	}
	return &jwt.NumericDate{Time: time.Unix(seconds, 0)}
}

// The algorithm is HMAC-SHA256: whoever issues and whoever verifies trust each
// other, and a verification must cost microseconds.
var method = jwt.SigningMethodHS256

// Key is one secret with a name. It prints without the secret.
type Key struct {
	// ID is written into what the key signs; 1 to 64 bytes, never used for another
	// secret.
	ID string
	// Secret is at least [MinSecret] random bytes.
	Secret []byte `json:"-"`
}

// String hides the secret.
func (k Key) String() string { return "template.Key(" + k.ID + ")" }

// GoString hides the secret from %#v.
func (k Key) GoString() string { return k.String() }

// Config names the two ends of tokens. Both are required: they keep tokens of other
// services, or of the same service elsewhere, from being taken.
type Config struct {
	// Issuer and Audience are who signs, and for whom.
	Issuer, Audience string
}

// keyring is checked keys: the first signs, all verify.
type keyring struct {
	first  Key
	secret map[string][]byte
}

func newKeyring(keys []Key) (*keyring, error) {
	errs := []error{}
	ring := &keyring{secret: map[string][]byte{}}
	if len(keys) == 0 {
		errs = append(errs, errors.New("smsx/template: keys: at least one is required"))
	}
	for i, k := range keys {
		refuse := func(what string) {
			errs = append(errs, fmt.Errorf("smsx/template: keys[%d] (%q): %s", i, k.ID, what))
		}
		if k.ID == "" || len(k.ID) > 64 || ring.secret[k.ID] != nil {
			refuse("id must have 1 to 64 bytes and stand once")
		}
		if len(k.Secret) < MinSecret || bytes.Count(k.Secret, k.Secret[:1]) == len(k.Secret) {
			refuse(fmt.Sprintf("secret must have at least %d random bytes", MinSecret))
		}
		for id, other := range ring.secret {
			if bytes.Equal(other, k.Secret) {
				refuse("same secret as " + strconv.Quote(id))
			}
		}
		ring.secret[k.ID] = append([]byte{}, k.Secret...)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	ring.first = Key{keys[0].ID, ring.secret[keys[0].ID]}
	return ring, nil
}

func (c Config) validate() error {
	var errs []error
	for field, value := range map[string]string{"Issuer": c.Issuer, "Audience": c.Audience} {
		if value == "" || len(value) > maxName {
			errs = append(errs, fmt.Errorf("smsx/template: %s = %q must have 1 to %d bytes", field, value, maxName))
		}
	}
	return errors.Join(errs...)
}

// Issuer signs tokens. It is safe for concurrent use. Make it with [NewIssuer].
type Issuer struct {
	cfg  Config
	ring *keyring
}

// NewIssuer returns an issuer that signs with the first of keys.
func NewIssuer(keys []Key, cfg Config) (*Issuer, error) {
	ring, err := newKeyring(keys)
	if err := errors.Join(err, cfg.validate()); err != nil {
		return nil, err
	}
	return &Issuer{cfg, ring}, nil
}

// Issue signs a grant. The token is as secret as a password.
func (i *Issuer) Issue(g Grant) (string, error) {
	if g.ID == "" {
		g.ID = rand.Text()
	}
	if err := g.validate(); err != nil {
		return "", err
	}
	token := jwt.NewWithClaims(method, &claims{
		Issuer: i.cfg.Issuer, Audience: i.cfg.Audience, Tenant: g.Tenant, ID: g.ID, IssuedAt: g.NotBefore.Unix(),
		NotBefore: g.NotBefore.Unix(), ExpiresAt: g.ExpiresAt.Unix(),
		Template: g.Template, Capacity: g.Capacity, Rate: g.RatePerMinute, MaxNumbers: g.MaxNumbers,
	})
	token.Header["kid"] = i.ring.first.ID
	signed, err := token.SignedString(i.ring.first.Secret)
	if err != nil {
		return "", fmt.Errorf("smsx/template: sign: %w", err)
	}
	return signed, nil
}

// Verifier opens tokens. It is safe for concurrent use. Make it with [NewVerifier].
type Verifier struct {
	ring    atomic.Pointer[keyring]
	parser  *jwt.Parser
	now     func() time.Time
	revoked func(ctx context.Context, id string) (bool, error)
}

// NewVerifier returns a verifier of tokens that any of keys signed.
func NewVerifier(keys []Key, cfg Config, opts ...VerifierOption) (*Verifier, error) {
	ring, err := newKeyring(keys)
	v := &Verifier{now: time.Now}
	for _, opt := range opts {
		opt.applyVerifier(v)
	}
	if v.now == nil {
		err = errors.Join(err, errors.New("smsx/template: clock = nil must be given"))
	}
	if err := errors.Join(err, cfg.validate()); err != nil {
		return nil, err
	}
	v.ring.Store(ring)
	v.parser = jwt.NewParser(
		jwt.WithValidMethods([]string{method.Alg()}), jwt.WithIssuer(cfg.Issuer), jwt.WithAudience(cfg.Audience),
		jwt.WithExpirationRequired(), jwt.WithNotBeforeRequired(), jwt.WithIssuedAt(), jwt.WithStrictDecoding(),
		jwt.WithTimeFunc(func() time.Time { return v.now() }),
	)
	return v, nil
}

// VerifierOption configures a [Verifier].
type VerifierOption interface{ applyVerifier(*Verifier) }

type verifierOption func(*Verifier)

func (f verifierOption) applyVerifier(v *Verifier) { f(v) }

// WithClock sets the wall clock, safe for concurrent use; [time.Now] without it.
func WithClock(now func() time.Time) VerifierOption {
	return verifierOption(func(v *Verifier) { v.now = now })
}

// WithRevoked sets what tells whether a token was taken back, as [Desk.Revoked] does;
// its error refuses the token. Without it tokens end by themselves only.
func WithRevoked(revoked func(ctx context.Context, id string) (bool, error)) VerifierOption {
	return verifierOption(func(v *Verifier) { v.revoked = revoked })
}

// Rotate replaces the keys at once. To change keys without a gap let every verifier
// know the new one first, then let issuers sign with it, and drop the old one when
// the last token that it signed has expired. Bad keys are refused and change nothing.
func (v *Verifier) Rotate(keys []Key) error {
	ring, err := newKeyring(keys)
	if err != nil {
		return err
	}
	v.ring.Store(ring)
	return nil
}

// Verify opens a token. Its errors are [ErrMissing], [ErrToken], [ErrExpired],
// [ErrRevoked], or that of asking; none repeats the token.
func (v *Verifier) Verify(ctx context.Context, token string) (Grant, error) {
	if token == "" {
		return Grant{}, ErrMissing
	}
	if len(token) > maxToken {
		return Grant{}, fmt.Errorf("%w: %d bytes long", ErrToken, len(token))
	}
	var c claims
	if _, err := v.parser.ParseWithClaims(token, &c, v.key); err != nil {
		return Grant{}, classify(err)
	}
	g := Grant{
		ID: c.ID, Tenant: c.Tenant, Template: c.Template, Capacity: c.Capacity, RatePerMinute: c.Rate,
		MaxNumbers: c.MaxNumbers, NotBefore: time.Unix(c.NotBefore, 0), ExpiresAt: time.Unix(c.ExpiresAt, 0),
	}
	if err := g.validate(); err != nil {
		return Grant{}, fmt.Errorf("%w: claims out of range", ErrToken)
	}
	if v.revoked != nil {
		switch gone, err := v.revoked(ctx, g.ID); {
		case err != nil:
			return Grant{}, fmt.Errorf("smsx/template: revoked: %w", err)
		case gone:
			return Grant{}, ErrRevoked
		}
	}
	return g, nil
}

// key finds the secret by the key id, never by anything else in the header.
func (v *Verifier) key(t *jwt.Token) (any, error) {
	if _, ok := t.Header["crit"]; ok {
		return nil, errors.New("critical extensions are not understood")
	}
	id, _ := t.Header["kid"].(string)
	secret, ok := v.ring.Load().secret[id]
	if !ok {
		return nil, errors.New("unknown key id")
	}
	return secret, nil
}

// classify tells a token that is not valid now from one that never is. The parser's
// own texts stay inside: some quote the token.
func classify(err error) error {
	for _, reason := range []error{
		jwt.ErrTokenMalformed, jwt.ErrTokenUnverifiable, jwt.ErrTokenSignatureInvalid, jwt.ErrTokenInvalidAudience,
		jwt.ErrTokenInvalidIssuer, jwt.ErrTokenRequiredClaimMissing,
	} {
		if errors.Is(err, reason) {
			return fmt.Errorf("%w: %w", ErrToken, reason)
		}
	}
	for _, reason := range []error{jwt.ErrTokenExpired, jwt.ErrTokenNotValidYet, jwt.ErrTokenUsedBeforeIssued} {
		if errors.Is(err, reason) {
			return ErrExpired
		}
	}
	return ErrToken
}
