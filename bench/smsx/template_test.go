// Package smsx measures what authorised templates cost.
package smsx

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"syscall"
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
	before := processorTime()
	for b.Loop() {
		if _, err := verifier.Verify(ctx, token); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(processorTime()-before)/float64(b.N), "cpu-ns/op")
}

// processorTime is what this process has used, which other work on the machine does
// not lengthen as it does the wall clock's time.
func processorTime() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkSignature is the part of it that nothing can save: the HMAC of a token.
func BenchmarkSignature(b *testing.B) {
	secret, token := sha256.Sum256([]byte("bench")), make([]byte, 300)
	before := processorTime()
	b.ReportAllocs()
	for b.Loop() {
		mac := hmac.New(sha256.New, secret[:])
		mac.Write(token)
		mac.Sum(nil)
	}
	b.ReportMetric(float64(processorTime()-before)/float64(b.N), "cpu-ns/op")
}
