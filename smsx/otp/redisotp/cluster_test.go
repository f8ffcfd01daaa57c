package redisotp_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/smsx/otp"
)

func TestAClusterOfThreeMastersHoldsCodesAsOneServerDoes(t *testing.T) {
	rdb := testenv.RedisCluster(t)
	codes, box := newCodes(t, rdb)
	phones := []string{}
	for i := range 30 {
		phones = append(phones, fmt.Sprintf("+861380013%04d", i))
	}
	for _, phone := range phones {
		require.NoError(t, codes.Issue(t.Context(), "login", phone))
		require.ErrorIs(t, codes.Issue(t.Context(), "login", phone), otp.ErrLimited)
	}
	require.NoError(t, rdb.ForEachMaster(t.Context(), func(ctx context.Context, master *redis.Client) error {
		if master.DBSize(ctx).Val() == 0 {
			return errors.New("a master has no keys: the test's subjects are badly chosen")
		}
		return master.ScriptFlush(ctx).Err()
	}))
	for i, phone := range phones {
		code := box.sent[i].Code
		require.False(t, verify(t, codes, phone, code+"0"))
		require.True(t, verify(t, codes, phone, code))
		require.False(t, verify(t, codes, phone, code))
	}
}
