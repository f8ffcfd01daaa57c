// Package logger_test compares Bulwark's logger with the libraries behind it.
//
// Run it in the bench module: GOWORK=off go test -bench . ./logger/
package logger_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/logger/mask"
	"github.com/bulwark-go/bulwark/logger/sloglog"
	"github.com/bulwark-go/bulwark/logger/zaplog"
	"github.com/bulwark-go/bulwark/logger/zerologlog"
)

var errBoom = errors.New("boom")

func newZap() *zap.Logger {
	enc := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
	return zap.New(zapcore.NewCore(enc, zapcore.AddSync(io.Discard), zap.InfoLevel))
}

func newSlog() *slog.Logger { return slog.New(slog.NewJSONHandler(io.Discard, nil)) }

func newZerolog() zerolog.Logger { return zerolog.New(io.Discard).Level(zerolog.InfoLevel) }

// ours are the loggers under test, by the back end they write to.
func ours() map[string]logger.Logger {
	return map[string]logger.Logger{
		"zap":     logger.New(zaplog.New(newZap())),
		"slog":    logger.New(sloglog.New(newSlog().Handler())),
		"zerolog": logger.New(zerologlog.New(newZerolog())),
	}
}

// serial and parallel are the two ways each body is run.
func run(b *testing.B, name string, body func()) {
	b.Run(name+"/serial", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			body()
		}
	})
	b.Run(name+"/parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				body()
			}
		})
	})
}

// backends keeps the order of a table the same in each run.
var backends = []string{"zap", "slog", "zerolog"}

func BenchmarkNoFields(b *testing.B) {
	for _, name := range backends {
		log := ours()[name]
		run(b, "ours-"+name, func() { log.Info("request served") })
	}
	zl, sl, zr := newZap(), newSlog(), newZerolog()
	run(b, "bare-zap", func() { zl.Info("request served") })
	run(b, "bare-slog", func() { sl.LogAttrs(context.Background(), slog.LevelInfo, "request served") })
	run(b, "bare-zerolog", func() { zr.Info().Time("time", time.Now()).Msg("request served") })
}

func BenchmarkThreeFields(b *testing.B) {
	for _, name := range backends {
		log := ours()[name]
		run(b, "ours-"+name, func() {
			log.Info("request served", logger.String("route", "/users/:id"), logger.Int("status", 200),
				logger.Duration("took", 1500*time.Microsecond))
		})
	}
	zl, sl, zr := newZap(), newSlog(), newZerolog()
	run(b, "bare-zap", func() {
		zl.Info("request served", zap.String("route", "/users/:id"), zap.Int("status", 200),
			zap.Duration("took", 1500*time.Microsecond))
	})
	run(b, "bare-slog", func() {
		sl.LogAttrs(context.Background(), slog.LevelInfo, "request served", slog.String("route", "/users/:id"),
			slog.Int("status", 200), slog.Duration("took", 1500*time.Microsecond))
	})
	run(b, "bare-zerolog", func() {
		zr.Info().Time("time", time.Now()).Str("route", "/users/:id").Int("status", 200).
			Dur("took", 1500*time.Microsecond).Msg("request served")
	})
}

func BenchmarkTenFields(b *testing.B) {
	now := time.Now()
	for _, name := range backends {
		log := ours()[name]
		run(b, "ours-"+name, func() {
			log.Info("request served", logger.String("route", "/users/:id"), logger.Int("status", 200),
				logger.Duration("took", 1500*time.Microsecond), logger.String("method", "GET"),
				logger.Int64("bytes", 5120), logger.Bool("cached", true), logger.Float64("load", 0.75),
				logger.Uint64("user", 42), logger.Time("since", now), logger.Err(errBoom))
		})
	}
	zl, sl := newZap(), newSlog()
	run(b, "bare-zap", func() {
		zl.Info("request served", zap.String("route", "/users/:id"), zap.Int("status", 200),
			zap.Duration("took", 1500*time.Microsecond), zap.String("method", "GET"),
			zap.Int64("bytes", 5120), zap.Bool("cached", true), zap.Float64("load", 0.75),
			zap.Uint64("user", 42), zap.Time("since", now), zap.Error(errBoom))
	})
	run(b, "bare-slog", func() {
		sl.LogAttrs(context.Background(), slog.LevelInfo, "request served", slog.String("route", "/users/:id"),
			slog.Int("status", 200), slog.Duration("took", 1500*time.Microsecond), slog.String("method", "GET"),
			slog.Int64("bytes", 5120), slog.Bool("cached", true), slog.Float64("load", 0.75),
			slog.Uint64("user", 42), slog.Time("since", now), slog.Any("error", errBoom))
	})
	zr := newZerolog()
	run(b, "bare-zerolog", func() {
		zr.Info().Time("time", time.Now()).Str("route", "/users/:id").Int("status", 200).
			Dur("took", 1500*time.Microsecond).Str("method", "GET").Int64("bytes", 5120).Bool("cached", true).
			Float64("load", 0.75).Uint64("user", 42).Time("since", now).Err(errBoom).Msg("request served")
	})
}

// BenchmarkContext writes one field beside ten that With added.
func BenchmarkContext(b *testing.B) {
	var own []logger.Arg
	var zaps []zap.Field
	var attrs []any
	zc := newZerolog().With()
	for i := range 10 {
		key := "key" + strconv.Itoa(i)
		own = append(own, logger.String(key, "value"))
		zaps = append(zaps, zap.String(key, "value"))
		attrs = append(attrs, slog.String(key, "value"))
		zc = zc.Str(key, "value")
	}
	for _, name := range backends {
		log := ours()[name].With(own...)
		run(b, "ours-"+name, func() { log.Info("request served", logger.Int("status", 200)) })
	}
	zl, sl, zr := newZap().With(zaps...), newSlog().With(attrs...), zc.Logger()
	run(b, "bare-zap", func() { zl.Info("request served", zap.Int("status", 200)) })
	run(b, "bare-slog", func() {
		sl.LogAttrs(context.Background(), slog.LevelInfo, "request served", slog.Int("status", 200))
	})
	run(b, "bare-zerolog", func() { zr.Info().Time("time", time.Now()).Int("status", 200).Msg("request served") })
}

// BenchmarkDisabled calls with three fields below the enabled level.
func BenchmarkDisabled(b *testing.B) {
	for _, name := range backends {
		log := ours()[name]
		run(b, "ours-"+name, func() {
			log.Debug("request served", logger.String("route", "/users/:id"), logger.Int("status", 200),
				logger.Duration("took", 1500*time.Microsecond))
		})
	}
	zl, sl, zr := newZap(), newSlog(), newZerolog()
	run(b, "bare-zap", func() {
		zl.Debug("request served", zap.String("route", "/users/:id"), zap.Int("status", 200),
			zap.Duration("took", 1500*time.Microsecond))
	})
	run(b, "bare-slog", func() {
		sl.LogAttrs(context.Background(), slog.LevelDebug, "request served", slog.String("route", "/users/:id"),
			slog.Int("status", 200), slog.Duration("took", 1500*time.Microsecond))
	})
	run(b, "bare-zerolog", func() {
		zr.Debug().Str("route", "/users/:id").Int("status", 200).
			Dur("took", 1500*time.Microsecond).Msg("request served")
	})
	b.Run("time.Now", func(b *testing.B) {
		for b.Loop() {
			_ = time.Now()
		}
	})
}

// BenchmarkMasked writes three fields through mask over zap.
func BenchmarkMasked(b *testing.B) {
	log := logger.New(mask.New(zaplog.New(newZap())))
	run(b, "nothing-hidden", func() {
		log.Info("request served", logger.String("route", "/users/:id"), logger.Int("status", 200),
			logger.Duration("took", 1500*time.Microsecond))
	})
	run(b, "phone-hidden", func() {
		log.Info("request served", logger.String("to", "+8613800138000"), logger.Int("status", 200),
			logger.Duration("took", 1500*time.Microsecond))
	})
}

// BenchmarkMaskText scans texts of three sizes in which nothing is hidden.
func BenchmarkMaskText(b *testing.B) {
	const line = "GET /api/v1/articles/8421?page=3&size=20 HTTP/1.1 200 5120 bytes in 1.73ms; " +
		"order 202611231511590042 at 2026-11-23T15:11:59.123Z trace=4bf92f3577b34da6a3ce929d0e0e4736 \"ok\" "
	for _, n := range []int{1, 32, 1024} {
		text := strings.Repeat(line, n)
		b.Run(strconv.Itoa(len(text)), func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				_ = mask.String(text)
			}
		})
	}
}

// BenchmarkCaller adds the place in the source.
func BenchmarkCaller(b *testing.B) {
	log := logger.New(zaplog.New(newZap()), logger.WithCaller())
	zl := newZap().WithOptions(zap.AddCaller())
	run(b, "ours-zap", func() { log.Info("request served", logger.Int("status", 200)) })
	run(b, "bare-zap", func() { zl.Info("request served", zap.Int("status", 200)) })
}
