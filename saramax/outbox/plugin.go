package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"sync"

	"gorm.io/gorm"
)

// Defaults of [Settings].
const (
	// DefaultTable is the table of events.
	DefaultTable = "outbox_events"
	// DefaultBuckets is how many buckets aggregates are hashed into.
	DefaultBuckets = 64
	// DefaultMaxBytes is what sarama and Kafka take unless they are told otherwise.
	DefaultMaxBytes = 1_000_000
)

// maxBuckets keeps what one claim asks for within what databases take.
const maxBuckets = 256

// Settings are what writers, relays and admins of one outbox must agree on. The zero
// value is all defaults.
type Settings struct {
	// Table is the table of events, [DefaultTable] by default; the names of four
	// others begin with it.
	Table string
	// Buckets is how many buckets there are, [DefaultBuckets] by default, and 256 at
	// most. At most so many relays share the work. Changing it takes an empty table
	// without relays, and [Migrate] after it was dropped.
	Buckets int
	// MaxBytes bounds key, headers and payload of an event together, with what Kafka
	// adds; [DefaultMaxBytes] by default. Set it to the least of the producer's
	// Producer.MaxMessageBytes and the topics' max.message.bytes, which a relay would
	// meet too late.
	MaxBytes int
}

// tableName is what may stand in a statement without quotes.
var tableName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,47}$`)

func (s Settings) checked() (Settings, error) {
	if s.Table == "" {
		s.Table = DefaultTable
	}
	if s.Buckets == 0 {
		s.Buckets = DefaultBuckets
	}
	if s.MaxBytes == 0 {
		s.MaxBytes = DefaultMaxBytes
	}
	var v violations
	v.require(tableName.MatchString(s.Table), "Settings.Table", s.Table, "up to 48 of a-z, 0-9 and _, not beginning with a digit")
	v.require(s.Buckets >= 1 && s.Buckets <= maxBuckets, "Settings.Buckets", s.Buckets, "from 1 to 256")
	v.require(s.MaxBytes >= 1, "Settings.MaxBytes", s.MaxBytes, "positive")
	return s, v.err()
}

// violations are what is wrong with a configuration.
type violations []error

func (v *violations) require(ok bool, field string, value any, must string) {
	if !ok {
		*v = append(*v, fmt.Errorf("%s is %v: must be %s", field, value, must))
	}
}

func (v violations) err() error {
	if len(v) == 0 {
		return nil
	}
	return fmt.Errorf("outbox: %w", errors.Join(v...))
}

// Codec encodes an event.
type Codec func(event any) ([]byte, error)

// Inject adds the trace context of ctx to the headers that are stored with an event.
// With OpenTelemetry:
//
//	func(ctx context.Context, headers map[string]string) {
//		otel.GetTextMapPropagator().Inject(ctx, propagation.MapCarrier(headers))
//	}
type Inject func(ctx context.Context, headers map[string]string)

// Plugin is the outbox of a *gorm.DB: install it with db.Use. Whoever is given db or
// one of its transactions, [Add], [Migrate], [NewRelay] and [NewAdmin], finds the
// settings in it, and without a Plugin takes the defaults. A commit that [Add] took
// part in wakes the relays of the same Plugin. Create it with [NewPlugin].
type Plugin struct {
	settings Settings
	codec    Codec
	inject   Inject

	mu      sync.Mutex
	waiting map[chan struct{}]bool // one for each relay that runs; each has room for one
}

// PluginOption configures [NewPlugin].
type PluginOption interface{ apply(*Plugin) }

type pluginOption func(*Plugin)

func (f pluginOption) apply(p *Plugin) { f(p) }

// WithCodec encodes events with c, with JSON otherwise.
func WithCodec(c Codec) PluginOption { return pluginOption(func(p *Plugin) { p.codec = c }) }

// WithInject stores trace context with each event. Without it consumers cannot tell
// which request an event came from.
func WithInject(f Inject) PluginOption { return pluginOption(func(p *Plugin) { p.inject = f }) }

// NewPlugin returns a Plugin. The error names every setting that is wrong.
func NewPlugin(settings Settings, opts ...PluginOption) (*Plugin, error) {
	p := &Plugin{codec: json.Marshal, inject: func(context.Context, map[string]string) {}}
	for _, o := range opts {
		if o != nil {
			o.apply(p)
		}
	}
	var err error
	p.settings, err = settings.checked()
	var v violations
	v.require(p.codec != nil, "WithCodec", nil, "given")
	v.require(p.inject != nil, "WithInject", nil, "given")
	if err = errors.Join(err, v.err()); err != nil {
		return nil, err
	}
	return p, nil
}

// pluginName is the key of a Plugin in a gorm.DB.
const pluginName = "bulwark:outbox"

// Name implements [gorm.Plugin].
func (p *Plugin) Name() string { return pluginName }

// Initialize implements [gorm.Plugin]: it puts itself where commits pass.
func (p *Plugin) Initialize(db *gorm.DB) error {
	if _, ok := dialects[db.Name()]; !ok {
		return fmt.Errorf("outbox: dialect %q: must be mysql, postgres or sqlite", db.Name())
	}
	p.wrapPool(db)
	return nil
}

// pluginOf returns the plugin of db, or one of all defaults that nobody else has.
func pluginOf(db *gorm.DB) *Plugin {
	if p, ok := db.Plugins[pluginName].(*Plugin); ok {
		return p
	}
	return &Plugin{
		settings: Settings{Table: DefaultTable, Buckets: DefaultBuckets, MaxBytes: DefaultMaxBytes},
		codec:    json.Marshal,
	}
}

// subscribe returns a channel that is ready after a commit, until the returned function
// is called.
func (p *Plugin) subscribe() (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting == nil {
		p.waiting = make(map[chan struct{}]bool)
	}
	p.waiting[c] = true
	return c, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.waiting, c)
	}
}

// committed wakes the relays.
func (p *Plugin) committed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.waiting {
		select {
		case c <- struct{}{}:
		default: // it is about to look anyway
		}
	}
}
