package console

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/bulwark-go/bulwark/logger"
)

// detailMax bounds one error's text on the page, in bytes.
const detailMax = 400

// detail writes fields as key=value, cut at detailMax.
func detail(fields ...[]logger.Field) string {
	var b strings.Builder
	for _, list := range fields {
		for _, f := range list {
			text := value(f)
			if text == "" {
				continue
			}
			if b.Len() > 0 {
				b.WriteString("  ")
			}
			b.WriteString(f.Key + "=" + text)
		}
	}
	return cut(b.String())
}

func cut(s string) string {
	if len(s) <= detailMax {
		return s
	}
	end := detailMax
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}

// value writes a field's value; composite values are left out, they are for the
// log.
func value(f logger.Field) string {
	switch f.Kind {
	case logger.KindString:
		return f.Text
	case logger.KindInt64:
		return fmt.Sprint(f.Num)
	case logger.KindUint64:
		return fmt.Sprint(uint64(f.Num))
	case logger.KindDuration:
		return time.Duration(f.Num).String()
	case logger.KindError:
		if err, ok := f.Any.(error); ok {
			return err.Error()
		}
	}
	return ""
}
