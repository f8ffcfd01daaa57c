// Package sloglog joins Bulwark's logger and log/slog, in both directions: [New]
// writes Bulwark's lines with a slog handler, and [NewHandler] gives libraries that
// speak slog a handler that writes with a Bulwark [logger.Logger], its masking and
// sampling included.
//
//	log := logger.New(sloglog.New(slog.Default().Handler()))
//	lib := slog.New(sloglog.NewHandler(log))
//
// Trace id, span id and module are written as attributes under [logger.KeyTrace],
// [logger.KeySpan] and [logger.KeyModule]. Callers are those of
// [logger.WithCaller]; a slog handler shows them with AddSource.
package sloglog

import (
	"context"
	"log/slog"
	"slices"

	"github.com/bulwark-go/bulwark/logger"
)

// NewHandler returns a slog handler over log. Trace ids come from the context of
// each record, as [logger.Logger.Ctx] finds them; callers from the record.
func NewHandler(log logger.Logger) slog.Handler { return &handler{log: log} }

// handler keeps open groups with what was added in them, because a Core has no open
// groups: each line nests them anew. Without a group open the Core keeps the fields.
type handler struct {
	log    logger.Logger
	groups []group
}

type group struct {
	name string
	args []logger.Arg
}

// Enabled implements slog.Handler.
func (h *handler) Enabled(_ context.Context, l slog.Level) bool {
	return h.log.Enabled(clamp(l))
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	args := make([]logger.Arg, 0, len(attrs))
	for _, a := range attrs {
		args = append(args, logger.FromAttr(a).Field().Resolved().Arg())
	}
	if len(h.groups) == 0 {
		return &handler{log: h.log.With(args...)}
	}
	groups := slices.Clone(h.groups)
	last := &groups[len(groups)-1]
	last.args = append(slices.Clip(last.args), args...)
	return &handler{log: h.log, groups: groups}
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return &handler{log: h.log, groups: append(slices.Clip(h.groups), group{name: name})}
}

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	args := make([]logger.Arg, 0, r.NumAttrs())
	r.Attrs(func(a slog.Attr) bool {
		args = append(args, logger.FromAttr(a))
		return true
	})
	for _, g := range slices.Backward(h.groups) {
		inner := append(slices.Clip(g.args), args...)
		args = []logger.Arg{logger.Group(g.name, inner...)}
	}
	h.log.Ctx(ctx).LogEntry(logger.Entry{
		Time: r.Time, Level: clamp(r.Level), Message: r.Message, PC: r.PC,
	}, args...)
	return nil
}

// clamp keeps slog's wider levels within ours.
func clamp(l slog.Level) logger.Level {
	return logger.Level(min(max(l, -128), 127))
}
