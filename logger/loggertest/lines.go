package loggertest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/logger"
)

// lineCases are about whole lines, and about several of them.
func lineCases() []lineCase {
	return append([]lineCase{
		{"levels", levels},
		{"level in between", levelInBetween},
		{"level change at run time", levelChange},
		{"time", lineTime},
		{"no time", noTime},
		{"caller", lineCaller},
		{"caller through With, Named and Ctx", derivedCaller},
		{"no caller unless asked for", noCaller},
		{"module", module},
		{"trace ids", traceIDs},
		{"trace ids of a tracer go first", tracerFirst},
		{"empty message", func(t *testing.T, b Backend) {
			logger.New(b.Core).Info("")
			require.Empty(t, one(t, b).Message)
		}},
		{"message cannot forge a line", forgedLine},
		{"key cannot forge a line", func(t *testing.T, b Backend) {
			logger.New(b.Core).Info("m", logger.Int("a\nb", 1))
			require.Len(t, one(t, b).Fields, 1)
		}},
		{"huge value", hugeValue},
		{"many fields", manyFields},
		{"concurrent lines", concurrent},
	}, withCases()...)
}

func levels(t *testing.T, b Backend) {
	log := logger.New(b.Core)
	log.Debug("debug")
	log.Info("info")
	log.Warn("warn")
	log.Error("error")
	for _, r := range all(t, b) {
		require.Equal(t, r.Message, r.Level.String())
	}
	require.Len(t, all(t, b), 4)
}

func levelInBetween(t *testing.T, b Backend) {
	logger.New(b.Core).Log(logger.LevelWarn+1, "m")
	got := one(t, b).Level // back ends without such levels take the next below
	require.GreaterOrEqual(t, got, logger.LevelWarn)
	require.LessOrEqual(t, got, logger.LevelWarn+1)
}

func levelChange(t *testing.T, b Backend) {
	log := logger.New(b.Core)
	derived := log.With(logger.Int("k", 1)).Named("x")
	b.SetLevel(logger.LevelWarn)
	require.False(t, log.Enabled(logger.LevelInfo))
	require.False(t, derived.Enabled(logger.LevelInfo))
	log.Info("no")
	derived.Info("no")
	derived.Warn("warn")
	b.SetLevel(logger.LevelDebug)
	require.True(t, derived.Enabled(logger.LevelDebug))
	derived.Debug("debug")
	records := all(t, b)
	require.Len(t, records, 2)
	require.Equal(t, "warn", records[0].Message)
	require.Equal(t, "debug", records[1].Message)
}

func lineTime(t *testing.T, b Backend) {
	before := time.Now()
	logger.New(b.Core).Info("m")
	got := one(t, b).Time
	require.False(t, got.Before(before.Truncate(time.Millisecond)), "%v before %v", got, before)
	require.False(t, got.After(time.Now().Add(time.Millisecond)))
}

func noTime(t *testing.T, b Backend) {
	logger.New(b.Core).LogEntry(logger.Entry{Message: "m"})
	require.True(t, one(t, b).Time.IsZero())
}

// here returns the position of the line that calls it, as a Record shows it.
func here() string {
	_, file, line, _ := runtime.Caller(1)
	return fmt.Sprintf("%s:%d", filepath.Base(file), line)
}

func lineCaller(t *testing.T, b Backend) {
	log := logger.New(b.Core, logger.WithCaller())
	// Each call stands on one line with the one that notes the line.
	var want []string
	for _, call := range []func(){
		func() { want = append(want, here()); log.Debug("m") },
		func() { want = append(want, here()); log.Info("m") },
		func() { want = append(want, here()); log.Warn("m", logger.Int("k", 1)) },
		func() { want = append(want, here()); log.Error("m", logger.Err(errors.New("x"))) },
		func() { want = append(want, here()); log.Log(logger.LevelInfo, "m") },
	} {
		call()
	}
	requireCallers(t, b, want)
}

func derivedCaller(t *testing.T, b Backend) {
	log := logger.New(b.Core, logger.WithCaller())
	var want []string
	for _, call := range []func(){
		func() { want = append(want, here()); log.With(logger.Int("k", 1)).Info("m") },
		func() { want = append(want, here()); log.Named("x").Info("m") },
		func() { want = append(want, here()); log.Ctx(context.Background()).Info("m") },
		func() { defer log.Info("m"); want = append(want, here()) },
	} {
		call()
	}
	requireCallers(t, b, want)
}

func requireCallers(t *testing.T, b Backend, want []string) {
	t.Helper()
	records := all(t, b)
	require.Len(t, records, len(want))
	for i, r := range records {
		require.Equal(t, want[i], r.Caller)
	}
}

func noCaller(t *testing.T, b Backend) {
	logger.New(b.Core).Info("m")
	require.Empty(t, one(t, b).Caller)
}

func module(t *testing.T, b Backend) {
	log := logger.New(b.Core).Named("smsx")
	log.Info("m", logger.Int("k", 1))
	log.Named("smsx.aliyun").Info("m")
	records := all(t, b)
	require.Len(t, records, 2)
	require.Equal(t, "smsx", records[0].Module)
	require.Equal(t, "smsx.aliyun", records[1].Module)
	require.Len(t, records[0].Fields, 1)
}

func traceIDs(t *testing.T, b Backend) {
	ctx := logger.ContextWithTrace(context.Background(), "t-1", "s-1")
	log := logger.New(b.Core).With(logger.Int("k", 1))
	log.Ctx(ctx).Info("m")
	log.Ctx(ctx).Ctx(context.Background()).Info("m")
	log.Info("m")
	records := all(t, b)
	require.Len(t, records, 3)
	require.Equal(t, [2]string{"t-1", "s-1"}, [2]string{records[0].TraceID, records[0].SpanID})
	for _, r := range records[1:] {
		require.Empty(t, r.TraceID+r.SpanID)
		require.Len(t, r.Fields, 1)
	}
}

func tracerFirst(t *testing.T, b Backend) {
	type key struct{}
	log := logger.New(b.Core, logger.WithTrace(func(ctx context.Context) (string, string) {
		id, _ := ctx.Value(key{}).(string)
		return id, id
	}))
	own := logger.ContextWithTrace(context.Background(), "own", "own")
	log.Ctx(context.WithValue(own, key{}, "tracer")).Info("m")
	log.Ctx(own).Info("m")
	records := all(t, b)
	require.Len(t, records, 2)
	require.Equal(t, "tracer", records[0].TraceID)
	require.Equal(t, "own", records[1].TraceID)
}

func forgedLine(t *testing.T, b Backend) {
	logger.New(b.Core).Info("a\r\n\tb\x1b[2J\u2028c世")
	require.Equal(t, `a\r\n\tb\u001b[2J\u2028c世`, one(t, b).Message)
}

// hugeValue checks the bound of what a value prints, and that the rest is whole.
func hugeValue(t *testing.T, b Backend) {
	wide := make([]map[string]string, 5000)
	for i := range wide {
		wide[i] = map[string]string{"key": strings.Repeat("v", 50)}
	}
	logger.New(b.Core).Info("m", logger.Any("wide", wide),
		logger.Any("long", []string{strings.Repeat("\x01", 1<<20)}), logger.Int("k", 1))
	r := one(t, b)
	require.Contains(t, canonicalText(r.Fields["wide"]), "(truncated)")
	require.Contains(t, canonicalText(r.Fields["long"]), "(truncated)")
	require.Less(t, len(canonicalText(r.Fields["wide"])), 8<<10)
	require.Equal(t, "1", canonicalText(r.Fields["k"]))
}

func manyFields(t *testing.T, b Backend) {
	many := make([]logger.Arg, 500)
	for i := range many {
		many[i] = logger.Int(fmt.Sprintf("k%d", i), i)
	}
	logger.New(b.Core).Info("m", many...)
	require.Len(t, one(t, b).Fields, 500)
}

func concurrent(t *testing.T, b Backend) {
	log := logger.New(b.Core)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			mine := log.With(logger.Int("g", g))
			for i := range 50 {
				mine.Info("m", logger.Int("i", i), logger.Any("v", []int{g, i}))
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, r := range all(t, b) {
		require.Equal(t, canonicalText([]any{r.Fields["g"], r.Fields["i"]}), canonicalText(r.Fields["v"]))
		seen[canonicalText(r.Fields["v"])] = true
	}
	require.Len(t, seen, 400)
}
