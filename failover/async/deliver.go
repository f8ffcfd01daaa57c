package async

import (
	"context"
	"errors"
	"time"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/ratelimit"
)

// errUserLeft is the note of a request whose send did not return.
var errUserLeft = errors.New("async: the call panicked or left its goroutine")

// deliver takes a Leased row to its next state.
func (w *worker[Req]) deliver(h *holding) {
	cfg := w.r.config.Load()
	value, err := w.r.set.codec.Decode(h.row.Payload)
	if err != nil {
		w.write(cfg, h, Change{From: Leased, To: Dead, Note: clip("decode: " + err.Error())})
		return
	}
	if !w.admitted(cfg, h, value) {
		w.write(cfg, h, Change{From: Leased, To: Queued, GiveBack: true})
		return
	}
	if h.ctx.Err() != nil || !w.submit(cfg, h) {
		return
	}
	w.r.set.hook("submitted")
	if w.overdue(h) {
		// Somebody else may find out by now what became of it: nothing did.
		w.write(cfg, h, Change{From: Submitted, To: Queued, GiveBack: true})
		return
	}
	w.attempt(cfg, h, value)
}

// submit marks the row before the call, and tells whether the call may be made.
func (w *worker[Req]) submit(cfg *Config, h *holding) bool {
	refused, err := w.r.changes.do(context.Background(), cfg.StoreTimeout,
		Change{ID: h.row.ID, Token: h.row.Token, From: Leased, To: Submitted})
	switch {
	case err != nil:
		w.failed("submit", err) // marked or not: the end of the lease decides
	case errors.Is(refused, ErrExpired):
		w.r.counters.states[Expired].Add(1)
	case refused != nil:
		w.lost(h, Submitted)
	default:
		return true
	}
	return false
}

// attempt makes the call and writes its result down, also when send panics.
func (w *worker[Req]) attempt(cfg *Config, h *holding, value Req) {
	ctx := w.r.set.load(h.ctx, h.row.Carried)
	ctx, end := w.r.set.observer.Start(ctx, observe.Operation{Kind: &deliverKind, Values: observe.Values{cfg.Name}})
	result := observe.Result{Outcome: observe.Panicked, Values: observe.Values{Unknown.String()}}
	returned := false
	defer func() {
		defer func() { end(result) }()
		if !returned {
			w.write(cfg, h, w.after(cfg, h, Uncertain, errUserLeft))
		}
	}()
	w.r.counters.attempts.Add(1)
	made, err := w.r.call(ctx, cfg, value, Delivery{Key: h.row.Key, Attempt: h.row.Attempts})
	returned = true
	w.r.set.hook("sent")
	change := w.refusal(cfg, err)
	if made {
		change = w.after(cfg, h, w.r.set.classify(err), err)
	}
	w.write(cfg, h, change)
	if change.To == Delivered {
		w.on(cfg)
	}
	w.r.set.hook("finished")
	result = observe.Result{Outcome: observe.OutcomeOf(err), Err: err, Values: observe.Values{change.To.String()}}
	if !made {
		result.Outcome = observe.Rejected
	}
}

// refusal is the change after a call that was not made: the attempt does not count.
// When the judge refused, nothing is claimed until it may think otherwise, and the row
// is due at once: put off, it would come behind all that was accepted meanwhile.
func (w *worker[Req]) refusal(cfg *Config, err error) Change {
	change := Change{From: Submitted, To: Queued, GiveBack: true, Note: note(err)}
	delay := w.spread(max(askedFor(err), cfg.Poll))
	if errors.Is(err, circuitbreaker.ErrOpen) {
		w.off(delay)
	} else {
		change.Delay = delay
	}
	return change
}

func askedFor(err error) time.Duration {
	var asked interface{ RetryAfter() time.Duration }
	if errors.As(err, &asked) {
		return max(asked.RetryAfter(), 0)
	}
	return 0
}

// after is the change after a call with a verdict.
func (w *worker[Req]) after(cfg *Config, h *holding, v Verdict, err error) Change {
	spent := h.row.Attempts >= cfg.tries()
	again := Change{From: Submitted, To: Queued, Delay: max(cfg.pause(h.row.Attempts, w.r.set.rand()), askedFor(err)), Note: note(err)}
	switch {
	case v == Succeeded:
		return Change{From: Submitted, To: Delivered}
	case v == Hopeless:
		return Change{From: Submitted, To: Dead, Note: note(err)}
	case v == Failed && (errors.Is(err, ratelimit.ErrLimited) || errors.Is(err, circuitbreaker.ErrOpen)):
		again.Delay, again.GiveBack = w.spread(max(askedFor(err), cfg.Poll)), true
		return again // turned away on this side: no attempt was made
	case v == Uncertain && w.r.set.reconcile != nil:
		return Change{From: Submitted, To: Unknown, Delay: cfg.CheckAfter, Note: note(err)}
	case v == Uncertain && cfg.Class == AtMostOnce:
		return Change{From: Submitted, To: Unknown, Delay: forever, Note: note(err)}
	case spent:
		return Change{From: Submitted, To: Dead, Note: note(err)}
	default:
		return again
	}
}

// write writes the change of a held row down, with all patience: when it can't be
// written, the end of the lease makes the result unknown.
func (w *worker[Req]) write(cfg *Config, h *holding, c Change) {
	c.ID, c.Token = h.row.ID, h.row.Token
	for began, pause := time.Now(), 10*time.Millisecond; ; pause *= 2 {
		refused, err := w.r.changes.do(context.Background(), cfg.StoreTimeout, c)
		switch {
		case err == nil && refused == nil:
			w.r.counters.states[c.To].Add(1)
			return
		case err == nil:
			w.lost(h, c.To)
			return
		}
		w.failed("write", err)
		if time.Since(began)+pause > cfg.Lease {
			w.lost(h, c.To)
			return
		}
		w.wait(context.Background(), pause, false)
	}
}

// lost tells of a result that could not be written: the only evidence of it.
func (w *worker[Req]) lost(h *holding, to State) {
	w.r.counters.lost.Add(1)
	w.r.emitLost(context.Background(), to)
	w.r.set.log.Warn("async: lease lost before the result was written",
		logger.String("queue", h.row.Queue), logger.Int64("id", h.row.ID), logger.String("result", to.String()))
}

// check takes a Reconciling row to its next state.
func (w *worker[Req]) check(h *holding) {
	cfg := w.r.config.Load()
	value, err := w.r.set.codec.Decode(h.row.Payload)
	if err != nil {
		w.write(cfg, h, Change{From: Reconciling, To: Unknown, Delay: forever, Note: clip("decode: " + err.Error())})
		return
	}
	if w.leaving() {
		w.write(cfg, h, Change{From: Reconciling, To: Unknown, GiveBack: true})
		return
	}
	ctx, end := w.r.set.observer.Start(w.r.set.load(h.ctx, h.row.Carried), observe.Operation{Kind: &reconcileKind, Values: observe.Values{cfg.Name}})
	result := observe.Result{Outcome: observe.Panicked, Values: observe.Values{Unknown.String()}}
	returned := false
	defer func() {
		defer func() { end(result) }()
		if !returned {
			w.write(cfg, h, w.checked(cfg, h, Uncertain, errUserLeft))
		}
	}()
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, deliveryKey{}, Delivery{Key: h.row.Key, Attempt: h.row.Attempts}), cfg.SendTimeout)
	defer cancel()
	verdict, err := w.r.set.reconcile(ctx, value)
	returned = true
	if err != nil {
		verdict = Uncertain
	}
	change := w.checked(cfg, h, verdict, err)
	w.write(cfg, h, change)
	w.r.set.hook("checked")
	result = observe.Result{Outcome: observe.OutcomeOf(err), Err: err, Values: observe.Values{change.To.String()}}
}

// checked is the change after a check with a verdict.
func (w *worker[Req]) checked(cfg *Config, h *holding, v Verdict, err error) Change {
	c := Change{From: Reconciling, Note: note(err)}
	switch {
	case v == Succeeded:
		c.To = Delivered
	case v == Hopeless, v == Failed && h.row.Attempts >= cfg.tries():
		c.To = Dead
	case v == Failed:
		c.To = Queued
	case h.row.Checks < cfg.Checks:
		c.To, c.Delay = Unknown, cfg.checkPause(h.row.Checks)
	case cfg.Class == AtLeastOnce && h.row.Attempts < cfg.tries():
		c.To, c.Delay = Queued, cfg.pause(max(h.row.Attempts, 1), w.r.set.rand())
	default:
		c.To, c.Delay = Unknown, forever
	}
	return c
}
