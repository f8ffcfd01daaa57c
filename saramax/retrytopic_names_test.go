package saramax_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/saramax"
)

func TestNamesCarryTheGroupAndTheDelay(t *testing.T) {
	require.Equal(t, "orders.billing.dlt", saramax.DeadLetterTopic("orders", "billing"))
	for d, want := range map[time.Duration]string{
		500 * time.Millisecond:              "500ms",
		10 * time.Second:                    "10s",
		time.Minute:                         "1m",
		90 * time.Second:                    "1m30s",
		10 * time.Minute:                    "10m",
		time.Hour:                           "1h",
		time.Hour + 5*time.Second:           "1h0m5s",
		100*time.Hour + 20*time.Minute:      "100h20m",
		1500*time.Millisecond + time.Minute: "1m1.5s",
	} {
		require.Equal(t, "orders.billing.retry."+want, saramax.RetryTopic("orders", "billing", d))
	}
}

func TestADeadLetterTopicHasNoDeadLetterTopic(t *testing.T) {
	for _, topic := range []string{
		saramax.DeadLetterTopic("orders", "billing"), saramax.DeadLetterTopic("orders", "other"),
		saramax.RetryTopic("orders", "billing", time.Minute), saramax.RetryTopic("orders", "billing", 1500*time.Millisecond),
	} {
		require.ErrorIs(t, saramax.CheckRoutes("billing", []string{"fine", topic}), saramax.ErrDeadLetterOfDeadLetter, topic)
	}
	require.NoError(t, saramax.CheckRoutes("billing", []string{"orders", "orders.retry", "dlt", "retry.1", "no.retry.s"}))
}

func TestNamesThatKafkaDoesNotTakeAreRefused(t *testing.T) {
	require.ErrorContains(t, saramax.CheckRoutes("bill/ing", []string{"orders"}), `group "bill/ing"`)
	require.ErrorContains(t, saramax.CheckRoutes("g", []string{strings.Repeat("x", 247)}), "1 to 249")
	require.ErrorContains(t, saramax.CheckRoutes("g", []string{"orders", "orders"}), "both need")
}

func TestDelaysMustGrow(t *testing.T) {
	require.NoError(t, saramax.CheckRoutes("g", []string{"orders"}, time.Second, time.Minute, time.Hour))
	require.ErrorContains(t, saramax.CheckRoutes("g", []string{"orders"}, time.Minute, time.Second), "delay 2 is 1s after 1m0s")
	require.ErrorContains(t, saramax.CheckRoutes("g", []string{"orders"}, time.Minute, time.Minute), "delay 2")
	require.ErrorContains(t, saramax.CheckRoutes("g", []string{"orders"}, -1), "delay 1")
	require.ErrorContains(t, saramax.CheckRoutes("g", []string{"orders"}, time.Second+time.Microsecond), "delay 1")
}
