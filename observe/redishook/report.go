package redishook

import (
	"context"
	"time"

	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/observe"
)

// report is one operation under way. Its Result says Panicked until the call has
// come back, so that a deferred finish tells the truth of every end.
type report struct {
	observe.Result
	hook  *Hook
	op    observe.Operation
	end   observe.End
	began time.Time // zero when no line is written
}

func (h *Hook) begin(ctx context.Context, op observe.Operation) (context.Context, report) {
	r := report{hook: h, op: op, Result: observe.Result{Outcome: observe.Panicked}}
	if h.logs && h.log.Enabled(logger.LevelDebug) {
		r.began = time.Now()
	}
	if !observe.IsNop(h.observer) {
		ctx, r.end = h.observer.Start(ctx, op)
	}
	return ctx, r
}

func (r *report) finish(ctx context.Context) {
	if r.end != nil {
		r.end(r.Result)
	}
	if !r.began.IsZero() {
		r.write(ctx)
	}
}

func (r *report) write(ctx context.Context) {
	fields := make([]logger.Arg, 0, 8)
	for i, label := range r.op.Kind.StartLabels {
		fields = append(fields, logger.String(label, r.op.Values[i]))
	}
	for i, label := range r.op.Kind.EndLabels {
		fields = append(fields, logger.String(label, r.Values[i]))
	}
	if amount := r.op.Kind.Amount; amount != "" {
		fields = append(fields, logger.Int64(amount, r.Amount))
	}
	fields = append(fields, logger.String("outcome", r.Outcome.String()), logger.Duration("took", time.Since(r.began)))
	if r.Err != nil {
		fields = append(fields, logger.Err(r.Err))
	}
	r.hook.log.Ctx(ctx).Debug("redis "+r.op.Kind.Action, fields...)
}
