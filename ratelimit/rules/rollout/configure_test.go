package rollout_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/rules"
	"github.com/bulwark-go/bulwark/ratelimit/rules/rollout"
	"github.com/bulwark-go/bulwark/ratelimit/rules/rulestest"
)

func configure(t *testing.T, f *rollout.Follower, count int64) rollout.Revision {
	t.Helper()
	r, err := f.Configure(t.Context(), rulestest.Edit(count).Rules, "file")
	require.NoError(t, err)
	return r
}

func TestAConfigurationComesInOnlyWhenItHasChanged(t *testing.T) {
	s := memory(t, 10)
	f, set := follower(t, s, "a", 5)
	require.EqualValues(t, 1, configure(t, f, 5).Number, "these rules fill the store")
	_, err := f.Save(t.Context(), 1, rulestest.Edit(9)) // by somebody at the page
	require.NoError(t, err)

	require.EqualValues(t, 2, configure(t, f, 5).Number, "the file is the same, so the page stands")
	require.EqualValues(t, 9, rate(set))
	restarted, set := follower(t, s, "b", 5)
	require.EqualValues(t, 2, configure(t, restarted, 5).Number, "a restart undoes nothing")
	require.EqualValues(t, 9, rate(set))

	r := configure(t, restarted, 7)
	require.EqualValues(t, 3, r.Number)
	require.Equal(t, "file", r.Author)
	require.EqualValues(t, 7, rate(set))
	require.EqualValues(t, 3, configure(t, f, 7).Number, "for all instances once")
	_, err = f.Rollback(t.Context(), 3, 2, "lee", "")
	require.NoError(t, err)
	require.EqualValues(t, 4, configure(t, f, 7).Number, "nor does it undo a rollback")
	require.EqualValues(t, 5, configure(t, f, 5).Number, "back to the first file is a change, too")
}

func TestTheEndOfATemporaryRevisionIsNotTakenForAChangeOfTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, set := follower(t, memory(t, 10), "a", 5)
		run(t, f)
		configure(t, f, 5)
		e := rulestest.Edit(9)
		e.For = time.Minute
		_, err := f.Save(t.Context(), 1, e)
		require.NoError(t, err)
		time.Sleep(2 * time.Minute)
		require.EqualValues(t, 5, rate(set))
		require.EqualValues(t, 3, configure(t, f, 5).Number)
	})
}

func TestAStoreThatLostAllKnowsTheConfigurationAgain(t *testing.T) {
	s := &failing{Store: memory(t, 10)}
	f, set := follower(t, s, "a", 5)
	configure(t, f, 5)
	_, err := f.Save(t.Context(), 1, rulestest.Edit(9))
	require.NoError(t, err)
	s.Store = memory(t, 10)
	require.EqualValues(t, 3, configure(t, f, 5).Number, "revision 2 is back, under a higher number")
	require.EqualValues(t, 9, rate(set))
}

func TestOfManyInstancesOneTakesTheConfigurationOver(t *testing.T) {
	s := memory(t, 100)
	var all sync.WaitGroup
	for i := range 20 {
		f, _ := follower(t, s, fmt.Sprint(i), 5)
		all.Go(func() {
			if _, err := f.Configure(t.Context(), rulestest.Edit(7).Rules, "file"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	r, _, err := s.Latest(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 2, r.Number, "the seed, and one change")
}

func TestABadConfigurationChangesNothing(t *testing.T) {
	f, set := follower(t, memory(t, 10), "a", 5)
	_, err := f.Configure(t.Context(), []rules.Rule{{Name: "x"}}, "file")
	var field *ratelimit.FieldError
	require.ErrorAs(t, err, &field)
	require.EqualValues(t, 5, rate(set))
}

func ExampleFollower_Configure() {
	ctx := context.Background()
	file := []rules.Rule{{Name: "default", Rate: ratelimit.PerSecond(100)}}
	set, _ := rules.New(file)
	store, _ := rollout.NewMemory(1000)
	follower, _ := rollout.New(set, store, "pod-7", rollout.Config{})

	r, _ := follower.Configure(ctx, file, "webook.yaml")
	r, _ = follower.Save(ctx, r.Number, rollout.Edit{Author: "kim", Rules: []rules.Rule{{Name: "default", Blocked: true}}})
	r, _ = follower.Configure(ctx, file, "webook.yaml") // after a restart, say
	fmt.Println(r.Number, r.Author)
	file[0].Rate = ratelimit.PerSecond(200)
	r, _ = follower.Configure(ctx, file, "webook.yaml")
	fmt.Println(r.Number, r.Author)
	// Output:
	// 2 kim
	// 3 webook.yaml
}
