package outbox

import "strings"

// printable is text that every database stores: UTF-8 without NUL, of most bytes at
// most.
func printable(text string, most int) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "?"), "\x00", "?")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "")
	}
	return text
}
