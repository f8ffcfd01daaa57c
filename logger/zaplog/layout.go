package zaplog

import (
	"unsafe"

	"go.uber.org/zap/zapcore"

	"github.com/bulwark-go/bulwark/logger"
)

// A logger.Field and a zapcore.Field have the same parts in the same places, and the
// plain kinds the same numbers, so a plain field is zap's already: to write it anew,
// word by word, took a tenth of a line's time. What follows does not compile when
// either side changes.

type (
	ours = logger.Field
	zaps = zapcore.Field
)

var _ = [1]struct{}{}[unsafe.Sizeof(ours{})-unsafe.Sizeof(zaps{})|
	unsafe.Offsetof(ours{}.Key)-unsafe.Offsetof(zaps{}.Key)|
	unsafe.Offsetof(ours{}.Kind)-unsafe.Offsetof(zaps{}.Type)|
	unsafe.Sizeof(ours{}.Kind)-unsafe.Sizeof(zaps{}.Type)|
	unsafe.Offsetof(ours{}.Num)-unsafe.Offsetof(zaps{}.Integer)|
	unsafe.Offsetof(ours{}.Text)-unsafe.Offsetof(zaps{}.String)|
	unsafe.Offsetof(ours{}.Any)-unsafe.Offsetof(zaps{}.Interface)]

var _ = func() (string, int64, string, any) {
	var f zaps
	return f.Key, f.Integer, f.String, f.Interface
}

var _ = [1]struct{}{}[uint(logger.KindBool)^uint(zapcore.BoolType)|
	uint(logger.KindDuration)^uint(zapcore.DurationType)|
	uint(logger.KindFloat64)^uint(zapcore.Float64Type)|
	uint(logger.KindInt64)^uint(zapcore.Int64Type)|
	uint(logger.KindString)^uint(zapcore.StringType)|
	uint(logger.KindUint64)^uint(zapcore.Uint64Type)]

// plain has a bit for each kind whose fields are zap's.
const plain uint64 = 1<<logger.KindBool | 1<<logger.KindDuration | 1<<logger.KindFloat64 |
	1<<logger.KindInt64 | 1<<logger.KindString | 1<<logger.KindUint64

func isPlain(f *logger.Field) bool { return plain>>f.Kind&1 != 0 }

func allPlain(fields []logger.Field) bool {
	for i := range fields {
		if !isPlain(&fields[i]) {
			return false
		}
	}
	return true
}

// zapField shows a plain field as zap's.
func zapField(f *logger.Field) *zapcore.Field { return (*zapcore.Field)(unsafe.Pointer(f)) }

// zapFields shows plain fields as zap's.
func zapFields(fields []logger.Field) []zapcore.Field {
	return unsafe.Slice(zapField(unsafe.SliceData(fields)), len(fields))
}
