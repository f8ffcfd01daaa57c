package ginx

import (
	"bytes"
	stdjson "encoding/json"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/bulwark-go/bulwark/logger/mask"
)

// maskBody hides secrets in the beginning of a body. The body may be cut
// anywhere, so it is scanned, not parsed.
func maskBody(media string, body []byte) string {
	switch {
	case isJSON(media):
		return mask.String(maskJSON(body))
	case media == "application/x-www-form-urlencoded":
		return maskForm(string(body))
	default:
		return mask.String(string(body))
	}
}

// maskJSON replaces the values of keys that name secrets, objects and arrays as
// a whole.
func maskJSON(b []byte) string {
	var out bytes.Buffer
	out.Grow(len(b))
	for len(b) > 0 {
		if b[0] != '"' {
			out.WriteByte(b[0])
			b = b[1:]
			continue
		}
		n := stringEnd(b)
		text, rest := b[:n], b[n:]
		out.Write(text)
		b = rest
		after := bytes.TrimLeft(rest, " \t\r\n")
		if len(after) == 0 || after[0] != ':' || !mask.Key(unquote(text)) {
			continue
		}
		value := bytes.TrimLeft(after[1:], " \t\r\n")
		out.WriteString(`:"` + mask.Text + `"`)
		b = value[valueEnd(value):]
	}
	return out.String()
}

func unquote(quoted []byte) string {
	var s string
	if stdjson.Unmarshal(quoted, &s) != nil {
		return strings.Trim(string(quoted), `"`)
	}
	return s
}

// stringEnd returns where the JSON string that b begins with ends.
func stringEnd(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}

// valueEnd returns where the JSON value that b begins with ends.
func valueEnd(b []byte) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			i += stringEnd(b[i:]) - 1
			if depth == 0 {
				return min(i+1, len(b))
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
			if depth < 0 { // the parent ends: there was no value
				return i
			}
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
	return len(b)
}

// maskForm shows the fields unescaped: that is how masking knows them.
func maskForm(body string) string {
	var out strings.Builder
	for i, pair := range strings.Split(body, "&") {
		if i > 0 {
			out.WriteByte('&')
		}
		key, value, ok := strings.Cut(pair, "=")
		key, value = unescaped(key), unescaped(value)
		out.WriteString(key)
		if !ok {
			continue
		}
		out.WriteByte('=')
		out.WriteString(mask.Value(key, value))
	}
	return out.String()
}

func unescaped(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}

// maskID leaves of a user id what tells two users of a log apart, and of a short
// one nothing. A phone number or an e-mail address that serves as id is masked
// as such.
func maskID(id string) string {
	const shown = 2
	if masked := mask.String(id); masked != id {
		return masked
	}
	if utf8.RuneCountInString(id) < 3*shown {
		return "***"
	}
	runes := []rune(bounded(id, 64))
	return string(runes[:shown]) + "***" + string(runes[len(runes)-shown:])
}
