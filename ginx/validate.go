package ginx

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/gin-gonic/gin/binding"
	"github.com/go-playground/validator/v10"
)

// selfChecking is implemented by request types with rules that tags can't say.
type selfChecking interface{ Validate() error }

// The bounds of the message for a body with very many mistakes, or with map keys
// of a megabyte.
const (
	maxProblems   = 8
	maxFieldBytes = 128
)

// check runs gin's validator and the request's own Validate.
func check[Req any](req *Req, t reflect.Type) error {
	if binding.Validator != nil {
		if err := checkTags(req); err != nil {
			return tagError(err, t)
		}
	}
	own, ok := any(req).(selfChecking)
	if !ok {
		own, ok = any(*req).(selfChecking)
	}
	if !ok {
		return nil
	}
	err := own.Validate()
	var known *Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	return badRequest("invalid request", err)
}

// checkTags turns the validator's panic over a tag that does not fit its field
// into an error: the mistake is ours, and must not cost the connection.
func checkTags(req any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &tagPanic{p}
		}
	}()
	return binding.Validator.ValidateStruct(req)
}

type tagPanic struct{ value any }

func (p *tagPanic) Error() string { return fmt.Sprintf("ginx: binding tag: %v", p.value) }

// tagError names the fields as the client knows them.
func tagError(err error, t reflect.Type) error {
	var broken *tagPanic
	if errors.As(err, &broken) {
		return err
	}
	prefix := ""
	var list binding.SliceValidationError
	if errors.As(err, &list) && len(list) > 0 {
		err, t = list[0], t.Elem()
		prefix = "an element: "
	}
	var failed validator.ValidationErrors
	if !errors.As(err, &failed) {
		return badRequest("invalid request", err)
	}
	var problems []string
	for _, f := range failed[:min(len(failed), maxProblems)] {
		problems = append(problems, bounded(clientPath(t, f.StructNamespace()), maxFieldBytes)+" "+problemOf(f))
	}
	return badRequest(prefix+strings.Join(problems, "; "), err)
}

// problemOf words the common rules; the others may name Go fields.
func problemOf(f validator.FieldError) string {
	unit := ""
	switch f.Kind() {
	case reflect.String, reflect.Slice, reflect.Array, reflect.Map:
		unit = " long"
	}
	switch f.Tag() {
	case "required":
		return "is required"
	case "min", "gte":
		return "must be at least " + f.Param() + unit
	case "max", "lte":
		return "must be at most " + f.Param() + unit
	case "len":
		return "must be exactly " + f.Param() + unit
	case "oneof":
		return "must be one of: " + f.Param()
	case "email":
		return "must be an e-mail address"
	default:
		return "is invalid"
	}
}

// clientPath turns the validator's path of Go names, Req.Items[0].Name, into the
// client's, items[0].name.
func clientPath(t reflect.Type, namespace string) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var path []string
	for _, part := range splitPath(strings.TrimPrefix(namespace, t.Name()+".")) {
		name, rest, _ := strings.Cut(part, "[")
		if rest != "" {
			rest = "[" + rest
		}
		var sf reflect.StructField
		ok := t.Kind() == reflect.Struct
		if ok {
			sf, ok = t.FieldByName(name)
		}
		if !ok {
			path = append(path, part)
			continue
		}
		t = elemOf(sf.Type)
		if client := clientName(sf); client != "" {
			path = append(path, client+rest)
		}
	}
	return strings.Join(path, ".")
}

// splitPath cuts at the dots outside brackets: map keys may hold dots.
func splitPath(s string) []string {
	var parts []string
	depth, start := 0, 0
	for i, r := range s {
		switch {
		case r == '[':
			depth++
		case r == ']':
			depth--
		case r == '.' && depth == 0:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
}

func elemOf(t reflect.Type) reflect.Type {
	for {
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
			t = t.Elem()
		default:
			return t
		}
	}
}

// clientName is the field's name outside; empty for an embedded struct, whose
// fields stand among its parent's.
func clientName(sf reflect.StructField) string {
	if _, key := sourceOf(sf); key != "" {
		return key
	}
	if name, _, _ := strings.Cut(sf.Tag.Get("json"), ","); name != "" && name != "-" {
		return name
	}
	if sf.Anonymous {
		return ""
	}
	return sf.Name
}
