package saramax_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/observe/observetest"
	"github.com/bulwark-go/bulwark/saramax"
)

func TestCallsAreReportedWithBoundedLabels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := observetest.NewRecorder(t)
		u := newUnit(t, each(func(_ context.Context, r rawRecord) error {
			switch r.Offset {
			case 1:
				return saramax.Permanent(errTransient)
			case 2:
				panic("secret of one record")
			case 3:
				exit()
			case 4:
				return saramax.ErrSkip
			}
			return nil
		}), saramax.WithObserver(rec), saramax.WithRetry(saramax.RetryPolicy{Attempts: 1}))
		u.Claim(topic, 0).Send(raw(5)...)
		pass(2 * time.Second)
		require.EqualValues(t, 5, u.committed())
		u.End()
		var outcomes []string
		for _, r := range rec.Ended("saramax", "process") {
			require.Equal(t, "group", r.Label("group"))
			require.Equal(t, topic, r.Label("topic"))
			require.EqualValues(t, 1, r.Amount)
			outcomes = append(outcomes, r.Outcome.String())
		}
		require.Equal(t, []string{"ok", "failed", "panicked", "panicked", "skipped"}, outcomes)
	})
}

func TestReadingsAreBornAtZeroAndUnique(t *testing.T) {
	k := newCluster(t, 1)
	group := testenv.Name(t)
	var n atomic.Int64
	one, err := saramax.NewConsumer(client(t, k.addrs), group, []string{k.topic}, counter(&n))
	require.NoError(t, err)
	two, err := saramax.NewConsumer(client(t, k.addrs), group+"2", []string{k.topic}, counter(&n))
	require.NoError(t, err, "a second consumer with equal options")
	type series struct {
		name   string
		values observe.Values
	}
	read := func(c *saramax.Consumer) map[series]float64 {
		out := map[series]float64{}
		for r := range c.Readings() {
			s := series{r.Gauge.Name, r.Values}
			require.NotContains(t, out, s)
			require.NoError(t, r.Gauge.Validate())
			out[s] = r.Value
		}
		return out
	}
	before := read(one)
	require.Zero(t, before[series{"messages_total", observe.Values{group, k.topic, "ok"}}])
	require.Contains(t, before, series{"dead_letters_total", observe.Values{group, k.topic, "attempts"}})
	require.Contains(t, before, series{"paused_partitions", observe.Values{group, k.topic, "backpressure"}})
	require.Contains(t, read(two), series{"panics_total", observe.Values{group + "2", k.topic}})

	r := start(t, one)
	k.produce(0, make([][]byte, 10)...)
	eventually(t, "10 records", func() bool {
		return read(one)[series{"messages_total", observe.Values{group, k.topic, "ok"}}] == 10
	})
	require.EqualValues(t, 1, read(one)[series{"consumer_up", observe.Values{group}}])
	require.Contains(t, read(one), series{"inflight_messages", observe.Values{group, k.topic, "0"}})
	require.NoError(t, r.end())
	after := read(one)
	require.Zero(t, after[series{"consumer_up", observe.Values{group}}])
	require.NotContains(t, after, series{"inflight_messages", observe.Values{group, k.topic, "0"}}, "only the owner tells of a partition")
}
