package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/saramax/outbox"
)

// Sixteen writers, of whom some take long to commit and some roll back; three relays
// that come and go; a publisher that fails now and then. All that is committed is
// published, nothing else, and no aggregate is out of order.
func TestNothingIsLostOrOutOfOrder(t *testing.T) {
	eachDB(t, func(t *testing.T, db *gorm.DB) {
		var mu sync.Mutex
		highest, published, inversions, repeated := map[string]int{}, map[string]string{}, 0, 0
		b := outbox.PublisherFunc(func(_ context.Context, messages []outbox.Message) []error {
			errs := make([]error, len(messages))
			mu.Lock()
			defer mu.Unlock()
			for i, m := range messages {
				if rand.IntN(50) == 0 {
					errs[i] = errBroken
					continue
				}
				var p Paid
				_, err := fmt.Sscanf(string(m.Payload), `{"n":%d}`, &p.N)
				if err != nil {
					errs[i] = err
					continue
				}
				event := fmt.Sprint(m.Key, " ", p.N)
				if id := published[event]; id != "" && id != m.ID {
					errs[i] = errors.New("another id")
				} else if id != "" {
					repeated++
				}
				published[event] = m.ID
				if p.N > highest[m.Key]+1 {
					inversions++
				}
				highest[m.Key] = max(highest[m.Key], p.N)
			}
			return errs
		})
		cfg := quick()
		cfg.MaxAttempts, cfg.Backoff = 1000, time.Millisecond
		chaos, stop := context.WithCancel(t.Context())
		var relays sync.WaitGroup
		for range 3 {
			relays.Go(func() {
				for chaos.Err() == nil {
					r, err := outbox.NewRelay(db, b, cfg)
					if err != nil {
						t.Error(err)
						return
					}
					some, cancel := context.WithTimeout(chaos, 50*time.Millisecond+rand.N(500*time.Millisecond))
					if err := r.Run(some); err != nil {
						t.Error(err)
					}
					cancel()
				}
			})
		}
		committed := write(t, db, testenv.Scale(400, 40_000))
		stop()
		relays.Wait()
		start(t, db, b, cfg) // one that stays does the rest, however slow the machine
		empties(t, db)
		require.Len(t, published, committed)
		require.Zero(t, inversions)
		t.Logf("%s: %d committed and published, %d of them twice, 0 lost, 0 ghosts, 0 inversions", db.Name(), committed, repeated)
	})
}

// write has sixteen writers store so many events of forty aggregates, and returns how
// many were committed. Whoever writes to an aggregate holds it, as a transaction holds
// its row.
func write(t *testing.T, db *gorm.DB, total int) (committed int) {
	const aggregates = 40
	var locks [aggregates]sync.Mutex
	var numbers [aggregates]int
	var mu sync.Mutex
	var writers sync.WaitGroup
	for range 16 {
		writers.Go(func() {
			for range total / 16 {
				a := rand.IntN(aggregates)
				locks[a].Lock()
				back := errors.New("back")
				err := db.Transaction(func(tx *gorm.DB) error {
					if err := outbox.Add(tx, "paid", fmt.Sprint(a), Paid{numbers[a] + 1}); err != nil {
						return err
					}
					if rand.IntN(10) == 0 { // work that takes long
						for range rand.IntN(50) {
							if err := tx.Exec("SELECT 1").Error; err != nil {
								return err
							}
						}
					}
					if rand.IntN(10) == 0 {
						return back
					}
					return nil
				})
				if err == nil {
					numbers[a]++
					mu.Lock()
					committed++
					mu.Unlock()
				} else if !errors.Is(err, back) {
					t.Error(err)
				}
				locks[a].Unlock()
			}
		})
	}
	writers.Wait()
	return committed
}
