package redisswitch_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bulwark-go/bulwark/failover/degrade"
	"github.com/bulwark-go/bulwark/failover/degrade/degradetest"
	"github.com/bulwark-go/bulwark/failover/degrade/redisswitch"
	"github.com/bulwark-go/bulwark/internal/embedded"
	"github.com/bulwark-go/bulwark/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, testenv.LeakOptions()...) }

func TestStore(t *testing.T) {
	degradetest.Test(t, func(t *testing.T) degradetest.Store {
		client := testenv.Redis(t)
		return degradetest.Store{Store: redisswitch.New(client), Pass: func(d time.Duration) {
			require.Eventually(t, func() bool { // the server ends them, so ask it
				left, err := client.DBSize(t.Context()).Result()
				return err == nil && left == 1
			}, time.Minute, d/10)
		}}
	})
}

func TestInstancesShareTheirSwitches(t *testing.T) {
	client := testenv.Redis(t)
	var fleet []*degrade.Switches
	for range 10 {
		s, err := degrade.NewSwitches(redisswitch.New(client), []string{"edge", "writes"}, degrade.SwitchConfig{})
		require.NoError(t, err)
		fleet = append(fleet, s)
	}
	require.NoError(t, fleet[0].TurnOff(t.Context(), "writes", "ann", "save reads", time.Minute))
	for _, s := range fleet {
		require.NoError(t, s.Refresh(t.Context()))
		require.False(t, s.On("writes"))
		require.True(t, s.On("edge"))
	}
}

// One order, and every instance that runs follows by itself, within a tenth of a second
// on a machine that is not too busy for it.
func TestAFleetFollowsThroughRedis(t *testing.T) {
	client := testenv.Redis(t)
	ctx, cancel := context.WithCancel(t.Context())
	var fleet []*degrade.Switches
	var running sync.WaitGroup
	for range 20 {
		s, err := degrade.NewSwitches(redisswitch.New(client), []string{"edge", "writes"}, degrade.SwitchConfig{})
		require.NoError(t, err)
		fleet = append(fleet, s)
		running.Go(func() { _ = s.Run(ctx) })
	}
	var took []time.Duration
	for i := range 10 {
		off := i%2 == 0
		begin := time.Now()
		if off {
			require.NoError(t, fleet[0].TurnOff(ctx, "writes", "ann", "save reads", time.Minute))
		} else {
			require.NoError(t, fleet[0].TurnOn(ctx, "writes"))
		}
		require.Eventually(t, func() bool {
			for _, s := range fleet {
				if s.On("writes") == off {
					return false
				}
			}
			return true
		}, 30*time.Second, time.Millisecond)
		took = append(took, time.Since(begin))
	}
	cancel()
	running.Wait()
	slices.Sort(took)
	t.Logf("20 instances followed within %v (median), %v (worst of 10)", took[5], took[9])
}

func TestAnUnreadableOrderIsAnError(t *testing.T) {
	client := testenv.Redis(t)
	store := redisswitch.New(client, redisswitch.WithPrefix("other"))
	require.NoError(t, client.Set(t.Context(), "other:6:writes", "not json", time.Minute).Err())
	_, err := store.Load(t.Context(), []string{"writes"})
	require.ErrorContains(t, err, `redisswitch: order for "writes"`)
}

func TestAServerThatIsGoneIsAnError(t *testing.T) {
	node := testenv.RestartableRedis(t)
	client := redis.NewClient(&redis.Options{Addr: node.Addr(), MaxRetries: -1})
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	s, err := degrade.NewSwitches(redisswitch.New(client), []string{"writes"}, degrade.SwitchConfig{})
	require.NoError(t, err)
	require.NoError(t, s.TurnOff(t.Context(), "writes", "ann", "", time.Minute))
	node.Stop()
	require.Error(t, s.Refresh(t.Context()))
	require.False(t, s.On("writes"), "the last answer holds")
	require.Error(t, s.TurnOn(t.Context(), "writes"))
	require.Error(t, s.TurnOff(t.Context(), "writes", "ann", "", time.Minute))
}

func ExampleNew() {
	server, err := embedded.StartRedis(embedded.RedisConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = server.Close() }()
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer func() { _ = client.Close() }()
	switches, err := degrade.NewSwitches(redisswitch.New(client), []string{"recommendations", "writes"}, degrade.SwitchConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = switches.Shed(context.Background(), 1, "ann", "rush hour", time.Hour)
	fmt.Println(switches.On("recommendations"), switches.On("writes"), err)
	// Output: false true <nil>
}
