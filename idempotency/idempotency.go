package idempotency

import (
	"context"
	"fmt"
	"strings"
)

// Store does effects once. Tx is what an effect works with: the transaction that keeps
// the key, too. Implementations are safe for concurrent use by many processes.
type Store[Tx any] interface {
	// Do runs effect unless the key was done before, and remembers the key in the
	// same transaction. The error is nil when the effect is committed, by this call
	// or an earlier one.
	Do(ctx context.Context, key Key, payload []byte, effect func(tx Tx) error) (Decision, error)

	// DoAnswer is Do for an effect with an answer, which is stored, and which a
	// repeat gets in [Decision.Answer] as the first one did.
	DoAnswer(ctx context.Context, key Key, payload []byte, effect func(tx Tx) ([]byte, error)) (Decision, error)

	// DoBatch decides on each delivery and runs effect once for all that are first,
	// named by their index in batch, in one transaction; if there are none, not at
	// all. What comes twice within the batch is first once. The decisions are in the
	// order of batch. A conflict or a lease is a decision on one delivery, not an
	// error: see [Decision.Err]. With an error nothing was done and there are no
	// decisions.
	DoBatch(ctx context.Context, batch []Delivery, effect func(tx Tx, first []int) error) ([]Decision, error)

	// Peek tells what is known of each delivery and changes nothing. The Kind is
	// Undecided for what would be first.
	Peek(ctx context.Context, batch []Delivery) ([]Decision, error)
}

// Delivery is one of possibly many deliveries of the same thing.
type Delivery struct {
	// Key names the effect.
	Key Key
	// Payload is what must be the same in each delivery; see [Fields].
	Payload []byte
}

// Scope is a namespace of keys, and a label of metrics: use a few constants, of 1 to
// [MaxScope] characters out of a-z, 0-9, "_", "-" and ".".
type Scope string

// MaxScope is the most bytes of a [Scope].
const MaxScope = 64

// Key names an effect. Make one with [Scope.Key].
type Key struct {
	// Scope is the namespace.
	Scope Scope
	// ID is unique in it, not empty, and compared by byte.
	ID string
}

// Key returns the key of the parts: a kind, its id, the number of an entry. Parts are
// joined by colons, and those within a part escaped, so that different parts never
// make the same key.
func (s Scope) Key(parts ...string) Key {
	if len(parts) == 1 && !strings.ContainsAny(parts[0], `:\`) {
		return Key{s, parts[0]}
	}
	escaped := make([]string, len(parts))
	for i, p := range parts {
		escaped[i] = escaper.Replace(p)
	}
	return Key{s, strings.Join(escaped, ":")}
}

var escaper = strings.NewReplacer(`\`, `\\`, `:`, `\:`)

// String returns the key for people: "scope/id".
func (k Key) String() string { return string(k.Scope) + "/" + k.ID }

// Validate returns an error that wraps [ErrKey] when the key cannot be used.
func (k Key) Validate() error {
	if k.ID == "" {
		return fmt.Errorf("%w: ID of scope %q: must not be empty", ErrKey, k.Scope)
	}
	if len(k.Scope) == 0 || len(k.Scope) > MaxScope {
		return fmt.Errorf("%w: Scope %q: must have 1 to %d characters", ErrKey, k.Scope, MaxScope)
	}
	for i := range len(k.Scope) {
		switch c := k.Scope[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '_', c == '-', c == '.':
		default:
			return fmt.Errorf("%w: Scope %q: must hold a-z, 0-9, _, - and . only", ErrKey, k.Scope)
		}
	}
	return nil
}
