// Package mask hides personal data and secrets in log lines: phone numbers, e-mail
// addresses, tokens, passwords. It is a [logger.Core] around any other:
//
//	log := logger.New(mask.New(zaplog.New(zapLogger)))
//	log.Warn("sms limited", logger.String("phone", "13800138000")) // 138****8000
//
// It hides by three signs:
//
//   - By key: what stands under "password", "access_token", "Authorization" and the
//     like is replaced; see [Key]. Keys are looked for in fields and groups, in
//     structs and maps, and in texts that hold JSON, forms, URLs or headers.
//   - By type: a [logger.Secret] never shows its text, here or without this package.
//   - By pattern, in every message, text, error and nested value: phone numbers
//     with a country code ("+49 151 ...", "0086 138 ..."), Chinese mobile numbers
//     without one (others by [WithRegions]), in ASCII or full-width digits with the
//     usual separators; e-mail addresses; JWTs and bearer tokens; passwords in URLs.
//
// Patterns read digits with their surroundings, so that order numbers, time stamps,
// hashes and UUIDs stay as they are; an eleven-digit order number that begins like a
// mobile number can not be told from one.
//
// Nothing the caller passes is changed: a field that has to change is copied, and a
// line in which nothing is hidden goes on as it is. [String], [Value], [Phone] and
// [Email] do the same for texts that do not go to a log. All of it is safe for
// concurrent use, and no input makes it panic.
package mask

import (
	"slices"
	"strconv"
	"sync"

	"github.com/bulwark-go/bulwark/logger"
)

// Text is what stands for a value that is hidden whole.
const Text = "[masked]"

// Option configures [New].
type Option interface{ apply(*masker) }

type optionFunc func(*masker)

func (f optionFunc) apply(m *masker) { f(m) }

// WithKeys adds keys whose values are hidden whole. "ApiToken", "api-token" and
// "x_api_token" all match the key "api_token": case and separators do not count,
// and words before or after do not matter.
func WithKeys(keys ...string) Option {
	return optionFunc(func(m *masker) { m.setTerms(keys, secret) })
}

// WithoutKeys takes exactly these keys, such as "token_id", off the ones that hide
// their values; patterns in the values are still hidden.
func WithoutKeys(keys ...string) Option {
	return optionFunc(func(m *masker) { m.setTerms(keys, open) })
}

// WithRegions sets the regions whose mobile numbers are known without a country
// code, instead of [China] alone. Each region raises the chance to take some other
// number for a phone.
func WithRegions(regions ...Region) Option {
	return optionFunc(func(m *masker) { m.regions = regions })
}

// New returns a Core that hides what is private in each line and hands it to next.
// Over a nil Core it discards everything.
func New(next logger.Core, opts ...Option) logger.Core {
	if next == nil {
		return logger.Nop()
	}
	return &core{next: next, m: newMasker(opts)}
}

// masker holds the settings; it is immutable once built.
type masker struct {
	terms   map[string]class
	own     bool // terms is not the shared default
	regions []Region
	starts  [100]bool // the first two digits of numbers without a plus
	heads   heads
}

var defaults = newMasker(nil)

func newMasker(opts []Option) *masker {
	m := &masker{terms: defaultTerms, regions: []Region{China}}
	for _, o := range opts {
		o.apply(m)
	}
	for term := range m.terms {
		m.heads.add(term)
	}
	m.starts[0], m.starts[86] = true, true
	for _, r := range m.regions {
		r.addStarts(&m.starts)
	}
	return m
}

type core struct {
	next logger.Core
	m    *masker
}

func (c *core) Enabled(l logger.Level) bool { return c.next.Enabled(l) }

func (c *core) With(fields []logger.Field) logger.Core {
	fields, b := c.m.fields(fields)
	defer b.free()
	return &core{next: c.next.With(fields), m: c.m}
}

func (c *core) Write(e logger.Entry, fields []logger.Field) {
	e.Message = c.m.text(e.Message)
	fields, b := c.m.fields(fields)
	c.next.Write(e, fields)
	b.free()
}

// fields returns fields, or a masked copy in a buffer that the caller frees after
// use; the buffer is nil where nothing had to change.
func (m *masker) fields(fields []logger.Field) ([]logger.Field, *buffer) {
	for i := range fields {
		f, changed := m.field(fields[i])
		if !changed {
			continue
		}
		b := buffers.Get().(*buffer)
		b.fields = append(append(b.fields[:0], fields[:i]...), f)
		for _, rest := range fields[i+1:] {
			f, _ := m.field(rest)
			b.fields = append(b.fields, f)
		}
		return b.fields, b
	}
	return fields, nil
}

// field returns f masked, and whether that differs from f.
func (m *masker) field(f logger.Field) (logger.Field, bool) {
	c := m.classify(f.Key)
	switch f.Kind {
	case logger.KindString:
		text := m.value(c, f.Text)
		changed := text != f.Text
		f.Text = text
		return f, changed
	case logger.KindInt64, logger.KindUint64, logger.KindFloat64:
		return number(c, f)
	case logger.KindError:
		r := f.Resolved()
		if masked, changed := m.field(r); changed {
			return masked, true
		}
	case logger.KindAny:
		if f.Empty() {
			return f, false
		}
		// Read once: what is written must be what was looked at.
		masked, _ := m.field(f.Resolved())
		return masked, true
	case logger.KindJSON:
		return m.document(c, f)
	case logger.KindGroup:
		return m.group(c, f)
	}
	return f, false
}

func text(key, value string) logger.Field {
	return logger.Field{Key: key, Kind: logger.KindString, Text: value}
}

// number hides by key only: patterns would find phones in counts and durations.
func number(c class, f logger.Field) (logger.Field, bool) {
	switch {
	case c == secret:
		return text(f.Key, Text), true
	case c != phone || f.Kind == logger.KindFloat64 || f.Num >= 0 && f.Num < 1e6:
		return f, false
	case f.Kind == logger.KindInt64:
		return text(f.Key, Phone(strconv.FormatInt(f.Num, 10))), true
	}
	return text(f.Key, Phone(strconv.FormatUint(uint64(f.Num), 10))), true
}

func (m *masker) document(c class, f logger.Field) (logger.Field, bool) {
	if c == secret && f.Text != "null" {
		return text(f.Key, Text), true
	}
	doc := m.json(f.Text)
	changed := doc != f.Text
	f.Text = doc
	return f, changed
}

func (m *masker) group(c class, f logger.Field) (logger.Field, bool) {
	if c == secret && !f.Empty() {
		return text(f.Key, Text), true
	}
	r := f.Resolved() // bounds the depth of the walk
	if r.Kind != logger.KindGroup {
		return r, true
	}
	inner, b := m.fields(r.Fields())
	if b == nil {
		return f, false
	}
	defer b.free()
	return logger.Field{Key: f.Key, Kind: logger.KindGroup, Any: slices.Clone(inner)}, true
}

type buffer struct{ fields []logger.Field }

var buffers = sync.Pool{New: func() any { return &buffer{fields: make([]logger.Field, 0, 16)} }}

func (b *buffer) free() {
	if b == nil || cap(b.fields) > 128 {
		return // one huge line must not pin its memory
	}
	clear(b.fields)
	buffers.Put(b)
}
