package redishook_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bulwark-go/bulwark/internal/faultproxy"
	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/observe/observetest"
	"github.com/bulwark-go/bulwark/observe/redishook"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// watched returns a client that is connected already, and what is told of it.
func watched(t *testing.T, opts ...redishook.Option) (*redis.Client, *observetest.Recorder) {
	t.Helper()
	rdb, rec := testenv.Redis(t), observetest.NewRecorder(t)
	ping := func(p redis.Pipeliner) error { return p.Ping(t.Context()).Err() }
	require.NoError(t, rdb.Ping(t.Context()).Err())
	_, err := rdb.Pipelined(t.Context(), ping) // on connections of their own
	require.NoError(t, err)
	_, err = rdb.TxPipelined(t.Context(), ping)
	require.NoError(t, err)
	rdb.AddHook(redishook.New(rec, opts...))
	return rdb, rec
}

// go-redis greets a server with commands that an older one refuses, and goes on:
// an alert on failures must not ring for each connection.
func TestAGreetingThatAnOldServerDoesNotKnowIsNoFailure(t *testing.T) {
	rdb, rec := testenv.Redis(t), observetest.NewRecorder(t)
	rdb.AddHook(redishook.New(rec))
	require.NoError(t, rdb.Ping(t.Context()).Err())
	for _, r := range rec.Records() {
		require.Contains(t, []observe.Outcome{observe.OK, observe.Skipped}, r.Outcome, rec)
	}
	require.NotEmpty(t, rec.Ended("redis", "dial"))
	run := redishook.New(rec).ProcessHook(func(_ context.Context, cmd redis.Cmder) error { return cmd.Err() })
	rec.Reset()
	cmd := redis.NewStatusCmd(t.Context(), "client", "no-such-thing")
	cmd.SetErr(rdb.Do(t.Context(), "nocommand").Err())
	rec.Reset()
	require.Error(t, run(t.Context(), cmd))
	require.Equal(t, observe.Skipped, rec.Only("redis", "command").Outcome)
	rec.Reset()
	cmd = redis.NewStatusCmd(t.Context(), "set", "k", "v")
	cmd.SetErr(rdb.Do(t.Context(), "nocommand").Err())
	rec.Reset()
	require.Error(t, run(t.Context(), cmd))
	require.Equal(t, observe.Failed, rec.Only("redis", "command").Outcome)
}

func TestAMissIsAMissAndNoFailure(t *testing.T) {
	rdb, rec := watched(t, redishook.WithName("cache"))
	ctx := t.Context()
	require.NoError(t, rdb.Set(ctx, "here", "v", 0).Err())
	require.NoError(t, rdb.HSet(ctx, "hash", "f", "v").Err())
	rec.Reset()

	for _, tc := range []struct {
		command string
		run     func() error
		lookup  string
	}{
		{"get", func() error { return rdb.Get(ctx, "here").Err() }, "hit"},
		{"get", func() error { return rdb.Get(ctx, "gone").Err() }, "miss"},
		{"hget", func() error { return rdb.HGet(ctx, "hash", "f").Err() }, "hit"},
		{"hget", func() error { return rdb.HGet(ctx, "hash", "gone").Err() }, "miss"},
		{"hgetall", func() error { return rdb.HGetAll(ctx, "hash").Err() }, "hit"},
		{"hgetall", func() error { return rdb.HGetAll(ctx, "gone").Err() }, "miss"},
		{"mget", func() error { return rdb.MGet(ctx, "gone", "here").Err() }, "hit"},
		{"mget", func() error { return rdb.MGet(ctx, "gone", "too").Err() }, "miss"},
		{"hmget", func() error { return rdb.HMGet(ctx, "hash", "f", "g").Err() }, "hit"},
		{"hmget", func() error { return rdb.HMGet(ctx, "gone", "f").Err() }, "miss"},
		{"mget", func() error { return rdb.Do(ctx, "mget", "gone", "too").Err() }, "miss"},
		{"hgetall", func() error { return rdb.Do(ctx, "HGETALL", "gone").Err() }, "miss"},
		{"type", func() error { return rdb.Type(ctx, "gone").Err() }, "miss"},
		{"type", func() error { return rdb.Type(ctx, "here").Err() }, "hit"},
		{"lpop", func() error { return rdb.LPop(ctx, "gone").Err() }, "miss"},
		{"set", func() error { return rdb.Set(ctx, "here", "w", 0).Err() }, "none"},
		// Refused, and nothing that anybody looked for is missing.
		{"set", func() error { return rdb.SetArgs(ctx, "here", "x", redis.SetArgs{Mode: "NX"}).Err() }, "none"},
	} {
		if err := tc.run(); err != nil {
			require.ErrorIs(t, err, redis.Nil, tc.command)
		}
		got := rec.Only("redis", "command")
		require.Equal(t, []string{"cache", tc.command, tc.lookup}, []string{got.Label("client"), got.Label("command"), got.Label("lookup")})
		require.Equal(t, observe.OK, got.Outcome, tc.command)
		require.NoError(t, got.Err)
		rec.Reset()
	}
}

func TestCommandNamesAreAClosedSet(t *testing.T) {
	rdb, rec := watched(t)
	require.Error(t, rdb.Do(t.Context(), "user:42:SECRET").Err())
	got := rec.Only("redis", "command")
	require.Equal(t, "other", got.Label("command"))
	require.Equal(t, redishook.DefaultName, got.Label("client"))
	require.Equal(t, observe.Failed, got.Outcome)
}

// Redis quotes arguments in some of its error texts, and go-redis the replies it
// cannot parse.
func TestNoErrorTextCarriesKeysOrValues(t *testing.T) {
	rdb, rec := watched(t)
	ctx := t.Context()
	require.NoError(t, rdb.Set(ctx, "k", "SECRET", 0).Err())
	_ = rdb.Do(ctx, "nocommand", "SECRET").Err()
	_ = rdb.Eval(ctx, `return redis.error_reply("SECRET of mine")`, nil).Err()
	_ = rdb.Eval(ctx, `return redis.error_reply(ARGV[1])`, nil, "SECRET value").Err()
	_ = rdb.Eval(ctx, `return redis.error_reply(ARGV[1])`, nil, "ERR the value is secret").Err()
	_ = rdb.Process(ctx, redis.NewIntCmd(ctx, "get", "k"))
	_ = rdb.LPush(ctx, "k", "SECRET").Err()
	failed := 0
	for _, r := range rec.Ended("redis", "command") {
		if r.Err == nil {
			continue
		}
		failed++
		require.Equal(t, observe.Failed, r.Outcome)
		require.NotContains(t, strings.TrimPrefix(r.Err.Error(), "redis: SECRET"), "SECRET", r.Label("command"))
		require.NotContains(t, r.Err.Error(), " of mine")
		require.NotContains(t, r.Err.Error(), "value")
		require.Error(t, errors.Unwrap(r.Err), "the error itself is still there for those who ask")
	}
	require.Equal(t, 6, failed)
}

func TestAPipelineIsOneOperationWithItsSizeAndEachOutcome(t *testing.T) {
	rdb, rec := watched(t)
	ctx := t.Context()
	_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.Get(ctx, "gone")
		p.Set(ctx, "k", "v", 0)
		p.Get(ctx, "k")
		return nil
	})
	require.ErrorIs(t, err, redis.Nil)

	whole := rec.Only("redis", "pipeline")
	require.Equal(t, "pipeline", whole.Label("form"))
	require.EqualValues(t, 3, whole.Amount)
	require.Equal(t, observe.OK, whole.Outcome)
	require.Empty(t, rec.Ended("redis", "command"))
	require.Equal(t, [][3]string{{"get", "miss", "ok"}, {"set", "none", "ok"}, {"get", "hit", "ok"}}, within(rec))
	for _, r := range rec.Ended("redis", "pipelined_command") {
		require.Equal(t, whole.Operation, rec.Records()[r.Parent].Operation)
	}
}

// go-redis returns the first error of a pipeline; a miss there hides nothing.
func TestAFailureBehindAMissFailsThePipeline(t *testing.T) {
	rdb, rec := watched(t)
	ctx := t.Context()
	require.NoError(t, rdb.Set(ctx, "k", "v", 0).Err())
	_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.Get(ctx, "gone")
		p.LPush(ctx, "k", "v")
		return nil
	})
	require.ErrorIs(t, err, redis.Nil)
	whole := rec.Only("redis", "pipeline")
	require.Equal(t, observe.Failed, whole.Outcome)
	require.EqualError(t, whole.Err, "redis: WRONGTYPE")
	require.Equal(t, [][3]string{{"get", "miss", "ok"}, {"lpush", "none", "failed"}}, within(rec))
}

func TestATransactionIsReportedWithoutItsFrame(t *testing.T) {
	rdb, rec := watched(t)
	ctx := t.Context()
	_, err := rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Incr(ctx, "n")
		p.Get(ctx, "n")
		return nil
	})
	require.NoError(t, err)
	whole := rec.Only("redis", "pipeline")
	require.Equal(t, "transaction", whole.Label("form"))
	require.EqualValues(t, 2, whole.Amount)
	require.Equal(t, [][3]string{{"incr", "none", "ok"}, {"get", "hit", "ok"}}, within(rec))
}

func TestAnOvertakenTransactionIsNoFailure(t *testing.T) {
	rdb, rec := watched(t)
	ctx := t.Context()
	err := rdb.Watch(ctx, func(tx *redis.Tx) error {
		require.NoError(t, rdb.Set(ctx, "k", "another", 0).Err())
		_, err := tx.TxPipelined(ctx, func(p redis.Pipeliner) error { return p.Set(ctx, "k", "mine", 0).Err() })
		return err
	}, "k")
	require.ErrorIs(t, err, redis.TxFailedErr)
	for _, r := range rec.Ended("redis", "pipeline") {
		if r.Label("form") == "transaction" {
			require.Equal(t, observe.Skipped, r.Outcome)
			return
		}
	}
	t.Fatalf("no transaction in %s", rec)
}

func TestAScriptThatRedisDoesNotKnowIsNoFailure(t *testing.T) {
	rdb, rec := watched(t)
	ctx := t.Context()
	script := redis.NewScript("return '" + testenv.Name(t) + "'")
	require.NoError(t, script.Run(ctx, rdb, nil).Err())
	var got [][2]string
	for _, r := range rec.Ended("redis", "command") {
		got = append(got, [2]string{r.Label("command"), r.Outcome.String()})
	}
	require.Equal(t, [][2]string{{"evalsha", "skipped"}, {"eval", "ok"}}, got)
}

func TestACallerWhoLeftIsNoFailure(t *testing.T) {
	proxy := testenv.Proxy(t, testenv.EmbeddedRedis(t).Addr())
	rdb := redis.NewClient(&redis.Options{Addr: proxy.Addr(), MaxRetries: -1, ReadTimeout: time.Minute})
	t.Cleanup(func() { require.NoError(t, rdb.Close()) })
	require.NoError(t, rdb.Ping(t.Context()).Err())
	rec := observetest.NewRecorder(t)
	rdb.AddHook(redishook.New(rec))

	left, leave := context.WithCancel(t.Context())
	leave()
	require.Error(t, rdb.Get(left, "k").Err())
	require.Equal(t, observe.Canceled, rec.Only("redis", "command").Outcome)
	rec.Reset()

	// A pipeline of somebody who is gone: so are all its commands.
	_, err := rdb.Pipelined(left, func(p redis.Pipeliner) error { return p.Get(left, "k").Err() })
	require.Error(t, err)
	require.Equal(t, observe.Canceled, rec.Only("redis", "pipeline").Outcome)
	require.Equal(t, [][3]string{{"get", "none", "canceled"}}, within(rec))
	rec.Reset()

	// Somebody who leaves while he waits for the answer, of a connection that breaks
	// before it comes: the error tells of the connection only.
	proxy.Set(faultproxy.Fault{Down: faultproxy.Link{Hold: true}})
	arrived := proxy.Stats().DownArrived
	leaving, leave := context.WithCancel(t.Context())
	got := make(chan error, 1)
	go func() { got <- rdb.Get(leaving, "k").Err() }()
	require.Eventually(t, func() bool { return proxy.Stats().DownArrived > arrived }, 30*time.Second, time.Millisecond)
	leave()
	proxy.Cut()
	require.NotErrorIs(t, <-got, context.Canceled)
	require.Equal(t, observe.Canceled, rec.Only("redis", "command").Outcome)
}

func TestAnOutageIsAFailureOfCommandAndDial(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close()) // nobody listens there now
	rdb := redis.NewClient(&redis.Options{Addr: listener.Addr().String(), MaxRetries: -1, DialerRetries: 1})
	t.Cleanup(func() { require.NoError(t, rdb.Close()) })
	rec := observetest.NewRecorder(t)
	rdb.AddHook(redishook.New(rec))
	require.Error(t, rdb.Get(t.Context(), "k").Err())
	require.Equal(t, observe.Failed, rec.Only("redis", "command").Outcome)
	dials := rec.Ended("redis", "dial")
	require.NotEmpty(t, dials)
	for _, d := range dials {
		require.Equal(t, observe.Failed, d.Outcome)
		require.Error(t, d.Err)
	}
}

// The hooks are called as go-redis would: a panic of a hook further in, or a
// goroutine that ends, is recorded and goes on.
func TestPanicAndGoexitEndTheOperation(t *testing.T) {
	rec := observetest.NewRecorder(t)
	run := redishook.New(rec).ProcessHook(func(_ context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "get" {
			panic("further in")
		}
		runtime.Goexit()
		return nil
	})
	require.PanicsWithValue(t, "further in", func() { _ = run(t.Context(), redis.NewStringCmd(t.Context(), "get")) })
	var wg sync.WaitGroup
	wg.Go(func() { _ = run(t.Context(), redis.NewStatusCmd(t.Context(), "set")) })
	wg.Wait()
	for _, r := range rec.Ended("redis", "command") {
		require.Equal(t, observe.Panicked, r.Outcome)
	}
	require.Len(t, rec.Ended("redis", "command"), 2)
}

func TestTimeoutsAreTimeouts(t *testing.T) {
	rec := observetest.NewRecorder(t)
	for _, err := range []error{context.DeadlineExceeded, redis.ErrPoolTimeout, timedOut{}} {
		run := redishook.New(rec).ProcessHook(func(context.Context, redis.Cmder) error { return err })
		require.Equal(t, err, run(t.Context(), redis.NewStringCmd(t.Context(), "get", "k")))
		require.Equal(t, observe.Timeout, rec.Only("redis", "command").Outcome, err)
		rec.Reset()
	}
}

type timedOut struct{}

func (timedOut) Error() string   { return "i/o timeout" }
func (timedOut) Timeout() bool   { return true }
func (timedOut) Temporary() bool { return true }

// A ring and a cluster see each call once, whatever their nodes do; the nodes'
// dials are seen by hooks of their own.
func TestRingAndClusterReportEachCallOnce(t *testing.T) {
	one, two := testenv.EmbeddedRedis(t), testenv.EmbeddedRedis(t)
	for name, c := range map[string]struct {
		client redis.UniversalClient
		nodes  func(func(*redis.Client))
	}{
		"ring": func() (c struct {
			client redis.UniversalClient
			nodes  func(func(*redis.Client))
		}) {
			ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"one": one.Addr(), "two": two.Addr()}})
			c.client, c.nodes = ring, ring.OnNewNode
			return c
		}(),
		"cluster": func() (c struct {
			client redis.UniversalClient
			nodes  func(func(*redis.Client))
		}) {
			cluster := redis.NewClusterClient(&redis.ClusterOptions{
				ClusterSlots: func(context.Context) ([]redis.ClusterSlot, error) {
					return []redis.ClusterSlot{
						{Start: 0, End: 8191, Nodes: []redis.ClusterNode{{Addr: one.Addr()}}},
						{Start: 8192, End: 16383, Nodes: []redis.ClusterNode{{Addr: two.Addr()}}},
					}, nil
				},
			})
			c.client, c.nodes = cluster, cluster.OnNewNode
			return c
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			rec := observetest.NewRecorder(t)
			c.nodes(func(node *redis.Client) { node.AddHook(redishook.Dials(rec)) })
			c.client.AddHook(redishook.New(rec))
			ctx := t.Context()
			require.NoError(t, c.client.Set(ctx, "a", "v", 0).Err())
			require.Equal(t, "set", rec.Only("redis", "command").Label("command"))
			_, err := c.client.Pipelined(ctx, func(p redis.Pipeliner) error {
				for _, key := range strings.Fields("a b c d e f g h") {
					p.Set(ctx, key, "v", time.Minute)
				}
				return nil
			})
			require.NoError(t, err)
			require.EqualValues(t, 8, rec.Only("redis", "pipeline").Amount)
			require.Len(t, rec.Ended("redis", "pipelined_command"), 8)
			require.NoError(t, c.client.Close())
			if name == "cluster" {
				require.NotEmpty(t, rec.Ended("redis", "dial"))
			}
		})
	}
}

func TestNobodyListeningAddsNothing(t *testing.T) {
	called := 0
	next := redis.ProcessHook(func(context.Context, redis.Cmder) error { called++; return nil })
	cmd := redis.NewStringCmd(t.Context(), "get", "k")
	run := redishook.New(nil).ProcessHook(next)
	require.NoError(t, run(t.Context(), cmd))
	require.Equal(t, 1, called)
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = run(context.Background(), cmd) }))
}

// within lists command, lookup and outcome of what ran within pipelines.
func within(rec *observetest.Recorder) (all [][3]string) {
	for _, r := range rec.Ended("redis", "pipelined_command") {
		all = append(all, [3]string{r.Label("command"), r.Label("lookup"), r.Outcome.String()})
	}
	return all
}
