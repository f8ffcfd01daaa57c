package zaplog_test

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/logger/loggertest"
	"github.com/bulwark-go/bulwark/logger/zaplog"
)

var keys = loggertest.Keys{Time: "ts", Level: "level", Message: "msg", Caller: "caller"}

func encoding() zapcore.EncoderConfig {
	cfg := zap.NewProductionEncoderConfig()
	cfg.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	cfg.EncodeDuration = zapcore.StringDurationEncoder
	return cfg
}

func backend(testing.TB) loggertest.Backend {
	out, level := &loggertest.Buffer{}, zap.NewAtomicLevelAt(zap.DebugLevel)
	zl := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(encoding()), zapcore.AddSync(out), level))
	return loggertest.Backend{
		Core:    zaplog.New(zl),
		Records: func() ([]loggertest.Record, error) { return loggertest.ParseJSON(out.Bytes(), keys) },
		SetLevel: func(l logger.Level) {
			zl, _ := zapcore.ParseLevel(l.String())
			level.SetLevel(zl)
		},
	}
}

func TestConformance(t *testing.T) { loggertest.Test(t, backend) }

func TestConsoleKeepsOneLinePerCall(t *testing.T) {
	out := &loggertest.Buffer{}
	zl := zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(encoding()), zapcore.AddSync(out), zap.InfoLevel))
	logger.New(zaplog.New(zl)).Info("a\nb", logger.String("k", "c\nd"), logger.Int("e\nf", 1))
	require.Equal(t, 1, bytes.Count(out.Bytes(), []byte("\n")))
}

func TestZapFieldsAndNameStay(t *testing.T) {
	out := &loggertest.Buffer{}
	zl := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(encoding()), zapcore.AddSync(out), zap.InfoLevel)).
		Named("zap").With(zap.Int("own", 1))
	logger.New(zaplog.New(zl)).Info("m")
	records, err := loggertest.ParseJSON(out.Bytes(), keys)
	require.NoError(t, err)
	require.Equal(t, "zap", records[0].Fields["logger"])
	require.Contains(t, records[0].Fields, "own")
}

func TestNilLoggerDiscards(t *testing.T) {
	log := logger.New(zaplog.New(nil))
	require.False(t, log.Enabled(logger.LevelError))
	log.Error("m")
}

func ExampleNew() {
	cfg := zap.NewProductionEncoderConfig()
	cfg.TimeKey = "" // for the example's output
	zl := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(cfg), os.Stdout, zap.InfoLevel))

	log := logger.New(zaplog.New(zl)).With(logger.String("svc", "webook"))
	log.Warn("sms limited", logger.Int("left", 0))
	log.Debug("not shown")
	// Output:
	// {"level":"warn","msg":"sms limited","svc":"webook","left":0}
}

// failing is a sink that takes nothing.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestASinkThatFailsIsToldOnStandardError(t *testing.T) {
	broken := zapcore.NewCore(zapcore.NewJSONEncoder(encoding()), zapcore.AddSync(failing{}), zap.InfoLevel)
	for name, zc := range map[string]zapcore.Core{"writer": broken, "tee": zapcore.NewTee(broken, zapcore.NewNopCore())} {
		t.Run(name, func(t *testing.T) {
			told := stderr(t, func() { logger.New(zaplog.New(zap.New(zc))).Info("m") })
			require.Contains(t, told, "write error: disk full\n")
		})
	}
}

// stderr returns what f writes to standard error.
func stderr(t *testing.T, f func()) string {
	t.Helper()
	file, err := os.CreateTemp(t.TempDir(), "stderr")
	require.NoError(t, err)
	before := os.Stderr
	os.Stderr = file
	defer func() { os.Stderr = before }()
	f()
	require.NoError(t, file.Close())
	told, err := os.ReadFile(file.Name())
	require.NoError(t, err)
	return string(told)
}

func TestWhatZapDoesAroundItsWriterHolds(t *testing.T) {
	out := &loggertest.Buffer{}
	writer := zapcore.NewCore(zapcore.NewJSONEncoder(encoding()), zapcore.AddSync(out), zap.InfoLevel)
	hooked := 0
	sampled := zapcore.NewSamplerWithOptions(zapcore.RegisterHooks(writer, func(zapcore.Entry) error {
		hooked++
		return nil
	}), time.Hour, 2, 0)
	log := logger.New(zaplog.New(zap.New(sampled))).With(logger.Int("own", 1))
	for range 5 {
		log.Info("again")
	}
	require.Equal(t, 2, bytes.Count(out.Bytes(), []byte("\n")), "the sampler lets two through")
	require.Equal(t, 2, hooked)
}
