package ginx

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/gin-gonic/gin/binding"
)

// sources are the tags of what does not come from the body.
var sources = [...]string{"uri", "form", "header"}

// field is one struct field that is filled from path, query or header.
//
// gin's own mapper would also fill the fields without a tag, under their Go
// names, so that ?Admin=true reaches a field meant for the body. Ours goes by
// tags only, and leaves to gin's mapper the text to value conversion with its
// default, time_format and collection_format tags.
type field struct {
	index  []int
	source string
	key    string
	// inBody keeps what the body said, for fields with a json tag too.
	inBody     bool
	hasDefault bool
	// box is a struct type with this one field, for gin's mapper.
	box reflect.Type
	// kind is set for plain types, which need no box; Invalid for others.
	kind reflect.Kind
	bits int
}

// checkFields finds tags that can never take effect.
func checkFields(t reflect.Type) error {
	for i := range t.NumField() {
		f := t.Field(i)
		if p := f.Type; f.Anonymous && p.Kind() == reflect.Pointer && p.Elem().Kind() == reflect.Struct &&
			len(fieldsOf(p.Elem(), nil)) > 0 {
			return fmt.Errorf("ginx: %s embeds %s by pointer: its uri, form and header tags would be ignored, embed the struct", t, p)
		}
		if f.IsExported() || f.Anonymous {
			continue
		}
		for _, tag := range [...]string{"json", "uri", "form", "header"} {
			if name, ok := f.Tag.Lookup(tag); ok && name != "-" {
				return fmt.Errorf("ginx: %s.%s has a %s tag but is unexported: it would always be zero", t, f.Name, tag)
			}
		}
	}
	return nil
}

// fieldsOf collects the tagged fields, those of nested structs included, as
// gin's mapper does.
func fieldsOf(t reflect.Type, parent []int) []field {
	var fields []field
	for i := range t.NumField() {
		sf := t.Field(i)
		index := append(append([]int(nil), parent...), i)
		if source, name := sourceOf(sf); source != "" {
			fields = append(fields, newField(sf, index, source, name))
			continue
		}
		if sf.Type.Kind() == reflect.Struct && (sf.IsExported() || sf.Anonymous) {
			fields = append(fields, fieldsOf(sf.Type, index)...)
		}
	}
	return fields
}

// sourceOf returns the field's source tag and the key in it, empty for none.
func sourceOf(sf reflect.StructField) (source, key string) {
	if !sf.IsExported() {
		return "", ""
	}
	for _, source := range sources {
		if key, _, _ := strings.Cut(sf.Tag.Get(source), ","); key != "" && key != "-" {
			return source, key
		}
	}
	return "", ""
}

func newField(sf reflect.StructField, index []int, source, key string) field {
	_, inBody := sf.Tag.Lookup("json")
	f := field{
		index: index, source: source, key: key, inBody: inBody,
		hasDefault: strings.Contains(sf.Tag.Get(source), ",default="),
		box:        reflect.StructOf([]reflect.StructField{{Name: sf.Name, Type: sf.Type, Tag: sf.Tag}}),
	}
	if plain(sf.Type) {
		f.kind = sf.Type.Kind()
		if f.kind != reflect.String && f.kind != reflect.Bool {
			f.bits = sf.Type.Bits()
		}
	}
	return f
}

// plain tells whether text becomes a value of t without asking t's methods.
func plain(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	if p.Implements(reflect.TypeFor[binding.BindUnmarshaler]()) ||
		p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) || t.PkgPath() == "time" {
		return false
	}
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return true
	default:
		return false
	}
}

// set fills the field of v from the request.
func (f *field) set(c *gin.Context, v reflect.Value) error {
	dst := v.FieldByIndex(f.index)
	if !f.inBody {
		dst.SetZero() // encoding/json takes keys by Go names as well: not for this field
	}
	values := f.values(c)
	if len(values) == 0 && (!f.hasDefault || f.inBody && !dst.IsZero()) {
		return nil
	}
	if err := f.convert(dst, values); err != nil {
		return badRequest(f.key+" must be "+typeName(dst.Type()), fmt.Errorf("ginx: %s %s: %w", f.source, f.key, err))
	}
	return nil
}

func (f *field) values(c *gin.Context) []string {
	switch f.source {
	case "uri":
		if value, ok := c.Params.Get(f.key); ok {
			return []string{value}
		}
		return nil
	case "form":
		values, _ := c.GetQueryArray(f.key)
		return values
	default:
		return c.Request.Header.Values(f.key)
	}
}

func (f *field) convert(dst reflect.Value, values []string) (err error) {
	if len(values) == 0 || values[0] == "" || f.kind == reflect.Invalid {
		return f.viaGin(dst, values)
	}
	switch text := values[0]; f.kind {
	case reflect.String:
		dst.SetString(text)
	case reflect.Bool:
		var b bool
		if b, err = strconv.ParseBool(strings.TrimSpace(text)); err == nil {
			dst.SetBool(b)
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		var n int64
		if n, err = strconv.ParseInt(strings.TrimSpace(text), 10, f.bits); err == nil {
			dst.SetInt(n)
		}
	default:
		var n uint64
		if n, err = strconv.ParseUint(strings.TrimSpace(text), 10, f.bits); err == nil {
			dst.SetUint(n)
		}
	}
	return err
}

// viaGin lets gin's mapper convert.
func (f *field) viaGin(dst reflect.Value, values []string) error {
	form := map[string][]string{}
	if len(values) > 0 {
		form[f.key] = values
	}
	box := reflect.New(f.box)
	if err := binding.MapFormWithTag(box.Interface(), form, f.source); err != nil {
		return err
	}
	dst.Set(box.Elem().Field(0))
	return nil
}

// typeName names a type as a client knows it.
func typeName(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if t == reflect.TypeFor[time.Duration]() {
			return "a duration"
		}
		return "an integer"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.String:
		return "a string"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Map, reflect.Struct:
		if t == reflect.TypeFor[time.Time]() {
			return "a time"
		}
		return "an object"
	default:
		return "of another type"
	}
}
