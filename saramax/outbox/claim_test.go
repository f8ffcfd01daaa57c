package outbox_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/saramax/outbox"
)

// A claim in the table may be of another version, or damaged: that is an error and no
// panic, and nothing that asks for memory.
func FuzzClaim(f *testing.F) {
	f.Add(outbox.EncodeRef(3, 17))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		again, rows, err := outbox.DecodeClaim(b)
		if err != nil {
			return
		}
		require.LessOrEqual(t, rows, len(b))
		_, n, err := outbox.DecodeClaim(again)
		require.NoError(t, err)
		require.Equal(t, rows, n)
	})
}
