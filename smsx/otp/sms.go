package otp

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/bulwark-go/bulwark/smsx"
)

// spare is what should remain of a code when it is sent, to be read and typed in.
const spare = time.Minute

// SMSConfig is how codes become text messages. A zero field is its default.
type SMSConfig struct {
	// CodeArg names the template's argument for the code; empty means "code".
	CodeArg string
	// MinutesArg names its second argument, for the minutes that the code still
	// holds; empty means that there is none.
	MinutesArg string
	// Class is smsx.AtMostOnce unless a code that comes twice is better than one that
	// may not come. Both copies hold the same code, but each is paid for.
	Class smsx.Class
}

// SMS is a [Sender] of text messages. It is safe for concurrent use. Make it with
// [NewSMS].
type SMS struct {
	svc      smsx.Service
	template string
	cfg      SMSConfig
}

// NewSMS returns a sender that fills template with codes and sends it by svc. All
// violations are named in its error, each a [FieldError].
func NewSMS(svc smsx.Service, template string, cfg SMSConfig) (*SMS, error) {
	fill(&cfg.CodeArg, "code")
	var errs []error
	if svc == nil {
		errs = append(errs, &FieldError{"svc", "nil", "must be given"})
	}
	if template == "" {
		errs = append(errs, &FieldError{"template", `""`, "must be given"})
	}
	if cfg.MinutesArg == cfg.CodeArg {
		errs = append(errs, &FieldError{"MinutesArg", cfg.MinutesArg, "must differ from CodeArg"})
	}
	if cfg.Class > smsx.AtLeastOnce {
		errs = append(errs, &FieldError{"Class", cfg.Class, "is none"})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &SMS{svc, template, cfg}, nil
}

// SendCode implements [Sender]. The message has the id, so that what sends
// or charges by id does so once, and loses its use a minute before the code does, or
// halfway there when the code holds for less than two. The error is [ErrRejected]
// exactly when the outcome is [smsx.Rejected].
func (s *SMS) SendCode(ctx context.Context, d Delivery) error {
	number, err := smsx.ParseNumber(d.Subject)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRejected, err)
	}
	left := time.Until(d.NotAfter)
	m := smsx.Message{
		Template: s.template,
		Args:     []smsx.Arg{{Name: s.cfg.CodeArg, Value: d.Code}},
		Numbers:  []smsx.Number{number},
		ID:       d.ID,
		NotAfter: d.NotAfter.Add(-min(spare, left/2)),
		Class:    s.cfg.Class,
	}
	if s.cfg.MinutesArg != "" {
		// Rounded, since a code of ten minutes has a little less by now.
		minutes := strconv.Itoa(max(1, int(left.Round(time.Minute)/time.Minute)))
		m.Args = append(m.Args, smsx.Arg{Name: s.cfg.MinutesArg, Value: minutes})
	}
	_, err = s.svc.Send(ctx, m)
	if err != nil && smsx.OutcomeOf(err) == smsx.Rejected {
		return fmt.Errorf("%w: %w", ErrRejected, err)
	}
	return err
}
