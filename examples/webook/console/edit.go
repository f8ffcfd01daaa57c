package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/rules"
	"github.com/bulwark-go/bulwark/ratelimit/rules/rollout"
)

// edit is a change on its way from the form to the store.
type edit struct {
	// Rule is the name of the only rule that Text is about; empty when it is about
	// all.
	Rule string
	Text string
	// After is the number of the revision that the text was made from.
	After uint64
	Note  string
	// For is how long the change lives; empty for good.
	For string
}

func editOf(r *http.Request) edit {
	e := edit{Rule: r.FormValue("rule"), Text: r.FormValue("text"), Note: r.FormValue("note"), For: r.FormValue("for")}
	// What is no number is 0, a revision that nobody has seen.
	_, _ = fmt.Sscan(r.FormValue("after"), &e.After)
	return e
}

// begin returns the edit that changes nothing yet.
func begin(latest rollout.Revision, rule string) (edit, error) {
	e := edit{Rule: rule, After: latest.Number, Text: textOf(latest.Rules)}
	if rule == "" {
		return e, nil
	}
	i := indexOf(latest.Rules, rule)
	if i < 0 {
		return e, fmt.Errorf("%w: there is no rule %q in revision %d", rollout.ErrUnknown, rule, latest.Number)
	}
	e.Text = textOf(latest.Rules[i])
	return e, nil
}

func indexOf(list []rules.Rule, name string) int {
	return slices.IndexFunc(list, func(r rules.Rule) bool { return r.Name == name })
}

// over returns the rollout's edit: all rules, with this one in its place. Bad fields
// are refused with [*ratelimit.FieldError]s, named from the text's own beginning.
func (e edit) over(latest rollout.Revision, author string) (rollout.Edit, error) {
	list, err := e.rules(latest)
	life, lifeErr := e.life()
	return rollout.Edit{Rules: list, Author: author, Note: strings.TrimSpace(e.Note), For: life}, errors.Join(err, lifeErr)
}

func (e edit) rules(latest rollout.Revision) ([]rules.Rule, error) {
	if e.Rule == "" {
		return rules.Parse([]byte(e.Text))
	}
	var object json.RawMessage
	if err := json.Unmarshal([]byte(e.Text), &object); err != nil {
		return nil, &ratelimit.FieldError{Field: "rule", Value: cut(e.Text), Reason: fmt.Sprintf("must be one JSON object: %v", err)}
	}
	one, err := rules.Parse([]byte("[" + e.Text + "]"))
	if err != nil {
		return nil, within("rules[0]", err)
	}
	i := indexOf(latest.Rules, e.Rule)
	if i < 0 {
		return nil, &ratelimit.FieldError{Field: "rule", Value: e.Rule, Reason: fmt.Sprintf("is not in revision %d any more", latest.Number)}
	}
	list := slices.Clone(latest.Rules)
	list[i] = one[0]
	return list, within(fmt.Sprintf("rules[%d]", i), rules.Validate(list))
}

func (e edit) life() (time.Duration, error) {
	if e.For == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(e.For)
	if err != nil || d <= 0 {
		return 0, &ratelimit.FieldError{Field: "for", Value: fmt.Sprintf("%.40q", e.For), Reason: `must be a duration such as "15m", or empty for good`}
	}
	return d, nil
}

// fieldsOf returns the fields that err is about.
func fieldsOf(err error) (fields []*ratelimit.FieldError) {
	switch e := err.(type) {
	case nil:
	case *ratelimit.FieldError:
		fields = append(fields, e)
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			fields = append(fields, fieldsOf(err)...)
		}
	default:
		fields = fieldsOf(errors.Unwrap(err))
	}
	return fields
}

// within names fields from the only rule that the text shows. Other rules keep their
// path: they are what it collides with.
func within(path string, err error) error {
	var errs []error
	for _, f := range fieldsOf(err) {
		field := strings.TrimPrefix(strings.TrimPrefix(f.Field, path), ".")
		if field == "" {
			field = "rule"
		}
		errs = append(errs, &ratelimit.FieldError{Field: field, Value: f.Value, Reason: f.Reason})
	}
	if len(errs) == 0 {
		return err
	}
	return errors.Join(errs...)
}

// review is what the page shows of a change before it is saved.
type review struct {
	Changes   []change   `json:"changes"`
	Rehearsal *rehearsal `json:"dryRun,omitempty"`
	// NoRehearsal is why there is none.
	NoRehearsal error `json:"-"`
}

func (s Set) review(ctx context.Context, latest rollout.Revision, e rollout.Edit) *review {
	r := &review{Changes: changes(latest.Rules, e.Rules)}
	if s.DryRun != nil {
		r.Rehearsal, r.NoRehearsal = rehearse(ctx, s.DryRun, e.Rules, latest.Rules)
	}
	return r
}

// conflicts returns [rules.ErrStale] where the edit was made from another revision.
func (e edit) conflicts(latest rollout.Revision) error {
	if e.After == latest.Number {
		return nil
	}
	return fmt.Errorf("%w: you saw revision %d, and %s saved %d", rules.ErrStale, e.After, latest.Author, latest.Number)
}

func (c *Console) logged(s Set, rev rollout.Revision) {
	c.log.Info("limits changed on the console", logger.String("limits", s.Name),
		logger.Uint64("revision", rev.Number), logger.String("author", rev.Author))
}
