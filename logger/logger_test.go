package logger_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/logger/loggertest"
)

// discard is a Core that is enabled and does nothing.
type discard struct{}

func (discard) Enabled(logger.Level) bool          { return true }
func (discard) With([]logger.Field) logger.Core    { return discard{} }
func (discard) Write(logger.Entry, []logger.Field) {}

func TestZeroLoggerDiscards(t *testing.T) {
	var log logger.Logger
	require.False(t, log.Enabled(logger.LevelError))
	log = log.With(logger.Int("k", 1)).Named("m").Ctx(context.Background())
	log.Error("m", logger.Int("k", 1))
	log.LogEntry(logger.Entry{Level: logger.LevelError})
	logger.New(nil, logger.WithCaller()).Error("m")
	logger.New(logger.Nop()).With(logger.Int("k", 1)).Error("m")
}

func TestLastOfRepeatedKeysWins(t *testing.T) {
	rec := loggertest.New(t)
	var seen [][]logger.Field
	core := spy{Core: rec, fields: &seen}
	repeated := []logger.Arg{logger.Int("k", 1), logger.Int("x", 2), logger.String("k", "3"), logger.Err(errors.New("a")), logger.Err(nil)}

	logger.New(core).Info("m", repeated...)
	logger.New(core, logger.KeepDuplicates()).Info("m", repeated...)
	require.Equal(t, []string{"k", "x", "error"}, keysOf(seen[0]))
	require.Equal(t, "3", seen[0][0].Text)
	require.Equal(t, []string{"k", "x", "k", "error"}, keysOf(seen[1]))
}

func TestGroupsWithoutKeyAreNoDuplicates(t *testing.T) {
	rec := loggertest.New(t)
	rec.Logger().Info("m", logger.Group("", logger.Int("a", 1)), logger.Group("", logger.Int("b", 2)))
	rec.RequireLine(logger.LevelInfo, "m", logger.Int("a", 1), logger.Int("b", 2))
}

type spy struct {
	logger.Core
	fields *[][]logger.Field
}

func (s spy) Write(e logger.Entry, fields []logger.Field) {
	*s.fields = append(*s.fields, append([]logger.Field(nil), fields...))
}

func keysOf(fields []logger.Field) []string {
	var out []string
	for _, f := range fields {
		out = append(out, f.Key)
	}
	return out
}

func TestCallersSliceIsNotHandedOn(t *testing.T) {
	given := []logger.Arg{logger.Group("g", logger.Int("k", 1))}
	core := scribble{}
	log := logger.New(core)
	log.Info("m", given...)
	log.With(given...)
	require.Equal(t, "g", given[0].Field().Key)
}

// scribble breaks the contract: it changes the fields it gets.
type scribble struct{ discard }

func (scribble) Write(_ logger.Entry, fields []logger.Field) { fields[0].Key = "changed" }
func (s scribble) With(fields []logger.Field) logger.Core    { fields[0].Key = "changed"; return s }

func TestNoMethodEndsTheProcess(t *testing.T) {
	typ := reflect.TypeFor[logger.Logger]()
	for i := range typ.NumMethod() {
		name := typ.Method(i).Name
		for _, ending := range []string{"Fatal", "Panic", "Exit", "DPanic"} {
			require.NotContains(t, name, ending)
		}
	}
	rec := loggertest.New(t)
	rec.Logger().Log(127, "the highest level is a line like any other")
	require.Len(t, rec.Records(), 1)
}

func TestLevelText(t *testing.T) {
	for level, text := range map[logger.Level]string{
		logger.LevelDebug: "debug", logger.LevelInfo: "info", logger.LevelWarn: "warn", logger.LevelError: "error",
		logger.LevelInfo + 2: "info+2", logger.LevelDebug - 1: "debug-1", logger.LevelError + 4: "error+4",
	} {
		require.Equal(t, text, level.String())
		for _, in := range []string{text, strings.ToUpper(text), " " + text + " "} {
			got, err := logger.ParseLevel(in)
			require.NoError(t, err)
			require.Equal(t, level, got)
		}
		var back logger.Level
		data, err := level.MarshalText()
		require.NoError(t, err)
		require.NoError(t, back.UnmarshalText(data))
		require.Equal(t, level, back)
	}
	got, err := logger.ParseLevel("warning")
	require.NoError(t, err)
	require.Equal(t, logger.LevelWarn, got)
	level := logger.LevelWarn
	for _, in := range []string{"", "loud", "info+", "info+x", "info+9999", "+1", "infos"} {
		require.ErrorIs(t, level.UnmarshalText([]byte(in)), logger.ErrLevel, in)
		require.Equal(t, logger.LevelWarn, level)
	}
}

func TestTeeGivesEachCoreItsLevels(t *testing.T) {
	a, b := loggertest.New(t), loggertest.New(t)
	b.SetLevel(logger.LevelError)
	log := logger.New(logger.Tee(a, b)).With(logger.Int("k", 1))
	log.Info("info")
	log.Error("error")
	require.Equal(t, []string{"info", "error"}, a.Messages())
	require.Equal(t, []string{"error"}, b.Messages())
	b.RequireLine(logger.LevelError, "error", logger.Int("k", 1))
	a.SetLevel(logger.LevelError)
	require.False(t, log.Enabled(logger.LevelInfo))
}

// BenchmarkDisabled is the price of a line that is not written.
func BenchmarkDisabled(b *testing.B) {
	log := logger.New(logger.Nop())
	body := func() { log.Debug("m", logger.String("a", "b"), logger.Int("c", 1), logger.Bool("d", true)) }
	b.ReportAllocs()
	for b.Loop() {
		body()
	}
}

func ExampleNew() {
	var rec logger.Core = printer{} // in a service: zaplog.New(zapLogger), sloglog.New(handler), ...
	log := logger.New(rec).With(logger.String("svc", "webook"))
	log.Info("started", logger.Int("port", 8080))
	log.Debug("not shown")
	// Output:
	// info started [svc port]
}

func ExampleAtLeast() {
	var level logger.LevelVar // info
	log := logger.New(logger.AtLeast(printer{}, &level))
	level.Set(logger.LevelWarn)
	log.Info("not shown")
	level.Set(logger.LevelInfo)
	log.Info("shown")
	// Output:
	// info shown []
}

func ExampleNewSecret() {
	key := logger.NewSecret("hunter2")
	log := logger.New(printer{})
	log.Info(key.String())
	log.Info(strings.Repeat("*", len(key.Reveal())))
	// Output:
	// info [secret] []
	// info ******* []
}

// printer writes levels, messages and keys to the standard output.
type printer struct{ with []string }

func (printer) Enabled(l logger.Level) bool { return l >= logger.LevelInfo }

func (p printer) With(fields []logger.Field) logger.Core {
	return printer{append(p.with, keysOf(fields)...)}
}

func (p printer) Write(e logger.Entry, fields []logger.Field) {
	fmt.Println(e.Level, e.Message, append(p.with, keysOf(fields)...))
}

func TestControlCharactersShowWhereverTheyStand(t *testing.T) {
	const text = "all of this is plain text"
	for _, c := range []string{"\n", "\x00", "\x1f", "\x7f", "\u0085", "\u2028"} {
		for at := range len(text) + 1 {
			rec := loggertest.New(t)
			logger.New(rec).Info(text[:at] + c + text[at:])
			got := rec.Messages()[0]
			require.NotContains(t, got, c)
			require.True(t, strings.HasPrefix(got, text[:at]+`\`) && strings.HasSuffix(got, text[at:]), got)
		}
	}
	for _, c := range []string{" ", "~", "é", "语"} {
		rec := loggertest.New(t)
		logger.New(rec).Info(text + c + text)
		require.Equal(t, text+c+text, rec.Messages()[0])
	}
}
