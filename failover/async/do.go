package async

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/ratelimit"
)

// Do delivers req now, or stores it to be delivered later:
//
//	Done      nil error             send returned in time and was successful
//	Accepted  nil error             stored durably; Reason says why
//	Refused   ErrNotAccepted        to be stored, but it was not
//	Refused   ErrUnknown            the call was made, its result is unknown
//	Refused   any other             send's error, a definite no; or ctx's
//
// A request whose key the store has already is not stored again: its Outcome is
// that of the stored one, with Duplicate set, or [ErrEnded] when that one was given
// up or expired.
//
// Storing does not depend on the deadline of ctx, which the call may have used up:
// it takes up to [Config.StoreTimeout] more. A ctx that is cancelled ends Do at once:
// then the caller no longer wants the request, and nothing more is begun.
//
// A panic of send goes on; nothing is stored then.
func (r *Rescued[Req]) Do(ctx context.Context, req Req) (out Outcome, err error) {
	if err := ctx.Err(); err != nil {
		return Outcome{}, err
	}
	cfg := r.config.Load()
	ctx, end := r.set.observer.Start(ctx, observe.Operation{Kind: &doKind, Values: observe.Values{cfg.Name}})
	result := observe.Result{Outcome: observe.Panicked}
	defer func() { end(result) }()
	out, err = r.do(ctx, cfg, req)
	result = doResult(out, err)
	return out, err
}

// request is one call of Do.
type request[Req any] struct {
	value Req
	terms Terms
	key   string
	began time.Time
}

func (r *Rescued[Req]) do(ctx context.Context, cfg *Config, value Req) (Outcome, error) {
	q := request[Req]{value: value, terms: r.set.terms(value), began: time.Now()}
	if q.key = storedKey(q.terms.Key); q.key == "" {
		q.key = newKey()
	}
	if cfg.Mode == AlwaysLater {
		return r.later(ctx, cfg, q, Forced, nil)
	}
	if cfg.Lookup && q.terms.Key != "" {
		if out, found, err := r.lookup(ctx, cfg, q.key); found || err != nil {
			return out, err
		}
	}
	if reason, err := r.limited(ctx, cfg, q.terms); err != nil {
		if reason == NoReason {
			return Outcome{Key: q.key}, err
		}
		return r.later(ctx, cfg, q, reason, err)
	}
	return r.now(ctx, cfg, q)
}

// lookup finds out whether key is stored already.
func (r *Rescued[Req]) lookup(ctx context.Context, cfg *Config, key string) (Outcome, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.StoreTimeout)
	defer cancel()
	rows, err := r.store.List(ctx, Filter{Queue: cfg.Name, Keys: []string{key}, Most: 1})
	if err != nil {
		return Outcome{Key: key}, false, &NotAcceptedError{Reason: Waiting, Err: err}
	}
	if len(rows) == 0 {
		return Outcome{}, false, nil
	}
	out, err := duplicate(key, Waiting, rows[0].State)
	return out, true, err
}

// duplicate is the answer for a request whose key is stored in state.
func duplicate(key string, reason Reason, state State) (Outcome, error) {
	switch state {
	case Delivered:
		return Outcome{Status: Done, Key: key, Duplicate: true}, nil
	case Dead, Expired:
		return Outcome{Key: key, Reason: reason, Duplicate: true}, &NotAcceptedError{Reason: reason, Err: ErrEnded}
	default:
		return Outcome{Status: Accepted, Key: key, Reason: reason, Duplicate: true}, nil
	}
}

// limited asks the limiter. With an error it returns why the request is to be
// stored, or NoReason where it is not.
func (r *Rescued[Req]) limited(ctx context.Context, cfg *Config, t Terms) (Reason, error) {
	if r.set.limiter == nil {
		return NoReason, nil
	}
	d, err := r.set.limiter.Take(ctx, limitKey(cfg, t), 1)
	switch {
	case err != nil && ctx.Err() != nil:
		return NoReason, err
	case err != nil && cfg.LimiterFailure == StoreIt:
		return LimiterFailed, err
	case err != nil && cfg.LimiterFailure == RefuseIt:
		return NoReason, err
	case err == nil && !d.Allowed:
		return Limited, &ratelimit.LimitedError{Decision: d}
	}
	return NoReason, nil
}

func limitKey(cfg *Config, t Terms) string {
	if t.LimitKey == "" {
		return cfg.Name
	}
	return t.LimitKey
}

// now makes the call, and stores the request where the call leaves it undone.
func (r *Rescued[Req]) now(ctx context.Context, cfg *Config, q request[Req]) (Outcome, error) {
	made, err := r.call(ctx, cfg, q.value, Delivery{Key: q.key})
	if !made {
		if errors.Is(err, circuitbreaker.ErrOpen) {
			return r.later(ctx, cfg, q, Judged, err)
		}
		return Outcome{Key: q.key}, err
	}
	switch verdict := r.set.classify(err); verdict {
	case Succeeded:
		return Outcome{Status: Done, Key: q.key}, nil
	case Hopeless:
		return Outcome{Key: q.key}, err
	case Failed:
		return r.later(ctx, cfg, q, reasonOf(verdict, err), err)
	default:
		return r.unclear(ctx, cfg, q, err)
	}
}

// unclear handles a call of which nobody knows whether it was carried out.
func (r *Rescued[Req]) unclear(ctx context.Context, cfg *Config, q request[Req], err error) (Outcome, error) {
	storable := r.set.reconcile != nil || cfg.Class == AtLeastOnce
	if !storable || cfg.Mode == AlwaysNow || errors.Is(ctx.Err(), context.Canceled) {
		return Outcome{Key: q.key}, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	return r.later(ctx, cfg, q, Unclear, err)
}

// call makes one call through the judge. made tells whether send was reached.
func (r *Rescued[Req]) call(ctx context.Context, cfg *Config, value Req, d Delivery) (made bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, deliveryKey{}, d), cfg.SendTimeout)
	defer cancel()
	send := func(ctx context.Context) (struct{}, error) {
		made = true
		return struct{}{}, r.send(ctx, value)
	}
	if r.set.judge == nil {
		_, err = send(ctx)
	} else {
		_, err = circuitbreaker.Do(ctx, r.set.judge, send)
	}
	return made, err
}

// later stores the request.
func (r *Rescued[Req]) later(ctx context.Context, cfg *Config, q request[Req], why Reason, cause error) (Outcome, error) {
	refuse := func(err error) (Outcome, error) {
		return Outcome{Key: q.key, Reason: why}, &NotAcceptedError{Reason: why, Cause: cause, Err: err}
	}
	if cfg.Mode == AlwaysNow {
		return Outcome{Key: q.key}, cause
	}
	entry, err := r.entry(ctx, cfg, q, why, cause)
	if err != nil {
		return refuse(err)
	}
	if err := r.room(ctx, cfg); err != nil {
		return refuse(err)
	}
	r.set.hook("accepting")
	stored, err := r.puts.do(ctx, cfg.StoreTimeout, entry)
	if err != nil {
		return refuse(err)
	}
	r.set.hook("stored")
	if stored.Duplicate {
		return duplicate(q.key, why, stored.State)
	}
	r.counters.accepted.Add(1)
	r.state.grew()
	return Outcome{Status: Accepted, Key: q.key, Reason: why}, nil
}

// entry is what is stored of a request.
func (r *Rescued[Req]) entry(ctx context.Context, cfg *Config, q request[Req], why Reason, cause error) (Entry, error) {
	payload, err := r.set.codec.Encode(q.value)
	if err != nil {
		return Entry{}, fmt.Errorf("async: encode: %w", err)
	}
	e := Entry{
		Queue: cfg.Name, Key: q.key, Priority: q.terms.Priority,
		Payload: payload, Carried: r.set.save(ctx), Reason: why, Note: note(cause),
	}
	if e.Priority < Low || e.Priority > High {
		return e, violation("Priority", e.Priority, "Low, Normal or High")
	}
	valid := q.terms.NotAfter
	if valid == 0 {
		valid = cfg.NotAfter
	}
	if valid > 0 {
		if e.NotAfter = valid - time.Since(q.began); e.NotAfter <= 0 {
			return e, ErrExpired
		}
	}
	var asked interface{ RetryAfter() time.Duration }
	switch {
	case why == Unclear && r.set.reconcile != nil:
		e.State, e.Delay = Unknown, cfg.CheckAfter
	case why == Unclear, why == Turned:
		e.Delay = cfg.pause(1, r.set.rand())
	case errors.As(cause, &asked):
		e.Delay = min(max(asked.RetryAfter(), 0), cfg.MaxBackoff)
	}
	return e, nil
}

// maxNote bounds what is stored of an error's text.
const maxNote = 500

// note is the text of an error, short enough to be stored.
func note(err error) string {
	if err == nil {
		return ""
	}
	return clip(err.Error())
}
