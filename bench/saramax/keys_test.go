package saramax

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/saramax"
	"github.com/bulwark-go/bulwark/saramax/saramaxtest"
)

// TestKeyOrderedConcurrency handles 10,000 records of 0 to 5 ms each in one partition,
// with 100 handlers. What bounds it is 0.25 s of work a handler, or the longest key.
func TestKeyOrderedConcurrency(t *testing.T) {
	for _, keys := range []int{1000, 20} {
		const n, workers = 10_000, 100
		var mu sync.Mutex
		last := map[string]int64{}
		inversions, left := 0, n
		done := make(chan struct{})
		member := saramaxtest.NewMember(t)
		h, err := saramax.NewGroupHandler(member, "keys", saramax.Each(func(_ context.Context, rec saramax.Record[[]byte]) error {
			d, _ := strconv.Atoi(string(rec.Value))
			take(time.Duration(d))
			mu.Lock()
			defer mu.Unlock()
			if before, seen := last[string(rec.Key)]; seen && before > rec.Offset {
				inversions++
			}
			last[string(rec.Key)] = rec.Offset
			if left--; left == 0 {
				close(done)
			}
			return nil
		}, saramax.WithCodec(saramax.Raw())), saramax.WithOrder(saramax.OrderKey, workers))
		require.NoError(t, err)
		member.Begin(h)
		claim := member.Claim("events", 0)
		messages := make([]*sarama.ConsumerMessage, n)
		total, perKey := time.Duration(0), map[string]time.Duration{}
		for i := range messages {
			key, d := fmt.Sprint("k", i%keys), rand.N(5*time.Millisecond)
			messages[i] = &sarama.ConsumerMessage{Key: []byte(key), Value: []byte(strconv.Itoa(int(d)))}
			total, perKey[key] = total+d, perKey[key]+d
		}
		bound := total / workers
		for _, d := range perKey {
			bound = max(bound, d)
		}
		began := time.Now()
		claim.Send(messages...)
		<-done
		took := time.Since(began)
		t.Logf("%d keys: %v, bound %v, %d inversions", keys, took.Round(time.Millisecond), bound.Round(time.Millisecond), inversions)
		require.Zero(t, inversions)
		member.End()
	}
}
