package ioc_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/bulwark-go/bulwark/examples/webook/config"
	"github.com/bulwark-go/bulwark/examples/webook/ioc"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/logger/loggertest"
	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/observe/observetest"
	"github.com/bulwark-go/bulwark/observe/otel"
)

// newRedis returns the app's client of an embedded server.
func newRedis(t *testing.T, log logger.Logger, o observe.Observer) *redis.Client {
	t.Helper()
	var c ioc.Closers
	t.Cleanup(func() { require.NoError(t, c.Close(context.WithoutCancel(t.Context()))) })
	rdb, _, err := ioc.Redis(t.Context(), &c, config.Redis{}, log, o)
	require.NoError(t, err)
	return rdb
}

func TestARedisCommandIsASpanWithoutItsArguments(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	observer, err := otel.New(provider)
	require.NoError(t, err)
	rdb := newRedis(t, logger.Logger{}, observer)

	ctx, parent := provider.Tracer("test").Start(t.Context(), "request")
	require.NoError(t, rdb.Set(ctx, "secret-key", "secret-value", 0).Err())
	parent.End()
	found := false
	for _, span := range spans.Ended() {
		for _, a := range span.Attributes() {
			require.NotContains(t, a.Value.String(), "secret")
		}
		if span.Parent().SpanID() == parent.SpanContext().SpanID() {
			found = true
		}
	}
	require.True(t, found, "the command is below the request")
}

func TestWhatPollsInTheBackgroundBeginsNoTrace(t *testing.T) {
	seen := observetest.NewRecorder(t)
	rdb := newRedis(t, logger.Logger{}, ioc.InTraces(seen))
	require.NoError(t, rdb.Ping(t.Context()).Err())
	require.Empty(t, seen.Records())
	ctx, span := sdktrace.NewTracerProvider().Tracer("test").Start(t.Context(), "request")
	defer span.End()
	require.NoError(t, rdb.Ping(ctx).Err())
	require.Len(t, seen.Ended("redis", "command"), 1)
}

func TestAMissingKeyIsNoFailure(t *testing.T) {
	seen, rec := observetest.NewRecorder(t), loggertest.New(t)
	rdb := newRedis(t, rec.Logger(), seen)
	require.ErrorIs(t, rdb.Get(t.Context(), "missing").Err(), redis.Nil)
	gets := 0
	for _, op := range seen.Ended("redis", "command") {
		if op.Label("command") == "get" {
			gets++
			require.Equal(t, observe.OK, op.Outcome)
			require.NoError(t, op.Err)
			require.Equal(t, "miss", op.Label("lookup"))
		}
	}
	require.Equal(t, 1, gets)
	lines := 0
	for _, line := range rec.Records() {
		require.Equal(t, logger.LevelDebug, line.Level)
		lines++
	}
	require.GreaterOrEqual(t, lines, 2, "the ping of the start and the get")
}

// Whatever is asked of the client reaches the server, and its answer the caller.
func TestTheHookHandsOnEveryCommand(t *testing.T) {
	rdb := newRedis(t, logger.Logger{}, observetest.NewRecorder(t))
	ctx := t.Context()
	require.NoError(t, rdb.Set(ctx, "a", "1", time.Minute).Err())
	got, err := rdb.Get(ctx, "a").Result()
	require.NoError(t, err)
	require.Equal(t, "1", got)

	cmds, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.Incr(ctx, "a")
		p.Get(ctx, "missing")
		return nil
	})
	require.ErrorIs(t, err, redis.Nil)
	require.EqualValues(t, 2, cmds[0].(*redis.IntCmd).Val())

	_, err = rdb.TxPipelined(ctx, func(p redis.Pipeliner) error { p.Incr(ctx, "a"); return nil })
	require.NoError(t, err)
	n, err := redis.NewScript(`return redis.call('INCR', KEYS[1])`).Run(ctx, rdb, []string{"a"}).Int()
	require.NoError(t, err)
	require.Equal(t, 4, n)
	err = rdb.Do(ctx, "LPUSH", "a", "x").Err()
	var reply redis.Error
	require.True(t, errors.As(err, &reply), "the server's own error")

	sub := rdb.Subscribe(ctx, "news")
	defer sub.Close()
	_, err = sub.Receive(ctx)
	require.NoError(t, err)
	require.NoError(t, rdb.Publish(ctx, "news", "hello").Err())
	message, err := sub.ReceiveMessage(ctx)
	require.NoError(t, err)
	require.Equal(t, "hello", message.Payload)
}
