package ginx

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"reflect"
	"strings"
	"sync"

	"github.com/gin-gonic/gin"
	"github.com/gin-gonic/gin/binding"
	"github.com/gin-gonic/gin/codec/json"
)

// buffers hold bodies while they are decoded: JSON codecs copy what they keep.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// keptBuffer bounds what a pooled buffer may hold on to.
const keptBuffer = 64 << 10

// bindBody reads the body as a whole before it decodes: so the limit is noticed
// whatever the codec does with a reader's error, and data after the value too.
func bindBody(c *gin.Context, req any, t reflect.Type) error {
	buf := buffers.Get().(*bytes.Buffer)
	defer func() {
		if buf.Cap() <= keptBuffer {
			buf.Reset()
			buffers.Put(buf)
		}
	}()
	if err := readBody(c, buf); err != nil {
		return err
	}
	if len(bytes.TrimLeft(buf.Bytes(), " \t\r\n")) == 0 {
		return errEmptyBody
	}
	if !isJSON(mediaType(c.Request.Header.Get("Content-Type"))) {
		return badRequest("Content-Type must be application/json", nil).WithStatus(http.StatusUnsupportedMediaType)
	}
	if err := decode(buf.Bytes(), req); err != nil {
		return decodeError(err, buf.Bytes(), t)
	}
	return nil
}

var errEmptyBody = badRequest("request body is empty", nil)

// isJSON accepts application/json and the +json types. A missing type is not
// taken for JSON: a browser sends that across origins without asking first.
func isJSON(media string) bool {
	return media == "application/json" ||
		strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json")
}

func readBody(c *gin.Context, buf *bytes.Buffer) error {
	limit := limitOf(c)
	if c.Request.Body == nil {
		return nil
	}
	if c.Request.ContentLength > limit {
		return tooLarge(limit, nil)
	}
	n, err := buf.ReadFrom(io.LimitReader(c.Request.Body, min(limit, math.MaxInt64-1)+1))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return tooLarge(over.Limit, err)
	case err != nil && c.Request.Context().Err() != nil:
		return fmt.Errorf("ginx: read body: %w", errors.Join(c.Request.Context().Err(), err))
	case err != nil:
		return badRequest("request body could not be read", err)
	case n > limit:
		return tooLarge(limit, nil)
	}
	return nil
}

func tooLarge(limit int64, cause error) *Error {
	return &Error{
		Code: CodeClient, Msg: fmt.Sprintf("request body is larger than %d bytes", limit),
		HTTPStatus: http.StatusRequestEntityTooLarge, Cause: cause,
	}
}

// decode honours the two process-wide switches of gin's own JSON binding.
func decode(body []byte, req any) error {
	if !binding.EnableDecoderUseNumber && !binding.EnableDecoderDisallowUnknownFields {
		return json.API.Unmarshal(body, req)
	}
	d := json.API.NewDecoder(bytes.NewReader(body))
	if binding.EnableDecoderUseNumber {
		d.UseNumber()
	}
	if binding.EnableDecoderDisallowUnknownFields {
		d.DisallowUnknownFields()
	}
	if err := d.Decode(req); err != nil {
		return err
	}
	var more any
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		return errTrailing
	}
	return nil
}

var errTrailing = errors.New("ginx: data after top-level value")

// decodeError says what is wrong in words of the client's JSON.
func decodeError(err error, body []byte, t reflect.Type) error {
	var syntax *stdjson.SyntaxError
	var mismatch *stdjson.UnmarshalTypeError
	switch {
	case strings.HasSuffix(err.Error(), "after top-level value"):
		return badRequest("request body must hold a single JSON value", err)
	case errors.As(err, &syntax):
		return badRequest(fmt.Sprintf("request body is not valid JSON (near byte %d)", syntax.Offset), err)
	case errors.As(err, &mismatch):
		name, want, got := mismatch.Field, typeName(mismatch.Type), mismatch.Value
		if name == "" {
			name, want = "request body", typeName(t)
		}
		got, _, _ = strings.Cut(got, " ") // "number 1.5": the number itself may be a megabyte
		return badRequest(name+" must be "+want+", not "+got, err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return badRequest("request body is not valid JSON", err)
	case strings.HasPrefix(err.Error(), unknownField):
		return badRequest("request body has a field that is not known: "+bounded(err.Error()[len(unknownField):], maxFieldBytes), err)
	default:
		return badRequest(wrongField(body, t)+" has the wrong format", err)
	}
}

const unknownField = "json: unknown field "

// wrongField finds the field whose own UnmarshalJSON or UnmarshalText refused its
// value, a time's for example: such errors do not say where they come from.
func wrongField(body []byte, t reflect.Type) string {
	var values map[string]stdjson.RawMessage
	if t.Kind() == reflect.Struct && stdjson.Unmarshal(body, &values) == nil {
		for i := range t.NumField() {
			sf := t.Field(i)
			name := clientName(sf)
			value, ok := values[name]
			if ok && sf.IsExported() && json.API.Unmarshal(value, reflect.New(sf.Type).Interface()) != nil {
				return name
			}
		}
	}
	return "a field of the request body"
}
