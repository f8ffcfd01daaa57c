package gormx

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxErrorText bounds an error's text in a log line, in bytes.
const maxErrorText = 512

// ErrorText returns the text of a database's error without the values that it
// repeats, such as the duplicate entry: what stands between the first and the last
// quotation mark is replaced by "?". It suits otel.WithErrorText.
func ErrorText(err error) string {
	text := err.Error()
	if first := opening(text); first >= 0 {
		rest := ""
		if last := strings.LastIndexAny(text, `'"`); last > first {
			rest = text[last+1:]
		}
		text = text[:first] + "?" + rest
	}
	if len(text) > maxErrorText {
		text = text[:maxErrorText] + cutMark
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// opening finds the first quotation mark that isn't an apostrophe within a word.
func opening(text string) int {
	for i := 0; i < len(text); i++ {
		if text[i] != '\'' && text[i] != '"' {
			continue
		}
		before, _ := utf8.DecodeLastRuneInString(text[:i])
		after, _ := utf8.DecodeRuneInString(text[i+1:])
		if text[i] == '"' || i == 0 || !unicode.IsLetter(before) || !unicode.IsLetter(after) {
			return i
		}
	}
	return -1
}

// quietError shows ErrorText in place of an error's own text.
type quietError struct{ err error }

func (e quietError) Error() string { return ErrorText(e.err) }
func (e quietError) Unwrap() error { return e.err }
