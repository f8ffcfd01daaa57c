package template_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/smsx"
	"github.com/bulwark-go/bulwark/smsx/memory"
	"github.com/bulwark-go/bulwark/smsx/quota"
	"github.com/bulwark-go/bulwark/smsx/template"
)

var config = template.Config{Issuer: "ops", Audience: "sms"}

func key(id string) template.Key {
	sum := sha256.Sum256([]byte("secret of " + id))
	return template.Key{ID: id, Secret: sum[:]}
}

// arena is a service with an honest tenant's token, and an attacker who may forge.
type arena struct {
	t      *testing.T
	vendor *memory.Service
	quota  *quota.Memory
	desk   *template.Desk
	issuer *template.Issuer
	svc    *template.Service
	grant  template.Grant
	token  string
}

func newArena(t *testing.T) *arena {
	a := &arena{t: t, vendor: memory.New("vendor")}
	var err error
	a.issuer, err = template.NewIssuer([]template.Key{key("a")}, config)
	require.NoError(t, err)
	a.desk, err = template.NewDesk(&template.MemoryRequests{}, a.issuer)
	require.NoError(t, err)
	verifier, err := template.NewVerifier([]template.Key{key("a"), key("b")}, config, template.WithRevoked(a.desk.Revoked))
	require.NoError(t, err)
	a.quota, err = quota.NewMemory()
	require.NoError(t, err)
	a.svc, err = template.New(a.vendor, verifier, a.quota,
		template.Texts(map[string]string{"SMS_1": "Your code is ${code}.", "SMS_2": "{1}"}), key("content").Secret)
	require.NoError(t, err)
	a.grant = template.Grant{
		Tenant: "shop", Template: "SMS_1", Capacity: 10, MaxNumbers: 2,
		NotBefore: time.Now(), ExpiresAt: time.Now().Add(24 * time.Hour),
	}
	a.token = a.approve(a.grant)
	return a
}

func (a *arena) approve(g template.Grant) string {
	a.t.Helper()
	r, err := a.desk.Ask(a.t.Context(), "ann", g)
	require.NoError(a.t, err)
	token, err := a.desk.Approve(a.t.Context(), r.ID, "bob")
	require.NoError(a.t, err)
	return token
}

func number(t testing.TB, s string) smsx.Number {
	n, err := smsx.ParseNumber(s)
	require.NoError(t, err)
	return n
}

func (a *arena) message(id string) smsx.Message {
	return smsx.Message{
		ID: id, Args: []smsx.Arg{{Name: "code", Value: "493817"}}, Numbers: []smsx.Number{number(a.t, "+8613800138000")},
	}
}

func (a *arena) send(token string, m smsx.Message) error {
	_, err := a.svc.Send(template.WithToken(a.t.Context(), token), m)
	return err
}

// parts opens a token without looking at its signature.
func parts(t *testing.T, token string) (header, claims map[string]any) {
	split := strings.Split(token, ".")
	for i, into := range []*map[string]any{&header, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(split[i])
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(raw, into))
	}
	return header, claims
}

// forge signs a changed token, with the true key unless change says otherwise.
func (a *arena) forge(change func(header, claims map[string]any) (jwt.SigningMethod, any)) string {
	header, claims := parts(a.t, a.token)
	method, secret := change(header, claims)
	token := &jwt.Token{Header: header, Claims: jwt.MapClaims(claims), Method: method}
	signed, err := token.SignedString(secret)
	require.NoError(a.t, err)
	return signed
}

// claim signs, with the true key, a token with one claim changed; nil removes it.
func (a *arena) claim(name string, value any) string {
	return a.forge(func(_, claims map[string]any) (jwt.SigningMethod, any) {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
		return jwt.SigningMethodHS256, key("a").Secret
	})
}

// header does so with a header.
func (a *arena) header(name string, value any) string {
	return a.forge(func(header, _ map[string]any) (jwt.SigningMethod, any) {
		if header[name] = value; value == nil {
			delete(header, name)
		}
		return jwt.SigningMethodHS256, key("a").Secret
	})
}

// algorithm signs by another one.
func (a *arena) algorithm(method jwt.SigningMethod, secret any) string {
	return a.forge(func(header, _ map[string]any) (jwt.SigningMethod, any) {
		header["alg"] = method.Alg()
		return method, secret
	})
}

// raw signs a header and claims as they are, byte for byte.
func raw(header, claims string, secret []byte) string {
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func segment(token string, i int) string { return strings.Split(token, ".")[i] }

// attacks is the corpus: what is presented, and with which reason it is refused.
var attacks = map[string]struct {
	token func(a *arena) string
	want  error
}{
	"no token":         {func(*arena) string { return "" }, template.ErrMissing},
	"a template's id":  {func(*arena) string { return "SMS_1" }, template.ErrToken},
	"algorithm none":   {func(a *arena) string { return a.algorithm(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType) }, template.ErrToken},
	"algorithm NoNe":   {func(a *arena) string { return raw(`{"alg":"NoNe","kid":"a"}`, claimsOf(a), nil) }, template.ErrToken},
	"no signature":     {func(a *arena) string { return segment(a.token, 0) + "." + segment(a.token, 1) + "." }, template.ErrToken},
	"no third part":    {func(a *arena) string { return segment(a.token, 0) + "." + segment(a.token, 1) }, template.ErrToken},
	"HS512, true key":  {func(a *arena) string { return a.algorithm(jwt.SigningMethodHS512, key("a").Secret) }, template.ErrToken},
	"HS384, true key":  {func(a *arena) string { return a.algorithm(jwt.SigningMethodHS384, key("a").Secret) }, template.ErrToken},
	"RS256":            {func(a *arena) string { return a.algorithm(jwt.SigningMethodRS256, rsaKey(a.t)) }, template.ErrToken},
	"ES256":            {func(a *arena) string { return a.algorithm(jwt.SigningMethodES256, ecdsaKey(a.t)) }, template.ErrToken},
	"HS256 as ES256":   {func(a *arena) string { return a.header("alg", "ES256") }, template.ErrToken},
	"no algorithm":     {func(a *arena) string { return a.header("alg", nil) }, template.ErrToken},
	"empty key":        {func(a *arena) string { return raw(headerOf(a), claimsOf(a), nil) }, template.ErrToken},
	"another key":      {func(a *arena) string { return raw(headerOf(a), claimsOf(a), key("c").Secret) }, template.ErrToken},
	"the id as key":    {func(a *arena) string { return raw(headerOf(a), claimsOf(a), []byte("a")) }, template.ErrToken},
	"unknown key id":   {func(a *arena) string { return a.header("kid", "c") }, template.ErrToken},
	"no key id":        {func(a *arena) string { return a.header("kid", nil) }, template.ErrToken},
	"key id, a number": {func(a *arena) string { return a.header("kid", 1) }, template.ErrToken},
	"a key by path":    {func(a *arena) string { return raw(`{"alg":"HS256","kid":"../../dev/null"}`, claimsOf(a), nil) }, template.ErrToken},
	"a key brought along": {func(a *arena) string {
		return raw(`{"alg":"HS256","kid":"mine","jwk":{"kty":"oct","k":"AAAA"}}`, claimsOf(a), []byte{0, 0, 0})
	}, template.ErrToken},
	"another known key's id": {func(a *arena) string { return a.header("kid", "b") }, template.ErrToken},
	"critical extension":     {func(a *arena) string { return a.header("crit", []string{"b64"}) }, template.ErrToken},
	"changed capacity":       {func(a *arena) string { return tampered(a, `"cap":10`, `"cap":99`) }, template.ErrToken},
	"changed tenant":         {func(a *arena) string { return tampered(a, `"sub":"shop"`, `"sub":"bank"`) }, template.ErrToken},
	"cut signature":          {func(a *arena) string { return a.token[:len(a.token)-2] }, template.ErrToken},
	"unused bits set":        {func(a *arena) string { return unusedBits(a.token) }, template.ErrToken},
	"padded":                 {func(a *arena) string { return a.token + "=" }, template.ErrToken},
	"line breaks":            {func(a *arena) string { return a.token[:9] + "\r\n" + a.token[9:] }, template.ErrToken},
	"two tokens":             {func(a *arena) string { return a.token + "." + a.token }, template.ErrToken},
	"very long":              {func(a *arena) string { return a.token + strings.Repeat("A", 1<<20) }, template.ErrToken},
	"another issuer":         {func(a *arena) string { return a.claim("iss", "dev") }, template.ErrToken},
	"no issuer":              {func(a *arena) string { return a.claim("iss", nil) }, template.ErrToken},
	"another audience":       {func(a *arena) string { return a.claim("aud", "mail") }, template.ErrToken},
	"no audience":            {func(a *arena) string { return a.claim("aud", nil) }, template.ErrToken},
	"expired":                {func(a *arena) string { return a.claim("exp", time.Now().Unix()) }, template.ErrExpired},
	"no expiry":              {func(a *arena) string { return a.claim("exp", nil) }, template.ErrToken},
	"expiry, a text":         {func(a *arena) string { return a.claim("exp", "never") }, template.ErrToken},
	"valid for ever":         {func(a *arena) string { return a.claim("exp", time.Now().Unix()*10) }, template.ErrToken},
	"not yet valid":          {func(a *arena) string { return a.claim("nbf", time.Now().Unix()+60) }, template.ErrExpired},
	"no beginning":           {func(a *arena) string { return a.claim("nbf", nil) }, template.ErrToken},
	"issued in the future":   {func(a *arena) string { return a.claim("iat", time.Now().Unix()+60) }, template.ErrExpired},
	"no id":                  {func(a *arena) string { return a.claim("jti", nil) }, template.ErrToken},
	"an id nobody approved":  {func(a *arena) string { return a.claim("jti", "mine") }, template.ErrRevoked},
	"no tenant":              {func(a *arena) string { return a.claim("sub", nil) }, template.ErrToken},
	"no template":            {func(a *arena) string { return a.claim("tpl", nil) }, template.ErrToken},
	"no capacity":            {func(a *arena) string { return a.claim("cap", nil) }, template.ErrToken},
	"negative capacity":      {func(a *arena) string { return a.claim("cap", -1) }, template.ErrToken},
	"boundless capacity":     {func(a *arena) string { return a.claim("cap", int64(1)<<62) }, template.ErrToken},
	"negative rate":          {func(a *arena) string { return a.claim("rpm", -1) }, template.ErrToken},
	"boundless numbers":      {func(a *arena) string { return a.claim("num", 1_000_000) }, template.ErrToken},
}

func TestEveryAttackIsRefusedAndNothingSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newArena(t)
		require.GreaterOrEqual(t, len(attacks), 30)
		for name, attack := range attacks {
			token := attack.token(a)
			receipt, err := a.svc.Send(template.WithToken(t.Context(), token), a.message(name))
			require.ErrorIs(t, err, attack.want, name)
			require.ErrorIs(t, err, smsx.ErrRejected, name)
			require.Equal(t, smsx.Rejected, receipt.Results[0].Outcome, name)
			require.Equal(t, smsx.ReasonAuth, receipt.Results[0].Reason, name)
			if len(token) > 20 {
				require.NotContains(t, err.Error(), token[:20], name)
			}
		}
		require.Empty(t, a.vendor.Sent())
		require.NoError(t, a.send(a.token, a.message("honest")), "the test refuses everything")
		t.Logf("%d attacks", len(attacks))
	})
}

// TestAGoodTokenCannotDoMore is the second half of the corpus: the token is true.
func TestAGoodTokenCannotDoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newArena(t)
		m := a.message("other template")
		m.Template = "SMS_2"
		require.ErrorIs(t, a.send(a.token, m), template.ErrDenied)
		m = a.message("three")
		m.Numbers = append(m.Numbers, number(t, "+8613800138001"), number(t, "+8613800138002"))
		require.ErrorIs(t, a.send(a.token, m), template.ErrDenied)
		m = a.message("")
		require.ErrorIs(t, a.send(a.token, m), smsx.ErrMessage)
		require.Empty(t, a.vendor.Sent())

		require.NoError(t, a.send(a.token, a.message("once")))
		require.ErrorIs(t, a.send(a.token, a.message("once")), template.ErrRepeated, "replayed")
		m = a.message("once")
		m.Numbers[0] = number(t, "+8613800138009")
		require.ErrorIs(t, a.send(a.token, m), template.ErrRepeated, "another message for the price of the first")
		require.Len(t, a.vendor.Sent(), 1)

		_, claims := parts(t, a.token)
		require.NoError(t, a.desk.Revoke(t.Context(), claims["jti"].(string), "ann"))
		require.ErrorIs(t, a.send(a.token, a.message("revoked")), template.ErrRevoked)
		require.Len(t, a.vendor.Sent(), 1)

		again := a.approve(a.grant)
		time.Sleep(24*time.Hour - time.Second)
		require.NoError(t, a.send(again, a.message("still")))
		time.Sleep(time.Second)
		require.ErrorIs(t, a.send(again, a.message("over")), template.ErrExpired)
	})
}

func TestRevocationThatCannotBeAskedRefuses(t *testing.T) {
	down := errors.New("down")
	v, err := template.NewVerifier([]template.Key{key("a")}, config,
		template.WithRevoked(func(context.Context, string) (bool, error) { return false, down }))
	require.NoError(t, err)
	_, err = v.Verify(t.Context(), newArena(t).token)
	require.ErrorIs(t, err, down)
}

func headerOf(a *arena) string {
	h, err := base64.RawURLEncoding.DecodeString(segment(a.token, 0))
	require.NoError(a.t, err)
	return string(h)
}

func claimsOf(a *arena) string {
	c, err := base64.RawURLEncoding.DecodeString(segment(a.token, 1))
	require.NoError(a.t, err)
	return string(c)
}

// tampered changes the claims under the old signature.
func tampered(a *arena, old, new string) string {
	claims := claimsOf(a)
	require.Contains(a.t, claims, old)
	claims = strings.Replace(claims, old, new, 1)
	return segment(a.token, 0) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + "." + segment(a.token, 2)
}

// unusedBits changes the last sign to another that decodes to the same bytes.
func unusedBits(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	return token[:len(token)-1] + alphabet[last^1:last^1+1]
}

func rsaKey(t *testing.T) *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	return k
}

func ecdsaKey(t *testing.T) *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return k
}
