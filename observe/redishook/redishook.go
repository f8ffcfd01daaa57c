// Package redishook shows what a go-redis client does: to metrics, to traces and
// to a debug log.
//
//	rdb := redis.NewClient(opts)
//	rdb.AddHook(redishook.New(observer, redishook.WithName("cache")))
//
// With observe/prom that is a histogram of commands by client, command, lookup
// (hit or miss) and outcome, one of pipelines with their sizes, a counter of the
// commands within them, and a histogram of dials; with observe/otel it is a span
// for each. It sends nothing to Redis itself.
//
// A [redis.ClusterClient] and a [redis.Ring] report commands and pipelines as they
// were asked for, redirections and splitting included. Their nodes dial by
// themselves: give each node a hook from [Dials].
//
// Keys and values stay out of all of it. A command is known by its name, from a
// closed set ("other" for the rest), and an error reply by its code, since Redis
// quotes arguments in its error texts.
package redishook

import (
	"context"
	"net"

	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/observe"
	"github.com/redis/go-redis/v9"
)

var (
	commandKind = observe.Kind{
		Component: "redis", Action: "command", Help: "Redis commands outside pipelines.",
		Role: observe.Client, StartLabels: []string{"client", "command"}, EndLabels: []string{"lookup"},
	}
	pipelineKind = observe.Kind{
		Component: "redis", Action: "pipeline", Help: "Redis pipelines and transactions.",
		Role: observe.Client, StartLabels: []string{"client", "form"}, Amount: "commands",
	}
	pipelinedKind = observe.Kind{
		Component: "redis", Action: "pipelined_command", Help: "Redis commands within pipelines and transactions.",
		Role: observe.Client, Form: observe.Instant, StartLabels: []string{"client", "command"}, EndLabels: []string{"lookup"},
	}
	dialKind = observe.Kind{
		Component: "redis", Action: "dial", Help: "Connections made to Redis.",
		Role: observe.Client, StartLabels: []string{"client"},
	}
)

// DefaultName is the value of the label "client" without [WithName].
const DefaultName = "default"

// Option configures [New] and [Dials].
type Option interface{ apply(*Hook) }

type optionFunc func(*Hook)

func (f optionFunc) apply(h *Hook) { f(h) }

// WithName sets the value of the label "client", for services with several
// clients; the default, also for "", is [DefaultName].
func WithName(client string) Option {
	return optionFunc(func(h *Hook) {
		if client != "" {
			h.name = client
		}
	})
}

// WithLogger writes a line at Debug for each command, pipeline and dial, without
// arguments. The level is asked each time, so that it can change at run time; the
// default writes nothing.
func WithLogger(log logger.Logger) Option {
	return optionFunc(func(h *Hook) { h.log, h.logs = log, true })
}

// Hook is a [redis.Hook] that reports to an observe.Observer. It is safe for
// concurrent use, by several clients too. Make one with [New] or [Dials].
type Hook struct {
	observer  observe.Observer
	name      string
	log       logger.Logger
	logs      bool
	dialsOnly bool
}

// New returns a Hook that reports commands, pipelines and dials to o; a nil o is
// [observe.Nop], and a Hook to which nobody listens adds nothing to any call.
//
// A missing key is a "miss" of the label lookup and not a failure; a command that
// looks nothing up has "none". Of a command that looks up several keys or fields a
// miss is that it found none at all. What a caller no longer waited for is
// Canceled. An EVALSHA of a script that Redis does not know and an optimistic
// transaction that was overtaken are Skipped: neither did anything, and their
// callers try again. So is a greeting that a server older than go-redis refuses;
// greetings (HELLO, CLIENT SETINFO) are reported like all commands.
func New(o observe.Observer, opts ...Option) *Hook {
	h := &Hook{observer: observe.OrNop(o), name: DefaultName}
	for _, opt := range opts {
		opt.apply(h)
	}
	return h
}

// Dials returns a Hook that reports dials only: for the nodes of a cluster or a
// ring, whose commands the client in front of them reports.
//
//	cluster.OnNewNode(func(node *redis.Client) { node.AddHook(redishook.Dials(observer)) })
func Dials(o observe.Observer, opts ...Option) *Hook {
	h := New(o, opts...)
	h.dialsOnly = true
	return h
}

// silent tells whether no report of the hook can ever reach anybody.
func (h *Hook) silent() bool { return !h.logs && observe.IsNop(h.observer) }

// DialHook implements [redis.Hook].
func (h *Hook) DialHook(next redis.DialHook) redis.DialHook {
	if h.silent() {
		return next
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		inner, r := h.begin(ctx, observe.Operation{Kind: &dialKind, Values: observe.Values{h.name}})
		defer r.finish(ctx)
		conn, err := next(inner, network, addr)
		r.Outcome, r.Err = outcomeOf(ctx, err), masked(err)
		return conn, err
	}
}

// ProcessHook implements [redis.Hook].
func (h *Hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	if h.dialsOnly || h.silent() {
		return next
	}
	return func(ctx context.Context, cmd redis.Cmder) error {
		c := commandOf(cmd)
		inner, r := h.begin(ctx, observe.Operation{Kind: &commandKind, Values: observe.Values{h.name, c.label}})
		r.Values = observe.Values{lookupNone}
		defer r.finish(ctx)
		err := next(inner, cmd)
		r.Result = c.result(ctx, cmd, err)
		return err
	}
}

// ProcessPipelineHook implements [redis.Hook].
func (h *Hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	if h.dialsOnly || h.silent() {
		return next
	}
	return func(ctx context.Context, cmds []redis.Cmder) error {
		form, own := formOf(cmds)
		inner, r := h.begin(ctx, observe.Operation{Kind: &pipelineKind, Values: observe.Values{h.name, form}})
		r.Amount = int64(len(own))
		defer r.finish(ctx)
		err := next(inner, cmds)
		r.Result = observe.Result{Outcome: unanswered(ctx, err), Err: masked(err), Amount: r.Amount}
		h.within(ctx, inner, own, &r.Result)
		if r.Outcome == observe.OK && r.Err != nil { // of the frame, so of no command
			r.Outcome = outcomeOf(ctx, err)
		}
		return err
	}
}

// unanswered judges a pipeline before its commands are: the error is that of the
// first command with one, unless no answer came at all.
func unanswered(ctx context.Context, err error) observe.Outcome {
	if isReply(err) {
		return observe.OK
	}
	return outcomeOf(ctx, err)
}

// within reports the commands of a pipeline, the first failure of which is the
// pipeline's, also behind a mere miss.
func (h *Hook) within(caller, ctx context.Context, cmds []redis.Cmder, whole *observe.Result) {
	nobody := observe.IsNop(h.observer)
	for _, cmd := range cmds {
		c := commandOf(cmd)
		res := c.result(caller, cmd, cmd.Err())
		if whole.Outcome == observe.OK || whole.Outcome == observe.Skipped && res.Outcome != observe.OK {
			whole.Outcome, whole.Err = res.Outcome, res.Err
		}
		if !nobody {
			observe.Emit(ctx, h.observer, observe.Operation{Kind: &pipelinedKind, Values: observe.Values{h.name, c.label}}, res)
		}
	}
}

// formOf tells a transaction from a pipeline, and leaves out the MULTI and EXEC
// that go-redis puts around it.
func formOf(cmds []redis.Cmder) (string, []redis.Cmder) {
	if n := len(cmds); n >= 2 && cmds[0].Name() == "multi" && cmds[n-1].Name() == "exec" {
		return "transaction", cmds[1 : n-1]
	}
	return "pipeline", cmds
}
