package logger

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
)

// maxKeys bounds the sorting of a map's keys; the size bound comes long before.
const maxKeys = 1024

func (e *encoder) dict(v reflect.Value, depth int) {
	type pair struct {
		key   string
		value reflect.Value
	}
	pairs := make([]pair, 0, min(v.Len(), maxKeys))
	for it := v.MapRange(); it.Next() && len(pairs) < maxKeys; {
		pairs = append(pairs, pair{mapKey(it.Key()), it.Value()})
	}
	slices.SortFunc(pairs, func(a, b pair) int { return strings.Compare(a.key, b.key) })
	e.buf = append(e.buf, '{')
	first := true
	for _, p := range pairs {
		if e.full() {
			break
		}
		e.key(p.key, &first)
		e.value(p.value, depth+1)
	}
	if e.full() || v.Len() > len(pairs) {
		e.key(tooLong, &first)
		e.buf = append(e.buf, "true"...)
	}
	e.buf = append(e.buf, '}')
}

func mapKey(v reflect.Value) string {
	if v.Kind() == reflect.String {
		return cut(v.String())
	}
	if v.CanInterface() {
		if text, ok := asText(v.Interface()); ok {
			return text
		}
		return call(nil, func() string { return fmt.Sprint(v.Interface()) })
	}
	return v.String()
}

func (e *encoder) object(v reflect.Value, depth int) {
	e.buf = append(e.buf, '{')
	first := true
	e.members(v, depth, &first)
	e.buf = append(e.buf, '}')
}

// members writes a struct's exported fields under their JSON names; those of an
// embedded struct without a name stand beside its neighbours.
func (e *encoder) members(v reflect.Value, depth int, first *bool) {
	t := v.Type()
	for i := range t.NumField() {
		sf := t.Field(i)
		name, options, _ := strings.Cut(sf.Tag.Get("json"), ",")
		embedded := sf.Anonymous && name == ""
		if name == "-" && options == "" || !sf.IsExported() && !embedded {
			continue
		}
		fv := v.Field(i)
		if strings.Contains(options, "omitempty") && isEmpty(fv) ||
			strings.Contains(options, "omitzero") && fv.IsZero() {
			continue
		}
		if e.full() {
			e.key(tooLong, first)
			e.buf = append(e.buf, "true"...)
			return
		}
		if embedded && fv.Kind() == reflect.Struct && !hasMethod(fv) {
			e.members(fv, depth, first)
			continue
		}
		if !sf.IsExported() {
			continue
		}
		if name == "" {
			name = sf.Name
		}
		e.key(name, first)
		e.value(fv, depth+1)
	}
}

// hasMethod tells whether an embedded value prints itself, as time.Time does.
func hasMethod(v reflect.Value) bool {
	if !v.CanInterface() {
		return false
	}
	switch v.Interface().(type) {
	case slog.LogValuer, error, json.Marshaler, fmt.Stringer:
		return true
	}
	return false
}

func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}
