package otp

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
)

// Keys are the secrets, of at least 32 bytes each, that all instances share. They
// never print.
type Keys struct {
	// Subject names subjects in the store. Another one forgets all codes and limits.
	Subject []byte
	// Codes sign codes. The first signs; the others still verify what they signed, so
	// rotate by putting a new one first, once all instances know it, and drop the old
	// one ten minutes later.
	Codes []Key
}

// Key is one secret for codes.
type Key struct {
	// ID names the key in the store: 1 to 8 letters and digits.
	ID string
	// Secret is at least 32 bytes.
	Secret []byte
}

// String hides the secrets.
func (k Keys) String() string { return fmt.Sprintf("otp.Keys(%d, hidden)", len(k.Codes)) }

// GoString hides the secrets from %#v.
func (k Keys) GoString() string { return k.String() }

// String hides the secret.
func (k Key) String() string { return "otp.Key(" + k.ID + ", hidden)" }

// GoString hides the secret from %#v.
func (k Key) GoString() string { return k.String() }

const minSecret = 32

func (k Keys) validate() error {
	var errs []error
	refuse := func(field string, value any, reason string) {
		errs = append(errs, &FieldError{field, value, reason})
	}
	if len(k.Subject) < minSecret {
		refuse("Keys.Subject", "(hidden)", "must have at least 32 bytes")
	}
	if len(k.Codes) == 0 || len(k.Codes) > 4 {
		refuse("Keys.Codes", len(k.Codes), "must be 1 to 4 keys")
	}
	seen := map[string]bool{}
	for _, key := range k.Codes {
		if !plain(key.ID) || seen[key.ID] {
			refuse("Keys.Codes.ID", key.ID, "must be 1 to 8 letters and digits, and used once")
		}
		if len(key.Secret) < minSecret || hmac.Equal(key.Secret, k.Subject) {
			refuse("Keys.Codes.Secret", "(hidden)", "must have at least 32 bytes, and differ from the subjects'")
		}
		seen[key.ID] = true
	}
	return errors.Join(errs...)
}

func plain(id string) bool {
	for _, c := range []byte(id) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return id != "" && len(id) <= 8
}

func (k Keys) clone() Keys {
	out := Keys{Subject: slices.Clone(k.Subject)}
	for _, key := range k.Codes {
		out.Codes = append(out.Codes, Key{key.ID, slices.Clone(key.Secret)})
	}
	return out
}

// sign returns the key's id and the MAC of a code.
func (k Key) sign(purpose, subject, code string) string {
	return k.ID + "." + mac(k.Secret, "code", purpose, subject, code)
}

// mac signs parts, each with its length, so that no two lists are the same bytes.
// 128 bits are enough against collisions that only guessing finds.
func mac(secret []byte, parts ...string) string {
	h := hmac.New(sha256.New, secret)
	for _, part := range parts {
		h.Write(binary.AppendUvarint(nil, uint64(len(part))))
		h.Write([]byte(part))
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16])
}

// draw returns a code in which every one is equally likely: [rand.Int] draws again
// rather than fold what is left over.
func draw(digits int) string {
	n, err := rand.Int(rand.Reader, big.NewInt(int64(math.Pow10(digits))))
	if err != nil { // crypto/rand ends the program itself rather than return an error
		panic(fmt.Sprintf("otp: no random numbers: %v", err))
	}
	return fmt.Sprintf("%0*d", digits, n)
}

func nonce() string {
	var b [9]byte
	_, _ = rand.Read(b[:]) // never fails, see its documentation
	return base64.RawURLEncoding.EncodeToString(b[:])
}
