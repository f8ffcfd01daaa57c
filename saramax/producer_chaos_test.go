package saramax_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/saramax"
)

// Each round lets a request through and loses its answer: the client has to send again
// what the broker has written already.
func TestLostAnswersNeitherRepeatNorReorder(t *testing.T) {
	const partitions, keys, each = 3, 7, 20
	rounds := testenv.Scale(8, 200)
	addrs := testenv.Kafka(t)
	topic := testenv.Topic(t, addrs, partitions)
	cfg := saramax.NewConfig("svc")
	proxy := viaProxy(t, addrs, cfg)
	raw := newRaw(t, addrs, cfg)
	_, err := raw.Publish(within(t), saramax.Message{Topic: topic, Key: []byte("warm"), Value: []byte("0")})
	require.NoError(t, err)

	var pending []*saramax.Pending
	sequence := 0
	for range rounds {
		require.NoError(t, raw.Flush(within(t)))
		arrived := proxy.Stats().UpArrived
		proxy.Set(holdAnswers)
		var handing sync.WaitGroup
		handing.Go(func() { // waits while sarama finds its way back
			for range each {
				for key := range keys {
					one, err := raw.Enqueue(within(t), saramax.Message{Topic: topic, Key: []byte(strconv.Itoa(key)), Value: []byte(strconv.Itoa(sequence))})
					if err != nil {
						t.Errorf("%v", err)
						return
					}
					pending = append(pending, one)
				}
				sequence++
			}
		})
		require.Eventually(t, func() bool { return proxy.Stats().UpArrived > arrived }, soon, time.Millisecond)
		proxy.Cut()
		proxy.Heal()
		handing.Wait()
	}
	require.NoError(t, raw.Close(within(t)))
	for _, one := range pending {
		_, err := one.Wait(ended(t.Context()))
		require.NoError(t, err)
	}

	next := map[string]int{"warm": 0}
	for partition := range int32(partitions) {
		n := int(end(t, addrs, topic, partition))
		for _, m := range read(t, addrs, topic, partition, n) {
			key := string(m.Key)
			require.Equal(t, strconv.Itoa(next[key]), string(m.Value), "key %s: repeated, lost or out of order", key)
			next[key]++
		}
	}
	for key := range keys {
		require.Equal(t, sequence, next[strconv.Itoa(key)])
	}
}

func TestManySendersWhileItCloses(t *testing.T) {
	addrs := testenv.Kafka(t)
	topic := testenv.Topic(t, addrs, 2)
	raw := newRaw(t, addrs, saramax.NewConfig("svc"), saramax.WithUnconfirmed(20, 1<<20))
	_, err := raw.Publish(within(t), saramax.Message{Topic: topic, Value: []byte("first")})
	require.NoError(t, err)
	var work sync.WaitGroup
	confirmed := make([][]string, 8)
	for i := range confirmed {
		work.Go(func() {
			for n := 0; ; n++ {
				value := fmt.Sprintf("%d-%d", i, n)
				_, err := raw.Publish(within(t), saramax.Message{Topic: topic, Value: []byte(value)})
				if err != nil {
					if !strings.Contains(err.Error(), saramax.ErrProducerClosed.Error()) {
						t.Errorf("%v", err)
					}
					return
				}
				confirmed[i] = append(confirmed[i], value)
				if n == 30 && i == 0 {
					if err := raw.Close(within(t)); err != nil {
						t.Errorf("%v", err)
					}
				}
			}
		})
	}
	work.Wait()
	written := map[string]bool{}
	for partition := range int32(2) {
		for _, m := range read(t, addrs, topic, partition, int(end(t, addrs, topic, partition))) {
			written[string(m.Value)] = true
		}
	}
	total := 1
	for _, values := range confirmed {
		for _, value := range values {
			require.True(t, written[value], value)
			total++
		}
	}
	require.Len(t, written, total, "what was refused was not written")
}
