package sloglog_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"testing"
	"testing/slogtest"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/logger/loggertest"
	"github.com/bulwark-go/bulwark/logger/sloglog"
)

var keys = loggertest.Keys{Time: "time", Level: "level", Message: "msg", Caller: "source"}

// options make durations texts, which is what the suite reads.
func options(level slog.Leveler) *slog.HandlerOptions {
	return &slog.HandlerOptions{
		AddSource: true, Level: level,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Value.Kind() == slog.KindDuration {
				a.Value = slog.StringValue(a.Value.Duration().String())
			}
			return a
		},
	}
}

func backend(testing.TB) loggertest.Backend {
	out, level := &loggertest.Buffer{}, &slog.LevelVar{}
	level.Set(slog.LevelDebug)
	return loggertest.Backend{
		Core:     sloglog.New(slog.NewJSONHandler(out, options(level))),
		Records:  func() ([]loggertest.Record, error) { return loggertest.ParseJSON(out.Bytes(), keys) },
		SetLevel: func(l logger.Level) { level.Set(slog.Level(l)) },
	}
}

func TestConformance(t *testing.T) { loggertest.Test(t, backend) }

// A core over our own handler is a round trip through both directions.
func TestConformanceOfRoundTrip(t *testing.T) {
	loggertest.Test(t, func(tb testing.TB) loggertest.Backend {
		rec := loggertest.New(tb)
		return loggertest.Backend{
			Core: sloglog.New(sloglog.NewHandler(logger.New(rec))),
			Records: func() ([]loggertest.Record, error) {
				out := rec.Records()
				for i := range out { // the ids travel as attributes
					r := &out[i]
					for key, into := range map[string]*string{
						logger.KeyModule: &r.Module, logger.KeyTrace: &r.TraceID, logger.KeySpan: &r.SpanID,
					} {
						if v, ok := r.Fields[key].(string); ok {
							*into = v
							delete(r.Fields, key)
						}
					}
				}
				return out, nil
			},
			SetLevel: rec.SetLevel,
		}
	})
}

func TestHandlerPassesSlogtest(t *testing.T) {
	var rec *loggertest.Recorder
	slogtest.Run(t, func(t *testing.T) slog.Handler {
		rec = loggertest.New(t)
		return sloglog.NewHandler(rec.Logger())
	}, func(t *testing.T) map[string]any {
		r := rec.Records()[0]
		got := r.Fields
		got[slog.LevelKey], got[slog.MessageKey] = slog.Level(r.Level), r.Message
		if !r.Time.IsZero() {
			got[slog.TimeKey] = r.Time
		}
		return got
	})
}

func TestHandlerKeepsCallerAndTrace(t *testing.T) {
	rec := loggertest.New(t)
	lib := slog.New(sloglog.NewHandler(rec.Logger()))
	ctx := logger.ContextWithTrace(context.Background(), "t-1", "s-1")
	lib.InfoContext(ctx, "m")
	r := rec.Records()[0]
	require.Regexp(t, `^sloglog_test\.go:\d+$`, r.Caller)
	require.Equal(t, "t-1", r.TraceID)
}

func TestHandlerLevelFollowsLogger(t *testing.T) {
	rec := loggertest.New(t)
	lib := slog.New(sloglog.NewHandler(rec.Logger()))
	rec.SetLevel(logger.LevelError)
	require.False(t, lib.Enabled(context.Background(), slog.LevelWarn))
	require.True(t, lib.Enabled(context.Background(), slog.Level(1000)))
	require.False(t, lib.Enabled(context.Background(), slog.Level(-1000)))
}

func TestBranchesOfGroupsDoNotMix(t *testing.T) {
	rec := loggertest.New(t)
	base := slog.New(sloglog.NewHandler(rec.Logger())).WithGroup("g").With("a", 1)
	left, right := base.With("b", "left"), base.With("b", "right")
	left.Info("m")
	right.Info("m")
	require.Equal(t, map[string]any{"a": int64(1), "b": "left"}, rec.Records()[0].Fields["g"])
	require.Equal(t, map[string]any{"a": int64(1), "b": "right"}, rec.Records()[1].Fields["g"])
}

func TestTextHandlerKeepsOneLinePerCall(t *testing.T) {
	out := &loggertest.Buffer{}
	log := logger.New(sloglog.New(slog.NewTextHandler(out, nil)))
	log.Info("a\nb", logger.String("k", "c\nd"), logger.Int("e\nf", 1), logger.Any("m", map[string]string{"g": "h\ni"}))
	require.Equal(t, 1, bytes.Count(out.Bytes(), []byte("\n")))
}

func TestNilHandlerDiscards(t *testing.T) {
	logger.New(sloglog.New(nil)).Error("m")
}

// example leaves the time out, for the examples' output.
func example() slog.Handler {
	return slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})
}

func ExampleNew() {
	log := logger.New(sloglog.New(example()))
	log.Warn("sms limited", logger.String("svc", "webook"))
	// Output:
	// level=WARN msg="sms limited" svc=webook
}

func ExampleNewHandler() {
	log := logger.New(sloglog.New(example())).With(logger.String("svc", "webook"))
	library := slog.New(sloglog.NewHandler(log))
	library.WithGroup("req").Info("done", "status", 200)
	// Output:
	// level=INFO msg=done svc=webook req.status=200
}
