package redisotp_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/observe/observetest"
	"github.com/bulwark-go/bulwark/smsx/otp"
	"github.com/bulwark-go/bulwark/smsx/otp/redisotp"
)

// outbox is a sender that keeps what it was given, runs then, and answers err.
type outbox struct {
	mu   sync.Mutex
	sent []otp.Delivery
	then func()
	err  error
}

func (o *outbox) SendCode(_ context.Context, d otp.Delivery) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent = append(o.sent, d)
	if o.then != nil {
		o.then()
	}
	return o.err
}

const phone = "+8613800138000"

func testKeys() otp.Keys {
	return otp.Keys{
		Subject: bytes.Repeat([]byte{1}, 32),
		Codes:   []otp.Key{{ID: "a", Secret: bytes.Repeat([]byte{2}, 32)}},
	}
}

func newCodes(t testing.TB, rdb redis.UniversalClient) (*otp.Codes, *outbox) {
	box := &outbox{}
	codes, err := otp.New(newStore(t, rdb), box, testKeys(), otp.Config{})
	require.NoError(t, err)
	return codes, box
}

func verify(t testing.TB, codes *otp.Codes, subject, code string) bool {
	ok, err := codes.Verify(t.Context(), "login", subject, code)
	require.NoError(t, err)
	return ok
}

// the key of phone, purpose "login", under testKeys.
func onlyKey(t *testing.T, rdb *redis.Client) string {
	all := rdb.Keys(t.Context(), "otp:*").Val()
	require.Len(t, all, 1)
	return all[0]
}

func TestAKeyWithoutExpiryIsAFaultOfTheSystem(t *testing.T) {
	rdb := testenv.Redis(t)
	codes, box := newCodes(t, rdb)
	require.NoError(t, codes.Issue(t.Context(), "login", phone))
	require.NoError(t, rdb.Persist(t.Context(), onlyKey(t, rdb)).Err())
	ok, err := codes.Verify(t.Context(), "login", phone, box.sent[0].Code)
	require.ErrorIs(t, err, otp.ErrNoExpiry)
	require.False(t, ok)
	err = codes.Issue(t.Context(), "login", phone)
	require.ErrorIs(t, err, otp.ErrNoExpiry)
	require.NotErrorIs(t, err, otp.ErrLimited)
	require.NotContains(t, err.Error(), "13800138000")
}

func TestVerifyingBeforeAnyCodeWasSentIsWrongAndNotAFault(t *testing.T) {
	rdb := testenv.Redis(t)
	codes, _ := newCodes(t, rdb)
	for range 5 {
		require.False(t, verify(t, codes, phone, "000000"))
	}
	require.Empty(t, rdb.Keys(t.Context(), "*").Val(), "guesses at nothing leave nothing")
	require.NoError(t, codes.Issue(t.Context(), "login", phone))
}

func TestAKeyOfAnotherTypeIsAnError(t *testing.T) {
	rdb := testenv.Redis(t)
	codes, _ := newCodes(t, rdb)
	require.NoError(t, codes.Issue(t.Context(), "login", phone))
	key := onlyKey(t, rdb)
	require.NoError(t, rdb.Set(t.Context(), key, "x", time.Minute).Err())
	require.ErrorContains(t, codes.Issue(t.Context(), "login", phone), "WRONGTYPE")
}

// spy is a go-redis hook that keeps every command's arguments.
type spy struct {
	mu       sync.Mutex
	commands []string
}

func (*spy) DialHook(next redis.DialHook) redis.DialHook { return next }

func (s *spy) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		s.mu.Lock()
		s.commands = append(s.commands, fmt.Sprint(cmd.Args()...))
		s.mu.Unlock()
		return next(ctx, cmd)
	}
}

func (*spy) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func TestNoCodeOrPhoneReachesRedisOrObservers(t *testing.T) {
	rdb, watch, rec := testenv.Redis(t), &spy{}, observetest.NewRecorder(t)
	rdb.AddHook(watch)
	box := &outbox{}
	// Ten digits do not turn up by chance in a time.
	codes, err := otp.New(otp.Observe(newStore(t, rdb), rec), box, testKeys(), otp.Config{Digits: 10})
	require.NoError(t, err)
	var sinks strings.Builder
	dump := func() {
		for _, key := range rdb.Keys(t.Context(), "*").Val() {
			fmt.Fprintln(&sinks, key, rdb.HGetAll(t.Context(), key).Val())
		}
	}
	const guess = "8642097531"
	for i := range 10 {
		subject := fmt.Sprintf("+861380013%04d", i)
		require.NoError(t, codes.Issue(t.Context(), "tell-tale", subject))
		fmt.Fprintln(&sinks, codes.Issue(t.Context(), "tell-tale", subject))
		ok, err := codes.Verify(t.Context(), "tell-tale", subject, guess)
		require.NoError(t, err)
		require.False(t, ok)
		dump()
		ok, err = codes.Verify(t.Context(), "tell-tale", subject, box.sent[i].Code)
		require.NoError(t, err)
		require.True(t, ok)
		dump()
	}
	fmt.Fprintf(&sinks, "%v\n%+v\n%+v", watch.commands, rec.Records(), box.sent)
	fmt.Fprintf(&sinks, "%v", box.sent)
	all := sinks.String()
	require.Contains(t, all, "otp:{#:", "the test sees nothing")
	for _, canary := range []string{"1380013", "0013000", guess} {
		require.NotContains(t, all, canary)
	}
	for _, d := range box.sent {
		require.NotContains(t, all, d.Code)
	}
	require.NotContains(t, strings.Join(watch.commands, " "), "tell-tale")
}

func TestIssueAndVerifyTakeOneRoundTripEach(t *testing.T) {
	rdb, watch := testenv.Redis(t), &spy{}
	codes, box := newCodes(t, rdb)
	require.NoError(t, codes.Issue(t.Context(), "warm up", phone))
	_, _ = codes.Verify(t.Context(), "warm up", phone, "1")
	rdb.AddHook(watch)
	require.NoError(t, codes.Issue(t.Context(), "login", phone))
	require.Len(t, watch.commands, 1)
	require.True(t, verify(t, codes, phone, box.sent[1].Code))
	require.Len(t, watch.commands, 2)
}

func TestASubjectTakesLittleRoomHoweverBusy(t *testing.T) {
	rdb := testenv.Redis(t)
	c := testenv.NewRedisClock(t, rdb)
	box := &outbox{}
	codes, err := otp.New(newStore(t, rdb).OnClock(testenv.RedisClockKey), box, testKeys(),
		otp.Config{SendsPerHour: 10, FailuresPerMonth: 1000, MaxTakeover: 1})
	require.NoError(t, err)
	for range 31 {
		for range 4 {
			require.NoError(t, codes.Issue(t.Context(), "login", phone))
			for range 3 {
				require.False(t, verify(t, codes, phone, "x"))
			}
			c.Advance(time.Minute)
			if len(box.sent)%4 == 3 {
				break
			}
		}
		c.Advance(24 * time.Hour)
	}
	key := onlyKey(t, rdb)
	bytes := len(key)
	for field, value := range rdb.HGetAll(t.Context(), key).Val() {
		bytes += len(field) + len(value)
	}
	t.Logf("%d bytes of names and values", bytes)
	require.LessOrEqual(t, bytes, 200)
	require.Positive(t, rdb.PTTL(t.Context(), key).Val())
	require.LessOrEqual(t, rdb.PTTL(t.Context(), key).Val(), 31*24*time.Hour+time.Second)
}

// losing is a connection that loses the answer to the next script it sends.
type losing struct {
	net.Conn
	armed *atomic.Int64
	lose  bool
}

func (c *losing) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("evalsha")) && c.armed.Add(-1) >= 0 {
		c.lose = true
	}
	return c.Conn.Write(b)
}

func (c *losing) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b) // the server has done its work
	if c.lose && err == nil {
		_ = c.Conn.Close()
		return 0, io.EOF
	}
	return n, err
}

func TestALostAnswerIsAskedForAgainAtNoCost(t *testing.T) {
	options := testenv.RedisOptions(t)
	var armed atomic.Int64
	options.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return &losing{Conn: conn, armed: &armed}, err
	}
	rdb := redis.NewClient(options)
	t.Cleanup(func() { _ = rdb.Close() })
	codes, box := newCodes(t, rdb)
	require.NoError(t, codes.Issue(t.Context(), "warm up", phone))
	_, _ = codes.Verify(t.Context(), "warm up", phone, "1")

	armed.Store(1)
	require.NoError(t, codes.Issue(t.Context(), "login", phone), "limited by its own first try")
	require.Negative(t, armed.Load(), "nothing was lost")
	for range 2 {
		armed.Store(1)
		require.False(t, verify(t, codes, phone, "x"))
	}
	armed.Store(1)
	require.True(t, verify(t, codes, phone, box.sent[1].Code), "two wrong guesses counted as more, or a right one was lost")
}

func TestRedisKilledInTheMiddleOfAnIssue(t *testing.T) {
	node := testenv.RestartableRedis(t)
	rdb := redis.NewClient(&redis.Options{Addr: node.Addr(), MaxRetries: -1})
	t.Cleanup(func() { _ = rdb.Close() })
	codes, box := newCodes(t, rdb)
	box.then, box.err = node.Stop, otp.ErrRejected
	err := codes.Issue(t.Context(), "login", phone)
	require.ErrorIs(t, err, otp.ErrRejected)
	require.ErrorContains(t, err, "otp: refund:", "that it failed is not hidden")
	require.Error(t, codes.Issue(t.Context(), "login", phone))
	require.Len(t, box.sent, 1, "nothing is sent that nobody could verify")
	ok, err := codes.Verify(t.Context(), "login", phone, box.sent[0].Code)
	require.Error(t, err)
	require.False(t, ok)

	node.Start()
	box.then, box.err = nil, nil
	var limited *otp.LimitedError
	require.Eventually(t, func() bool { return rdb.Ping(context.Background()).Err() == nil }, time.Minute, 10*time.Millisecond)
	require.ErrorAs(t, codes.Issue(t.Context(), "login", phone), &limited)
	require.LessOrEqual(t, limited.RetryAfter, time.Minute)
	require.True(t, verify(t, codes, phone, box.sent[0].Code), "what was stored is still there")
	node.Stop()
	node.StartEmpty() // with its scripts gone too
	require.Eventually(t, func() bool { return rdb.Ping(context.Background()).Err() == nil }, time.Minute, 10*time.Millisecond)
	require.NoError(t, codes.Issue(t.Context(), "login", phone))
}

func TestNewRefusesBadPrefixes(t *testing.T) {
	rdb := testenv.Redis(t)
	for _, prefix := range []string{"", "a{b", "}"} {
		_, err := redisotp.New(rdb, redisotp.WithPrefix(prefix))
		require.ErrorContains(t, err, "prefix")
	}
	_, err := redisotp.New(nil)
	require.ErrorContains(t, err, "rdb")
}

func BenchmarkIssueAndVerify(b *testing.B) {
	rdb := testenv.Redis(b)
	codes, box := newCodes(b, rdb)
	ctx := context.Background()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		subject := fmt.Sprintf("+86138%08d", i)
		if err := codes.Issue(ctx, "login", subject); err != nil {
			b.Fatal(err)
		}
		if ok, err := codes.Verify(ctx, "login", subject, box.sent[i].Code); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

// BenchmarkPing is what two round trips cost.
func BenchmarkPing(b *testing.B) {
	rdb := testenv.Redis(b)
	for b.Loop() {
		for range 2 {
			if err := rdb.Ping(context.Background()).Err(); err != nil {
				b.Fatal(err)
			}
		}
	}
}
