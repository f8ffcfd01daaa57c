package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/rules"
	"github.com/bulwark-go/bulwark/ratelimit/rules/rollout"
	"github.com/bulwark-go/bulwark/ratelimit/rules/rulestest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func memory(t *testing.T, history int) rollout.Store {
	m, err := rollout.NewMemory(history)
	require.NoError(t, err)
	return m
}

func TestMemoryConforms(t *testing.T) { rulestest.Test(t, memory) }

// failing is a store whose calls, or only Watch, fail while it is told so.
type failing struct {
	rollout.Store
	down, deaf atomic.Bool
}

var errDown = errors.New("down")

func (s *failing) Latest(ctx context.Context) (rollout.Revision, time.Time, error) {
	if s.down.Load() {
		return rollout.Revision{}, time.Time{}, errDown
	}
	return s.Store.Latest(ctx)
}

func (s *failing) Watch(ctx context.Context, changed func()) error {
	if s.deaf.Load() {
		return errDown
	}
	return s.Store.Watch(ctx, changed)
}

func follower(t *testing.T, s rollout.Store, name string, count int64) (*rollout.Follower, *rules.Set) {
	t.Helper()
	set, err := rules.New(rulestest.Edit(count).Rules)
	require.NoError(t, err)
	f, err := rollout.New(set, s, name, rollout.Config{})
	require.NoError(t, err)
	return f, set
}

// run runs f in the bubble, until the test ends.
func run(t *testing.T, f *rollout.Follower) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
	synctest.Wait()
}

func rate(s *rules.Set) int64 {
	list, _ := s.Rules()
	return list[0].Rate.Count
}

func TestAnEmptyStoreIsSeededAndAFullOneIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory(t, 10)
		first, _ := follower(t, s, "a", 5)
		run(t, first)
		second, set := follower(t, s, "b", 7)
		run(t, second)
		require.EqualValues(t, 5, rate(set))
		require.EqualValues(t, 1, second.Snapshot().Revision.Number)
		require.ErrorIs(t, second.Run(t.Context()), rollout.ErrRunning)
	})
}

func TestAHundredFollowersFollow(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		t.Run(fmt.Sprint("deaf ", deaf), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &failing{Store: memory(t, 10)}
				s.deaf.Store(deaf)
				var sets []*rules.Set
				var last *rollout.Follower
				for i := range 100 {
					f, set := follower(t, s, fmt.Sprint(i), 5)
					run(t, f)
					sets, last = append(sets, set), f
				}
				_, err := last.Save(t.Context(), 1, rulestest.Edit(9))
				require.NoError(t, err)
				if deaf {
					time.Sleep(1200 * time.Millisecond) // a poll of 1 s, varied
				}
				synctest.Wait()
				for _, set := range sets {
					require.EqualValues(t, 9, rate(set))
				}
				instances, err := last.Instances(t.Context())
				require.NoError(t, err)
				require.Len(t, instances, 100)
			})
		})
	}
}

func TestAnOutageKeepsTheRulesAndIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &failing{Store: memory(t, 10)}
		f, set := follower(t, s, "a", 5)
		run(t, f)
		require.True(t, f.Snapshot().Connected)
		s.down.Store(true)
		time.Sleep(time.Minute)
		require.EqualValues(t, 5, rate(set))
		require.False(t, f.Snapshot().Connected)
		require.ErrorIs(t, f.Snapshot().Err, errDown)
		_, err := s.Save(t.Context(), 1, rulestest.Edit(9))
		require.NoError(t, err)
		s.down.Store(false)
		time.Sleep(10 * time.Second)
		require.EqualValues(t, 9, rate(set))
		require.True(t, f.Snapshot().Connected)
	})
}

func TestATemporaryRevisionEndsByItselfAndIsAudited(t *testing.T) {
	for _, down := range []bool{false, true} {
		t.Run(fmt.Sprint("down ", down), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &failing{Store: memory(t, 10)}
				f, set := follower(t, s, "a", 5)
				run(t, f)
				e := rulestest.Edit(9)
				e.For = time.Minute
				_, err := f.Save(t.Context(), 1, e)
				require.NoError(t, err)
				time.Sleep(59 * time.Second)
				require.EqualValues(t, 9, rate(set))
				s.down.Store(down)
				time.Sleep(10 * time.Second)
				require.EqualValues(t, 5, rate(set))
				require.Equal(t, down, f.Snapshot().Ended)
				s.down.Store(false)
				time.Sleep(10 * time.Second)
				history, err := f.History(t.Context(), 10)
				require.NoError(t, err)
				require.Len(t, history, 3)
				require.Equal(t, "rollout", history[0].Author)
				require.EqualValues(t, 1, history[0].Restores)
			})
		})
	}
}

func TestARollbackIsANewRevision(t *testing.T) {
	f, set := follower(t, memory(t, 10), "a", 5)
	_, err := f.Latest(t.Context())
	require.NoError(t, err)
	_, err = f.Save(t.Context(), 1, rulestest.Edit(9))
	require.NoError(t, err)
	r, err := f.Rollback(t.Context(), 2, 1, "lee", "too much")
	require.NoError(t, err)
	require.EqualValues(t, 3, r.Number)
	require.EqualValues(t, 1, r.Restores)
	require.EqualValues(t, 5, rate(set))
	_, err = f.Rollback(t.Context(), 3, 77, "lee", "")
	require.ErrorIs(t, err, rollout.ErrUnknown)
}

func TestNoConcurrentEditIsLost(t *testing.T) {
	rulestest.Audit(t, memory, testenv.Scale(1000, 10_000))
}

// Whatever Decode accepts is a valid edit, and survives being written and read again.
func FuzzDecode(f *testing.F) {
	e := rulestest.Edit(7)
	e.For, e.Then, e.Base = time.Minute, rulestest.Edit(3).Rules, 4
	doc, err := rollout.Encode(e)
	require.NoError(f, err)
	f.Add(doc)
	f.Add([]byte(`{"rules":[],"author":"kim"}`))
	f.Add([]byte(`{"rules":null,"author":"kim","for":-1,"nots":""}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		e, err := rollout.Decode(doc)
		if err != nil {
			var field *ratelimit.FieldError
			require.ErrorAs(t, err, &field)
			return
		}
		require.NotEmpty(t, e.Author)
		_, err = rules.New(e.Rules)
		if err != nil { // only what a limiter itself refuses
			require.NoError(t, rules.Validate(e.Rules))
		}
		written, err := rollout.Encode(e)
		require.NoError(t, err)
		again, err := rollout.Decode(written)
		require.NoError(t, err)
		rewritten, err := rollout.Encode(again)
		require.NoError(t, err)
		require.Equal(t, written, rewritten)
	})
}

func TestADocumentWithATypingErrorIsNone(t *testing.T) {
	for doc, want := range map[string]string{
		`{"rules":[],"author":"kim","nots":""}`: "nots",
		`{"author":"kim"}`:                      "rules",
		`{"rules":null,"author":"kim"}`:         "rules",
		`{"rules":[]}`:                          "author",
		`[]`:                                    "document",
		`{"rules":[],"author":"kim","for":-1}`:  "for",
	} {
		_, err := rollout.Decode([]byte(doc))
		var field *ratelimit.FieldError
		require.ErrorAs(t, err, &field, doc)
		require.Equal(t, want, field.Field, doc)
	}
}

func TestNewRefusesBadValues(t *testing.T) {
	_, err := rollout.New(nil, nil, "", rollout.Config{Poll: -1})
	for _, field := range []string{"set", "store", "instance", "poll"} {
		require.ErrorContains(t, err, field)
	}
	_, err = rollout.NewMemory(0)
	var field *ratelimit.FieldError
	require.ErrorAs(t, err, &field)
}

func ExampleNew() {
	ctx := context.Background()
	set, _ := rules.New([]rules.Rule{{Name: "default", Rate: ratelimit.PerSecond(100)}})
	store, _ := rollout.NewMemory(1000)
	follower, _ := rollout.New(set, store, "pod-7", rollout.Config{}) // and go follower.Run(ctx)

	seen, _ := follower.Latest(ctx)
	r, err := follower.Save(ctx, seen.Number, rollout.Edit{Author: "kim", Rules: []rules.Rule{{Name: "default", Blocked: true}}})
	fmt.Println(r.Number, err)
	_, err = follower.Save(ctx, seen.Number, rollout.Edit{Author: "lee"})
	fmt.Println(err)
	// Output:
	// 2 <nil>
	// rules: changed since they were read: revision 1 is now 2
}

func ExampleNewMemory() {
	store, err := rollout.NewMemory(1000)
	if err != nil {
		panic(err)
	}
	r, err := store.Save(context.Background(), 0, rollout.Edit{Author: "kim"})
	fmt.Println(r.Number, r.Author, err)
	// Output: 1 kim <nil>
}
