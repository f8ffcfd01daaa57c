package outbox_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/saramax/outbox"
)

// An idle relay asks once a second, and one that sleeps not at all.
func TestIdleCostsAQueryASecond(t *testing.T) {
	eachDB(t, func(t *testing.T, db *gorm.DB) {
		var asked atomic.Int64
		count := func(*gorm.DB) { asked.Add(1) }
		require.NoError(t, db.Callback().Raw().Before("gorm:raw").Register("test:count", count))
		require.NoError(t, db.Callback().Row().Before("gorm:row").Register("test:count", count))
		require.NoError(t, db.Callback().Query().Before("gorm:query").Register("test:count", count))
		b := &broker{}
		r, _ := start(t, db, b, outbox.Config{})
		// Pauses have grown to their longest when few looks come in two seconds.
		require.Eventually(t, func() bool {
			before := asked.Load()
			time.Sleep(2 * time.Second)
			return r.Snapshot().Owned == 64 && asked.Load()-before <= 3
		}, long, soon)
		began, before := time.Now(), asked.Load()
		time.Sleep(4 * time.Second)
		n, seconds := asked.Load()-before, time.Since(began).Seconds()
		t.Logf("%d statements in %.1f s", n, seconds)
		require.LessOrEqual(t, float64(n), seconds+3, "with a renewal and a look at the edge")

		r.Sleep()
		require.Eventually(t, func() bool { return rows(t, db, "outbox_events_sessions") == 0 }, long, soon)
		require.Eventually(t, func() bool { return r.Snapshot().Owned == 0 }, long, soon)
		before = asked.Load()
		add(t, db, "paid", "k", 1)
		time.Sleep(time.Second)
		require.EqualValues(t, 1, asked.Load()-before, "the Add")
		require.Empty(t, b.all())
		r.Wake()
		require.Eventually(t, func() bool { return len(b.all()) == 1 }, long, soon)
	})
}
