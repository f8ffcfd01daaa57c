package ioc_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/examples/webook/config"
	"github.com/bulwark-go/bulwark/examples/webook/console"
	"github.com/bulwark-go/bulwark/examples/webook/internal/health"
	"github.com/bulwark-go/bulwark/examples/webook/ioc"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/logger/loggertest"
	"github.com/bulwark-go/bulwark/observe"
)

func TestEverythingIsUndoneInReverseWhateverFails(t *testing.T) {
	var c ioc.Closers
	var order []string
	broken := errors.New("broken")
	for _, name := range []string{"one", "two", "three"} {
		c.AddClose(name, func() error {
			order = append(order, name)
			if name == "two" {
				return broken
			}
			return nil
		})
	}
	err := c.Close(t.Context())
	require.ErrorIs(t, err, broken)
	require.ErrorContains(t, err, "close two")
	require.Equal(t, []string{"three", "two", "one"}, order)
	require.NoError(t, c.Close(t.Context()), "a second time there is nothing left")
	require.Len(t, order, 3)
}

func TestOneThatHangsKeepsNoOtherFromItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c ioc.Closers
		closed, release := false, make(chan struct{})
		c.AddClose("first", func() error { closed = true; return nil })
		c.AddClose("hung", func() error { <-release; return nil })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		require.ErrorIs(t, c.Close(ctx), context.DeadlineExceeded)
		require.True(t, closed)
		require.Less(t, time.Since(begin), 2*time.Second)
		close(release)
	})
}

func TestTheLogMasksAndKeepsOnlyMaskedErrors(t *testing.T) {
	var out bytes.Buffer
	recent := &console.Recent{}
	logs, err := ioc.Log(&out, config.Log{Level: "info", Format: "json"}, recent)
	require.NoError(t, err)
	logs.App.Error("sign-up of ann@example.com", logger.String("password", "hunter2"),
		logger.Err(errors.New("call 13800138000, token Bearer eyJhbGciOiJIUzI1NiJ9.eyJ1aWQiOjF9.c2lnbmF0dXJlLXNpZ25hdHVyZQ")))
	require.Len(t, recent.Problems(), 1)
	kept := recent.Problems()[0]
	for _, secret := range []string{"ann@example.com", "hunter2", "13800138000", "c2lnbmF0dXJlLXNpZ25hdHVyZQ"} {
		require.NotContains(t, out.String(), secret)
		require.NotContains(t, kept.Message+kept.Detail, secret)
	}
}

func TestFailedStatementsAreLoggedByTheRequestThatGetsTheError(t *testing.T) {
	rec := loggertest.New(t)
	var c ioc.Closers
	t.Cleanup(func() { _ = c.Close(context.WithoutCancel(t.Context())) })
	db, _, err := ioc.SQL(t.Context(), &c, config.DB{}, t.TempDir(), rec.Logger(), observe.Nop())
	require.NoError(t, err)
	require.Error(t, db.Exec("UPDATE nowhere SET a = 1").Error)
	rec.RequireLine(logger.LevelDebug, "sql failed")
}

func TestABadLevelIsRefused(t *testing.T) {
	_, err := ioc.Log(&bytes.Buffer{}, config.Log{Level: "loud"}, &console.Recent{})
	require.ErrorIs(t, err, logger.ErrLevel)
}

func TestTheAppIsUnreadyWhileWhatItNeedsIsDownAndWhenItLeaves(t *testing.T) {
	down := errors.New("down")
	var sql, redis error
	monitor := health.New(logger.Logger{},
		health.Component{Name: "sql", Required: true, Ping: func(context.Context) error { return sql }},
		health.Component{Name: "redis", Ping: func(context.Context) error { return redis }})
	probes := ioc.NewProbes(monitor)
	ready := func() (int, string) {
		monitor.Check(t.Context())
		w := httptest.NewRecorder()
		probes.Ready(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
		return w.Code, w.Body.String()
	}
	code, _ := ready()
	require.Equal(t, http.StatusOK, code)
	redis = down
	code, _ = ready()
	require.Equal(t, http.StatusOK, code)
	sql = down
	code, why := ready()
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Equal(t, "down: sql\n", why)
	sql = nil
	probes.Leave()
	code, why = ready()
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Equal(t, "shutting down\n", why)
}

func TestAFolderThatCanNotBeMadeIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	var c ioc.Closers
	_, err := ioc.DataDir(&c, filepath.Join(file, "x"))
	require.ErrorContains(t, err, file)
	t.Setenv("TMPDIR", file)
	_, err = ioc.DataDir(&c, "")
	require.ErrorContains(t, err, file)
}

func TestAKeyOrServerThatIsWrongIsAnErrorNotAPanic(t *testing.T) {
	var c ioc.Closers
	_, _, err := ioc.Sessions(nil, config.Session{AccessKey: logger.NewSecret("short"), RefreshKey: logger.NewSecret("short")}, nil)
	require.Error(t, err)
	_, _, err = ioc.SQL(t.Context(), &c, config.DB{Driver: "sqlite", DSN: logger.NewSecret("/no/such/folder/x.db")}, "", logger.Logger{}, nil)
	require.ErrorContains(t, err, "/no/such/folder/x.db")
	_, err = ioc.Engine(config.HTTP{}, logger.Logger{}, nil, nil, func(*gin.Context) {})
	require.Error(t, err)
	require.NoError(t, c.Close(t.Context()))
}
