package idempotencytest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/idempotency"
)

const scope = idempotency.Scope("suite")

var errEffect = errors.New("no money")

// add returns the effect that adds n.
func (h Harness[Tx]) add(account string, n int) func(Tx) error {
	return func(tx Tx) error { return h.Add(tx, account, n) }
}

func (h Harness[Tx]) requireSum(t *testing.T, account string, want int) {
	t.Helper()
	sum, err := h.Sum(context.WithoutCancel(t.Context()), account)
	require.NoError(t, err)
	require.Equal(t, want, sum)
}

func (h Harness[Tx]) do(t *testing.T, key idempotency.Key, payload string, n int) idempotency.Kind {
	t.Helper()
	d, err := h.Store.Do(t.Context(), key, []byte(payload), h.add("a", n))
	require.NoError(t, err)
	return d.Kind
}

func repeat[Tx any](t *testing.T, h Harness[Tx]) {
	key := scope.Key("order", "1")
	require.Equal(t, idempotency.First, h.do(t, key, "p", 5))
	for range 3 {
		require.Equal(t, idempotency.Repeat, h.do(t, key, "p", 5))
	}
	h.requireSum(t, "a", 5)
}

func failed[Tx any](t *testing.T, h Harness[Tx]) {
	key := scope.Key("1")
	_, err := h.Store.Do(t.Context(), key, nil, func(tx Tx) error {
		return errors.Join(h.Add(tx, "a", 5), errEffect)
	})
	require.ErrorIs(t, err, errEffect)
	h.requireSum(t, "a", 0)
	require.Equal(t, idempotency.First, h.do(t, key, "", 5))
	h.requireSum(t, "a", 5)
}

func panicked[Tx any](t *testing.T, h Harness[Tx]) {
	key := scope.Key("1")
	require.PanicsWithValue(t, "boom", func() {
		_, _ = h.Store.Do(t.Context(), key, nil, func(tx Tx) error {
			_ = h.Add(tx, "a", 5)
			panic("boom")
		})
	})
	h.requireSum(t, "a", 0)
	require.Equal(t, idempotency.First, h.do(t, key, "", 5))
}

func goexit[Tx any](t *testing.T, h Harness[Tx]) {
	key := scope.Key("1")
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = h.Store.Do(t.Context(), key, nil, func(tx Tx) error {
			_ = h.Add(tx, "a", 5)
			runtime.Goexit()
			return nil
		})
	})
	wg.Wait()
	h.requireSum(t, "a", 0)
	require.Equal(t, idempotency.First, h.do(t, key, "", 5))
}

func conflict[Tx any](t *testing.T, h Harness[Tx]) {
	key := scope.Key("1")
	require.Equal(t, idempotency.First, h.do(t, key, "amount=5", 5))
	for range 2 {
		d, err := h.Store.Do(t.Context(), key, []byte("amount=6"), h.add("a", 6))
		require.ErrorIs(t, err, idempotency.ErrConflict)
		var typed *idempotency.ConflictError
		require.ErrorAs(t, err, &typed)
		require.Equal(t, key, typed.Key)
		require.Equal(t, idempotency.Conflict, d.Kind)
	}
	h.requireSum(t, "a", 5)
	require.Equal(t, idempotency.Repeat, h.do(t, key, "amount=5", 5))
}

func bytewise[Tx any](t *testing.T, h Harness[Tx]) {
	long := strings.Repeat("k", 500)
	ids := []string{"a", "A", "a ", " a", "\u00e4", "a\u0308", "a\x00", "a\xff", "a\xfe", "%", "'", long, long + "k", "1", "01", "1.0", "sha256:x"}
	for i, id := range ids {
		key := idempotency.Key{Scope: scope, ID: id}
		require.Equal(t, idempotency.First, h.do(t, key, "", 1), "%q", id)
		require.Equal(t, idempotency.Repeat, h.do(t, key, "", 1), "%q", id)
		require.Equal(t, idempotency.First, h.do(t, idempotency.Key{Scope: "other", ID: id}, "", 0), "%q", id)
		h.requireSum(t, "a", i+1)
	}
}

func invalid[Tx any](t *testing.T, h Harness[Tx]) {
	for _, key := range []idempotency.Key{
		{}, {Scope: scope}, {ID: "1"}, {Scope: "UPPER", ID: "1"}, {Scope: "a b", ID: "1"},
		{Scope: idempotency.Scope(strings.Repeat("s", idempotency.MaxScope+1)), ID: "1"},
	} {
		_, err := h.Store.Do(t.Context(), key, nil, h.add("a", 1))
		require.ErrorIs(t, err, idempotency.ErrKey, "%v", key)
		_, err = h.Store.DoBatch(t.Context(), []idempotency.Delivery{{Key: scope.Key("1")}, {Key: key}}, func(tx Tx, first []int) error {
			return h.Add(tx, "a", len(first))
		})
		require.ErrorIs(t, err, idempotency.ErrKey, "%v", key)
	}
	h.requireSum(t, "a", 0)
}

func atOnce[Tx any](t *testing.T, h Harness[Tx]) {
	for i := range 5 {
		var first, ran atomic.Int64
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				d, err := h.Store.Do(t.Context(), scope.Key(fmt.Sprint(i)), nil, func(tx Tx) error {
					ran.Add(1)
					return h.Add(tx, "a", 1)
				})
				if err != nil {
					t.Errorf("at once: %v", err)
				}
				if d.Kind == idempotency.First {
					first.Add(1)
				}
			})
		}
		wg.Wait()
		require.Equal(t, int64(1), first.Load())
		require.GreaterOrEqual(t, ran.Load(), int64(1))
		h.requireSum(t, "a", i+1)
	}
}

func answers[Tx any](t *testing.T, h Harness[Tx]) {
	key := scope.Key("1")
	call := func(answer []byte, failure error) (idempotency.Decision, error) {
		return h.Store.DoAnswer(t.Context(), key, nil, func(tx Tx) ([]byte, error) { return answer, errors.Join(h.Add(tx, "a", 1), failure) })
	}
	_, err := call([]byte("never"), errEffect)
	require.ErrorIs(t, err, errEffect)
	for i, kind := range []idempotency.Kind{idempotency.First, idempotency.Repeat, idempotency.Repeat} {
		d, err := call(fmt.Append(nil, "answer ", i), nil)
		require.NoError(t, err)
		require.Equal(t, kind, d.Kind)
		require.Equal(t, "answer 0", string(d.Answer))
	}
	h.requireSum(t, "a", 1)

	type receipt struct{ Number int }
	for i := range 3 {
		r, _, err := idempotency.DoAnswer(t.Context(), h.Store, scope.Key("typed"), nil, func(tx Tx) (receipt, error) {
			return receipt{i + 7}, h.Add(tx, "b", 1)
		})
		require.NoError(t, err)
		require.Equal(t, receipt{7}, r)
	}
	h.requireSum(t, "b", 1)
}

func peek[Tx any](t *testing.T, h Harness[Tx]) {
	require.Equal(t, idempotency.First, h.do(t, scope.Key("old"), "p", 1))
	deliveries := []idempotency.Delivery{
		{Key: scope.Key("new")}, {Key: scope.Key("old"), Payload: []byte("p")}, {Key: scope.Key("old"), Payload: []byte("q")},
	}
	for range 2 {
		decisions, err := h.Store.Peek(t.Context(), deliveries)
		require.NoError(t, err)
		require.Equal(t, []idempotency.Kind{idempotency.Undecided, idempotency.Repeat, idempotency.Conflict}, kindsOf(decisions))
	}
	require.Equal(t, idempotency.First, h.do(t, scope.Key("new"), "", 1))
}

func cancelled[Tx any](t *testing.T, h Harness[Tx]) {
	ctx, cancel := context.WithCancel(t.Context())
	_, err := h.Store.Do(ctx, scope.Key("1"), nil, func(tx Tx) error {
		err := h.Add(tx, "a", 1)
		cancel()
		return err
	})
	require.ErrorIs(t, err, context.Canceled)
	h.requireSum(t, "a", 0)
	require.Equal(t, idempotency.First, h.do(t, scope.Key("1"), "", 1))
}

// nested does two things under one key, of which a later failure undoes both.
func nested[Tx any](t *testing.T, h Harness[Tx]) {
	for i := range 3 {
		_, err := h.Store.Do(t.Context(), scope.Key("1"), nil, func(tx Tx) error {
			if err := h.Add(tx, "a", 1); err != nil {
				return err
			}
			if i == 0 {
				return errEffect
			}
			return h.Add(tx, "b", -1)
		})
		require.Equal(t, i == 0, err != nil)
	}
	h.requireSum(t, "a", 1)
	h.requireSum(t, "b", -1)
}

func kindsOf(decisions []idempotency.Decision) []idempotency.Kind {
	kinds := make([]idempotency.Kind, len(decisions))
	for i, d := range decisions {
		kinds[i] = d.Kind
	}
	return kinds
}
