package console

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/logger/mask"
)

// detailMax bounds one error's text on the page, in bytes.
const detailMax = 400

// detail writes fields as key=value, errors first, cut at detailMax.
func detail(fields ...[]logger.Field) string {
	var errs, rest []string
	for _, f := range slices.Concat(fields...) {
		switch text := value(f); {
		case text == "":
		case f.Key == "error":
			errs = append(errs, f.Key+"="+text)
		default:
			rest = append(rest, f.Key+"="+text)
		}
	}
	return cut(strings.Join(append(errs, rest...), "  "))
}

// why is an error as the page may show it.
func why(err error) string { return cut(mask.String(err.Error())) }

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
