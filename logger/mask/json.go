package mask

import (
	"encoding/json"
	"strings"
)

// JSON returns a JSON document with values hidden by the keys before them, whole
// objects and arrays under a secret's, and its texts as [String] does, under the
// default settings. The document may be cut anywhere or malformed: it is gone
// through as far as it can be read.
func JSON(doc string) string { return defaults.json(doc) }

// json masks a JSON document: values by the keys before them, all texts by pattern.
// What is not well formed is gone through as far as it can be read.
func (m *masker) json(doc string) string {
	x := scan{m: m, s: doc, edge: -1}
	for i := 0; i < len(doc); {
		if doc[i] != '"' {
			i++
			continue
		}
		text, end := stringEnd(doc, i)
		x.inside(i+1, text, open)
		colon := skipSpace(doc, end)
		if colon >= len(doc) || doc[colon] != ':' {
			i = end
			continue
		}
		key := unescaped(doc[i+1 : text])
		i = x.member(skipSpace(doc, colon+1), m.classify(key))
	}
	if x.out == nil {
		return doc
	}
	return string(append(x.out, doc[x.done:]...))
}

// unescaped returns a key as its reader will see it: "p\u0061ssword" is a password.
func unescaped(key string) string {
	if strings.IndexByte(key, '\\') < 0 {
		return key
	}
	var plain string
	if json.Unmarshal([]byte(`"`+key+`"`), &plain) != nil {
		return key
	}
	return plain
}

// member masks the value that begins at i where the class of its key tells how, and
// returns where to go on.
func (x *scan) member(i int, c class) int {
	switch {
	case i >= len(x.s) || c == open:
		return i
	case x.s[i] == '"':
		text, end := stringEnd(x.s, i)
		x.inside(i+1, text, c)
		return end
	}
	number := kinds[x.s[i]]&isDigit != 0 || x.s[i] == '-'
	switch {
	case c == secret && (number || x.s[i] == '{' || x.s[i] == '['):
		end := valueEnd(x.s, i)
		x.replace(i, end, `"`+Text+`"`)
		return end
	case c == phone && number:
		end := valueEnd(x.s, i)
		if end-i >= 7 {
			x.replace(i, end, `"`+Phone(x.s[i:end])+`"`)
		}
		return end
	}
	return i
}

// inside masks the text from i to end, which stands between quotes.
func (x *scan) inside(i, end int, c class) {
	raw := x.s[i:end]
	if c != open && strings.IndexByte(raw, '\\') >= 0 {
		c = secret // hiding a part of an escape would break the document
	}
	if masked := x.m.value(c, raw); masked != raw {
		x.replace(i, end, masked)
	}
}

// stringEnd returns where the text of the string that begins at i ends, and where
// to go on; in a document that is cut within the string both are its end.
func stringEnd(s string, i int) (text, next int) {
	for j := i + 1; j < len(s); j++ {
		switch s[j] {
		case '\\':
			j++
		case '"':
			return j, j + 1
		}
	}
	return len(s), len(s)
}

// valueEnd returns the position after the value that begins at i.
func valueEnd(s string, i int) int {
	depth := 0
	for j := i; j < len(s); j++ {
		switch s[j] {
		case '"':
			_, next := stringEnd(s, j)
			j = next - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth < 0 {
				return j
			} else if depth == 0 {
				return j + 1
			}
		case ',', ' ', '\n', '\t', '\r':
			if depth == 0 {
				return j
			}
		}
	}
	return len(s)
}

func skipSpace(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\n' || s[i] == '\t' || s[i] == '\r') {
		i++
	}
	return i
}
