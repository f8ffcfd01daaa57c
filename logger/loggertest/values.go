package loggertest

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/bulwark-go/bulwark/logger"
)

// valueCases are fields and what a line must show for them, whether they are given
// to the call or to With.
func valueCases() []valueCase {
	return append(append(plainCases(), nestedCases()...), hostileCases()...)
}

type fields = []logger.Arg
type object = map[string]any

func given(f ...logger.Arg) func() []logger.Arg { return func() []logger.Arg { return f } }

func plainCases() []valueCase {
	at := time.Date(2024, 2, 29, 12, 30, 45, 123456789, time.FixedZone("", 8*3600))
	return []valueCase{
		{"nothing", given(), object{}},
		{"string", given(logger.String("k", "v")), object{"k": "v"}},
		{"empty string", given(logger.String("k", "")), object{"k": ""}},
		{"unicode", given(logger.String("k", "héllo 世界 🙂")), object{"k": "héllo 世界 🙂"}},
		{"quotes", given(logger.String("k", `a "b" \ <c> & d`)), object{"k": `a "b" \ <c> & d`}},
		{"newlines in a value", given(logger.String("k", "a\r\nb\tc")), object{"k": "a\r\nb\tc"}},
		{"control characters", given(logger.String("k", "a\x00\x1b[31m\x7f")), object{"k": "a\x00\x1b[31m\x7f"}},
		{"int", given(logger.Int("k", -7)), object{"k": -7}},
		{"smallest int64", given(logger.Int64("k", math.MinInt64)), object{"k": int64(math.MinInt64)}},
		{"largest int64", given(logger.Int64("k", math.MaxInt64)), object{"k": int64(math.MaxInt64)}},
		{"largest uint64", given(logger.Uint64("k", math.MaxUint64)), object{"k": uint64(math.MaxUint64)}},
		{"float", given(logger.Float64("k", 1.5)), object{"k": 1.5}},
		{"tiny float", given(logger.Float64("k", 5e-324)), object{"k": 5e-324}},
		{"large float", given(logger.Float64("k", 1e300)), object{"k": 1e300}},
		{"NaN", given(logger.Float64("k", math.NaN())), object{"k": "NaN"}},
		{"infinity", given(logger.Float64("k", math.Inf(1)), logger.Float64("n", math.Inf(-1))), object{"k": "+Inf", "n": "-Inf"}},
		{"true", given(logger.Bool("k", true)), object{"k": true}},
		{"false", given(logger.Bool("k", false)), object{"k": false}},
		{"duration", given(logger.Duration("k", 1500*time.Millisecond)), object{"k": "1.5s"}},
		{"negative duration", given(logger.Duration("k", -time.Minute)), object{"k": "-1m0s"}},
		{"time with zone", given(logger.Time("k", at)), object{"k": "2024-02-29T12:30:45.123456789+08:00"}},
		{"time before 1678", given(logger.Time("k", time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC))), object{"k": "0001-01-01T00:00:00Z"}},
		{"time after 2262", given(logger.Time("k", time.Date(3000, 1, 1, 0, 0, 0, 1, time.UTC))), object{"k": "3000-01-01T00:00:00.000000001Z"}},
		{"error", given(logger.Err(errors.New("boom"))), object{"error": "boom"}},
		{"wrapped error", given(logger.Err(fmt.Errorf("outer: %w", errors.New("inner")))), object{"error": "outer: inner"}},
		{"joined errors", given(logger.Err(errors.Join(errors.New("a"), errors.New("b")))), object{"error": "a\nb"}},
		{"named error", given(logger.NamedErr("cause", errors.New("boom"))), object{"cause": "boom"}},
		{"nil error", given(logger.Err(nil), logger.Int("k", 1)), object{"k": 1}},
		{"zero field", given(logger.Arg{}, logger.Int("k", 1)), object{"k": 1}},
		{"strings", given(logger.Strings("k", []string{"a", "b"})), object{"k": []any{"a", "b"}}},
		{"no strings", given(logger.Strings("k", []string{})), object{"k": []any{}}},
		{"stringer", given(logger.Stringer("k", net.IPv4(10, 0, 0, 1))), object{"k": "10.0.0.1"}},
		{"nil stringer", given(logger.Stringer("k", nil)), object{"k": "<nil>"}},
		{"nil pointer stringer", given(logger.Stringer("k", (*url.URL)(nil))), object{"k": "<nil>"}},
		{"any of each basic type", given(logger.Any("s", "v"), logger.Any("i", 1), logger.Any("u", uint8(2)),
			logger.Any("f", float32(0.5)), logger.Any("b", true), logger.Any("d", time.Second)),
			object{"s": "v", "i": 1, "u": 2, "f": 0.5, "b": true, "d": "1s"}},
		{"any of a named type", given(logger.Any("k", slog.Level(4)), logger.Any("n", kind("x"))), object{"k": "WARN", "n": "x"}},
		{"any nil", given(logger.Any("k", nil)), object{"k": nil}},
		{"duplicate keys", given(logger.Int("k", 1), logger.Int("x", 2), logger.Int("k", 3)), object{"k": 3, "x": 2}},
		{"duplicate keys of two kinds", given(logger.Err(errors.New("a")), logger.String("error", "b")), object{"error": "b"}},
		{"secret", given(logger.Any("k", logger.NewSecret("hunter2"))), object{"k": "[secret]"}},
	}
}

type kind string

func nestedCases() []valueCase {
	type inner struct {
		City string `json:"city"`
	}
	type outer struct {
		Name   string `json:"name"`
		Age    int    `json:",omitempty"`
		Inner  *inner
		hidden string
		Skip   string `json:"-"`
		inner
	}
	return []valueCase{
		{"group", given(logger.Group("g", logger.Int("a", 1), logger.String("b", "x"))), object{"g": object{"a": 1, "b": "x"}}},
		{"nested groups", given(logger.Group("g", logger.Group("h", logger.Bool("a", true)))), object{"g": object{"h": object{"a": true}}}},
		{"empty group", given(logger.Group("g"), logger.Int("k", 1)), object{"k": 1}},
		{"group of nothing", given(logger.Group("g", logger.Err(nil), logger.Group("h")), logger.Int("k", 1)), object{"k": 1}},
		{"group without key", given(logger.Group("", logger.Int("a", 1)), logger.Int("b", 2)), object{"a": 1, "b": 2}},
		{"inner group without key", given(logger.Group("g", logger.Group("", logger.Int("a", 1)))), object{"g": object{"a": 1}}},
		{"duplicate keys in a group", given(logger.Group("g", logger.Int("a", 1), logger.Int("a", 2))), object{"g": object{"a": 2}}},
		{"error in a group", given(logger.Group("g", logger.Err(errors.New("boom")))), object{"g": object{"error": "boom"}}},
		{"time and duration in a group", given(logger.Group("g", logger.Duration("d", time.Second), logger.Time("t", time.Unix(0, 0).UTC()))),
			object{"g": object{"d": "1s", "t": "1970-01-01T00:00:00Z"}}},
		{"fields as any", given(logger.Any("g", fields{logger.Int("a", 1)})), object{"g": object{"a": 1}}},
		{"struct", given(logger.Any("k", outer{Name: "n", hidden: "h", Skip: "s", inner: inner{"c"}})),
			object{"k": object{"name": "n", "Inner": nil, "city": "c"}}},
		{"pointer to struct", given(logger.Any("k", &outer{Name: "n", Age: 3, Inner: &inner{"d"}})),
			object{"k": object{"name": "n", "Age": 3, "Inner": object{"city": "d"}, "city": ""}}},
		{"map", given(logger.Any("k", map[string]int{"b": 2, "a": 1})), object{"k": object{"a": 1, "b": 2}}},
		{"map with numbers as keys", given(logger.Any("k", map[int]bool{7: true})), object{"k": object{"7": true}}},
		{"nil map and slice", given(logger.Any("m", map[string]int(nil)), logger.Any("s", []int(nil))), object{"m": nil, "s": nil}},
		{"list of anything", given(logger.Any("k", []any{1, "a", nil, 2.5, []int{3}})), object{"k": []any{1, "a", nil, 2.5, []any{3}}}},
		{"bytes that are text", given(logger.Any("k", []byte("text"))), object{"k": "text"}},
		{"bytes that are not", given(logger.Any("k", []byte{0xff, 0xfe})), object{"k": "//4="}},
		{"raw JSON", given(logger.Any("k", json.RawMessage(`{"a": [1, 2]}`))), object{"k": object{"a": []any{1, 2}}}},
		{"text marshaler", given(logger.Any("k", net.IPv4(10, 0, 0, 1))), object{"k": "10.0.0.1"}},
		{"log valuer", given(logger.Any("k", valuer{slog.GroupValue(slog.Int("a", 1), slog.Any("b", valuer{slog.StringValue("x")}))})),
			object{"k": object{"a": 1, "b": "x"}}},
		{"slog value and attribute", given(logger.Any("k", slog.IntValue(3)), logger.FromAttr(slog.Duration("d", time.Second))), object{"k": 3, "d": "1s"}},
		{"secret in a struct", given(logger.Any("k", struct{ Hidden logger.Secret }{logger.NewSecret("hunter2")})),
			object{"k": object{"Hidden": "[secret]"}}},
		{"functions and channels", given(logger.Any("f", func() {}), logger.Any("c", make(chan int))), object{"f": "(func())", "c": "(chan int)"}},
	}
}

type valuer struct{ v slog.Value }

func (v valuer) LogValue() slog.Value { return v.v }

// endless is a LogValuer that never comes to an end.
type endless struct{}

func (endless) LogValue() slog.Value {
	return slog.GroupValue(slog.Any("e", endless{}))
}

// itself is a LogValuer that stands for itself.
type itself struct{}

func (itself) LogValue() slog.Value { return slog.AnyValue(itself{}) }

type panicking struct{ with any }

func (p panicking) String() string { panic(p.with) }

type panickingError struct{}

func (*panickingError) Error() string { panic("boom") }

type panickingValuer struct{}

func (panickingValuer) LogValue() slog.Value { panic("boom") }

type panickingJSON struct{}

func (panickingJSON) MarshalJSON() ([]byte, error) { panic("boom") }

type wrongJSON struct{ err error }

func (w wrongJSON) MarshalJSON() ([]byte, error) { return []byte(`{"a":`), w.err }

type node struct {
	Name string
	Next *node
}

func hostileCases() []valueCase {
	ring := &node{Name: "a"}
	ring.Next = ring
	loop := map[string]any{}
	loop["self"] = loop
	list := []any{nil}
	list[0] = list
	nested := any("bottom")
	wantNested := any("(too deep)")
	wantEndless := any("(too deep)")
	group := logger.String("k", "bottom")
	wantGroup := any("(too deep)")
	for range 9 {
		nested = []any{nested}
		wantNested = []any{wantNested}
	}
	for range 20 {
		nested = []any{nested}
		group = logger.Group("k", group)
	}
	for range 8 {
		wantEndless = object{"e": wantEndless}
		wantGroup = object{"k": wantGroup}
	}
	wantGroup = object{"k": wantGroup} // the line itself
	long := strings.Repeat("é", 8<<10)
	cut := strings.Repeat("é", (8<<10-len("(truncated)"))/2) + "(truncated)"
	return []valueCase{
		{"panicking stringer", given(logger.Stringer("k", panicking{"boom"})), object{"k": "(panic: boom)"}},
		{"stringer that panics with a panicking value", given(logger.Stringer("k", panicking{panicking{1}})), object{"k": "(panic: " + fmt.Sprint(panicking{1}) + ")"}},
		{"panicking stringer as any", given(logger.Any("k", panicking{"boom"})), object{"k": "(panic: boom)"}},
		{"panicking valuer", given(logger.Any("k", panickingValuer{})), object{"k": "(panic: boom)"}},
		{"panicking stringer inside", given(logger.Any("k", []panicking{{"boom"}})), object{"k": []any{"(panic: boom)"}}},
		{"panicking error", given(logger.Err(&panickingError{})), object{"error": "(panic: boom)"}},
		{"nil pointer error", given(logger.Err((*panickingError)(nil))), object{"error": "<nil>"}},
		{"panicking JSON", given(logger.Any("k", panickingJSON{})), object{"k": "(panic: boom)"}},
		{"wrong JSON", given(logger.Any("k", wrongJSON{})), object{"k": "(MarshalJSON: not JSON)"}},
		{"failing JSON", given(logger.Any("k", wrongJSON{errors.New("no")})), object{"k": "(MarshalJSON: no)"}},
		{"pointer cycle", given(logger.Any("k", ring)), object{"k": object{"Name": "a", "Next": "(cycle)"}}},
		{"map cycle", given(logger.Any("k", loop)), object{"k": object{"self": "(cycle)"}}},
		{"list cycle", given(logger.Any("k", list)), object{"k": []any{"(cycle)"}}},
		{"deep value", given(logger.Any("k", nested)), object{"k": wantNested}},
		{"deep groups", given(group), wantGroup.(object)},
		{"log valuer of itself", given(logger.Any("k", itself{})), object{"k": "(too deep)"}},
		{"endless log valuer", given(logger.Any("k", endless{})), object{"k": wantEndless}},
		{"huge stringer", given(logger.Stringer("k", text(long))), object{"k": cut}},
		{"huge error", given(logger.Err(errors.New(long))), object{"error": cut}},
	}
}

type text string

func (t text) String() string { return string(t) }
