package ioc

import (
	"io"
	"log"
	"log/slog"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/bulwark-go/bulwark/examples/webook/config"
	"github.com/bulwark-go/bulwark/examples/webook/console"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/logger/mask"
	"github.com/bulwark-go/bulwark/logger/sloglog"
	"github.com/bulwark-go/bulwark/logger/zaplog"
	"github.com/bulwark-go/bulwark/observe/otel"
)

// Logs is the app's log: one stream of lines, with a level that can be changed.
type Logs struct {
	App   logger.Logger
	Level *logger.LevelVar
}

// Log returns the logs of the whole app, over zap, writing to w: personal data
// masked, errors kept for the console, trace ids from OpenTelemetry.
func Log(w io.Writer, cfg config.Log, recent *console.Recent) (Logs, error) {
	level, err := logger.ParseLevel(cfg.Level)
	if err != nil {
		return Logs{}, err
	}
	logs := Logs{Level: &logger.LevelVar{}}
	logs.Level.Set(level)
	lines := zap.New(zapcore.NewCore(encoder(cfg.Format), zapcore.Lock(zapcore.AddSync(w)), zapcore.DebugLevel))
	core := logger.AtLeast(mask.New(recent.Wrap(zaplog.New(lines))), logs.Level)
	logs.App = logger.New(core, logger.WithTrace(otel.TraceIDs))
	return logs, nil
}

func encoder(format string) zapcore.Encoder {
	cfg := zap.NewProductionEncoderConfig()
	cfg.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	cfg.EncodeDuration = zapcore.StringDurationEncoder
	if format == "json" {
		return zapcore.NewJSONEncoder(cfg)
	}
	cfg.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
	cfg.EncodeLevel = zapcore.CapitalLevelEncoder
	return zapcore.NewConsoleEncoder(cfg)
}

// stdLog is log for packages that only know the standard library's logger.
func stdLog(l logger.Logger, level slog.Level) *log.Logger {
	return slog.NewLogLogger(sloglog.NewHandler(l), level)
}
