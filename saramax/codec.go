package saramax

import (
	"encoding/json"
	"fmt"
)

// Codec turns values into the bytes of a record and back. An implementation must be
// safe for concurrent use, must not keep or change the bytes that Decode gets, and
// must return bytes of its own from Encode.
type Codec[T any] interface {
	// Encode returns the bytes of value. Nil is a record without a value, which a
	// compacted topic reads as a deletion.
	Encode(value T) ([]byte, error)
	// Decode returns the value of data; nil data is a record without a value.
	Decode(data []byte) (T, error)
}

// JSON returns the [Codec] that uses encoding/json. A record without a value, and one
// with anything behind its JSON text, does not decode.
func JSON[T any]() Codec[T] { return jsonCodec[T]{} }

type jsonCodec[T any] struct{}

func (jsonCodec[T]) Encode(value T) ([]byte, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("saramax: encode %T as JSON: %w", value, err)
	}
	return data, nil
}

func (jsonCodec[T]) Decode(data []byte) (T, error) {
	var value T
	if err := json.Unmarshal(data, &value); err != nil {
		return *new(T), fmt.Errorf("saramax: decode JSON as %T: %w", value, err)
	}
	return value, nil
}

// Raw returns the [Codec] that leaves bytes as they are. What it decodes is shared
// with the client; what it encodes is copied.
func Raw() Codec[[]byte] { return rawCodec{} }

type rawCodec struct{}

func (rawCodec) Encode(value []byte) ([]byte, error) {
	if value == nil {
		return nil, nil
	}
	return append([]byte{}, value...), nil
}

func (rawCodec) Decode(data []byte) ([]byte, error) { return data, nil }
