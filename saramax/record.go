package saramax

import "time"

// Record is one record of a topic, decoded. What its slices hold is shared with the
// client that fetched it: read them, and copy what must outlive the handler.
type Record[T any] struct {
	// Value is what the codec made of the record's value.
	Value T
	// Key is the record's key; nil for a record without one.
	Key []byte
	// Headers are in the order in which the producer set them.
	Headers Headers
	// Topic, Partition and Offset say where the record lies: in a retry topic that is
	// the place there.
	Topic     string
	Partition int32
	Offset    int64
	// Time is the record's timestamp: that of its producer, or of the broker, as the
	// topic is configured.
	Time time.Time
	// Attempt counts the handler's calls with this record, from 1 on. The count goes
	// along into retry topics; a crash forgets those since the last one.
	Attempt int
}

// Header is one header of a record.
type Header struct {
	Key   string
	Value []byte
}

// Headers are the headers of a record. A key may occur more than once. The zero value
// has none.
type Headers []Header

// Get returns the value of the last header with this key, as later ones replace
// earlier ones by convention, and nil without one.
func (h Headers) Get(key string) []byte {
	for i := len(h) - 1; i >= 0; i-- {
		if h[i].Key == key {
			return h[i].Value
		}
	}
	return nil
}

// With returns headers that hold value under key, once, and the others of h. It
// changes nothing of h.
func (h Headers) With(key string, value []byte) Headers {
	out := make(Headers, 0, len(h)+1)
	for _, header := range h {
		if header.Key != key {
			out = append(out, header)
		}
	}
	return append(out, Header{Key: key, Value: value})
}
