package async

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/ratelimit"
)

// Option configures [New]. An option made of a function over requests of another
// type than New's is a violation.
type Option interface{ apply(*options) }

type optionFunc func(*options)

func (f optionFunc) apply(o *options) { f(o) }

// options are what the options say, before it is known for which type of request.
type options struct {
	limiter   ratelimit.Limiter
	judge     circuitbreaker.Gate
	classify  Classifier
	observer  observe.Observer
	log       logger.Logger
	rand      func() float64
	owner     string
	save      func(context.Context) map[string]string
	load      func(context.Context, map[string]string) context.Context
	terms     any // func(Req) Terms
	reconcile any // func(context.Context, Req) (Verdict, error)
	codec     any // Codec[Req]
	hook      func(step string)
}

// WithLimiter asks l before every call, under the request's [Terms.LimitKey]. A
// request that is denied is stored; workers wait for l before every delivery, so
// that the backlog is no herd. Without one nothing is limited here; a limiter
// within send works too: what wraps [ratelimit.ErrLimited] is stored.
func WithLimiter(l ratelimit.Limiter) Option { return optionFunc(func(o *options) { o.limiter = l }) }

// WithJudge asks the gate before every call, be it from Do or a worker's. What it
// refuses is stored. The gate decides when to go async, and when to come back: a
// [NewJudge] does so with a few probes, which are real requests, and a growing share
// after them. Any breaker will do. Without one only the limiter and definite
// refusals make a request wait.
func WithJudge(gate circuitbreaker.Gate) Option {
	return optionFunc(func(o *options) { o.judge = gate })
}

// WithTerms says what each request asks for: its key, how long it is worth
// delivering, its priority. Without it all have none of their own.
func WithTerms[Req any](f func(Req) Terms) Option {
	return optionFunc(func(o *options) { o.terms = f })
}

// WithReconciler finds out what became of a request whose result is unknown, for
// example by asking the provider for the id that send gave it; [DeliveryOf] tells
// which. It must not carry the request out. Succeeded and Hopeless end the request,
// Failed queues it again, Uncertain or an error asks again later, [Config.Checks]
// times in all.
//
// With a reconciler, a call of Do whose result is unknown is stored for it, too.
func WithReconciler[Req any](f func(context.Context, Req) (Verdict, error)) Option {
	return optionFunc(func(o *options) { o.reconcile = f })
}

// Codec turns requests into what is stored, and back. What Decode cannot read is
// dead. Encrypt in it what the database must not show.
type Codec[Req any] interface {
	Encode(Req) ([]byte, error)
	Decode([]byte) (Req, error)
}

// WithCodec replaces [JSON], the default.
func WithCodec[Req any](c Codec[Req]) Option { return optionFunc(func(o *options) { o.codec = c }) }

// JSON is the [Codec] of encoding/json.
type JSON[Req any] struct{}

// Encode implements [Codec].
func (JSON[Req]) Encode(r Req) ([]byte, error) { return json.Marshal(r) }

// Decode implements [Codec].
func (JSON[Req]) Decode(b []byte) (r Req, err error) { return r, json.Unmarshal(b, &r) }

// WithClassifier replaces [Classify]. Give the same one to [NewJudge].
func WithClassifier(c Classifier) Option { return optionFunc(func(o *options) { o.classify = c }) }

// WithCarrier stores what save takes from the context of Do, such as trace and
// tenant, beside the request, and puts it into the context of send with load.
// Without it send knows nothing of the caller. Do not save secrets: they are stored
// as they are.
func WithCarrier(save func(context.Context) map[string]string, load func(context.Context, map[string]string) context.Context) Option {
	return optionFunc(func(o *options) { o.save, o.load = save, load })
}

// WithObserver reports what is done to o: "async/do" for each Do, "async/deliver"
// and "async/reconcile" for each attempt of a worker, and "async/lost" for each result
// that could not be written.
func WithObserver(o observe.Observer) Option { return optionFunc(func(s *options) { s.observer = o }) }

// WithLogger tells l of what no caller hears: results that could not be written, and
// uses of the store that failed in the background. Without it nobody is told.
func WithLogger(l logger.Logger) Option { return optionFunc(func(o *options) { o.log = l }) }

// WithRand sets where jitter comes from: numbers in [0, 1), from any goroutine;
// [rand.Float64] without it.
func WithRand(f func() float64) Option { return optionFunc(func(o *options) { o.rand = f }) }

// WithOwner names this instance in the rows it claims, for people: at most 64 bytes;
// a random name without it.
func WithOwner(name string) Option { return optionFunc(func(o *options) { o.owner = name }) }

// settings are the options for one type of request.
type settings[Req any] struct {
	options
	terms     func(Req) Terms
	reconcile func(context.Context, Req) (Verdict, error)
	codec     Codec[Req]
}

func newSettings[Req any](opts []Option) (settings[Req], []error) {
	s := settings[Req]{options: options{
		classify: Classify,
		rand:     rand.Float64,
		owner:    newKey()[:12],
		save:     func(context.Context) map[string]string { return nil },
		load:     func(ctx context.Context, _ map[string]string) context.Context { return ctx },
		hook:     func(string) {},
	}}
	var v violations
	for i, o := range opts {
		if o == nil {
			v.require(false, "option", i, "given")
			continue
		}
		o.apply(&s.options)
	}
	s.observer = observe.OrNop(s.observer)
	s.terms = typed(&v, "WithTerms", s.options.terms, func(Req) Terms { return Terms{} })
	s.reconcile = typed[func(context.Context, Req) (Verdict, error)](&v, "WithReconciler", s.options.reconcile, nil)
	s.codec = typed[Codec[Req]](&v, "WithCodec", s.options.codec, JSON[Req]{})
	v.require(s.classify != nil, "WithClassifier", nil, "given")
	v.require(s.rand != nil, "WithRand", nil, "given")
	v.require(s.save != nil && s.load != nil, "WithCarrier", nil, "two functions")
	v.require(s.owner != "" && len(s.owner) <= 64, "WithOwner", fmt.Sprintf("%q", s.owner), "of 1 to 64 bytes")
	return s, v
}

// typed returns given as a T, or otherwise when none was given.
func typed[T any](v *violations, option string, given any, otherwise T) T {
	if given == nil {
		return otherwise
	}
	t, ok := given.(T)
	v.require(ok, option, fmt.Sprintf("%T", given), fmt.Sprintf("%T, for this type of request", &otherwise))
	return t
}
