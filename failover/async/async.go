package async

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Status tells what became of a request. The zero Status is Refused.
type Status uint8

// The statuses of an [Outcome].
const (
	// Refused: not delivered and not stored. There is an error, too.
	Refused Status = iota
	// Done: delivered within the call.
	Done
	// Accepted: stored durably, to be delivered later.
	Accepted
)

var statusNames = []string{"refused", "done", "accepted"}

// String returns the status's name, "invalid" for a value out of range.
func (s Status) String() string { return nameOf(statusNames, int(s)) }

// Reason tells why a request was stored instead of sent. The zero Reason is
// NoReason. The texts of reasons are stored and are labels.
type Reason string

// The reasons.
const (
	// NoReason: it was not stored.
	NoReason Reason = ""
	// Limited: the limiter, or one further in, denied the call.
	Limited Reason = "limited"
	// LimiterFailed: the limiter could not be asked, and [Config.LimiterFailure]
	// says to store.
	LimiterFailed Reason = "limiter_failed"
	// Judged: the judge, or a breaker further in, refused the call.
	Judged Reason = "judged"
	// Turned: the call was made and definitely not carried out, for now.
	Turned Reason = "turned_away"
	// Unclear: the call was made and nobody knows whether it was carried out; it is
	// stored to be reconciled, or to be sent again under [AtLeastOnce].
	Unclear Reason = "unclear"
	// Forced: [Config.Mode] is [AlwaysLater].
	Forced Reason = "forced"
	// Waiting: [Config.Lookup] found the key among the stored requests.
	Waiting Reason = "waiting"
)

// Outcome is the answer of [Rescued.Do]. The zero Outcome is a refusal.
type Outcome struct {
	// Status tells what became of the request.
	Status Status
	// Key names the request, as it is stored: the one of its [Terms], or one made
	// up for it.
	Key string
	// Reason tells why it was stored.
	Reason Reason
	// Duplicate tells that a request with this key had been stored before, in
	// whatever state it is; this one was not stored again.
	Duplicate bool
}

// Terms are what a request asks for besides being delivered.
type Terms struct {
	// Key identifies the request: the store keeps each key once, for as long as
	// [Config.Retain] after its end. Empty: each call is a request of its own. Any
	// bytes will do; keys over [MaxKey] bytes are stored as their SHA-256.
	Key string
	// NotAfter is for how long from now the request is worth delivering; 0 takes
	// [Config.NotAfter], negative is for ever.
	NotAfter time.Duration
	// Priority decides who goes first; the zero Priority is [Normal].
	Priority Priority
	// LimitKey is the key for the limiter; empty takes [Config.Name].
	LimitKey string
}

// MaxKey is how many bytes of a key are stored as they are.
const MaxKey = 128

// Delivery is what send can learn about the call it makes, with [DeliveryOf].
type Delivery struct {
	// Key names the request. It is the same for every attempt, so that a provider
	// that takes an id of ours can be asked for it by the reconciler.
	Key string
	// Attempt counts from 1; 0 for a call within [Rescued.Do].
	Attempt int
}

type deliveryKey struct{}

// DeliveryOf returns the Delivery that ctx belongs to; ok is false outside of
// one.
func DeliveryOf(ctx context.Context) (d Delivery, ok bool) {
	d, ok = ctx.Value(deliveryKey{}).(Delivery)
	return d, ok
}

// Rescued makes calls now or later. Create it with [New]. It is safe for
// concurrent use.
type Rescued[Req any] struct {
	store    Store
	send     func(context.Context, Req) error
	set      settings[Req]
	config   atomic.Pointer[Config]
	updating sync.Mutex

	puts     batcher[Entry, Stored]
	changes  batcher[Change, error]
	state    watch
	counters counters
}

// New returns a Rescued over store that delivers with send. It starts nothing:
// run at least one [Rescued.Run] somewhere, else accepted requests wait.
//
// send makes the call. Its error is read by the classifier ([Classify] unless
// [WithClassifier]); wrap what is known with [NotDone] or [Never]. It must return
// soon after its context ends.
//
// New returns [ErrConfig] joined with every violation.
func New[Req any](store Store, send func(context.Context, Req) error, cfg Config, opts ...Option) (*Rescued[Req], error) {
	cfg = cfg.withDefaults()
	set, errs := newSettings[Req](opts)
	errs = append(errs, cfg.check()...)
	if store == nil {
		errs = append(errs, violation("store", nil, "given"))
	}
	if send == nil {
		errs = append(errs, violation("send", nil, "given"))
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("%w: %w", ErrConfig, errors.Join(errs...))
	}
	r := &Rescued[Req]{store: store, send: send, set: set}
	r.config.Store(&cfg)
	r.puts = batcher[Entry, Stored]{flush: store.Put, most: maxBatch, alone: true}
	r.changes = batcher[Change, error]{flush: store.Write, most: maxBatch}
	return r, nil
}

// Config returns the settings in force, defaults filled in.
func (r *Rescued[Req]) Config() Config { return *r.config.Load() }

// Update replaces the settings of a running Rescued. A bad Config is refused with
// [ErrConfig] and changes nothing; the Name cannot change, as it tells which of the
// stored requests are ours.
func (r *Rescued[Req]) Update(cfg Config) error {
	r.updating.Lock()
	defer r.updating.Unlock()
	cfg = cfg.withDefaults()
	errs := cfg.check()
	if was := r.Config().Name; cfg.Name != was {
		errs = append(errs, violation("Name", cfg.Name, fmt.Sprintf("%q for as long as it lives", was)))
	}
	if len(errs) > 0 {
		return fmt.Errorf("%w: %w", ErrConfig, errors.Join(errs...))
	}
	r.config.Store(&cfg)
	return nil
}

// newKey makes up a key that no other request has.
func newKey() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, by its contract
	return hex.EncodeToString(b[:])
}

func nameOf(names []string, i int) string {
	if i < 0 || i >= len(names) {
		return "invalid"
	}
	return names[i]
}
