package gormdesk_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/internal/embedded"
	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/smsx/template"
	"github.com/bulwark-go/bulwark/smsx/template/gormdesk"
)

func open(t *testing.T, db *gorm.DB) *gormdesk.Requests {
	t.Helper()
	r, err := gormdesk.New(db)
	require.NoError(t, err)
	require.NoError(t, r.Migrate(t.Context()))
	require.NoError(t, r.Migrate(t.Context()), "twice does no harm")
	return r
}

func request(id string) template.Request {
	now := time.Now().Truncate(time.Second).UTC()
	return template.Request{ID: id, By: "alice", At: now, Grant: template.Grant{
		ID: id, Tenant: "shop", Template: "SMS_1", Capacity: 100, RatePerMinute: 3, MaxNumbers: 2,
		NotBefore: now, ExpiresAt: now.Add(24 * time.Hour),
	}}
}

func each(t *testing.T, run func(t *testing.T, r template.Requests)) {
	t.Run("memory", func(t *testing.T) { run(t, &template.MemoryRequests{}) })
	testenv.EachSQL(t, func(t *testing.T, db *gorm.DB) { run(t, open(t, db)) })
}

// The same holds for requests in memory.
func TestRequestsAreStoredOnceAndMoveOnce(t *testing.T) {
	each(t, func(t *testing.T, r template.Requests) {
		ctx := t.Context()
		_, err := r.Get(ctx, "a")
		require.ErrorIs(t, err, template.ErrNoRequest)
		waiting, approved := template.Waiting, template.Approved
		want := request("a")
		stored, err := r.Put(ctx, want, &waiting)
		require.NoError(t, err)
		require.False(t, stored, "there is none to be moved on")
		stored, err = r.Put(ctx, want, nil)
		require.NoError(t, err)
		require.True(t, stored)
		got, err := r.Get(ctx, "a")
		require.NoError(t, err)
		require.True(t, want.At.Equal(got.At))
		got.At = want.At
		require.Equal(t, want, got)
		_, err = r.Get(ctx, "A")
		require.ErrorIs(t, err, template.ErrNoRequest)

		other := want
		other.By = "mallory"
		stored, err = r.Put(ctx, other, nil)
		require.NoError(t, err)
		require.False(t, stored, "the id is taken")
		want.State, want.Decided = template.Approved, "bob"
		stored, err = r.Put(ctx, want, &approved)
		require.NoError(t, err)
		require.False(t, stored, "it waits")
		var moved atomic.Int64
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				ok, err := r.Put(context.Background(), want, &waiting)
				if err != nil {
					t.Error(err)
				} else if ok {
					moved.Add(1)
				}
			})
		}
		all.Wait()
		require.EqualValues(t, 1, moved.Load())
		got, err = r.Get(ctx, "a")
		require.NoError(t, err)
		require.Equal(t, "alice", got.By)
		require.Equal(t, "bob", got.Decided)
		require.Equal(t, template.Approved, got.State)
	})
}

// A desk on a table outlives its process: what one approved another revokes.
func TestADeskOutlivesItsProcess(t *testing.T) {
	testenv.EachSQL(t, func(t *testing.T, db *gorm.DB) {
		desk := func() *template.Desk {
			issuer, err := template.NewIssuer(keys(), ends)
			require.NoError(t, err)
			d, err := template.NewDesk(open(t, db), issuer)
			require.NoError(t, err)
			return d
		}
		asked, err := desk().Ask(t.Context(), "alice", request("").Grant)
		require.NoError(t, err)
		revoked, err := desk().Revoked(t.Context(), asked.ID)
		require.NoError(t, err)
		require.True(t, revoked, "not approved yet")
		_, err = desk().Approve(t.Context(), asked.ID, "alice")
		require.ErrorIs(t, err, template.ErrOwnRequest)
		token, err := desk().Approve(t.Context(), asked.ID, "bob")
		require.NoError(t, err)
		require.NotEmpty(t, token)
		revoked, err = desk().Revoked(t.Context(), asked.ID)
		require.NoError(t, err)
		require.False(t, revoked)
		require.NoError(t, desk().Revoke(t.Context(), asked.ID, "bob"))
		revoked, err = desk().Revoked(t.Context(), asked.ID)
		require.NoError(t, err)
		require.True(t, revoked)
	})
}

func TestADatabaseThatFailsIsAnError(t *testing.T) {
	r, err := gormdesk.New(testenv.SQLite(t)) // without its table
	require.NoError(t, err)
	_, err = r.Get(t.Context(), "a")
	require.ErrorContains(t, err, "gormdesk: get")
	require.NotErrorIs(t, err, template.ErrNoRequest)
	_, err = r.Put(t.Context(), request("a"), nil)
	require.ErrorContains(t, err, "gormdesk: put")
	waiting := template.Waiting
	_, err = r.Put(t.Context(), request("a"), &waiting)
	require.ErrorContains(t, err, "gormdesk: put")
	_, err = gormdesk.New(nil)
	require.ErrorContains(t, err, "db")
	_, err = gormdesk.New(testenv.SQLite(t), gormdesk.WithTable("a; DROP TABLE b"))
	require.ErrorContains(t, err, "table")
}

func ExampleNew() {
	dir, err := os.MkdirTemp("", "gormdesk")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	database, err := embedded.OpenSQLite(embedded.SQLiteConfig{Path: filepath.Join(dir, "example.db")}) // a service has its own
	if err != nil {
		panic(err)
	}
	defer func() { _ = database.Close() }()

	ctx := context.Background()
	requests, err := gormdesk.New(database.DB())
	if err != nil {
		panic(err)
	}
	if err := requests.Migrate(ctx); err != nil {
		panic(err)
	}
	issuer, err := template.NewIssuer(keys(), ends)
	if err != nil {
		panic(err)
	}
	desk, err := template.NewDesk(requests, issuer)
	if err != nil {
		panic(err)
	}
	asked, err := desk.Ask(ctx, "alice", request("").Grant)
	if err != nil {
		panic(err)
	}
	_, err = desk.Approve(ctx, asked.ID, "alice")
	fmt.Println(err)
	_, err = desk.Approve(ctx, asked.ID, "bob")
	fmt.Println(err)
	// Output:
	// smsx/template: own request
	// <nil>
}

var ends = template.Config{Issuer: "sms-desk", Audience: "sms-gateway"}

func keys() []template.Key {
	sum := sha256.Sum256([]byte("example"))
	return []template.Key{{ID: "2026a", Secret: sum[:]}}
}
