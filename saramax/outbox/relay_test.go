package outbox_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/saramax/outbox"
)

func TestCommittedIsPublishedAndRolledBackNever(t *testing.T) {
	eachDB(t, func(t *testing.T, db *gorm.DB) {
		b := &broker{}
		start(t, db, b, quick())
		for n := range 20 {
			back := errors.New("rolled back")
			err := db.Transaction(func(tx *gorm.DB) error {
				require.NoError(t, outbox.Add(tx, "paid", fmt.Sprint("k", n), Paid{n}, outbox.WithHeader("tenant", "a")))
				if n%2 == 1 {
					return back
				}
				return nil
			})
			require.True(t, err == nil || errors.Is(err, back))
		}
		require.Eventually(t, func() bool { return len(b.all()) >= 10 }, long, soon)
		empties(t, db)
		var want []string
		for n := 0; n < 20; n += 2 {
			want = append(want, fmt.Sprintf(`paid/k%d:{"n":%d}`, n, n))
		}
		require.ElementsMatch(t, want, b.all())
		m := b.messages()[0]
		require.Len(t, m.ID, 36)
		require.Equal(t, "Paid", m.Type)
		require.Equal(t, map[string]string{"tenant": "a"}, m.Headers)
		require.GreaterOrEqual(t, m.Age, 0*soon)
	})
}
