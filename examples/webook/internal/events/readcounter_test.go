package events_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
	"github.com/bulwark-go/bulwark/examples/webook/internal/events"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/cache"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/dao"
	"github.com/bulwark-go/bulwark/idempotency"
	"github.com/bulwark-go/bulwark/idempotency/gormstore"
	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/saramax"
)

// newCounter returns a ReadCounter and what tells its counts.
func newCounter(t testing.TB) (counter *events.ReadCounter, counted func(article int64) int64, db *gorm.DB) {
	t.Helper()
	db = testenv.SQL(t)
	require.NoError(t, dao.MigrateInteractives(t.Context(), db))
	once, err := gormstore.New(db, gormstore.Config{})
	require.NoError(t, err)
	require.NoError(t, once.Migrate(t.Context()))
	table := dao.NewInteractives(db)
	settings := func() repository.Settings {
		return repository.Settings{TTL: time.Minute, Timeout: time.Second, PassMax: 1}
	}
	repo := repository.NewInteractives(table, cache.NewInteractives(testenv.Redis(t), time.Minute), settings, nil)
	return events.NewReadCounter(repository.NewReads(once, repo)), func(article int64) int64 {
		row, err := table.ByID(t.Context(), domain.BizArticle, article)
		require.NoError(t, err)
		return row.ReadCnt
	}, db
}

func record(offset int64, id string, article int64) saramax.Record[events.ReadEvent] {
	r := saramax.Record[events.ReadEvent]{
		Value: events.ReadEvent{UserID: 7, ArticleID: article}, Topic: events.TopicRead, Offset: offset,
	}
	if id != "" {
		r.Headers = saramax.Headers{{Key: events.HeaderEventID, Value: []byte(id)}}
	}
	return r
}

func TestAReplayOfABatchCountsNothing(t *testing.T) {
	counter, counted, _ := newCounter(t)
	batch := []saramax.Record[events.ReadEvent]{
		record(0, "a", 1), record(1, "b", 1), record(2, "c", 2),
		record(3, "a", 1),                  // published twice
		record(4, "", 1), record(5, "", 1), // by a producer that knows no ids
	}
	for range 2 {
		verdicts := counter.Handle(t.Context(), batch)
		for _, v := range verdicts {
			require.Equal(t, saramax.ActionDone, v.Action())
		}
		require.EqualValues(t, 4, counted(1))
		require.EqualValues(t, 1, counted(2))
	}
}

func TestAnEventThatCannotBeCountedIsPutAsideAlone(t *testing.T) {
	counter, counted, _ := newCounter(t)
	verdicts := counter.Handle(t.Context(), []saramax.Record[events.ReadEvent]{
		record(0, "a", 0), record(1, "b", 1), record(2, "c", -1), record(3, "b", 2), record(4, "d", 2),
	})
	actions := make([]saramax.Action, len(verdicts))
	for i, v := range verdicts {
		actions[i] = v.Action()
	}
	require.Equal(t, []saramax.Action{
		saramax.ActionDeadLetter, saramax.ActionDone, saramax.ActionDeadLetter, saramax.ActionDeadLetter, saramax.ActionDone,
	}, actions)
	require.ErrorIs(t, verdicts[3].Cause(), idempotency.ErrConflict)
	require.EqualValues(t, 1, counted(1))
	require.EqualValues(t, 1, counted(2))
}

func TestABatchOfNothingButBadEventsEnds(t *testing.T) {
	counter, _, _ := newCounter(t)
	verdicts := counter.Handle(t.Context(), []saramax.Record[events.ReadEvent]{record(0, "a", 0)})
	require.Equal(t, saramax.ActionDeadLetter, verdicts[0].Action())
}

func TestAFailureOfTheDatabaseIsOneOfTheBatch(t *testing.T) {
	counter, counted, db := newCounter(t)
	failing := errors.New("no")
	require.NoError(t, db.Callback().Create().Before("gorm:create").Register(testenv.Name(t), func(tx *gorm.DB) {
		if failing != nil {
			_ = tx.AddError(failing)
		}
	}))
	batch := []saramax.Record[events.ReadEvent]{record(0, "a", 1)}
	verdicts := counter.Handle(t.Context(), batch)
	require.Equal(t, saramax.ActionRetry, verdicts[0].Action())
	require.ErrorIs(t, verdicts[0].Cause(), failing)
	failing = nil
	verdicts = counter.Handle(t.Context(), batch)
	require.Equal(t, saramax.ActionDone, verdicts[0].Action())
	require.EqualValues(t, 1, counted(1))
}

func TestTheNamesOfAnInstallationAreItsOwn(t *testing.T) {
	require.Equal(t, []string{"read_article", "article_read"}, events.Names{}.Topics())
	require.Equal(t, []string{"b-read_article", "b-article_read"}, events.Names{Prefix: "b-"}.ReadTopics())
	require.Equal(t, "b-interactive", events.Names{Prefix: "b-"}.Of(events.GroupInteractive))
}

// Others produce and consume these events, too.
func TestAReadEventHasTheContractsNames(t *testing.T) {
	text, err := saramax.JSON[events.ReadEvent]().Encode(events.ReadEvent{UserID: 7, ArticleID: 3})
	require.NoError(t, err)
	require.JSONEq(t, `{"Uid":7,"Aid":3}`, string(text))
}
