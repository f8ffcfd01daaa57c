package session

import "encoding/binary"

// sealed is the content of a sealed session. Times are Unix milliseconds.
type sealed struct {
	id                     string
	user                   int64
	end, extended, expires int64
	fields                 map[string]string
}

// append encodes s: version, texts with their length in front, numbers as
// varints. JSON would cost a third of the cookie and lose what is not UTF-8.
func (s sealed) append(b []byte) []byte {
	b = append(b, 1)
	b = appendText(b, s.id)
	for _, n := range []int64{s.user, s.end, s.extended, s.expires, int64(len(s.fields))} {
		b = binary.AppendVarint(b, n)
	}
	for field, value := range s.fields {
		b = appendText(appendText(b, field), value)
	}
	return b
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendVarint(b, int64(len(text))), text...)
}

func parseSealed(b []byte) (sealed, bool) {
	if len(b) == 0 || b[0] != 1 {
		return sealed{}, false
	}
	r := reader{rest: b[1:]}
	s := sealed{fields: map[string]string{}}
	s.id = r.text()
	s.user, s.end, s.extended, s.expires = r.number(), r.number(), r.number(), r.number()
	for n := r.number(); n > 0 && !r.bad; n-- {
		field := r.text()
		s.fields[field] = r.text()
	}
	return s, !r.bad && len(r.rest) == 0
}

// reader takes values off the front of rest, until something is bad.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) number() int64 {
	n, size := binary.Varint(r.rest)
	if size <= 0 {
		r.bad = true
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *reader) text() string {
	n := r.number()
	if n < 0 || n > int64(len(r.rest)) {
		r.bad = true
		return ""
	}
	text := string(r.rest[:n])
	r.rest = r.rest[n:]
	return text
}
