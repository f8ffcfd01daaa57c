package redisrules_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/ratelimit/rules/redisrules"
	"github.com/bulwark-go/bulwark/ratelimit/rules/rollout"
	"github.com/bulwark-go/bulwark/ratelimit/rules/rulestest"
)

func TestTheStoreConformsOnACluster(t *testing.T) {
	rdb := testenv.RedisCluster(t)
	names := 0 // so that the stores are in different slots
	rulestest.Test(t, func(t *testing.T, history int) rollout.Store {
		names++
		s, err := redisrules.New(rdb, fmt.Sprint("api ", names), redisrules.WithHistory(history))
		require.NoError(t, err)
		return s
	})
}
