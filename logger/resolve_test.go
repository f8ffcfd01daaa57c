package logger_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/logger"
)

// wide is a LogValuer that yields itself twice: 2^n values after n levels.
type wide struct{}

func (wide) LogValue() slog.Value {
	return slog.GroupValue(slog.Any("a", wide{}), slog.Any("b", wide{}), slog.Any("c", wide{}),
		slog.Any("d", wide{}), slog.Any("e", wide{}), slog.Any("f", wide{}), slog.Any("g", wide{}))
}

type self struct{}

func (s self) LogValue() slog.Value { return slog.AnyValue(s) }

type tree struct {
	Children []*tree `json:"children,omitempty"`
	Err      error   `json:"err"`
	At       time.Time
	Took     time.Duration
	secret   string
}

func count(f logger.Field) int {
	n := 1
	for _, inner := range f.Fields() {
		n += count(inner)
	}
	return n
}

func TestValuesWithoutEndAreBounded(t *testing.T) {
	require.Less(t, count(logger.Any("k", wide{}).Field().Resolved()), 3000)
	text := logger.Any("k", []any{wide{}, wide{}}).Field().Resolved().Text
	require.True(t, json.Valid([]byte(text)))
	require.LessOrEqual(t, len(text), 8<<10)
	require.NotPanics(t, func() { logger.Any("k", self{}).Field().Resolved() })
}

func TestResolvedLeavesPlainKindsOnly(t *testing.T) {
	var check func(f logger.Field)
	check = func(f logger.Field) {
		require.NotContains(t, []logger.Kind{logger.KindAny, logger.KindError}, f.Kind)
		if f.Kind == logger.KindJSON {
			require.True(t, json.Valid([]byte(f.Text)), f.Text)
		}
		for _, inner := range f.Fields() {
			check(inner)
		}
	}
	for _, v := range []any{
		nil, 1, int8(1), uint16(2), float32(1), "s", true, struct{}{}, &tree{}, []tree{{Err: errors.New("e")}}, map[any]any{1: 2, "a": nil},
		wide{}, errors.New("e"), time.Now(), time.Second, []byte("b"), [2]byte{1, 2}, make(chan int), 1i, any(nil), slog.IntValue(1),
		json.RawMessage(`{`), json.RawMessage(strings.Repeat("1", 1<<20)), map[string]any{strings.Repeat("k", 1<<20): 1},
		[]any{strings.Repeat("\"", 1<<20)}, [][]byte{make([]byte, 1<<20)},
	} {
		f := logger.Any("k", v).Field().Resolved()
		check(f)
		require.LessOrEqual(t, len(f.Text), 8<<10, "%T", v)
		check(logger.Group("g", logger.Any("k", v), logger.Any("l", v)).Field().Resolved())
	}
}

func TestErrorsAndTimesInsideStructs(t *testing.T) {
	v := tree{Children: []*tree{{}}, Err: errors.New("boom"), At: time.Unix(0, 0).UTC(), Took: time.Second, secret: "x"}
	require.JSONEq(t, `{"children":[{"err":null,"At":"0001-01-01T00:00:00Z","Took":"0s"}],"err":"boom","At":"1970-01-01T00:00:00Z","Took":"1s"}`,
		logger.Any("k", v).Field().Resolved().Text)
}

func FuzzResolved(f *testing.F) {
	f.Add("a", []byte("b"), 3)
	f.Fuzz(func(t *testing.T, s string, b []byte, depth int) {
		var v any = map[string]any{s: b}
		for range depth & 15 {
			v = []any{v, s, map[string]any{s: v}}
		}
		r := logger.Any("k", v).Field().Resolved()
		if !json.Valid([]byte(r.Text)) || len(r.Text) > 8<<10 {
			t.Fatalf("%d bytes: %s", len(r.Text), r.Text)
		}
	})
}
