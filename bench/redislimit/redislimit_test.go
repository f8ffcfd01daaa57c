// Package redislimit compares the limiters on Redis with redis_rate, on a
// redis-server of its own.
package redislimit

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/redislimit"
)

var background = context.Background()

type contender struct {
	name string
	take func() error
}

// contenders limit one key at n a second, each with a burst of n.
func contenders(tb testing.TB, rdb *redis.Client, n int) []contender {
	tb.Helper()
	rate := ratelimit.PerSecond(int64(n))
	bucket, err := redislimit.NewTokenBucket(rdb, rate, redislimit.WithBurst(int64(n)))
	require.NoError(tb, err)
	fixed, err := redislimit.NewFixedWindow(rdb, rate)
	require.NoError(tb, err)
	sliding, err := redislimit.NewSlidingWindow(rdb, rate)
	require.NoError(tb, err)
	strict, err := redislimit.NewStrictWindow(rdb, rate)
	require.NoError(tb, err)
	peer := redis_rate.NewLimiter(rdb)
	of := func(name string, l ratelimit.Limiter) contender {
		return contender{name, func() error { _, err := l.Take(background, "user:42", 1); return err }}
	}
	all := []contender{
		{"floor INCR", func() error { return rdb.Incr(background, "floor").Err() }},
		of("bulwark token bucket", bucket),
		{"redis_rate", func() error { _, err := peer.Allow(background, "user:42", redis_rate.PerSecond(n)); return err }},
		of("bulwark fixed window", fixed), of("bulwark sliding window", sliding), of("bulwark strict window", strict),
	}
	if n <= 10_000 {
		log, err := redislimit.NewSlidingLog(rdb, rate)
		require.NoError(tb, err)
		all = append(all, of("bulwark sliding log", log))
	}
	if n >= 1_000_000 {
		for _, chunk := range []int64{10, 100, 1000} {
			leased, err := redislimit.NewLeased(rdb, rate, chunk, redislimit.WithBurst(int64(n)))
			require.NoError(tb, err)
			all = append(all, of(fmt.Sprintf("bulwark leased %d", chunk), leased))
		}
	}
	return all
}

// startRedis starts a server that ends with the benchmark.
func startRedis(tb testing.TB) *redis.Client {
	tb.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		tb.Skip("needs redis-server: ", err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	_, port, err := net.SplitHostPort(ln.Addr().String())
	require.NoError(tb, err)
	require.NoError(tb, ln.Close())
	cmd := exec.Command(program, "--bind", "127.0.0.1", "--port", port, "--save", "", "--dir", tb.TempDir())
	require.NoError(tb, cmd.Start())
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + port, PoolSize: 64})
	tb.Cleanup(func() {
		_ = rdb.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	require.Eventually(tb, func() bool { return rdb.Ping(background).Err() == nil }, 20*time.Second, 20*time.Millisecond)
	return rdb
}

// scriptTime reads how often scripts ran, and for how many µs altogether.
func scriptTime(tb testing.TB, rdb *redis.Client) (calls, micros float64) {
	tb.Helper()
	info, err := rdb.Info(background, "commandstats").Result()
	require.NoError(tb, err)
	for _, m := range regexp.MustCompile(`cmdstat_(?:evalsha|incr):calls=(\d+),usec=(\d+)`).FindAllStringSubmatch(info, -1) {
		c, _ := strconv.ParseFloat(m[1], 64)
		u, _ := strconv.ParseFloat(m[2], 64)
		calls, micros = calls+c, micros+u
	}
	return calls, micros
}

// keyBytes is what all keys of a subject take in Redis's memory.
func keyBytes(tb testing.TB, rdb *redis.Client) (sum float64) {
	tb.Helper()
	for _, key := range rdb.Keys(background, "*user:42*").Val() {
		sum += float64(rdb.MemoryUsage(background, key).Val())
	}
	return sum
}

func run(b *testing.B, parallel bool) {
	rdb := startRedis(b)
	for _, n := range []int{10, 10_000, 1_000_000} {
		for _, c := range contenders(b, rdb, n) {
			b.Run(fmt.Sprintf("%d per s/%s", n, strings.ReplaceAll(c.name, " ", "_")), func(b *testing.B) {
				require.NoError(b, rdb.FlushDB(background).Err())
				require.NoError(b, c.take())
				calls, micros := scriptTime(b, rdb)
				b.ReportAllocs()
				if parallel {
					b.SetParallelism(8)
					b.RunParallel(func(pb *testing.PB) {
						for pb.Next() {
							if err := c.take(); err != nil {
								b.Error(err)
							}
						}
					})
				} else {
					for b.Loop() {
						if err := c.take(); err != nil {
							b.Fatal(err)
						}
					}
				}
				after, spent := scriptTime(b, rdb)
				if after > calls {
					b.ReportMetric((spent-micros)/(after-calls), "redis-µs/call")
				}
				b.ReportMetric((after-calls)/float64(b.N), "calls/op")
				b.ReportMetric(keyBytes(b, rdb), "B/key")
			})
		}
	}
}

func BenchmarkTake(b *testing.B) { run(b, false) }

func BenchmarkTakeParallel(b *testing.B) { run(b, true) }
