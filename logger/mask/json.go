package mask

import "strings"

// json masks a JSON document: values by the keys before them, all texts by pattern.
// What is not well formed is gone through as far as it can be read.
func (m *masker) json(doc string) string {
	x := scan{m: m, s: doc, edge: -1}
	for i := 0; i < len(doc); {
		if doc[i] != '"' {
			i++
			continue
		}
		end := stringEnd(doc, i)
		colon := skipSpace(doc, end)
		if colon >= len(doc) || doc[colon] != ':' {
			x.inside(i, end, open)
			i = end
			continue
		}
		key := doc[i+1 : max(end-1, i+1)]
		x.inside(i, end, open)
		i = x.member(skipSpace(doc, colon+1), m.classify(key))
	}
	if x.out == nil {
		return doc
	}
	return string(append(x.out, doc[x.done:]...))
}

// member masks the value that begins at i where the class of its key tells how, and
// returns where to go on.
func (x *scan) member(i int, c class) int {
	switch {
	case i >= len(x.s) || c == open:
		return i
	case x.s[i] == '"':
		end := stringEnd(x.s, i)
		x.inside(i, end, c)
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

// inside masks the text between the quotes at i and before end.
func (x *scan) inside(i, end int, c class) {
	if end-i < 2 {
		return
	}
	raw := x.s[i+1 : end-1]
	if c != open && strings.IndexByte(raw, '\\') >= 0 {
		c = secret // hiding a part of an escape would break the document
	}
	if masked := x.m.value(c, raw); masked != raw {
		x.replace(i+1, end-1, masked)
	}
}

// stringEnd returns the position after the string that begins at i.
func stringEnd(s string, i int) int {
	for j := i + 1; j < len(s); j++ {
		switch s[j] {
		case '\\':
			j++
		case '"':
			return j + 1
		}
	}
	return len(s)
}

// valueEnd returns the position after the value that begins at i.
func valueEnd(s string, i int) int {
	depth := 0
	for j := i; j < len(s); j++ {
		switch s[j] {
		case '"':
			j = stringEnd(s, j) - 1
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
