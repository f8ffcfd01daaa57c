package redislimit_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/redislimit"
)

// sent records the commands of a client, and the round trips they took.
type sent struct {
	mu       sync.Mutex
	trips    int
	commands [][]any
}

func (s *sent) DialHook(next redis.DialHook) redis.DialHook { return next }

func (s *sent) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		s.add(cmd)
		return next(ctx, cmd)
	}
}

func (s *sent) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		s.add(cmds...)
		return next(ctx, cmds)
	}
}

func (s *sent) add(cmds ...redis.Cmder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trips++
	for _, cmd := range cmds {
		s.commands = append(s.commands, slices.Clone(cmd.Args()))
	}
}

// of returns what f sends.
func (s *sent) of(f func()) (trips int, commands [][]any) {
	s.mu.Lock()
	s.trips, s.commands = 0, nil
	s.mu.Unlock()
	f()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trips, s.commands
}

// everything are limiters of all sorts.
func everything(t *testing.T, rdb redis.UniversalClient) map[string]ratelimit.Limiter {
	t.Helper()
	all := map[string]ratelimit.Limiter{}
	for name, algorithm := range algorithms {
		l, err := algorithm.make(rdb, ratelimit.PerHour(50), bursting(name, 50)...)
		require.NoError(t, err)
		all[name] = l
	}
	var err error
	all["multi"], err = redislimit.NewMulti(rdb, []ratelimit.Limit{
		named("a", ratelimit.PerHour(50), 50), named("b", ratelimit.PerHour(70), 70),
	})
	require.NoError(t, err)
	return all
}

func TestADecisionIsOneRoundTripOnDeclaredKeysInOneSlot(t *testing.T) {
	rdb := testenv.Redis(t)
	record := &sent{}
	rdb.AddHook(record)
	for name, l := range everything(t, rdb) {
		take(t, l, "user:42", 1) // Redis may not have the script yet
		for _, cost := range []int64{1, 0, 50, 50} {
			trips, commands := record.of(func() { take(t, l, "user:42", cost) })
			require.Equal(t, 1, trips, name)
			require.Len(t, commands, 1, name)
			require.Equal(t, []any{"evalsha", "1"}, []any{commands[0][0], commands[0][2]}, name)
			require.Contains(t, commands[0][3], ":{7:user:42}", name)
		}
	}
}

// Two callers whose clocks are years apart send the same bytes: no time is among
// what they send, so no skew can matter.
func TestNothingOfTheCallersClockReachesRedis(t *testing.T) {
	rdb := testenv.Redis(t)
	record := &sent{}
	rdb.AddHook(record)
	for name, l := range everything(t, rdb) {
		take(t, l, "k", 1)
		_, first := record.of(func() { take(t, l, "k", 1) })
		began := time.Now()
		require.Eventually(t, func() bool { return time.Since(began) > 3*time.Millisecond }, time.Second, time.Millisecond)
		_, second := record.of(func() { take(t, l, "k", 1) })
		require.Equal(t, first, second, name)
	}
}

// Nothing is kept per request: a key is one short text, whatever was asked of it. The
// log, which is for small counts, keeps what it admitted and nothing else.
func TestABusyKeyTakesNoMoreRoomThanAnIdleOne(t *testing.T) {
	for name, algorithm := range algorithms {
		t.Run(name, func(t *testing.T) {
			rdb := testenv.Redis(t)
			l, err := algorithm.make(rdb, ratelimit.PerHour(50), bursting(name, 50)...)
			require.NoError(t, err)
			for range 300 {
				take(t, l, "k", 1)
			}
			at := key(algorithm.prefix, "k")
			require.Equal(t, []string{at}, rdb.Keys(t.Context(), "*").Val())
			if name == "sliding log" {
				require.Equal(t, int64(50), rdb.ZCard(t.Context(), at).Val())
				return
			}
			require.Equal(t, "string", rdb.Type(t.Context(), at).Val())
			require.Less(t, rdb.StrLen(t.Context(), at).Val(), int64(100))
		})
	}
}

// flushing empties the script cache over and over until the test ends.
func flushing(t *testing.T, options *redis.Options) (flushes *atomic.Int64, stop func()) {
	t.Helper()
	rdb := redis.NewClient(options)
	flushes = new(atomic.Int64)
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-done:
				return
			default:
			}
			if rdb.ScriptFlush(context.Background()).Err() == nil {
				flushes.Add(1)
			}
		}
	}()
	return flushes, sync.OnceFunc(func() {
		close(done)
		<-stopped
		_ = rdb.Close()
	})
}

func TestFlushingTheScriptsInALoopChangesNothing(t *testing.T) {
	options := testenv.RedisOptions(t)
	single := redis.NewClient(options)
	t.Cleanup(func() { _ = single.Close() })
	piped, err := single.AutoPipelineWithOptions(&redis.AutoPipelineOptions{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = piped.Close() })
	for how, rdb := range map[string]redis.UniversalClient{"one by one": single, "pipelined": piped} {
		t.Run(how, func(t *testing.T) {
			flushes, stop := flushing(t, options)
			defer stop()
			for name, l := range everything(t, rdb) {
				var admitted atomic.Int64
				var wg sync.WaitGroup
				for range 4 {
					wg.Go(func() {
						for range 30 {
							d, err := l.Take(context.Background(), how, 1)
							if err != nil {
								t.Errorf("%s: %v", name, err)
							} else if d.Allowed {
								admitted.Add(1)
							}
						}
					})
				}
				wg.Wait()
				require.Equal(t, int64(50), admitted.Load(), name)
			}
			stop()
			require.Positive(t, flushes.Load())
		})
	}
}

// A server that answers every command with something that no Redis would say.
func TestAServerThatSpeaksNonsenseIsAnError(t *testing.T) {
	for _, answer := range []string{"*0\r\n", "+OK\r\n", "*1\r\n$3\r\nfoo\r\n", "-ERR what\r\n", "*1\r\n:-1\r\n", "*4\r\n:-9\r\n:9223372036854775807\r\n:-9223372036854775808\r\n:7\r\n", "$-1\r\n", "boo\r\n", "*-1\r\n"} {
		rdb := redis.NewClient(&redis.Options{
			Addr: "nowhere:1", MaxRetries: -1, Protocol: 2, DisableIdentity: true, ReadTimeout: 5 * time.Second,
			Dialer: func(context.Context, string, string) (net.Conn, error) { return saying(answer), nil },
		})
		for name, l := range everything(t, rdb) {
			d, err := l.Take(t.Context(), "k", 1)
			if err != nil {
				require.Zero(t, d, name)
				require.Contains(t, err.Error(), "redislimit: ", name)
				continue
			}
			require.LessOrEqual(t, d.Remaining, d.Limit, "%s %q", name, answer)
			require.GreaterOrEqual(t, d.Remaining, int64(0), "%s %q", name, answer)
		}
		require.NoError(t, rdb.Close())
	}
}

// saying returns a connection to a server that answers each command so.
func saying(answer string) net.Conn {
	client, server := net.Pipe()
	go func() {
		defer func() { _ = server.Close() }()
		in := bufio.NewReader(server)
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			var parts int
			if n, _ := fmt.Sscanf(strings.TrimSpace(line), "*%d", &parts); n != 1 {
				continue
			}
			for range 2 * parts {
				if _, err := in.ReadString('\n'); err != nil {
					return
				}
			}
			if _, err := server.Write([]byte(answer)); err != nil {
				return
			}
		}
	}()
	return client
}

func TestTakeAllocatesLittle(t *testing.T) {
	testenv.RequireRealRedis(t, "an in-process server allocates, too")
	rdb := testenv.Redis(t)
	l, err := redislimit.NewTokenBucket(rdb, ratelimit.PerSecond(100_000), redislimit.WithBurst(100_000))
	require.NoError(t, err)
	take(t, l, "user:42", 1)
	require.LessOrEqual(t, testing.AllocsPerRun(200, func() { _, _ = l.Take(context.Background(), "user:42", 1) }), 12.0)
}
