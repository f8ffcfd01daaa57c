package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/bulwark-go/bulwark/failover"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/rules"
	"github.com/bulwark-go/bulwark/ratelimit/rules/rollout"
)

// Refusal is the answer to a change that was refused. Nothing has been changed,
// unless Code is "unknown".
type Refusal struct {
	// Code is "invalid", "stale", "locked", "cross-site", "missing", "away" or
	// "unknown".
	Code string `json:"code"`
	Text string `json:"text"`
	// Fields name what is invalid.
	Fields []FieldProblem `json:"fields,omitempty"`
	// Latest is the revision that came first, when the change was stale.
	Latest *RevisionText `json:"latest,omitempty"`

	status int
}

// FieldProblem is a field that is invalid.
type FieldProblem struct {
	Field  string `json:"field"`
	Value  string `json:"value"`
	Reason string `json:"reason"`
}

// RevisionText is a revision as scripts read it. Its rules are JSON for [rules.Parse].
type RevisionText struct {
	Number uint64          `json:"number"`
	Author string          `json:"author"`
	Rules  json.RawMessage `json:"rules"`
}

func textOfRevision(r rollout.Revision) *RevisionText {
	return &RevisionText{Number: r.Number, Author: r.Author, Rules: json.RawMessage(textOf(r.Rules))}
}

// problemOf words err for people and scripts. Latest is what the store has.
func problemOf(err error, latest rollout.Revision) *Refusal {
	p := &Refusal{Code: "unknown", Text: why(err), status: http.StatusInternalServerError}
	fields := fieldsOf(err)
	switch {
	case errors.Is(err, errReadOnly), errors.Is(err, errLocked), errors.Is(err, errToken):
		p.Code, p.status = "locked", http.StatusForbidden
	case errors.Is(err, errTooMany):
		p.Code, p.Text, p.status = "locked", errTooMany.Error(), http.StatusTooManyRequests
	case errors.Is(err, rules.ErrStale):
		p.Code, p.status = "stale", http.StatusConflict
		p.Text = strings.TrimPrefix(p.Text, rules.ErrStale.Error()+": ")
		p.Latest = textOfRevision(latest)
	case errors.Is(err, errUnknownChoice), errors.Is(err, failover.ErrUnknownCandidate):
		p.Code, p.status = "invalid", http.StatusBadRequest
	case errors.Is(err, rollout.ErrUnknown):
		p.Code, p.status = "missing", http.StatusNotFound
	case len(fields) > 0:
		p.Code, p.Text, p.status = "invalid", "nothing was changed", http.StatusBadRequest
		for _, f := range fields {
			p.Fields = append(p.Fields, fieldProblem(f))
		}
	case errors.Is(err, errNameless):
		p.Code, p.status = "invalid", http.StatusBadRequest
	case errors.Is(err, context.DeadlineExceeded):
		p.Text, p.status = "the store did not answer in time: look at the history whether it was saved", http.StatusServiceUnavailable
	default:
		p.status = http.StatusServiceUnavailable
	}
	return p
}

func fieldProblem(f *ratelimit.FieldError) FieldProblem {
	return FieldProblem{Field: f.Field, Value: cut(fmt.Sprint(f.Value)), Reason: f.Reason}
}

// wantsJSON tells whether a script asks.
func wantsJSON(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "application/json")
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // fails only when the reader left
}
