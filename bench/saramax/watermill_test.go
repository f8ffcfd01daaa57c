package saramax

import (
	"context"
	"testing"
	"time"

	wm "github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/stretchr/testify/require"
)

// watermill acknowledges each message, as its subscriber demands.
func watermill(t testing.TB, addrs []string, group string, c *count) time.Duration {
	s, err := kafka.NewSubscriber(kafka.SubscriberConfig{
		Brokers: addrs, Unmarshaler: kafka.DefaultMarshaler{}, ConsumerGroup: clean(group), OverwriteSaramaConfig: config(),
	}, wm.NopLogger{})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	messages, err := s.Subscribe(ctx, topic)
	require.NoError(t, err)
	go func() {
		for m := range messages {
			c.add(1)
			m.Ack()
		}
	}()
	d := <-c.done
	stop()
	require.NoError(t, s.Close())
	return d
}
