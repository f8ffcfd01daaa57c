// Package smsx measures what authorised templates cost.
package smsx

import (
	"context"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/smsx/template"
)

// BenchmarkVerify opens a token: the signature and every claim.
func BenchmarkVerify(b *testing.B) {
	sum := sha256.Sum256([]byte("bench"))
	keys := []template.Key{{ID: "a", Secret: sum[:]}}
	cfg := template.Config{Issuer: "desk", Audience: "gateway"}
	issuer, err := template.NewIssuer(keys, cfg)
	require.NoError(b, err)
	token, err := issuer.Issue(template.Grant{
		Tenant: "shop", Template: "SMS_1", Capacity: 1000, RatePerMinute: 60, MaxNumbers: 1,
		NotBefore: time.Now(), ExpiresAt: time.Now().Add(time.Hour),
	})
	require.NoError(b, err)
	verifier, err := template.NewVerifier(keys, cfg)
	require.NoError(b, err)
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := verifier.Verify(ctx, token); err != nil {
			b.Fatal(err)
		}
	}
}
