package logger_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/logger"
)

func TestArgsFitIntoRegisters(t *testing.T) {
	// The compiler keeps values of at most four words in registers.
	require.LessOrEqual(t, unsafe.Sizeof(logger.Arg{}), 4*unsafe.Sizeof(uintptr(0)))
}

func TestArgsUnfoldToWhatWasGiven(t *testing.T) {
	err := errors.New("boom")
	zone := time.FixedZone("east", 3600)
	now := time.Unix(1_800_000_000, 123)
	for _, size := range []int{0, 1, 15, 16, 255, 256, 257, 1 << 17} {
		key := strings.Repeat("k", size)
		for name, c := range map[string]struct {
			arg  logger.Arg
			want logger.Field
		}{
			"text":       {logger.String(key, "value"), logger.Field{Key: key, Kind: logger.KindString, Text: "value"}},
			"empty text": {logger.String(key, ""), logger.Field{Key: key, Kind: logger.KindString}},
			"long text":  {logger.String(key, key), logger.Field{Key: key, Kind: logger.KindString, Text: key}},
			"int":        {logger.Int(key, -1), logger.Field{Key: key, Kind: logger.KindInt64, Num: -1}},
			"int64":      {logger.Int64(key, math.MinInt64), logger.Field{Key: key, Kind: logger.KindInt64, Num: math.MinInt64}},
			"uint64":     {logger.Uint64(key, math.MaxUint64), logger.Field{Key: key, Kind: logger.KindUint64, Num: -1}},
			"float64":    {logger.Float64(key, 1), logger.Field{Key: key, Kind: logger.KindFloat64, Num: int64(math.Float64bits(1))}},
			"true":       {logger.Bool(key, true), logger.Field{Key: key, Kind: logger.KindBool, Num: 1}},
			"false":      {logger.Bool(key, false), logger.Field{Key: key, Kind: logger.KindBool}},
			"duration":   {logger.Duration(key, -time.Second), logger.Field{Key: key, Kind: logger.KindDuration, Num: -int64(time.Second)}},
			"utc":        {logger.Time(key, now.UTC()), logger.Field{Key: key, Kind: logger.KindTime, Num: now.UnixNano(), Any: time.UTC}},
			"local":      {logger.Time(key, now.Local()), logger.Field{Key: key, Kind: logger.KindTime, Num: now.UnixNano(), Any: time.Local}},
			"zone":       {logger.Time(key, now.In(zone)), logger.Field{Key: key, Kind: logger.KindTime, Num: now.UnixNano(), Any: zone}},
			"zero time":  {logger.Time(key, time.Time{}), logger.Field{Key: key, Kind: logger.KindTime, Any: time.Time{}}},
			"error":      {logger.NamedErr(key, err), logger.Field{Key: key, Kind: logger.KindError, Any: err}},
			"no error":   {logger.NamedErr(key, nil), logger.Field{Key: key, Kind: logger.KindError}},
			"any":        {logger.Any(key, []int{1}), logger.Field{Key: key, Any: []int{1}}},
			"nil":        {logger.Any(key, nil), logger.Field{Key: key}},
			// Values that could pass for what an Arg is made of.
			"a field": {logger.Any(key, &logger.Field{Key: "x"}), logger.Field{Key: key, Any: &logger.Field{Key: "x"}}},
			"a byte":  {logger.Any(key, new(byte)), logger.Field{Key: key, Any: new(byte)}},
			"group": {logger.Group(key, logger.Int("a", 1)), logger.Field{
				Key: key, Kind: logger.KindGroup, Any: []logger.Field{{Key: "a", Kind: logger.KindInt64, Num: 1}},
			}},
		} {
			require.Equal(t, c.want, c.arg.Field(), "%s, key of %d bytes", name, size)
			require.Equal(t, c.want, c.want.Arg().Field(), "%s, key of %d bytes", name, size)
		}
	}
	require.Equal(t, logger.Field{}, logger.Arg{}.Field())
}

func TestAGroupDoesNotShareTheCallersSlice(t *testing.T) {
	fields := []logger.Field{logger.Int("a", 1).Field()}
	group := logger.Any("g", fields)
	fields[0] = group.Field() // would be a cycle if the group kept the slice
	require.Equal(t, []logger.Field{{Key: "a", Kind: logger.KindInt64, Num: 1}}, group.Field().Fields())
}

func FuzzArg(f *testing.F) {
	f.Add("key", "text", int64(1))
	f.Add(strings.Repeat("k", 256), "", int64(math.MinInt64))
	f.Fuzz(func(t *testing.T, key, text string, num int64) {
		require.Equal(t, logger.Field{Key: key, Kind: logger.KindString, Text: text}, logger.String(key, text).Field())
		require.Equal(t, logger.Field{Key: key, Kind: logger.KindInt64, Num: num}, logger.Int64(key, num).Field())
		require.Equal(t, logger.Field{Key: key, Kind: logger.KindUint64, Num: num}, logger.Uint64(key, uint64(num)).Field())
		require.True(t, time.Unix(0, num).Equal(logger.Time(key, time.Unix(0, num)).Field().Time()))
	})
}

func ExampleArg_Field() {
	f := logger.Duration("took", 1500*time.Microsecond).Field()
	fmt.Println(f.Key, time.Duration(f.Num))
	// Output: took 1.5ms
}
