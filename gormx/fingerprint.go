package gormx

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// MaxFingerprint is the most bytes that [Fingerprint] returns, and maxScanned the
// most that it looks at: enough for any statement that people read, and a bound
// for one that inserts a file.
const (
	MaxFingerprint = 2048
	maxScanned     = 64 << 10
)

// cutMark ends a fingerprint that does not cover its whole statement.
const cutMark = " ..."

// Fingerprint reduces a statement to its shape: every literal and placeholder is
// "?", lists of them are one "?", rows of them one "(?)", comments are gone and
// runs of white space are one blank. Statements that differ in values only have
// the same fingerprint, and no value is in it.
//
// dialect is the name that gorm's Dialector gives. It decides what is a literal:
// "postgres" quotes identifiers with double quotes, where "mysql", "sqlite" and
// unknown dialects are taken to hold strings. Where the readings of a text differ
// so that a value could slip through, such as a backslash before a quote, the
// fingerprint ends there with "...".
func Fingerprint(dialect, sql string) string {
	s := scanner{in: sql, dialect: dialect}
	if len(sql) > maxScanned {
		s.in, s.shortened = sql[:maxScanned], true
	}
	for s.pos < len(s.in) && !s.cut {
		s.next()
		s.cut = s.cut || len(s.out) > MaxFingerprint
	}
	return s.result()
}

// scanner is one pass over a statement.
type scanner struct {
	in        string
	dialect   string
	pos       int
	out       []byte
	blank     bool // white space before the next token
	cut       bool // stop here
	shortened bool // in is not the whole statement
}

func (s *scanner) next() {
	c := s.in[s.pos]
	switch {
	case c <= ' ' || c == 0x7f:
		s.blank = true
		s.pos++
	case c == '\'' || c == '"' && !s.postgres():
		s.literal(c)
	case c == '"', c == '`':
		s.identifier(c)
	case c == '[' && s.dialect == "sqlite":
		s.identifier(']')
	case s.has("--"):
		s.dashes()
	case s.has("/*"):
		s.comment()
	case c == '#':
		s.hash()
	case c == '$':
		s.dollar()
	case c == '?':
		s.pos++
		s.value()
	case digit(c), c == '.' && s.pos+1 < len(s.in) && digit(s.in[s.pos+1]):
		s.number()
	case wordByte(c):
		s.token(s.word())
	default:
		s.pos++
		s.token(string(c))
	}
}

func (s *scanner) postgres() bool         { return s.dialect == "postgres" }
func (s *scanner) has(prefix string) bool { return strings.HasPrefix(s.in[s.pos:], prefix) }

// token writes one token, in canonical spacing.
func (s *scanner) token(t string) {
	if s.blank && len(s.out) > 0 && s.out[len(s.out)-1] != '(' && t != "," && t != ")" {
		s.out = append(s.out, ' ')
	}
	s.out = append(s.out, t...)
	s.blank = t == ","
	if t == ")" && bytes.HasSuffix(s.out, []byte("(?), (?)")) {
		s.out = s.out[:len(s.out)-len(", (?)")]
	}
}

func (s *scanner) value() {
	s.token("?")
	if bytes.HasSuffix(s.out, []byte("?, ?")) {
		s.out = s.out[:len(s.out)-len(", ?")]
	}
}

// literal skips a quoted value in which a doubled quote stands for one.
func (s *scanner) literal(quote byte) {
	first := s.pos + 1
	for at := first; ; at += 2 {
		next := strings.IndexByte(s.in[at:], quote)
		if next < 0 {
			s.unfinished()
			return
		}
		at += next
		if s.dialect != "sqlite" && backslashes(s.in[first:at])%2 == 1 {
			// Escaped or closed, depending on server settings: either guess
			// would show a value for the other.
			s.unfinished()
			return
		}
		if at+1 >= len(s.in) || s.in[at+1] != quote {
			s.pos = at + 1
			s.value()
			return
		}
	}
}

func backslashes(text string) int { return len(text) - len(strings.TrimRight(text, `\`)) }

// unfinished ends the fingerprint at something that has no certain end.
func (s *scanner) unfinished() {
	s.value()
	s.cut = true
}

// identifier copies a quoted name. One that holds a quote or a control character
// may be a mistaken literal, and is treated as one.
func (s *scanner) identifier(closing byte) {
	if closing == '`' && s.postgres() { // an operator there
		s.cut = true
		return
	}
	for at := s.pos + 1; ; at += 2 {
		next := strings.IndexByte(s.in[at:], closing)
		if next < 0 {
			s.unfinished()
			return
		}
		at += next
		if closing != ']' && at+1 < len(s.in) && s.in[at+1] == closing {
			continue
		}
		name := s.in[s.pos : at+1]
		s.pos = at + 1
		if strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == '\'' || r == 0x7f || r == '?' }) {
			s.value()
		} else {
			s.token(name)
		}
		return
	}
}

// dashes skips a comment to the end of its line. MySQL wants white space after the
// dashes, and subtracts twice without.
func (s *scanner) dashes() {
	after := s.in[s.pos+2:]
	if after != "" && after[0] > ' ' && s.dialect != "postgres" && s.dialect != "sqlite" {
		s.cut = true
		return
	}
	s.line()
}

func (s *scanner) hash() {
	switch s.dialect {
	case "mysql":
		s.line()
	case "postgres", "sqlite":
		s.pos++
		s.token("#")
	default:
		s.cut = true
	}
}

func (s *scanner) line() {
	s.blank = true
	if end := strings.IndexByte(s.in[s.pos:], '\n'); end >= 0 {
		s.pos += end + 1
	} else {
		s.pos = len(s.in)
	}
}

// comment skips a block. Some servers nest them, others do not: one within another
// ends the fingerprint.
func (s *scanner) comment() {
	s.blank = true
	end := strings.Index(s.in[s.pos+2:], "*/")
	if end < 0 || strings.Contains(s.in[s.pos+2:s.pos+2+end], "/*") {
		s.cut = true
		return
	}
	s.pos += 2 + end + 2
}

// dollar reads PostgreSQL's numbered placeholders, in the form in which gorm
// explains them too ($1$), and its dollar-quoted literals.
func (s *scanner) dollar() {
	rest := s.in[s.pos+1:]
	tag := span(rest, wordByte)
	switch {
	case s.dialect == "mysql": // a letter there
		s.token(s.word())
	case rest != "" && digit(rest[0]):
		s.pos += 1 + span(rest, digit)
		if s.has("$") {
			s.pos++
		}
		s.value()
	case tag < len(rest) && rest[tag] == '$':
		mark := s.in[s.pos : s.pos+tag+2]
		end := strings.Index(rest[tag+1:], mark)
		if end < 0 {
			s.unfinished()
			return
		}
		s.pos += len(mark) + end + len(mark)
		s.value()
	default:
		s.pos++
		s.token("$")
	}
}

// number skips a numeric literal of any notation.
func (s *scanner) number() {
	for s.pos < len(s.in) {
		c := s.in[s.pos]
		exponent := (c == '+' || c == '-') && s.in[s.pos-1]|0x20 == 'e' &&
			s.pos+1 < len(s.in) && digit(s.in[s.pos+1])
		if !wordByte(c) && c != '.' && !exponent {
			break
		}
		s.pos++
	}
	s.value()
}

func (s *scanner) word() string {
	n := 1 + span(s.in[s.pos+1:], func(c byte) bool { return wordByte(c) || c == '$' })
	w := s.in[s.pos : s.pos+n]
	s.pos += n
	return w
}

func (s *scanner) result() string {
	if len(s.out) > MaxFingerprint-len(cutMark) {
		s.cut = true
		s.out = s.out[:MaxFingerprint-len(cutMark)]
		for len(s.out) > 0 && !utf8.RuneStart(s.out[len(s.out)-1]) {
			s.out = s.out[:len(s.out)-1] // not half a rune
		}
	}
	if s.cut || s.shortened {
		s.out = append(bytes.TrimSuffix(s.out, []byte(cutMark)), cutMark...)
	}
	return strings.ToValidUTF8(string(s.out), "?")
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// wordByte takes every byte beyond ASCII for a letter.
func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || digit(c) || c == '_' || c >= utf8.RuneSelf
}

// span counts the bytes at the front of text that ok accepts.
func span(text string, ok func(byte) bool) int {
	for i := range len(text) {
		if !ok(text[i]) {
			return i
		}
	}
	return len(text)
}
