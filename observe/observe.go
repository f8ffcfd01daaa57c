// Package observe is the one seam between Bulwark's packages and whatever
// watches them. A package describes what it does as an [Operation] of a fixed
// [Kind] and reports it to an [Observer]; observe/prom turns the reports into
// metrics and observe/otel into traces. N packages and M backends meet here, so
// nobody writes N × M adapters.
//
// An operation has a start and exactly one end:
//
//	ctx, end := observer.Start(ctx, observe.Operation{Kind: &takeKind, Values: observe.Values{"api"}})
//	decision, err := limiter.Take(ctx, key, 1)
//	end(observe.Result{Outcome: outcomeOf(decision, err), Err: err})
//
// Call the end in a deferred function when the work in between can panic or leave
// through runtime.Goexit, else the operation stays in flight for ever.
//
// The label values come from closed sets that the reporting package documents:
// rule names, route templates, provider names; never user ids, phone numbers,
// raw keys or raw paths.
//
// Every Observer in this module is safe for concurrent use. Nothing in this
// package starts a goroutine or keeps global state.
package observe

import "context"

// Observer is told when an operation starts, and through the returned [End] when
// and how it ended. The context it returns is the one to run the operation
// under: a tracing observer puts its span there.
//
// An implementation must be safe for concurrent use, must return a non-nil
// context and End, must not panic, and must not keep the caller waiting: it is
// called on the request path. observe/observetest checks all of that.
type Observer interface {
	// Start reports that op starts now, under ctx.
	Start(ctx context.Context, op Operation) (context.Context, End)
}

// End finishes one operation. It must be called exactly once, from any
// goroutine; implementations may reuse what backs it afterwards, so a second
// call is a bug in the caller, not a no-op.
type End func(Result)

// MaxLabels is the most label values that one start or one end can carry. Four
// keep an Operation small enough to pass by value, and more labels than that
// are a cardinality problem rather than an insight.
const MaxLabels = 4

// Values are label values, in the order of the keys that the [Kind] declares.
// An unused place is empty.
type Values [MaxLabels]string

// Kind describes one sort of operation: which component does what, and which
// labels its operations carry. Declare one package-level Kind per sort and
// never change it: backends use its address as identity and may cache by it.
type Kind struct {
	// Component names the package or boundary in snake_case: "http_server".
	Component string
	// Action names what is done, in snake_case: "request".
	Action string
	// Help is one sentence for people who meet the metric or span.
	Help string
	// Role tells whether the operation serves, calls, sends or receives.
	Role Role
	// Form tells whether operations of this kind last, or just happen.
	Form Form
	// StartLabels are the keys of [Operation.Values], at most [MaxLabels].
	StartLabels []string
	// EndLabels are the keys of [Result.Values], at most [MaxLabels].
	EndLabels []string
	// Amount names what [Result.Amount] counts, in the plural and in base
	// units ("records", "bytes"); empty when the kind counts nothing.
	Amount string
}

// Role is the part that an operation plays in a call, as in OpenTelemetry's span
// kinds. The zero Role is Internal.
type Role uint8

// The roles.
const (
	// Internal operations stay within the process.
	Internal Role = iota
	// Server operations answer a call from elsewhere.
	Server
	// Client operations call something else and wait for its answer.
	Client
	// Producer operations send a message that someone handles later.
	Producer
	// Consumer operations handle a message.
	Consumer
)

// Form tells operations with a duration from mere events. The zero Form is Timed.
type Form uint8

// The forms.
const (
	// Timed operations last: they have a duration, and a number in flight.
	Timed Form = iota
	// Instant operations happen: they are only counted. Report them with [Emit].
	Instant
)

// Operation is one run of a Kind.
type Operation struct {
	// Kind is required.
	Kind *Kind
	// Values belong to Kind.StartLabels.
	Values Values
}

// Result tells how an operation ended. The zero Result is a success.
type Result struct {
	// Outcome classifies the end; [OutcomeOf] derives it from an error.
	Outcome Outcome
	// Err is for traces and logs; it never becomes a label.
	Err error
	// Values belong to Kind.EndLabels.
	Values Values
	// Amount counts what Kind.Amount names; negative when it is not known.
	Amount int64
}

// Emit reports an [Instant] operation: it starts and ends at once.
func Emit(ctx context.Context, o Observer, op Operation, r Result) {
	_, end := o.Start(ctx, op)
	end(r)
}

// Nop returns the Observer that ignores everything. Start costs a function call
// and no allocation.
func Nop() Observer { return nop{} }

// OrNop returns o, or [Nop] when o is nil, so that a constructor can take a nil
// Observer and its code need not ask again.
func OrNop(o Observer) Observer {
	if o == nil {
		return nop{}
	}
	return o
}

// IsNop tells whether nobody listens: o is nil or [Nop]. A decorator that only
// observes returns what it decorates instead of itself then; code that cannot
// steps over its reports, and saves the copies of an Operation and a Result, which
// is most of what Nop costs.
func IsNop(o Observer) bool {
	if o == nil {
		return true
	}
	_, ok := o.(nop)
	return ok
}

type nop struct{}

func (nop) Start(ctx context.Context, _ Operation) (context.Context, End) { return ctx, ignore }

func ignore(Result) {}
