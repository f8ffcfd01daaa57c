package redisotp_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/smsx/otp"
)

// operation is one on a subject: an issue, or with a guess a verification.
type operation struct{ name, issue, guess string }

// subject is the sequential specification within a minute: one issue, three
// tries, one success.
type subject struct {
	issued bool
	code   string
	tries  int
}

var specification = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byName := map[string][]porcupine.Operation{}
		for _, op := range history {
			name := op.Input.(operation).name
			byName[name] = append(byName[name], op)
		}
		var parts [][]porcupine.Operation
		for _, part := range byName {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return subject{} },
	Step: func(state, input, output any) (bool, any) {
		s, in, out := state.(subject), input.(operation), output.(otp.Outcome)
		switch {
		case in.issue != "" && s.issued:
			return out == otp.Limited, s
		case in.issue != "":
			return out == otp.Granted, subject{true, in.issue, 3}
		case s.code == "":
			return out == otp.Absent, s
		case s.tries == 0:
			return out == otp.Exhausted, s
		case in.guess == s.code:
			return out == otp.Verified, subject{issued: true}
		default:
			s.tries--
			return out == otp.Wrong, s
		}
	},
}

func TestCodesAreLinearizable(t *testing.T) {
	testenv.RequireRealRedis(t, "the in-process one runs command after command anyway")
	options := testenv.RedisOptions(t)
	limits := otp.Limits{
		Validity: 10 * time.Minute, Cooldown: 24 * time.Hour, Tries: 3, SendsPerHour: 5, SendsPerDay: 10,
		FailuresPerDay: 10, FailuresPerMonth: 100,
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	var history []porcupine.Operation
	t0 := time.Now()
	for client := range 8 {
		rdb := redis.NewClient(options)
		t.Cleanup(func() { _ = rdb.Close() })
		store, random := newStore(t, rdb), rand.New(rand.NewPCG(uint64(client), 1))
		wg.Go(func() {
			for i := range testenv.Scale(300, 5_000) {
				in := operation{name: fmt.Sprint(i / 10)}
				id := fmt.Sprint(client, "-", i)
				call := time.Since(t0)
				var out otp.Outcome
				var err error
				if random.IntN(4) == 0 {
					in.issue = fmt.Sprint("a.", random.IntN(2))
					var issued otp.Issued
					issued, err = store.Issue(context.Background(), in.name, otp.Issue{ID: id, MAC: in.issue, Limits: limits})
					out = issued.Outcome
				} else {
					in.guess = fmt.Sprint("a.", random.IntN(2))
					out, err = store.Verify(context.Background(), in.name, otp.Guess{ID: id, MACs: []string{in.guess}, Limits: limits})
				}
				if err != nil {
					t.Error(err)
				}
				back := time.Since(t0)
				mu.Lock()
				history = append(history, porcupine.Operation{ClientId: client, Input: in, Call: int64(call), Output: out, Return: int64(back)})
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.Equal(t, porcupine.Ok, porcupine.CheckOperationsTimeout(specification, history, time.Minute))
}
