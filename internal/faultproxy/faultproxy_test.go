package faultproxy_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/faultproxy"
)

const patience = 10 * time.Second

// silence is how long a test watches that nothing arrives.
const silence = 50 * time.Millisecond

// echo answers each byte with itself, and counts the connections that are open.
type echo struct {
	listener net.Listener
	mu       sync.Mutex
	open     map[net.Conn]struct{}
}

func startEcho(t *testing.T) *echo {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	e := &echo{listener: listener, open: make(map[net.Conn]struct{})}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			e.mu.Lock()
			e.open[conn] = struct{}{}
			e.mu.Unlock()
			work.Go(func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
				e.mu.Lock()
				delete(e.open, conn)
				e.mu.Unlock()
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close() // a test may have done so
		e.mu.Lock()
		for conn := range e.open {
			_ = conn.Close()
		}
		e.mu.Unlock()
		work.Wait()
	})
	return e
}

func (e *echo) conns() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.open)
}

func start(t *testing.T) (*faultproxy.Proxy, *echo) {
	t.Helper()
	server := startEcho(t)
	proxy, err := faultproxy.Start(server.listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, proxy.Close()) })
	return proxy, server
}

func dial(t *testing.T, proxy *faultproxy.Proxy) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", proxy.Addr())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn.(*net.TCPConn)
}

func write(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	_, err := io.WriteString(conn, text)
	require.NoError(t, err)
}

func requireRead(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	got := make([]byte, len(text))
	_, err := io.ReadFull(conn, got)
	require.NoError(t, err)
	require.Equal(t, text, string(got))
}

func requireSilence(t *testing.T, conn net.Conn) {
	t.Helper()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(silence)))
	_, err := conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}

func readError(t *testing.T, conn net.Conn) error {
	t.Helper()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	_, err := conn.Read(make([]byte, 1))
	require.Error(t, err)
	return err
}

func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, patience, time.Millisecond)
}

func TestSoundProxyPassesEverythingAndTheEnd(t *testing.T) {
	proxy, _ := start(t)
	conn := dial(t, proxy)
	sent := make([]byte, 3<<20)
	_, _ = rand.Read(sent)
	var work sync.WaitGroup
	work.Go(func() {
		_, _ = conn.Write(sent)
		_ = conn.CloseWrite()
	})
	received, err := io.ReadAll(conn)
	work.Wait()
	require.NoError(t, err)
	require.True(t, bytes.Equal(sent, received))
	eventually(t, func() bool { return proxy.Stats().Open == 0 })
	require.Equal(t, faultproxy.Stats{
		Accepted: 1, UpBytes: 3 << 20, DownBytes: 3 << 20, UpArrived: 3 << 20, DownArrived: 3 << 20,
	}, proxy.Stats())
}

func TestLatencyDelaysWithoutNarrowing(t *testing.T) {
	const latency = 100 * time.Millisecond
	proxy, _ := start(t)
	proxy.Set(faultproxy.Fault{Up: faultproxy.Link{Latency: latency}, Down: faultproxy.Link{Latency: latency}})
	conn := dial(t, proxy)
	begin := time.Now()
	for range 10 { // one round trip for all, not one for each
		write(t, conn, "ping")
	}
	requireRead(t, conn, "pingpingpingpingpingpingpingpingpingping")
	took := time.Since(begin)
	require.GreaterOrEqual(t, took, 2*latency)
	require.Less(t, took, 10*latency)
}

func TestHealingReleasesWhatLatencyDelays(t *testing.T) {
	proxy, _ := start(t)
	proxy.Set(faultproxy.Fault{Down: faultproxy.Link{Latency: time.Hour}})
	conn := dial(t, proxy)
	write(t, conn, "ping")
	requireSilence(t, conn)
	proxy.Heal()
	requireRead(t, conn, "ping")
}

func TestBandwidthIsBounded(t *testing.T) {
	const size, rate = 40 << 10, 200 << 10
	proxy, _ := start(t)
	proxy.Set(faultproxy.Fault{Down: faultproxy.Link{BytesPerSecond: rate}})
	conn := dial(t, proxy)
	begin := time.Now()
	write(t, conn, string(make([]byte, size)))
	requireRead(t, conn, string(make([]byte, size)))
	// The last chunk is delivered before its own time is up.
	require.GreaterOrEqual(t, time.Since(begin), time.Duration(size-4<<10)*time.Second/rate)
}

func TestHeldReplyArrivesLate(t *testing.T) {
	proxy, _ := start(t)
	proxy.Set(faultproxy.Fault{Down: faultproxy.Link{Hold: true}})
	conn := dial(t, proxy)
	write(t, conn, "once")
	eventually(t, func() bool { return proxy.Stats().DownArrived == 4 })
	requireSilence(t, conn)
	require.EqualValues(t, 4, proxy.Stats().UpBytes, "the request ran")
	require.Zero(t, proxy.Stats().DownBytes)
	proxy.Heal()
	requireRead(t, conn, "once")
}

func TestHeldRequestHasNotRun(t *testing.T) {
	proxy, _ := start(t)
	proxy.Set(faultproxy.Fault{Up: faultproxy.Link{Hold: true}})
	conn := dial(t, proxy)
	write(t, conn, "once")
	eventually(t, func() bool { return proxy.Stats().UpArrived == 4 })
	require.Zero(t, proxy.Stats().UpBytes)
	proxy.Cut()
	require.Error(t, readError(t, conn))
}

func TestDroppedConnectionIsHalfOpenForGood(t *testing.T) {
	proxy, server := start(t)
	conn := dial(t, proxy)
	write(t, conn, "a")
	requireRead(t, conn, "a")

	proxy.Set(faultproxy.Fault{Up: faultproxy.Link{Drop: true}})
	write(t, conn, "lost")
	requireSilence(t, conn)
	proxy.Heal()
	write(t, conn, "after a hole in the stream")
	requireSilence(t, conn)
	require.EqualValues(t, 1, proxy.Stats().UpBytes)

	require.NoError(t, conn.Close())
	other := dial(t, proxy) // new ones are sound
	write(t, other, "b")
	requireRead(t, other, "b")
	require.Equal(t, 2, server.conns(), "the server never learns that the first has gone")

	proxy.Cut()
	eventually(t, func() bool { return server.conns() == 0 })
}

func TestSilentServerLooksAliveToTheClient(t *testing.T) {
	proxy, _ := start(t)
	proxy.Set(faultproxy.Fault{Down: faultproxy.Link{Drop: true}})
	conn := dial(t, proxy)
	write(t, conn, "request")
	eventually(t, func() bool { return proxy.Stats().DownArrived == 7 })
	requireSilence(t, conn)
}

func TestCutEndsBothSidesAndLetsNewOnesIn(t *testing.T) {
	proxy, server := start(t)
	conn := dial(t, proxy)
	write(t, conn, "a")
	requireRead(t, conn, "a")
	proxy.Cut()
	require.ErrorIs(t, readError(t, conn), io.EOF)
	eventually(t, func() bool { return server.conns() == 0 && proxy.Stats().Open == 0 })
	again := dial(t, proxy)
	write(t, again, "b")
	requireRead(t, again, "b")
}

func TestResetIsSeenAsOne(t *testing.T) {
	proxy, _ := start(t)
	conn := dial(t, proxy)
	write(t, conn, "a")
	requireRead(t, conn, "a")
	proxy.Reset()
	require.ErrorIs(t, readError(t, conn), syscall.ECONNRESET)
}

func TestRefusedConnectionsAreResetWhileOldOnesGoOn(t *testing.T) {
	proxy, _ := start(t)
	old := dial(t, proxy)
	write(t, old, "a")
	requireRead(t, old, "a")
	proxy.Set(faultproxy.Fault{Refuse: true})
	// The reset may come before the dial has even returned.
	conn, err := net.Dial("tcp", proxy.Addr())
	if err == nil {
		err = readError(t, conn)
		require.NoError(t, conn.Close())
	}
	require.ErrorIs(t, err, syscall.ECONNRESET)
	require.EqualValues(t, 1, proxy.Stats().Refused)
	write(t, old, "b")
	requireRead(t, old, "b")
}

func TestDeadServerLooksLikeAReset(t *testing.T) {
	proxy, server := start(t)
	require.NoError(t, server.listener.Close())
	conn, err := net.Dial("tcp", proxy.Addr())
	if err == nil {
		err = readError(t, conn)
		require.NoError(t, conn.Close())
	}
	require.ErrorIs(t, err, syscall.ECONNRESET)
}

func TestServerThatHangsUpIsHeardOf(t *testing.T) {
	proxy, server := start(t)
	conn := dial(t, proxy)
	write(t, conn, "a")
	requireRead(t, conn, "a")
	server.mu.Lock()
	for c := range server.open {
		require.NoError(t, c.Close())
	}
	server.mu.Unlock()
	require.ErrorIs(t, readError(t, conn), io.EOF)
}

func TestCloseEndsStuckConnections(t *testing.T) {
	for name, fault := range map[string]faultproxy.Fault{
		"held":    {Up: faultproxy.Link{Hold: true}, Down: faultproxy.Link{Hold: true}},
		"dropped": {Up: faultproxy.Link{Drop: true}, Down: faultproxy.Link{Drop: true}},
		"slow":    {Up: faultproxy.Link{Latency: time.Hour}},
		"narrow":  {Up: faultproxy.Link{BytesPerSecond: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			proxy, _ := start(t)
			proxy.Set(fault)
			conn := dial(t, proxy)
			write(t, conn, "stuck and stuck again")
			eventually(t, func() bool { return proxy.Stats().UpArrived > 0 })
			require.NoError(t, proxy.Close())
			require.NoError(t, proxy.Close())
			_, err := net.Dial("tcp", proxy.Addr())
			require.ErrorIs(t, err, syscall.ECONNREFUSED)
		})
	}
}

func TestFaultsMayChangeWhileBytesFlow(t *testing.T) {
	proxy, _ := start(t)
	conn := dial(t, proxy)
	sent := make([]byte, 1<<20)
	_, _ = rand.Read(sent)
	var work sync.WaitGroup
	work.Go(func() { _, _ = conn.Write(sent) })
	work.Go(func() {
		for i := range 200 {
			proxy.Set(faultproxy.Fault{
				Up:   faultproxy.Link{Latency: time.Duration(i%3) * time.Millisecond},
				Down: faultproxy.Link{Hold: i%2 == 0},
			})
		}
		proxy.Heal()
	})
	received := make([]byte, len(sent))
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	_, err := io.ReadFull(conn, received)
	work.Wait()
	require.NoError(t, err)
	require.True(t, bytes.Equal(sent, received))
}

func TestStartRefusesATargetWithoutPort(t *testing.T) {
	_, err := faultproxy.Start("localhost")
	var address *net.AddrError
	require.True(t, errors.As(err, &address), err)
}
