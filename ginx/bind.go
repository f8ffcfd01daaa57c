package ginx

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/gin-gonic/gin"
)

// bodyMode tells what an input does with the request body.
type bodyMode uint8

const (
	bodyIgnored bodyMode = iota
	bodyRequired
	bodyOptional
)

// input fills and checks values of one request type. What can be known from the
// type is worked out once, when the route is set up.
type input[Req any] struct {
	mode bodyMode
	typ  reflect.Type // Req without its pointers
	// pointer is set when Req has any: a body of null must not leave it nil.
	pointer bool
	fields  []field
	// broken is a mistake in the type itself. A wrapper can not return it, so
	// each request answers a system error with it in the log.
	broken error
}

func newInput[Req any](mode bodyMode) *input[Req] {
	in := &input[Req]{mode: mode, typ: reflect.TypeFor[Req]()}
	for in.typ.Kind() == reflect.Pointer {
		in.typ, in.pointer = in.typ.Elem(), true
	}
	if in.typ.Kind() != reflect.Struct {
		if mode == bodyIgnored {
			in.broken = fmt.Errorf("ginx: %s is no struct: nothing could fill it", in.typ)
		}
		return in
	}
	if in.broken = checkFields(in.typ); in.broken == nil {
		in.fields = fieldsOf(in.typ, nil)
	}
	if in.broken == nil && mode == bodyIgnored && len(in.fields) == 0 && in.typ.NumField() > 0 {
		in.broken = fmt.Errorf("ginx: no field of %s has a uri, form or header tag: all would be zero", in.typ)
	}
	return in
}

// bind fills req from the request and checks it.
func (in *input[Req]) bind(c *gin.Context, req *Req) error {
	if in.broken != nil {
		return in.broken
	}
	if in.mode == bodyRequired || in.mode == bodyOptional && c.Request.ContentLength != 0 {
		err := bindBody(c, req, in.typ)
		if err != nil && !(in.mode == bodyOptional && errors.Is(err, errEmptyBody)) {
			return err
		}
	}
	if len(in.fields) > 0 || in.pointer {
		v := settle(reflect.ValueOf(req).Elem())
		for i := range in.fields {
			if err := in.fields[i].set(c, v); err != nil {
				return err
			}
		}
	}
	return check(req, in.typ)
}

// settle follows pointers down to a value, making what they miss.
func settle(v reflect.Value) reflect.Value {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		v = v.Elem()
	}
	return v
}
