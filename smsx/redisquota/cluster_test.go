package redisquota_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/smsx/quota"
)

// An account and its messages are in one slot, whichever it is: what a cluster of three
// masters holds is spent once.
func TestAClusterOfThreeMastersSpendsAQuotaOnce(t *testing.T) {
	rdb := testenv.RedisCluster(t)
	q := newQuota(t, rdb)
	const accounts, capacity = 12, 10
	var granted [accounts]atomic.Int64
	var all sync.WaitGroup
	errs := make(chan error, accounts*3*capacity)
	for a := range accounts {
		for i := range 3 * capacity {
			all.Go(func() {
				d, err := q.Reserve(context.Background(), quota.Charge{Account: fmt.Sprint("tenant", a), ID: fmt.Sprint(i), Content: "x", Units: 1, Capacity: capacity})
				if err == nil && d.Verdict == quota.Granted {
					granted[a].Add(1)
					err = q.Commit(context.Background(), d.Ticket, 1)
				}
				if err != nil {
					errs <- err
				}
			})
		}
	}
	all.Wait()
	close(errs)
	require.NoError(t, errors.Join(collect(errs)...))
	for a := range granted {
		require.EqualValues(t, capacity, granted[a].Load())
	}
	require.NoError(t, rdb.ForEachMaster(t.Context(), func(ctx context.Context, master *redis.Client) error {
		if master.DBSize(ctx).Val() == 0 {
			return errors.New("a master has no keys: the test's accounts are badly chosen")
		}
		return nil
	}))
	spent, err := q.Reserve(t.Context(), quota.Charge{Account: "tenant0", ID: "again", Content: "x", Units: 1, Capacity: capacity + 1})
	require.NoError(t, err)
	require.Equal(t, quota.Granted, spent.Verdict)
	require.NoError(t, q.Refund(t.Context(), spent.Ticket))
	again, err := q.Reserve(t.Context(), quota.Charge{Account: "tenant0", ID: "another", Content: "x", Units: 1, Capacity: capacity + 1})
	require.NoError(t, err)
	require.Equal(t, quota.Granted, again.Verdict, "what was refunded")
}

func collect(errs <-chan error) (all []error) {
	for err := range errs {
		all = append(all, err)
	}
	return all
}
