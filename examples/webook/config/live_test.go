package config_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/examples/webook/config"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/logger/loggertest"
)

// Servers take seconds to connect, and the file may be edited meanwhile.
func TestAChangeBetweenLoadAndWatchIsTakenOver(t *testing.T) {
	path := file(t, "users:\n  cacheTTL: 10m\n")
	cfg, err := config.Load(path)
	require.NoError(t, err)
	cfg.Data = "from the command line"
	live := config.NewLive(cfg)
	require.NoError(t, os.WriteFile(path, []byte("users:\n  cacheTTL: 20m\n"), 0o600))

	rec := loggertest.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	taken, done := make(chan config.Config, 1), make(chan error, 1)
	go func() { done <- live.Watch(ctx, path, rec.Logger(), func(c config.Config) { taken <- c }) }()
	select {
	case c := <-taken:
		require.Equal(t, 20*time.Minute, c.Users.CacheTTL)
	case <-time.After(10 * time.Second):
		t.Fatal("the change was not seen")
	}
	cancel()
	require.NoError(t, <-done)
	require.Equal(t, 20*time.Minute, live.Get().Users.CacheTTL)
	require.Equal(t, "from the command line", live.Get().Data)
	rec.RequireLine(logger.LevelInfo, "configuration taken over", logger.String("waits_for_restart", "none"))
}

func TestAFileThatIsAsLoadedIsNotTakenOverAgain(t *testing.T) {
	path := file(t, "users:\n  cacheTTL: 10m\n  bcryptCost: 12\n")
	cfg, err := config.Load(path)
	require.NoError(t, err)
	cfg.Users.BcryptCost = 4 // not live, so no reason
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, config.NewLive(cfg).Watch(ctx, path, logger.Logger{}, func(config.Config) {
		t.Error("nothing has changed")
	}))
}
