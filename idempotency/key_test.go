package idempotency_test

import (
	"errors"
	"fmt"
	"hash/adler32"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bulwark-go/bulwark/idempotency"
)

const scope = idempotency.Scope("test")

func ExampleScope_Key() {
	const payments = idempotency.Scope("payment")
	fmt.Println(payments.Key("reward", "42", "1"))
	fmt.Println(payments.Key("a:b"), payments.Key("a", "b"))
	// Output:
	// payment/reward:42:1
	// payment/a\:b payment/a:b
}

// Parts that differ make keys that differ, whatever they hold.
func TestKeysOfDifferentPartsDiffer(t *testing.T) {
	parts := rapid.SliceOfN(rapid.StringOfN(rapid.SampledFrom([]rune(`:\ab`)), 0, 3, -1), 1, 3)
	seen := map[string][]string{}
	rapid.Check(t, func(t *rapid.T) {
		p := parts.Draw(t, "parts")
		id := scope.Key(p...).ID
		if before, ok := seen[id]; ok {
			require.Equal(t, before, p)
		}
		seen[id] = p
	})
}

func TestDigestsOfDifferentDeliveriesDiffer(t *testing.T) {
	text := rapid.StringOfN(rapid.SampledFrom([]rune("ab\x00\x01")), 0, 4, -1)
	type delivery struct{ scope, id, payload string }
	digests, prints := map[idempotency.Digest]delivery{}, map[idempotency.Fingerprint]delivery{}
	rapid.Check(t, func(t *rapid.T) {
		d := delivery{text.Draw(t, "scope"), text.Draw(t, "id"), text.Draw(t, "payload")}
		of := idempotency.Delivery{Key: idempotency.Key{Scope: idempotency.Scope(d.scope), ID: d.id}, Payload: []byte(d.payload)}
		if before, ok := digests[of.Digest()]; ok {
			require.Equal(t, before, d)
		}
		digests[of.Digest()] = d
		d.payload = ""
		if before, ok := prints[of.Key.Fingerprint()]; ok {
			require.Equal(t, before, d)
		}
		prints[of.Key.Fingerprint()] = d
	})
	// Two keys that a weak hash takes for one.
	one, other := idempotency.Delivery{Key: scope.Key("\x01\x00\x01")}, idempotency.Delivery{Key: scope.Key("\x00\x02\x00")}
	require.Equal(t, adler32.Checksum([]byte(one.Key.ID)), adler32.Checksum([]byte(other.Key.ID)))
	require.NotEqual(t, one.Digest(), other.Digest())
	require.NotEqual(t, one.Key.Fingerprint(), other.Key.Fingerprint())
	require.Len(t, one.Key.Fingerprint(), 16)
}

func TestFields(t *testing.T) {
	require.Equal(t, idempotency.Fields("42", 100, true), idempotency.Fields(42, int64(100), "true"))
	require.NotEqual(t, idempotency.Fields("a", "bc"), idempotency.Fields("ab", "c"))
	require.NotEqual(t, idempotency.Fields("a"), idempotency.Fields("a", ""))
	require.Empty(t, idempotency.Fields())
}

func TestValidate(t *testing.T) {
	require.NoError(t, idempotency.Scope("read_article.v-2").Key("1").Validate())
	for _, key := range []idempotency.Key{
		scope.Key(), scope.Key(""), idempotency.Scope("").Key("1"), idempotency.Scope("Read").Key("1"),
		idempotency.Scope(strings.Repeat("s", 65)).Key("1"),
	} {
		require.ErrorIs(t, key.Validate(), idempotency.ErrKey, "%+v", key)
	}
}

func TestDecisions(t *testing.T) {
	key := scope.Key("1")
	for kind, want := range map[idempotency.Kind]error{
		idempotency.Undecided: nil, idempotency.First: nil, idempotency.Repeat: nil,
		idempotency.InProgress: idempotency.ErrInProgress, idempotency.Conflict: idempotency.ErrConflict,
	} {
		d := idempotency.Decision{Kind: kind, RetryAfter: time.Second}
		require.ErrorIs(t, d.Err(key), want)
		require.Equal(t, kind == idempotency.First || kind == idempotency.Repeat, d.Done())
	}
	var conflict *idempotency.ConflictError
	require.ErrorAs(t, fmt.Errorf("consume: %w", idempotency.Decision{Kind: idempotency.Conflict}.Err(key)), &conflict)
	require.Equal(t, "idempotency: key was used with another payload: test/1", conflict.Error())
	require.Equal(t, "idempotency: in progress: test/1, for another 1s", idempotency.Decision{Kind: idempotency.InProgress, RetryAfter: time.Second}.Err(key).Error())
	require.False(t, errors.Is(conflict, idempotency.ErrInProgress))
	require.Equal(t, "first", idempotency.First.String())
	require.Equal(t, "invalid", idempotency.Kind(99).String())
	require.Equal(t, "redis", idempotency.ViaRedis.String())
	require.Equal(t, "invalid", idempotency.Via(99).String())
}
