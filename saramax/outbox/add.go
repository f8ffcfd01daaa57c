package outbox

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"
)

// AddOption says more about one event to [Add].
type AddOption interface{ add(*event) }

type addOption func(*event)

func (f addOption) add(e *event) { f(e) }

// WithID gives the event an ID of yours, up to 64 bytes, where the business has one: a
// redelivery from further up then has the same. Without it the ID is a new UUID of
// version 7.
func WithID(id string) AddOption { return addOption(func(e *event) { e.id = id }) }

// WithType names the sort of event, up to 255 bytes. Without it that is the name of the
// event's Go type.
func WithType(name string) AddOption { return addOption(func(e *event) { e.kind = name }) }

// WithHeader adds a header, which is published with the event. No secrets: it is
// stored as it is.
func WithHeader(name, value string) AddOption {
	return addOption(func(e *event) { e.headers[name] = value })
}

// event is what Add stores.
type event struct {
	id, topic, key, kind string
	headers              map[string]string
	payload              []byte
}

// Longest texts of an event, in bytes.
const (
	maxID    = 64
	maxTopic = 249 // Kafka's own
	maxKey   = 255
	maxType  = 255
)

// Add stores an event in the transaction tx, to be published to topic once tx has
// committed, under key. Events of one topic and key are published in the order of
// their Adds, provided that whoever adds has locked what the key stands for; an empty
// key asks for no order. The event is encoded as JSON, or as [WithCodec] says; a
// json.RawMessage is JSON already.
//
// It fails with [ErrNoTransaction] outside a transaction and with [ErrTooLarge] for
// what Kafka would not take; after any error roll back. Where tx's database has a
// [Plugin], its settings hold. The context is that of tx.
func Add(tx *gorm.DB, topic, key string, event any, opts ...AddOption) error {
	if !inTransaction(tx) {
		return fmt.Errorf("%w: event for %q", ErrNoTransaction, topic)
	}
	p := pluginOf(tx)
	d, ok := dialects[tx.Name()]
	if !ok {
		return fmt.Errorf("outbox: dialect %q: must be mysql, postgres or sqlite", tx.Name())
	}
	e, err := p.event(tx.Statement.Context, topic, key, event, opts)
	if err != nil {
		return fmt.Errorf("outbox: event for %q: %w", topic, err)
	}
	headers, err := json.Marshal(e.headers)
	if err != nil {
		return fmt.Errorf("outbox: event for %q: %w", topic, err)
	}
	hash := aggregateOf(e)
	ctx := context.WithValue(tx.Statement.Context, adding{}, true)
	err = tx.Session(&gorm.Session{NewDB: true, Context: ctx}).Exec(d.insert(p.settings),
		bucketOf(hash, p.settings.Buckets), hash, e.id, e.topic, e.key, e.kind, e.payload, headers).Error
	if err != nil {
		return fmt.Errorf("outbox: add to %s: %w", p.settings.Table, err)
	}
	return nil
}

// inTransaction tells a transaction by what GORM itself tells it by.
func inTransaction(db *gorm.DB) bool {
	if db == nil || db.Statement == nil {
		return false
	}
	committer, ok := db.Statement.ConnPool.(gorm.TxCommitter)
	return ok && committer != nil && !reflect.ValueOf(committer).IsNil()
}

// event builds and checks what is stored.
func (p *Plugin) event(ctx context.Context, topic, key string, value any, opts []AddOption) (event, error) {
	e := event{topic: topic, key: key, kind: typeName(value), headers: make(map[string]string)}
	if p.inject != nil {
		p.inject(ctx, e.headers)
	}
	for _, o := range opts {
		if o != nil {
			o.add(&e)
		}
	}
	if e.id == "" {
		e.id = newID(time.Now())
	}
	var v violations
	v.text("topic", e.topic, 1, maxTopic)
	v.text("key", e.key, 0, maxKey)
	v.text("id", e.id, 1, maxID)
	v.text("type", e.kind, 0, maxType)
	if len(v) > 0 {
		return e, v.err()
	}
	var err error
	if e.payload, err = p.codec(value); err != nil {
		return e, err
	}
	if e.payload == nil {
		e.payload = []byte{}
	}
	if n := e.size(); n > p.settings.MaxBytes {
		return e, fmt.Errorf("%w: %d bytes, of %d allowed", ErrTooLarge, n, p.settings.MaxBytes)
	}
	return e, nil
}

// text requires what all databases store alike.
func (v *violations) text(field, value string, least, most int) {
	shown := fmt.Sprintf("%.40q", value)
	v.require(len(value) >= least && len(value) <= most, field, shown, fmt.Sprintf("of %d to %d bytes", least, most))
	v.require(utf8.ValidString(value) && !strings.ContainsRune(value, 0), field, shown, "UTF-8 without NUL")
}

// Sizes in a record, as sarama reckons them.
const (
	recordOverhead = 5*binary.MaxVarintLen32 + binary.MaxVarintLen64 + 1
	headerOverhead = 2 * binary.MaxVarintLen32
)

// size is what the event takes in a Kafka record.
func (e event) size() int {
	n := recordOverhead + len(e.key) + len(e.payload)
	for name, value := range headersOf(e.id, e.kind, e.key, e.headers) {
		n += headerOverhead + len(name) + len(value)
	}
	return n
}

// typeName is the name of a value's type without its package.
func typeName(value any) string {
	t := reflect.TypeOf(value)
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil {
		return ""
	}
	return t.Name()
}

// newID returns a UUID of version 7: they rise with time, roughly, which indexes of
// consumers like.
func newID(now time.Time) string {
	var b [16]byte
	_, _ = rand.Read(b[6:]) // never fails, by its contract
	ms := uint64(now.UnixMilli())
	binary.BigEndian.PutUint16(b[:], uint16(ms>>32))
	binary.BigEndian.PutUint32(b[2:], uint32(ms))
	b[6], b[8] = b[6]&0x0f|0x70, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// aggregateOf hashes what the order is kept of: topic and key, or without a key the
// event alone. It is never negative, and with 63 bits two aggregates that share one
// are no more than two that wait for each other.
func aggregateOf(e event) int64 {
	const offset, prime = 14695981039346656037, 1099511628211 // FNV-1a
	h := uint64(offset)
	mix := func(s string) {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * prime
		}
		h = (h ^ 0xff) * prime // no UTF-8 has it: "a"+"bc" is not "ab"+"c"
	}
	mix(e.topic)
	if e.key == "" {
		mix("")
		mix(e.id)
	} else {
		mix(e.key)
	}
	// The low bits choose the bucket: let all have a say in them.
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	return int64(h >> 1)
}

// bucketOf is the bucket of an aggregate.
func bucketOf(aggregate int64, buckets int) int { return int(aggregate % int64(buckets)) }
