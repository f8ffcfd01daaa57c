package chain

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/bulwark-go/bulwark/failover"
	"github.com/bulwark-go/bulwark/failover/async"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/smsx"
)

// RescueConfig holds the settings of [NewRescue].
type RescueConfig struct {
	// Config is that of the queue; Name is required. Class must stay zero: messages
	// say themselves what may be sent again. Those of class [smsx.AtLeastOnce] wait in
	// a queue of their own, Name with ".again" added. NotAfter holds for messages that
	// have none.
	async.Config
	// MinLeft is how much of its time a message must have left to be worth storing
	// or sending from the store; 0 by default. A one-time code that comes in its last
	// minute is of no use.
	MinLeft time.Duration
}

// Verdict reads an error of Send for package async: a rejection that waiting or an
// operator may mend has failed, one for the number's or the template's sake is
// hopeless, and unknown is uncertain. Give it to [async.NewJudge].
func Verdict(err error) async.Verdict {
	var failed *smsx.SendError
	switch {
	case err == nil:
		return async.Succeeded
	case errors.As(err, &failed) && failed.Outcome() != failover.Unknown:
		for _, r := range failed.Receipt.Results {
			if mendable(r.Reason) {
				return async.Failed
			}
		}
		return async.Hopeless
	case failed == nil && errors.Is(err, ratelimit.ErrLimited):
		return async.Failed
	}
	switch failover.Classify(context.Background(), err) {
	case failover.Rejected:
		return async.Failed
	case failover.Final:
		return async.Hopeless
	default:
		return async.Uncertain
	}
}

// mendable tells whether time or an operator may mend what a rejection was for.
func mendable(r smsx.Reason) bool { return r.Elsewhere() && r != smsx.ReasonTemplate }

// Rescue stores messages that can't be sent now and sends them later: those that a
// limiter, a breaker or the judge turned away, and those that every provider rejected
// for a reason that may pass. Make it with [NewRescue], and run [Rescue.Run]
// somewhere. It is safe for concurrent use.
//
// The receipt of a number that was stored says Accepted, with Deferred set: from then
// on the message is the store's to deliver, once, before NotAfter.
type Rescue struct {
	next    smsx.Service
	name    string
	minLeft time.Duration
	lanes   [2]lane // by smsx.Class
}

// lane is the queue of a class, three ways into the same store.
type lane struct {
	now   *async.Rescued[smsx.Message] // one number: sent, or stored
	whole *async.Rescued[smsx.Message] // several: sent, never stored as one
	later *async.Rescued[smsx.Message] // one number, stored
}

// NewRescue returns a service that stores what next can't send in store. The options
// are those of package async for [smsx.Message], [async.WithJudge] and
// [async.WithLimiter] above all; what they have of [async.WithTerms] and
// [async.WithClassifier] is replaced. Without [async.WithCodec] messages are stored as
// [Plain].
//
// A message to several numbers is sent as one. What is left of it is stored number by
// number, as each has an outcome of its own. A message with an ID is stored once for
// each number, however often it comes.
func NewRescue(next smsx.Service, store async.Store, cfg RescueConfig, opts ...async.Option) (*Rescue, error) {
	errs := []error{fits(Rescuing, next)}
	if cfg.Class != async.AtMostOnce {
		errs = append(errs, fmt.Errorf("%w: Class %d: must be zero", ErrConfig, cfg.Class))
	}
	if cfg.MinLeft < 0 || cfg.MinLeft > 24*time.Hour {
		errs = append(errs, fmt.Errorf("%w: MinLeft %v: must be between 0s and 24h", ErrConfig, cfg.MinLeft))
	}
	r := &Rescue{next: next, name: cfg.Name, minLeft: cfg.MinLeft}
	opts = append([]async.Option{async.WithCodec(Plain())}, opts...)
	opts = append(opts, async.WithTerms(r.terms), async.WithClassifier(Verdict))
	for class := range r.lanes {
		lane, err := newLane(store, r, laneConfig(cfg.Config, smsx.Class(class)), opts)
		if err != nil {
			errs = append(errs, fmt.Errorf("%w: %w", ErrConfig, err))
			break // the other one has the same
		}
		r.lanes[class] = lane
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return r, nil
}

func laneConfig(cfg async.Config, class smsx.Class) async.Config {
	if class == smsx.AtLeastOnce && cfg.Name != "" {
		cfg.Name, cfg.Class = cfg.Name+".again", async.AtLeastOnce
	}
	return cfg
}

func newLane(store async.Store, r *Rescue, cfg async.Config, opts []async.Option) (l lane, err error) {
	if l.now, err = async.New(store, r.send, cfg, opts...); err != nil {
		return l, err
	}
	cfg.Mode = async.AlwaysNow
	if l.whole, err = async.New(store, r.sendWhole, cfg, opts...); err != nil {
		return l, err
	}
	cfg.Mode = async.AlwaysLater
	l.later, err = async.New(store, r.send, cfg, opts...)
	return l, err
}

// Queue returns the queue of messages of a class, for consoles: its depth and age, to
// pause and resume it, to list, requeue and purge. A class out of range gets that of
// [smsx.AtMostOnce].
func (r *Rescue) Queue(class smsx.Class) *async.Rescued[smsx.Message] {
	if class > smsx.AtLeastOnce {
		class = smsx.AtMostOnce
	}
	return r.lanes[class].now
}

func (*Rescue) rank() Rank { return Rescuing }

// Run delivers what is stored until ctx ends, and returns after the sends under way
// have ended: see [async.Rescued.Run]. Any number of instances may run at once.
func (r *Rescue) Run(ctx context.Context) error {
	var wait sync.WaitGroup
	errs := make([]error, len(r.lanes))
	for i, l := range r.lanes {
		wait.Go(func() { errs[i] = l.now.Run(ctx) })
	}
	wait.Wait()
	return errors.Join(errs...)
}

// terms are what a message to one number asks for.
func (r *Rescue) terms(m smsx.Message) async.Terms {
	var t async.Terms
	if m.ID != "" && len(m.Numbers) == 1 {
		sum := sha256.Sum256([]byte(m.ID + "\x00" + m.Numbers[0].E164()))
		t.Key = hex.EncodeToString(sum[:]) // shows no number
	}
	if !m.NotAfter.IsZero() {
		t.NotAfter = max(time.Until(m.NotAfter)-r.minLeft, 1) // 0 would be the default
	}
	return t
}

type captureKey struct{}

// capture is where a send within Send leaves its receipt.
type capture struct {
	receipt smsx.Receipt
	err     error
	sent    bool
}

// send is what the queues deliver with.
func (r *Rescue) send(ctx context.Context, m smsx.Message) error {
	receipt, err := r.next.Send(ctx, m)
	if c, ok := ctx.Value(captureKey{}).(*capture); ok {
		*c = capture{receipt, err, true}
	}
	return err
}

// sendWhole sends to several numbers. The judge hears of what is the providers' fault:
// the rest is for the receipt to tell.
func (r *Rescue) sendWhole(ctx context.Context, m smsx.Message) error {
	err := r.send(ctx, m)
	if ours(err) || smsx.Fault(err) || errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// Send implements [smsx.Service].
func (r *Rescue) Send(ctx context.Context, m smsx.Message) (smsx.Receipt, error) {
	if receipt, err, bad := refused(ctx, m); bad {
		return receipt, err
	}
	l := r.lanes[m.Class]
	mode := l.now.Config().Mode
	if r.late(m) {
		if mode == async.AlwaysLater {
			return nothing(m, smsx.ReasonDown, async.ErrExpired)
		}
		l.now, mode = l.whole, async.AlwaysNow // now or never
	}
	if len(m.Numbers) == 1 {
		return r.one(ctx, l.now, m)
	}
	return r.several(ctx, l, mode, m)
}

// late tells whether a message is not worth storing any more.
func (r *Rescue) late(m smsx.Message) bool {
	return !m.NotAfter.IsZero() && time.Until(m.NotAfter) <= r.minLeft
}

// one sends or stores a message to one number.
func (r *Rescue) one(ctx context.Context, queue *async.Rescued[smsx.Message], m smsx.Message) (smsx.Receipt, error) {
	var c capture
	out, err := queue.Do(context.WithValue(ctx, captureKey{}, &c), m)
	switch {
	case err == nil && out.Status == async.Done && !out.Duplicate:
		return c.receipt, nil
	case err == nil && out.Reason == async.Unclear && m.Class == smsx.AtMostOnce:
		return c.receipt, c.receipt.Err(c.err) // stored to be found out about, not to be sent
	case err == nil:
		return smsx.Same(m, smsx.Result{
			Outcome: smsx.Accepted, Provider: r.name, Reason: smsx.ReasonAccepted, MessageID: out.Key, Deferred: true,
		}), nil
	case !storeKnows(err):
		unknown := smsx.Same(m, smsx.Result{Provider: r.name, Reason: smsx.ReasonDown})
		return unknown, unknown.Err(err)
	case c.sent && len(c.receipt.Results) == 1:
		return c.receipt, c.receipt.Err(err)
	case c.sent:
		unknown := smsx.Same(m, smsx.Result{Outcome: smsx.OutcomeOf(c.err), Reason: smsx.ReasonDown})
		return unknown, unknown.Err(err)
	}
	return nothing(m, smsx.ReasonDown, err)
}

// storeKnows tells whether an error leaves no doubt that the message was not stored.
func storeKnows(err error) bool {
	var failed *async.NotAcceptedError
	if !errors.As(err, &failed) {
		return true
	}
	for _, definite := range []error{async.ErrFull, async.ErrExpired, async.ErrEnded} {
		if errors.Is(failed.Err, definite) {
			return true
		}
	}
	return false
}

// several sends a message to many numbers as one, and stores what is left of it.
func (r *Rescue) several(ctx context.Context, l lane, mode async.Mode, m smsx.Message) (smsx.Receipt, error) {
	t := newTally(m)
	var c capture
	var err error
	if mode != async.AlwaysLater {
		_, err = l.whole.Do(context.WithValue(ctx, captureKey{}, &c), m)
	}
	switch {
	case c.sent:
		err = c.err
		t.add(c.receipt, c.err, func(res smsx.Result) bool {
			return res.Outcome == smsx.Rejected && mendable(res.Reason) || doubtful(m, res)
		})
	case ctx.Err() != nil, err != nil && !ours(err) && l.whole.Config().LimiterFailure == async.RefuseIt:
		return nothing(m, smsx.ReasonDown, err)
	}
	if mode == async.AlwaysNow || errors.Is(ctx.Err(), context.Canceled) {
		return t.end(err)
	}
	return r.store(ctx, l.later, t, err)
}

// store stores what is left of a message, number by number.
func (r *Rescue) store(ctx context.Context, later *async.Rescued[smsx.Message], t *tally, cause error) (smsx.Receipt, error) {
	for _, place := range t.left {
		part := t.m
		part.Numbers = t.m.Numbers[place : place+1 : place+1]
		receipt, err := r.one(ctx, later, part)
		if err != nil {
			cause = err
			if t.results[place].Outcome == smsx.Unknown {
				continue // so it stays
			}
		}
		t.results[place] = receipt.Results[0]
	}
	return t.end(cause)
}
