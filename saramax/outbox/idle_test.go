package outbox_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/saramax/outbox"
)

// An idle relay asks once a second, and one that sleeps not at all.
func TestIdleCostsAQueryASecond(t *testing.T) {
	eachDB(t, func(t *testing.T, db *gorm.DB) {
		var mu sync.Mutex
		var asked []time.Time
		count := func(*gorm.DB) {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, time.Now())
		}
		sofar := func() int {
			mu.Lock()
			defer mu.Unlock()
			return len(asked)
		}
		require.NoError(t, db.Callback().Raw().Before("gorm:raw").Register("test:count", count))
		require.NoError(t, db.Callback().Row().Before("gorm:row").Register("test:count", count))
		require.NoError(t, db.Callback().Query().Before("gorm:query").Register("test:count", count))
		b := &broker{}
		r, _ := start(t, db, b, outbox.Config{})
		// Six looks in a row are five pauses; a renewal may be among them.
		require.Eventually(t, func() bool {
			mu.Lock()
			defer mu.Unlock()
			n := len(asked)
			return n >= 6 && asked[n-1].Sub(asked[n-6]) >= 4*time.Second
		}, long, soon)

		r.Sleep()
		require.Eventually(t, func() bool { return rows(t, db, "outbox_events_sessions") == 0 }, long, soon)
		require.Eventually(t, func() bool { return r.Snapshot().Owned == 0 }, long, soon)
		before := sofar()
		add(t, db, "paid", "k", 1)
		require.Never(t, func() bool { return sofar() > before+1 }, time.Second, soon, "the Add, and nothing else")
		require.Empty(t, b.all())
		r.Wake()
		require.Eventually(t, func() bool { return len(b.all()) == 1 }, long, soon)
	})
}
