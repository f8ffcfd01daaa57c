package loggertest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bulwark-go/bulwark/logger"
)

// Buffer collects what a Core writes, and can be read meanwhile: the sink of a
// [Backend]. The zero Buffer is ready.
type Buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements [io.Writer].
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// Bytes returns a copy of what was written so far.
func (b *Buffer) Bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.buf.Bytes())
}

// Keys names the keys under which a JSON encoder writes the parts of a line.
type Keys struct{ Time, Level, Message, Caller string }

// ParseJSON reads lines of JSON back into Records. The time is RFC 3339, the level
// a name, and the caller "dir/file.go:12" or slog's source object.
func ParseJSON(data []byte, keys Keys) ([]Record, error) {
	var out []Record
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		r, err := parseLine(lines.Text(), keys)
		if err != nil {
			return nil, fmt.Errorf("loggertest: %w: %s", err, lines.Text())
		}
		out = append(out, r)
	}
	return out, lines.Err()
}

func parseLine(line string, keys Keys) (r Record, err error) {
	fields, ok := decode(line).(map[string]any)
	if !ok {
		return r, fmt.Errorf("not a JSON object")
	}
	take := func(key string) string {
		v, _ := fields[key].(string)
		delete(fields, key)
		return v
	}
	r.Caller = caller(fields[keys.Caller])
	delete(fields, keys.Caller)
	if text := take(keys.Time); text != "" {
		if r.Time, err = time.Parse(time.RFC3339Nano, text); err != nil {
			return r, err
		}
	}
	if r.Level, err = logger.ParseLevel(take(keys.Level)); err != nil {
		return r, err
	}
	r.Message, r.Module = take(keys.Message), take(logger.KeyModule)
	r.TraceID, r.SpanID = take(logger.KeyTrace), take(logger.KeySpan)
	r.Fields = fields
	return r, nil
}

func caller(v any) string {
	switch v := v.(type) {
	case string:
		return filepath.Base(v)
	case map[string]any:
		return fmt.Sprintf("%s:%v", filepath.Base(fmt.Sprint(v["file"])), v["line"])
	}
	return ""
}

// decode reads one JSON value; what is not JSON is returned as it is.
func decode(text string) any {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return text
	}
	return v
}

// canonicalText writes v so that two values that a reader of JSON can not tell
// apart give the same text, whatever their Go types and number formats.
func canonicalText(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return strconv.Quote(v)
	case time.Duration:
		return strconv.Quote(v.String())
	case time.Time:
		return strconv.Quote(v.Format(time.RFC3339Nano))
	case []any:
		parts := make([]string, len(v))
		for i, x := range v {
			parts[i] = canonicalText(x)
		}
		return "[" + strings.Join(parts, ",") + "]"
	case map[string]any:
		parts := make([]string, 0, len(v))
		for _, key := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, strconv.Quote(key)+":"+canonicalText(v[key]))
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	text := fmt.Sprint(v)
	if _, isInt := new(big.Int).SetString(text, 10); isInt {
		return text // beyond 2^53 a float would not do
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return text
}
