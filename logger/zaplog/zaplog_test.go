package zaplog_test

import (
	"bytes"
	"os"
	"testing"

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
