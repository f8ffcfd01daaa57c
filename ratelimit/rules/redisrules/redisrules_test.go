package redisrules_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bulwark-go/bulwark/internal/embedded"
	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/rules"
	"github.com/bulwark-go/bulwark/ratelimit/rules/redisrules"
	"github.com/bulwark-go/bulwark/ratelimit/rules/rollout"
	"github.com/bulwark-go/bulwark/ratelimit/rules/rulestest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheStoreConforms(t *testing.T) {
	rulestest.Test(t, func(t *testing.T, history int) rollout.Store {
		s, err := redisrules.New(testenv.Redis(t), "api", redisrules.WithHistory(history))
		require.NoError(t, err)
		return s
	})
}

func TestNewRefusesBadValues(t *testing.T) {
	_, err := redisrules.New(nil, "a{b", redisrules.WithHistory(0), redisrules.WithPrefix(""))
	for _, field := range []string{"rdb", "name", "history", "prefix"} {
		require.ErrorContains(t, err, field)
	}
}

func TestADamagedRevisionIsNamedAndReplaced(t *testing.T) {
	rdb := testenv.Redis(t)
	s, err := redisrules.New(rdb, "api")
	require.NoError(t, err)
	_, err = s.Save(t.Context(), 0, rulestest.Edit(1))
	require.NoError(t, err)
	require.NoError(t, rdb.LPush(t.Context(), "rules:{3:api}:revisions", `2 1 0 x {"rules":[]}`).Err())

	_, _, err = s.Latest(t.Context())
	var damaged *rollout.DocumentError
	require.ErrorAs(t, err, &damaged)
	require.EqualValues(t, 2, damaged.Number)
	var field *ratelimit.FieldError
	require.ErrorAs(t, err, &field)

	set, err := rules.New(rulestest.Edit(5).Rules)
	require.NoError(t, err)
	f, err := rollout.New(set, s, "one", rollout.Config{})
	require.NoError(t, err)
	_, err = f.Latest(t.Context())
	require.ErrorAs(t, err, &damaged)
	kept, _ := set.Rules()
	require.Equal(t, rulestest.Edit(5).Rules, kept)

	r, err := f.Save(t.Context(), 2, rulestest.Edit(9))
	require.NoError(t, err)
	require.EqualValues(t, 3, r.Number)
	history, err := s.History(t.Context(), 10)
	require.ErrorAs(t, err, &damaged)
	require.Len(t, history, 2)
}

func TestAServerThatLostItsRevisionsGetsTheNewestBackUnderAHigherNumber(t *testing.T) {
	rdb := testenv.Redis(t)
	s, err := redisrules.New(rdb, "api")
	require.NoError(t, err)
	set, err := rules.New(rulestest.Edit(5).Rules)
	require.NoError(t, err)
	f, err := rollout.New(set, s, "one", rollout.Config{})
	require.NoError(t, err)
	_, err = f.Latest(t.Context())
	require.NoError(t, err)
	_, err = f.Save(t.Context(), 1, rulestest.Edit(9))
	require.NoError(t, err)

	require.NoError(t, rdb.FlushDB(t.Context()).Err())
	r, err := f.Latest(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 3, r.Number)
	require.EqualValues(t, 2, r.Restores)
	require.Equal(t, rulestest.Edit(9).Rules, r.Rules)
}

func ExampleNew() {
	server, err := embedded.StartRedis(embedded.RedisConfig{})
	if err != nil {
		panic(err)
	}
	defer server.Close()
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr(), ContextTimeoutEnabled: true})
	defer rdb.Close()

	store, err := redisrules.New(rdb, "api", redisrules.WithHistory(100))
	if err != nil {
		panic(err)
	}
	r, err := store.Save(context.Background(), 0, rulestest.Edit(10))
	fmt.Println(r.Number, r.Author, err)
	// Output: 1 kim <nil>
}
