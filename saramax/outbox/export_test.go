package outbox

// WithHook calls f at each step of a relay: "claimed", "published", "settled",
// "renewed".
func WithHook(f func(step string)) Option { return optionFunc(func(o *options) { o.hook = f }) }

// EncodeRef is a claim of one row.
func EncodeRef(bucket int, seq int64) []byte { return encodeRefs([]rowRef{{bucket, seq}}) }

// DecodeClaim reads a claim, and writes it again.
func DecodeClaim(b []byte) (again []byte, rows int, err error) {
	refs, err := decodeRefs(b)
	return encodeRefs(refs), len(refs), err
}
