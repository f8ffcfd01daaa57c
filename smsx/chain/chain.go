package chain

import (
	"context"
	"errors"
	"fmt"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/failover"
	"github.com/bulwark-go/bulwark/failover/async"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/action"
	"github.com/bulwark-go/bulwark/smsx"
)

// Config holds the plain settings of [New]. Only Name is required; a zero field means
// its default.
type Config struct {
	// Name is the stack's, in metrics, lines and as the name of its queue; at most 50
	// bytes.
	Name string
	// App tells applications that share a limiter apart; Name by default.
	App string
	// Failover is how providers are tried; its Name must be empty.
	Failover failover.Config
	// Retry is how messages are tried again. Its zero value is not at all.
	Retry RetryConfig
	// Rescue is how messages wait, with [WithRescue]; its Name must be empty.
	Rescue RescueConfig
}

// Option configures [New].
type Option interface{ apply(*options) }

type optionFunc func(*options)

func (f optionFunc) apply(o *options) { f(o) }

type options struct {
	limiter  ratelimit.Limiter
	denied   action.Action[smsx.Receipt]
	breaker  func(provider string) (circuitbreaker.Gate, error)
	failover []failover.Option
	store    async.Store
	rescue   []async.Option
	observer observe.Observer
	log      logger.Logger
	layers   []Layer
}

// WithLimit limits what is sent through each provider, under [Key]. What is denied
// goes to the next provider, and to the rescue when all deny it.
func WithLimit(l ratelimit.Limiter) Option { return optionFunc(func(o *options) { o.limiter = l }) }

// WithDenied says what becomes of a message that the limiter denies a provider,
// instead of going on to the next: [action.Wait], for one.
func WithDenied(a action.Action[smsx.Receipt]) Option {
	return optionFunc(func(o *options) { o.denied = a })
}

// WithBreakers puts a gate before each provider, which gate makes: a breaker, or a
// throttle. It is for detectors that the judge of the failover does not have; both
// would count the same failures.
func WithBreakers(gate func(provider string) (circuitbreaker.Gate, error)) Option {
	return optionFunc(func(o *options) { o.breaker = gate })
}

// WithFailover sets how providers are chosen and judged: see [NewFailover].
func WithFailover(opts ...failover.Option) Option {
	return optionFunc(func(o *options) { o.failover = append(o.failover, opts...) })
}

// WithRescue stores what can't be sent now in store, and lets [Service.Run] deliver it
// later: see [NewRescue].
func WithRescue(store async.Store, opts ...async.Option) Option {
	return optionFunc(func(o *options) { o.store, o.rescue = store, append(o.rescue, opts...) })
}

// WithObserver reports to o each message, each attempt and each switch of providers.
func WithObserver(o observe.Observer) Option { return optionFunc(func(s *options) { s.observer = o }) }

// WithLogger writes a masked line for each message to l.
func WithLogger(l logger.Logger) Option { return optionFunc(func(o *options) { o.log = l }) }

// WithLayer puts a layer of the caller's into its place: one of [Authorising],
// [Deduplicating] or [Charging]. Layers of one rank stand in the order in which they
// are given.
func WithLayer(rank Rank, wrap func(next smsx.Service) (smsx.Service, error)) Option {
	return optionFunc(func(o *options) { o.layers = append(o.layers, Layer{rank, wrap}) })
}

// Service is a whole stack. Make it with [New]. It is safe for concurrent use.
type Service struct {
	outer    smsx.Service
	failover *Failover
	rescue   *Rescue // nil: none
}

// New returns the recommended stack over at least one provider: see the package
// comment for its order. The error is [ErrConfig] or [ErrOrder], with each violation
// named.
func New(cfg Config, providers []Provider, opts ...Option) (*Service, error) {
	o := options{observer: observe.Nop()}
	var errs []error
	for i, opt := range opts {
		if opt == nil {
			errs = append(errs, fmt.Errorf("%w: option %d: must be given", ErrConfig, i))
			continue
		}
		opt.apply(&o)
	}
	o.observer = observe.OrNop(o.observer)
	fill(&cfg.App, cfg.Name)
	if err := errors.Join(append(errs, cfg.check(o))...); err != nil {
		return nil, err
	}
	return o.build(cfg, providers)
}

func (c Config) check(o options) error {
	var errs []error
	require := func(ok bool, field string, value any, want string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%w: %s %v: must be %s", ErrConfig, field, value, want))
		}
	}
	require(c.Name != "" && len(c.Name) <= 50, "Name", fmt.Sprintf("%q", c.Name), "of 1 to 50 bytes")
	require(c.Failover.Name == "", "Failover.Name", fmt.Sprintf("%q", c.Failover.Name), "empty: Name is used")
	require(c.Rescue.Name == "", "Rescue.Name", fmt.Sprintf("%q", c.Rescue.Name), "empty: Name is used")
	require(o.store != nil || len(o.rescue) == 0, "WithRescue", "nil", "given a store")
	require(o.denied == nil || o.limiter != nil, "WithDenied", "alone", "with WithLimit")
	for _, l := range o.layers {
		require(l.Rank >= Authorising && l.Rank <= Charging, "WithLayer", l.Rank, "authorising, deduplicating or charging")
	}
	return errors.Join(errs...)
}

// build makes the stack from the inside out.
func (o *options) build(cfg Config, providers []Provider) (*Service, error) {
	s := &Service{}
	var err error
	if s.failover, err = o.switching(cfg, providers); err != nil {
		return nil, err
	}
	layers := o.outside(cfg)
	if o.store != nil {
		layers = append(layers, Layer{Rescuing, func(next smsx.Service) (_ smsx.Service, err error) {
			cfg.Rescue.Name = cfg.Name
			all := append([]async.Option{async.WithObserver(o.observer), async.WithLogger(o.log)}, o.rescue...)
			s.rescue, err = NewRescue(next, o.store, cfg.Rescue, all...)
			return s.rescue, err
		}})
	}
	if cfg.Retry != (RetryConfig{}) {
		layers = append(layers, Layer{Retrying, func(next smsx.Service) (smsx.Service, error) { return NewRetry(next, cfg.Retry) }})
	}
	s.outer, err = Stack(s.failover, layers...)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// outside are the layers that see each message once.
func (o *options) outside(cfg Config) []Layer {
	layers := []Layer{{Observing, func(next smsx.Service) (smsx.Service, error) {
		return Observe(Log(next, cfg.Name, o.log), cfg.Name, o.observer), nil
	}}}
	for rank := Authorising; rank <= Charging; rank++ {
		for _, l := range o.layers {
			if l.Rank == rank {
				layers = append(layers, l)
			}
		}
	}
	return layers
}

// switching decorates each provider and puts the failover over them.
func (o *options) switching(cfg Config, providers []Provider) (*Failover, error) {
	decorated := make([]Provider, len(providers))
	for i, p := range providers {
		if p.Value == nil {
			return nil, fmt.Errorf("%w: providers[%d].Value: must be given", ErrConfig, i)
		}
		s := Observe(p.Value, cfg.Name+"/"+p.Name, o.observer)
		if o.limiter != nil {
			s = Limit(s, o.limiter, Key(p.Name, cfg.App), o.denied)
		}
		if o.breaker != nil {
			gate, err := o.breaker(p.Name)
			if err == nil && gate == nil {
				err = errors.New("must be given")
			}
			if err != nil {
				return nil, fmt.Errorf("%w: breaker of %q: %w", ErrConfig, p.Name, err)
			}
			s = Break(s, gate)
		}
		decorated[i], decorated[i].Value = p, s
	}
	cfg.Failover.Name = cfg.Name
	opts := append([]failover.Option{failover.WithObserver(o.observer)}, o.failover...)
	f, err := NewFailover(cfg.Failover, decorated, opts...)
	if err != nil {
		return nil, err
	}
	return f.Observed(o.observer), nil
}

// Send implements [smsx.Service].
func (s *Service) Send(ctx context.Context, m smsx.Message) (smsx.Receipt, error) {
	return s.outer.Send(ctx, m)
}

// Run delivers stored messages until ctx ends, and waits for the sends under way.
// Without a rescue it just waits for ctx. It returns nil when ctx has ended. Any number
// of instances may run at once.
func (s *Service) Run(ctx context.Context) error {
	if s.rescue == nil {
		<-ctx.Done()
		return nil
	}
	return s.rescue.Run(ctx)
}

// Failover returns the part that chooses providers, for consoles.
func (s *Service) Failover() *Failover { return s.failover }

// Rescue returns the part that stores messages, for consoles; nil when there is none.
func (s *Service) Rescue() *Rescue { return s.rescue }

// rank keeps a whole stack from being put under what belongs inside of it.
func (s *Service) rank() Rank { return Observing }
