package session

import (
	"bytes"
	"errors"
	"fmt"
)

// MinSecret is the least length of a secret in bytes: that of the hash it keys.
const MinSecret = 32

// Key is one secret with a name. It prints without the secret.
type Key struct {
	// ID is written into what the key signs, so that the other side finds it
	// again. At most 64 bytes; never use an ID twice for different secrets.
	ID string
	// Secret is at least [MinSecret] random bytes, from a secret store.
	Secret []byte `json:"-"`
}

// String names the key without its secret.
func (k Key) String() string { return "session.Key(" + k.ID + ")" }

// GoString is [Key.String], for %#v.
func (k Key) GoString() string { return k.String() }

// Keys are the keys of token sessions. The first of each list signs, all of them
// verify: to rotate, put the new key first on every node, and drop the old one
// when the last token it signed has expired. A key id that is not listed is
// refused. No secret may stand twice, so the two kinds never share one.
type Keys struct {
	Access  []Key
	Refresh []Key
}

func (k Keys) validate() error {
	errs := append(checkKeys("Access", k.Access), checkKeys("Refresh", k.Refresh)...)
	for _, a := range k.Access {
		for _, r := range k.Refresh {
			if bytes.Equal(a.Secret, r.Secret) {
				errs = append(errs, fmt.Errorf("session: keys %q (Access) and %q (Refresh): have the same secret", a.ID, r.ID))
			}
		}
	}
	return errors.Join(errs...)
}

func checkKeys(list string, keys []Key) (errs []error) {
	if len(keys) == 0 {
		return []error{fmt.Errorf("session: %s keys: at least one is required", list)}
	}
	for i, k := range keys {
		fail := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("session: %s key %d (%q): %s", list, i, k.ID, fmt.Sprintf(format, args...)))
		}
		if k.ID == "" || len(k.ID) > 64 {
			fail("id must have 1 to 64 bytes, has %d", len(k.ID))
		}
		switch {
		case len(k.Secret) < MinSecret:
			fail("secret must have at least %d bytes, has %d", MinSecret, len(k.Secret))
		case bytes.Count(k.Secret, k.Secret[:1]) == len(k.Secret):
			fail("secret is one byte repeated, not random")
		}
		for _, earlier := range keys[:i] {
			if earlier.ID == k.ID {
				fail("id stands twice")
			}
			if bytes.Equal(earlier.Secret, k.Secret) {
				fail("same secret as %q", earlier.ID)
			}
		}
	}
	return errs
}
