package redislimit_test

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/concurrency"
)

// request and answer are one operation on a key's budget, which does not refill
// in a test's time. A cost of -1 gives one back.
type request struct {
	key  string
	cost int64
}

type answer struct {
	allowed   bool
	remaining int64
}

// budget is the sequential specification: what is left of a key.
func budget(limit int64) porcupine.Model {
	return porcupine.Model{
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			byKey := map[string][]porcupine.Operation{}
			for _, op := range history {
				k := op.Input.(request).key
				byKey[k] = append(byKey[k], op)
			}
			var parts [][]porcupine.Operation
			for _, part := range byKey {
				parts = append(parts, part)
			}
			return parts
		},
		Init: func() any { return limit },
		Step: func(state, input, output any) (bool, any) {
			left, in, out := state.(int64), input.(request), output.(answer)
			switch {
			case in.cost < 0:
				return true, left + 1
			case in.cost > left:
				return !out.allowed && out.remaining == left, left
			default:
				return out.allowed && out.remaining == left-in.cost, left - in.cost
			}
		},
	}
}

// history collects what several clients do at the same time.
type history struct {
	mu  sync.Mutex
	ops []porcupine.Operation
	t0  time.Time
}

func (h *history) run(client int, in request, do func() answer) {
	call := time.Since(h.t0)
	out := do()
	back := time.Since(h.t0)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: in, Call: int64(call), Output: out, Return: int64(back)})
}

const clients = 8

// clientsOf makes clients with connections of their own, and flushes the scripts
// all the while.
func clientsOf(t *testing.T) []redis.UniversalClient {
	t.Helper()
	testenv.RequireRealRedis(t, "the in-process one runs command after command anyway")
	options := testenv.RedisOptions(t)
	_, stop := flushing(t, options)
	t.Cleanup(stop)
	all := make([]redis.UniversalClient, clients)
	for i := range all {
		rdb := redis.NewClient(options)
		t.Cleanup(func() { _ = rdb.Close() })
		all[i] = rdb
	}
	return all
}

func TestDecisionsAreLinearizable(t *testing.T) {
	for name, algorithm := range algorithms {
		t.Run(name, func(t *testing.T) {
			const limit = 60
			h := history{t0: time.Now()}
			var wg sync.WaitGroup
			for i, rdb := range clientsOf(t) {
				l, err := algorithm.make(rdb, ratelimit.Rate{Count: limit, Per: 24 * time.Hour}, bursting(name, limit)...)
				require.NoError(t, err)
				random := rand.New(rand.NewPCG(uint64(i), 1))
				wg.Go(func() {
					for range testenv.Scale(60, 2_000) {
						in := request{strconv.Itoa(random.IntN(testenv.Scale(4, 100))), random.Int64N(5)}
						h.run(i, in, func() answer {
							d, err := l.Take(context.Background(), in.key, in.cost)
							if err != nil {
								t.Error(err)
							}
							return answer{d.Allowed, d.Remaining}
						})
					}
				})
			}
			wg.Wait()
			require.Equal(t, porcupine.Ok, porcupine.CheckOperationsTimeout(budget(limit), h.ops, time.Minute))
		})
	}
}

func TestSlotsAreLinearizable(t *testing.T) {
	const limit = 5
	h := history{t0: time.Now()}
	var wg sync.WaitGroup
	for i, rdb := range clientsOf(t) {
		c := instance(t, rdb, limit)
		random := rand.New(rand.NewPCG(uint64(i), 2))
		wg.Go(func() {
			held := map[string][]concurrency.Ticket{}
			for range testenv.Scale(60, 2_000) {
				k := strconv.Itoa(random.IntN(testenv.Scale(4, 100)))
				if n := len(held[k]); n > 0 && random.IntN(2) == 0 {
					h.run(i, request{k, -1}, func() answer { held[k][n-1].Release(); return answer{} })
					held[k] = held[k][:n-1]
					continue
				}
				h.run(i, request{k, 1}, func() answer {
					ticket, err := c.Acquire(context.Background(), k)
					if err != nil {
						t.Error(err)
					}
					if ticket.Allowed {
						held[k] = append(held[k], ticket)
					}
					return answer{ticket.Allowed, ticket.Remaining}
				})
			}
		})
	}
	wg.Wait()
	require.Equal(t, porcupine.Ok, porcupine.CheckOperationsTimeout(budget(limit), h.ops, time.Minute))
}
