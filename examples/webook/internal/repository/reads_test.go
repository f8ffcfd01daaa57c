package repository_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"pgregory.net/rapid"

	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository"
	"github.com/bulwark-go/bulwark/idempotency"
	"github.com/bulwark-go/bulwark/idempotency/gormstore"
	"github.com/bulwark-go/bulwark/internal/testenv"
)

func newReads(t *testing.T, c counting) *repository.Reads {
	t.Helper()
	once, err := gormstore.New(c.db, gormstore.Config{})
	require.NoError(t, err)
	require.NoError(t, once.Migrate(t.Context()))
	return repository.NewReads(once, c.repo)
}

func read(event string, id int64) domain.Read {
	return domain.Read{EventID: event, Biz: biz, BizID: id, UserID: 7}
}

func TestReadsCountOnceHoweverOftenTheyAreToldOf(t *testing.T) {
	c := newCounting(t, 1)
	reads := newReads(t, c)
	require.Equal(t, [3]int64{}, c.counts(t, 1), "a copy is there")
	batch := []domain.Read{read("a", 1), read("b", 1), read("a", 1), read("c", 2)}
	for range 3 {
		refused, err := reads.CountReads(t.Context(), batch)
		require.NoError(t, err)
		require.Equal(t, make([]error, len(batch)), refused)
		require.Equal(t, [3]int64{2, 0, 0}, c.counts(t, 1), "and follows")
		require.Equal(t, [3]int64{1, 0, 0}, c.counts(t, 2))
	}
	refused, err := reads.CountReads(t.Context(), append(batch, read("d", 2)))
	require.NoError(t, err)
	require.Len(t, refused, 5)
	require.Equal(t, [3]int64{2, 0, 0}, c.counts(t, 2), "what is new among repeats counts")
}

func TestAnIDThatNamesTwoReadingsIsRefusedAndTheOthersCount(t *testing.T) {
	c := newCounting(t, 1)
	reads := newReads(t, c)
	_, err := reads.CountReads(t.Context(), []domain.Read{read("a", 1)})
	require.NoError(t, err)
	refused, err := reads.CountReads(t.Context(), []domain.Read{read("b", 1), read("a", 2)})
	require.NoError(t, err)
	require.NoError(t, refused[0])
	require.ErrorIs(t, refused[1], idempotency.ErrConflict)
	require.Equal(t, [3]int64{2, 0, 0}, c.counts(t, 1))
	require.Equal(t, [3]int64{}, c.counts(t, 2))
}

func TestReadsCountWithoutTheCache(t *testing.T) {
	c := newCounting(t, 1)
	reads := newReads(t, c)
	c.redis.Stop()
	_, err := reads.CountReads(t.Context(), []domain.Read{read("a", 1)})
	require.NoError(t, err)
	require.Equal(t, 1, c.results("stale"))
	require.Equal(t, [3]int64{1, 0, 0}, c.counts(t, 1))
}

// The ids of a batch that failed must not be known: then its readings would never be
// counted.
func TestABatchThatFailsLeavesNothingBehind(t *testing.T) {
	c := newCounting(t, 1)
	reads := newReads(t, c)
	failing := errors.New("no")
	require.NoError(t, c.db.Callback().Query().Before("gorm:query").Register(testenv.Name(t), func(tx *gorm.DB) {
		if tx.Statement.Table == "interactives" && failing != nil {
			_ = tx.AddError(failing) // after the counters' own statement
		}
	}))
	_, err := reads.CountReads(t.Context(), []domain.Read{read("a", 1)})
	require.ErrorIs(t, err, failing)
	failing = nil
	require.Equal(t, [3]int64{}, c.counts(t, 1))
	_, err = reads.CountReads(t.Context(), []domain.Read{read("a", 1)})
	require.NoError(t, err)
	require.Equal(t, [3]int64{1, 0, 0}, c.counts(t, 1))
}

// However events are cut into batches, repeated and mixed, each counts once.
func TestReadCountsFollowASetOfEvents(t *testing.T) {
	c := newCounting(t, 1)
	reads := newReads(t, c)
	run := int64(0)
	rapid.Check(t, func(r *rapid.T) {
		run++
		seen := map[string]bool{}
		event := rapid.Custom(func(r *rapid.T) domain.Read {
			thing := run*10 + rapid.Int64Range(0, 2).Draw(r, "thing")
			return read(fmt.Sprintf("%d/%d", thing, rapid.IntRange(0, 9).Draw(r, "event")), thing)
		})
		for _, batch := range rapid.SliceOfN(rapid.SliceOfN(event, 1, 12), 1, 5).Draw(r, "batches") {
			_, err := reads.CountReads(t.Context(), batch)
			require.NoError(r, err)
			model := map[int64]int64{}
			for _, e := range batch {
				seen[e.EventID] = true
			}
			for id := range seen {
				var thing, n int64
				_, err := fmt.Sscanf(id, "%d/%d", &thing, &n)
				require.NoError(r, err)
				model[thing]++
			}
			for thing, want := range model {
				require.Equal(r, [3]int64{want, 0, 0}, c.counts(t, thing))
			}
		}
	})
}
