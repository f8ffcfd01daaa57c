package idempotency

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// Digest stands for a delivery, its key and its payload: two deliveries with the same
// Digest are the same. It is a SHA-256, so that no two others have one in common.
type Digest [sha256.Size]byte

// Fingerprint stands for a key in filters, which thereby never see the key itself. It
// has 128 bits, too many to meet by chance.
type Fingerprint [16]byte

// Digest returns the delivery's digest.
func (d Delivery) Digest() Digest {
	b := make([]byte, 0, len(d.Key.Scope)+len(d.Key.ID)+len(d.Payload)+2*binary.MaxVarintLen64)
	b = appendPart(b, d.Key.Scope)
	b = appendPart(b, d.Key.ID)
	return sha256.Sum256(append(b, d.Payload...))
}

// Fingerprint returns the key's fingerprint.
func (k Key) Fingerprint() Fingerprint {
	b := make([]byte, 0, len(k.Scope)+len(k.ID)+binary.MaxVarintLen64)
	b = appendPart(b, k.Scope)
	sum := sha256.Sum256(append(b, k.ID...))
	return Fingerprint(sum[:])
}

// Fields returns a payload of the values that must be the same in each delivery, in
// their usual text form: numbers, strings, booleans and what has a String method. Two
// lists have the same payload only if they have the same texts. Floats have no place
// where money is.
func Fields(values ...any) []byte {
	var b []byte
	for _, v := range values {
		b = appendPart(b, fmt.Sprint(v))
	}
	return b
}

// appendPart appends a part and before it its length, which keeps parts apart.
func appendPart[S ~string](b []byte, part S) []byte {
	b = binary.AppendUvarint(b, uint64(len(part)))
	return append(b, part...)
}
