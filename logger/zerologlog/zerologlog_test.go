package zerologlog_test

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/logger/loggertest"
	"github.com/bulwark-go/bulwark/logger/zerologlog"
)

var keys = loggertest.Keys{Time: "time", Level: "level", Message: "message", Caller: "caller"}

func backend(testing.TB) loggertest.Backend {
	out, level := &loggertest.Buffer{}, &logger.LevelVar{}
	level.Set(logger.LevelDebug)
	return loggertest.Backend{
		Core:     logger.AtLeast(zerologlog.New(zerolog.New(out)), level),
		Records:  func() ([]loggertest.Record, error) { return loggertest.ParseJSON(out.Bytes(), keys) },
		SetLevel: level.Set,
	}
}

func TestConformance(t *testing.T) { loggertest.Test(t, backend) }

func TestConsoleKeepsOneLinePerCall(t *testing.T) {
	out := &loggertest.Buffer{}
	log := logger.New(zerologlog.New(zerolog.New(zerolog.ConsoleWriter{Out: out, NoColor: true})))
	log.Info("a\nb", logger.String("k", "c\nd"), logger.Err(errors.New("x\ny")), logger.Int("e\nf", 1))
	require.Equal(t, 1, bytes.Count(out.Bytes(), []byte("\n")))
}

func TestLevelOfTheZerologLoggerHolds(t *testing.T) {
	out := &loggertest.Buffer{}
	log := logger.New(zerologlog.New(zerolog.New(out).Level(zerolog.WarnLevel)))
	require.False(t, log.Enabled(logger.LevelInfo))
	log.Info("no")
	log.Warn("yes")
	records, err := loggertest.ParseJSON(out.Bytes(), keys)
	require.NoError(t, err)
	require.Len(t, records, 1)
}

func TestZeroLoggerDiscards(t *testing.T) {
	logger.New(zerologlog.New(zerolog.Logger{})).Error("m")
}

func ExampleNew() {
	log := logger.New(zerologlog.New(zerolog.New(os.Stdout)))
	log.LogEntry(logger.Entry{Level: logger.LevelWarn, Message: "sms limited"}, logger.String("svc", "webook"))
	// Output:
	// {"level":"warn","svc":"webook","message":"sms limited"}
}
