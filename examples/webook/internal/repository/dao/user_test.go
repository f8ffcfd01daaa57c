package dao_test

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/dao"
	"github.com/bulwark-go/bulwark/internal/testenv"
)

// each runs test on every SQL server that there is.
func each(t *testing.T, test func(t *testing.T, users *dao.Users)) {
	testenv.EachSQL(t, func(t *testing.T, db *gorm.DB) {
		require.NoError(t, dao.Migrate(t.Context(), db))
		require.NoError(t, dao.Migrate(t.Context(), db), "a second start must find the tables as it wants them")
		test(t, dao.NewUsers(db))
	})
}

func row(email string) dao.User {
	return dao.User{Email: sql.NullString{String: email, Valid: true}, Password: "hash"}
}

func TestWhatWasInsertedIsFound(t *testing.T) {
	each(t, func(t *testing.T, users *dao.Users) {
		id, err := users.Insert(t.Context(), row("a@example.com"))
		require.NoError(t, err)
		byID, err := users.ByID(t.Context(), id)
		require.NoError(t, err)
		byEmail, err := users.ByEmail(t.Context(), "a@example.com")
		require.NoError(t, err)
		require.Equal(t, byID, byEmail)
		require.Equal(t, "hash", byID.Password)
		require.Positive(t, byID.Ctime)
		require.False(t, byID.Phone.Valid)
		require.False(t, byID.Birthday.Valid)
	})
}

func TestWhatIsNotThereIsNotFound(t *testing.T) {
	each(t, func(t *testing.T, users *dao.Users) {
		_, err := users.ByID(t.Context(), 1)
		require.ErrorIs(t, err, domain.ErrUserNotFound)
		_, err = users.ByEmail(t.Context(), "nobody@example.com")
		require.ErrorIs(t, err, domain.ErrUserNotFound)
		require.ErrorIs(t, users.UpdateProfile(t.Context(), dao.User{ID: 1}), domain.ErrUserNotFound)
	})
}

func TestOfManyWhoInsertOneEmailExactlyOneWins(t *testing.T) {
	each(t, func(t *testing.T, users *dao.Users) {
		const rivals = 16
		var won, lost atomic.Int64
		var all sync.WaitGroup
		for range rivals {
			all.Go(func() {
				_, err := users.Insert(context.WithoutCancel(t.Context()), row("a@example.com"))
				switch {
				case err == nil:
					won.Add(1)
				case errors.Is(err, domain.ErrDuplicateUser):
					lost.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		all.Wait()
		require.EqualValues(t, 1, won.Load())
		require.EqualValues(t, rivals-1, lost.Load())
	})
}

func TestAccountsWithoutAnEmailDoNotCollide(t *testing.T) {
	each(t, func(t *testing.T, users *dao.Users) {
		for _, phone := range []string{"1", "2"} {
			_, err := users.Insert(t.Context(), dao.User{Phone: sql.NullString{String: phone, Valid: true}})
			require.NoError(t, err)
		}
	})
}

func TestAnEditReplacesTheProfileAndNothingElse(t *testing.T) {
	each(t, func(t *testing.T, users *dao.Users) {
		id, err := users.Insert(t.Context(), row("a@example.com"))
		require.NoError(t, err)
		edit := dao.User{ID: id, Nickname: "阿明", Birthday: sql.NullInt64{Int64: -86_400_000, Valid: true}, AboutMe: "hi\n"}
		require.NoError(t, users.UpdateProfile(t.Context(), edit))
		require.NoError(t, users.UpdateProfile(t.Context(), edit), "an edit that changes nothing is no missing user")
		got, err := users.ByID(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, "阿明", got.Nickname)
		require.Equal(t, int64(-86_400_000), got.Birthday.Int64)
		require.Equal(t, "hi\n", got.AboutMe)
		require.Equal(t, "a@example.com", got.Email.String)
		require.Equal(t, "hash", got.Password)
		require.GreaterOrEqual(t, got.Utime, got.Ctime)

		require.NoError(t, users.UpdateProfile(t.Context(), dao.User{ID: id}))
		got, err = users.ByID(t.Context(), id)
		require.NoError(t, err)
		require.Empty(t, got.Nickname)
		require.False(t, got.Birthday.Valid)
	})
}

// Replicas that are rolled out together find the same empty database.
func TestManyMayMigrateAtOnce(t *testing.T) {
	db := testenv.SQL(t)
	const replicas = 6
	errs := make(chan error, replicas)
	for range replicas {
		// Replicas share the database, but not gorm's knowledge of the schema.
		replica, err := gorm.Open(db.Dialector, &gorm.Config{Logger: db.Logger})
		require.NoError(t, err)
		pool, err := replica.DB()
		require.NoError(t, err)
		t.Cleanup(func() { _ = pool.Close() })
		go func() { errs <- dao.Migrate(context.WithoutCancel(t.Context()), replica) }()
	}
	for range replicas {
		require.NoError(t, <-errs)
	}
}
