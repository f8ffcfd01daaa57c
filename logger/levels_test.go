package logger_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/logger/loggertest"
)

func newLevels(t testing.TB, level logger.Level) *logger.Levels {
	l, err := logger.NewLevels(level)
	require.NoError(t, err)
	return l
}

func TestLevelOfAModuleChangesWhileInUse(t *testing.T) {
	rec, levels := loggertest.New(t), newLevels(t, logger.LevelInfo)
	log := rec.Logger(logger.WithLevels(levels))
	sms := log.Named("smsx.aliyun").With(logger.Int("k", 1))

	sms.Debug("no")
	require.NoError(t, levels.Set("smsx", logger.LevelDebug))
	sms.Debug("by its parent")
	log.Debug("no")
	require.NoError(t, levels.Set("smsx.aliyun", logger.LevelError))
	sms.Warn("no")
	levels.Reset("smsx.aliyun")
	sms.Debug("by its parent again")
	require.NoError(t, levels.Set("", logger.LevelWarn))
	log.Info("no")
	log.Named("other").Info("no")
	require.Equal(t, []string{"by its parent", "by its parent again"}, rec.Messages())
	rec.SetLevel(logger.LevelError)
	require.False(t, sms.Enabled(logger.LevelDebug), "the core has its say too")
}

func TestRaisedLevelEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec, levels := loggertest.New(t), newLevels(t, logger.LevelInfo)
		log := rec.Logger(logger.WithLevels(levels)).Named("smsx")
		require.NoError(t, levels.Raise("smsx", logger.LevelDebug, time.Minute))
		require.NoError(t, levels.Set("smsx", logger.LevelWarn))
		require.Equal(t, logger.LevelDebug, levels.Level("smsx"))
		require.Equal(t, time.Now().Add(time.Minute), levels.Snapshot()[1].Until)

		time.Sleep(time.Minute - time.Millisecond)
		require.True(t, log.Enabled(logger.LevelDebug))
		time.Sleep(2 * time.Millisecond)
		require.False(t, log.Enabled(logger.LevelInfo))
		require.True(t, log.Enabled(logger.LevelWarn))
		require.Equal(t, logger.LevelWarn, levels.Level("smsx"))
		require.Zero(t, levels.Snapshot()[1].Until)
	})
}

func TestWrongLevelsAreRefusedAndChangeNothing(t *testing.T) {
	levels := newLevels(t, logger.LevelInfo)
	require.ErrorIs(t, levels.Set("m", logger.LevelError+1), logger.ErrLevel)
	require.ErrorIs(t, levels.Set("m", logger.LevelDebug-1), logger.ErrLevel)
	require.ErrorIs(t, levels.Raise("m", logger.LevelDebug, 0), logger.ErrLevel)
	require.ErrorContains(t, levels.Raise("m", 100, -time.Second), `"m" at 100`)
	require.Equal(t, logger.LevelInfo, levels.Level("m"))
	_, err := logger.NewLevels(100)
	require.ErrorIs(t, err, logger.ErrLevel)
}

func TestLevelsSnapshotIsSorted(t *testing.T) {
	levels := newLevels(t, logger.LevelInfo)
	logger.New(discard{}, logger.WithLevels(levels)).Named("b")
	require.NoError(t, levels.Set("a", logger.LevelError))
	require.Equal(t, []logger.ModuleLevel{
		{Level: logger.LevelInfo}, {Module: "a", Level: logger.LevelError}, {Module: "b", Level: logger.LevelInfo},
	}, levels.Snapshot())
}

func TestModulesNamedByDataDoNotGrowMemory(t *testing.T) {
	levels := newLevels(t, logger.LevelInfo)
	log := logger.New(discard{}, logger.WithLevels(levels))
	for i := range 5000 {
		require.True(t, log.Named(fmt.Sprint("user-", i)).Enabled(logger.LevelInfo))
	}
	require.LessOrEqual(t, len(levels.Snapshot()), 1024)
	require.NoError(t, levels.Set("", logger.LevelError))
	require.False(t, log.Named("user-4999").Enabled(logger.LevelInfo))
}

func TestLevelsUnderConcurrentChange(t *testing.T) {
	levels := newLevels(t, logger.LevelInfo)
	log := logger.New(discard{}, logger.WithLevels(levels))
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			name := fmt.Sprintf("m%d.x", g%2)
			for range 200 {
				_ = levels.Set(name, logger.LevelDebug)
				_ = levels.Raise(name, logger.LevelError, time.Nanosecond)
				log.Named(name).Error("m")
				levels.Reset(name)
				levels.Snapshot()
			}
		})
	}
	wg.Wait()
	require.Equal(t, logger.LevelInfo, levels.Level("m0.x"))
}

func ExampleNewLevels() {
	levels, err := logger.NewLevels(logger.LevelInfo)
	if err != nil {
		panic(err)
	}
	log := logger.New(printer{}, logger.WithLevels(levels)).Named("smsx")

	_ = levels.Set("smsx", logger.LevelError)
	log.Info("not shown")
	_ = levels.Raise("smsx", logger.LevelInfo, 10*time.Minute) // a closer look, for a while
	log.Info("shown")
	// Output:
	// info shown []
}
