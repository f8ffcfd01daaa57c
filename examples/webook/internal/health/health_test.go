package health_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bulwark-go/bulwark/examples/webook/internal/health"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/observe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a component that a test can take down, or make hang.
type server struct {
	down, hang atomic.Bool
	pings      atomic.Int64
}

func (s *server) ping(ctx context.Context) error {
	s.pings.Add(1)
	if s.hang.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	if s.down.Load() {
		return errors.New("refused")
	}
	return nil
}

func run(t *testing.T, m *health.Monitor) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { m.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
}

func TestAComponentIsDownWhileItFailsAndSinceThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s server
		m := health.New(logger.Logger{}, health.Component{Name: "sql", Required: true, Ping: s.ping})
		m.Check(t.Context())
		run(t, m)
		first := m.Statuses()[0]
		require.True(t, first.Up)
		require.Empty(t, m.Ready())

		time.Sleep(time.Minute)
		require.Equal(t, first.Since, m.Statuses()[0].Since, "still up since then")
		s.down.Store(true)
		time.Sleep(3 * time.Second)
		status := m.Statuses()[0]
		require.False(t, status.Up)
		require.EqualError(t, status.Err, "refused")
		require.True(t, status.Since.After(first.Since))
		require.Equal(t, []string{"sql"}, m.Ready())

		s.down.Store(false)
		time.Sleep(3 * time.Second)
		require.True(t, m.Statuses()[0].Up)
		require.NoError(t, m.Statuses()[0].Err)
	})
}

func TestAComponentThatHangsIsDownAndDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var good, bad server
		bad.hang.Store(true)
		m := health.New(logger.Logger{}, health.Component{Name: "bad", Ping: bad.ping}, health.Component{Name: "good", Ping: good.ping})
		m.Check(t.Context())
		run(t, m)
		before := good.pings.Load()
		time.Sleep(time.Minute)
		require.InDelta(t, 30, good.pings.Load()-before, 1)
		require.False(t, m.Statuses()[0].Up)
		require.ErrorIs(t, m.Statuses()[0].Err, context.DeadlineExceeded)
		require.True(t, m.Statuses()[1].Up)
		require.Empty(t, m.Ready(), "what is not required does not make the app unready")
	})
}

func TestAskingCostsNoPing(t *testing.T) {
	var s server
	m := health.New(logger.Logger{}, health.Component{Name: "sql", Ping: s.ping})
	m.Check(t.Context())
	for range 1000 {
		m.Statuses()
		m.Ready()
	}
	require.EqualValues(t, 1, s.pings.Load())
}

func TestReadingsTellWhatIsUp(t *testing.T) {
	var up, down server
	down.down.Store(true)
	m := health.New(logger.Logger{}, health.Component{Name: "a", Ping: up.ping}, health.Component{Name: "b", Ping: down.ping})
	m.Check(t.Context())
	readings := slices.Collect(m.Readings())
	require.Len(t, readings, 2)
	require.NoError(t, readings[0].Gauge.Validate())
	require.Equal(t, observe.Values{"a"}, readings[0].Values)
	require.Equal(t, 1.0, readings[0].Value)
	require.Equal(t, observe.Values{"b"}, readings[1].Values)
	require.Equal(t, 0.0, readings[1].Value)
}

func TestEachChangeIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s server
		var lines counter
		m := health.New(logger.New(&lines), health.Component{Name: "sql", Ping: s.ping})
		m.Check(t.Context())
		run(t, m)
		require.Zero(t, lines.n.Load(), "being up is no news")
		s.down.Store(true)
		time.Sleep(time.Minute)
		require.EqualValues(t, 1, lines.n.Load())
		s.down.Store(false)
		time.Sleep(time.Minute)
		require.EqualValues(t, 2, lines.n.Load())
	})
}

type counter struct{ n atomic.Int64 }

func (c *counter) Enabled(logger.Level) bool          { return true }
func (c *counter) With([]logger.Field) logger.Core    { return c }
func (c *counter) Write(logger.Entry, []logger.Field) { c.n.Add(1) }
