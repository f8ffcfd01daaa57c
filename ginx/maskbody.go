package ginx

import (
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/bulwark-go/bulwark/logger/mask"
)

// maskBody hides secrets in the beginning of a body, which may be cut anywhere.
func maskBody(media string, body []byte) string {
	switch {
	case isJSON(media):
		return mask.String(mask.JSON(string(body)))
	case media == "application/x-www-form-urlencoded":
		return maskForm(string(body))
	default:
		return mask.String(string(body))
	}
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
