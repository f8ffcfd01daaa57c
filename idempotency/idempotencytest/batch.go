package idempotencytest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bulwark-go/bulwark/idempotency"
)

func deliveries(ids ...string) []idempotency.Delivery {
	batch := make([]idempotency.Delivery, len(ids))
	for i, id := range ids {
		batch[i] = idempotency.Delivery{Key: scope.Key(id)}
	}
	return batch
}

// count does a batch whose effect counts its firsts, and returns which those were.
func (h Harness[Tx]) count(t *testing.T, batch []idempotency.Delivery) ([]int, []idempotency.Kind) {
	var got []int
	decisions, err := h.Store.DoBatch(t.Context(), batch, func(tx Tx, first []int) error {
		got = first
		return h.Add(tx, "a", len(first))
	})
	require.NoError(t, err)
	require.Len(t, decisions, len(batch))
	return got, kindsOf(decisions)
}

func batch[Tx any](t *testing.T, h Harness[Tx]) {
	first, kinds := h.count(t, deliveries("c", "a", "b"))
	require.Equal(t, []int{0, 1, 2}, first)
	require.Equal(t, []idempotency.Kind{idempotency.First, idempotency.First, idempotency.First}, kinds)
	first, kinds = h.count(t, deliveries("b", "z", "a", "d"))
	require.Equal(t, []int{1, 3}, first)
	require.Equal(t, []idempotency.Kind{idempotency.Repeat, idempotency.First, idempotency.Repeat, idempotency.First}, kinds)
	h.requireSum(t, "a", 5)

	type event struct{ id, article string }
	var seen []event
	_, err := idempotency.DoEach(t.Context(), h.Store, []event{{"a", "1"}, {"e", "2"}, {"e", "2"}, {"f", "3"}},
		func(e event) idempotency.Delivery { return idempotency.Delivery{Key: scope.Key(e.id)} },
		func(tx Tx, first []event) error {
			seen = first
			return h.Add(tx, "a", len(first))
		})
	require.NoError(t, err)
	require.Equal(t, []event{{"e", "2"}, {"f", "3"}}, seen)
	h.requireSum(t, "a", 7)
}

func twice[Tx any](t *testing.T, h Harness[Tx]) {
	first, kinds := h.count(t, deliveries("a", "b", "a", "a"))
	require.Equal(t, []int{0, 1}, first)
	require.Equal(t, []idempotency.Kind{idempotency.First, idempotency.First, idempotency.Repeat, idempotency.Repeat}, kinds)
	h.requireSum(t, "a", 2)
	other := []idempotency.Delivery{
		{Key: scope.Key("c"), Payload: []byte("1")}, {Key: scope.Key("c"), Payload: []byte("2")}, {Key: scope.Key("c"), Payload: []byte("1")},
	}
	first, kinds = h.count(t, other)
	require.Equal(t, []int{0}, first)
	require.Equal(t, []idempotency.Kind{idempotency.First, idempotency.Conflict, idempotency.Repeat}, kinds)
}

func batchConflict[Tx any](t *testing.T, h Harness[Tx]) {
	require.Equal(t, idempotency.First, h.do(t, scope.Key("b"), "amount=1", 1))
	mixed := deliveries("a", "b", "c", "b")
	mixed[1].Payload, mixed[3].Payload = []byte("amount=2"), []byte("amount=1")
	first, kinds := h.count(t, mixed)
	require.Equal(t, []int{0, 2}, first)
	require.Equal(t, []idempotency.Kind{idempotency.First, idempotency.Conflict, idempotency.First, idempotency.Repeat}, kinds)
	h.requireSum(t, "a", 3)
	decisions, err := h.Store.DoBatch(t.Context(), mixed, nil)
	require.NoError(t, err)
	require.ErrorIs(t, decisions[1].Err(mixed[1].Key), idempotency.ErrConflict)
	require.NoError(t, decisions[0].Err(mixed[0].Key))
}

func batchFailed[Tx any](t *testing.T, h Harness[Tx]) {
	decisions, err := h.Store.DoBatch(t.Context(), deliveries("a", "b"), func(tx Tx, first []int) error {
		return errors.Join(h.Add(tx, "a", len(first)), errEffect)
	})
	require.ErrorIs(t, err, errEffect)
	require.Empty(t, decisions)
	h.requireSum(t, "a", 0)
	first, _ := h.count(t, deliveries("a", "b"))
	require.Equal(t, []int{0, 1}, first)
}

func batchEmpty[Tx any](t *testing.T, h Harness[Tx]) {
	never := func(Tx, []int) error { return errEffect }
	decisions, err := h.Store.DoBatch(t.Context(), nil, never)
	require.NoError(t, err)
	require.Empty(t, decisions)
	h.count(t, deliveries("a"))
	decisions, err = h.Store.DoBatch(t.Context(), deliveries("a", "a"), never)
	require.NoError(t, err)
	require.Equal(t, []idempotency.Kind{idempotency.Repeat, idempotency.Repeat}, kindsOf(decisions))
}

// Consumers that got the same records after a rebalance, each in another order.
func batchesAtOnce[Tx any](t *testing.T, h Harness[Tx]) {
	ids := make([]string, 120)
	for i := range ids {
		ids[i] = fmt.Sprint(i)
	}
	for range 3 {
		var wg sync.WaitGroup
		for range 4 {
			mine := append([]string{}, ids...)
			rand.Shuffle(len(mine), func(i, j int) { mine[i], mine[j] = mine[j], mine[i] })
			wg.Go(func() {
				for len(mine) > 0 {
					_, err := h.Store.DoBatch(t.Context(), deliveries(mine[:30]...), func(tx Tx, first []int) error { return h.Add(tx, "a", len(first)) })
					if err != nil {
						t.Errorf("batch: %v", err)
					}
					mine = mine[30:]
				}
			})
		}
		wg.Wait()
		h.requireSum(t, "a", len(ids))
	}
}

// large is a batch of 500, half of them done before, some twice in it.
func large[Tx any](t *testing.T, h Harness[Tx]) {
	ids, before := make([]string, 500), make([]string, 0, 250)
	for i := range ids {
		ids[i] = fmt.Sprint("event-", i%450) // 50 come twice
		if i%450 < 250 && i < 450 {
			before = append(before, ids[i])
		}
	}
	rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	h.count(t, deliveries(before...))
	h.requireSum(t, "a", 250)
	calls := 0
	decisions, err := h.Store.DoBatch(t.Context(), deliveries(ids...), func(tx Tx, first []int) error {
		calls++
		require.IsIncreasing(t, first)
		return h.Add(tx, "a", len(first))
	})
	require.NoError(t, err)
	require.Equal(t, 1, calls, "one transaction")
	h.requireSum(t, "a", 450)
	counted := map[idempotency.Kind]int{}
	for _, d := range decisions {
		counted[d.Kind]++
	}
	require.Equal(t, map[idempotency.Kind]int{idempotency.First: 200, idempotency.Repeat: 300}, counted)
}

// model checks counters by account against a map of what was first, over batches of
// which half are repeats.
func model[Tx any](t *testing.T, h Harness[Tx]) {
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		counters, done := map[string]int{}, []string{}
		known := map[string]bool{}
		for b := range rapid.IntRange(1, 3).Draw(t, "batches") {
			size := rapid.SampledFrom([]int{1, 2, 7, 30}).Draw(t, "size")
			seed := rapid.Uint64().Draw(t, "seed")
			random := rand.New(rand.NewPCG(seed, 0))
			ids := make([]string, size)
			for i := range ids {
				if len(done) > 0 && random.IntN(2) == 0 {
					ids[i] = done[random.IntN(len(done))]
					continue
				}
				ids[i] = fmt.Sprint(run, "-", b, "-", i)
				done = append(done, ids[i]) // may come again within this batch
			}
			account := func(id string) string { return fmt.Sprint(run, "/", len(id)%2) }
			decisions, err := idempotency.DoEach(t.Context(), h.Store, ids,
				func(id string) idempotency.Delivery {
					return idempotency.Delivery{Key: scope.Key(id), Payload: []byte(id)}
				},
				func(tx Tx, first []string) error {
					sums := map[string]int{}
					for _, id := range first {
						sums[account(id)]++
					}
					for _, name := range []string{account("a"), account("aa")} {
						if err := h.Add(tx, name, sums[name]); err != nil {
							return err
						}
					}
					return nil
				})
			require.NoError(t, err)
			for i, id := range ids {
				want := idempotency.Repeat
				if !known[id] {
					want = idempotency.First
					known[id] = true
					counters[account(id)]++
				}
				require.Equal(t, want, decisions[i].Kind, "delivery %d, %s", i, id)
			}
			for name, want := range counters {
				sum, err := h.Sum(t.Context(), name)
				require.NoError(t, err)
				require.Equal(t, want, sum)
			}
		}
	})
}
