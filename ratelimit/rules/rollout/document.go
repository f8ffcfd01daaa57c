package rollout

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/rules"
)

// Bounds of an edit: what fits a page, and a life that no sum of times overflows.
const (
	longestAuthor = 256
	longestNote   = 4096
	longestDigest = 64
	shortest      = time.Millisecond
	longest       = 366 * 24 * time.Hour
)

// document is an Edit in JSON.
type document struct {
	Rules    []rules.Rule  `json:"rules"`
	Author   string        `json:"author"`
	Note     string        `json:"note,omitempty"`
	For      time.Duration `json:"for,omitempty"` // ns
	Then     []rules.Rule  `json:"then,omitempty"`
	Base     uint64        `json:"base,omitempty"`
	Restores uint64        `json:"restores,omitempty"`

	Configured string `json:"configured,omitempty"`
}

// Encode returns the document of an edit, JSON, as a [Ledger] keeps it. What
// [Decode] would refuse is refused with [*ratelimit.FieldError]s, joined.
func Encode(e Edit) ([]byte, error) {
	if err := e.validate(); err != nil {
		return nil, err
	}
	if e.Rules == nil {
		e.Rules = []rules.Rule{} // not null, which is nothing that anybody wrote
	}
	return json.Marshal(document(e))
}

// Decode reads what [Encode] wrote. Unknown, missing and bad fields are refused with
// [*ratelimit.FieldError]s, joined, so that no typing error passes for rules that
// admit everything.
func Decode(doc []byte) (Edit, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(doc, &fields); err != nil || fields == nil {
		return Edit{}, bad("document", fmt.Sprintf("%.40q", doc), "must be a JSON object")
	}
	d := decoder{fields: fields}
	var e Edit
	e.Rules = d.rules("rules", true)
	d.into("author", &e.Author, "a text")
	d.into("note", &e.Note, "a text")
	d.into("for", &e.For, "a whole number of nanoseconds")
	e.Then = d.rules("then", false)
	d.into("base", &e.Base, "a number")
	d.into("restores", &e.Restores, "a number")
	d.into("configured", &e.Configured, "a text")
	for _, name := range slices.Sorted(maps.Keys(d.fields)) {
		d.errs = append(d.errs, bad(name, fmt.Sprintf("%.40q", d.fields[name]), "is unknown"))
	}
	if len(d.errs) > 0 {
		return Edit{}, errors.Join(d.errs...)
	}
	return e, e.validate()
}

// decoder takes the fields of an object one by one, and so knows in the end which
// are unknown.
type decoder struct {
	fields map[string]json.RawMessage
	errs   []error
}

// take returns a field and removes it. Null, which would silently be nothing, is no
// value.
func (d *decoder) take(name, want string) (json.RawMessage, bool) {
	raw, ok := d.fields[name]
	delete(d.fields, name)
	if ok && bytes.Equal(raw, []byte("null")) {
		d.errs = append(d.errs, bad(name, "null", "must be "+want))
		return nil, false
	}
	return raw, ok
}

func (d *decoder) into(name string, to any, want string) {
	raw, ok := d.take(name, want)
	if !ok {
		return
	}
	if err := json.Unmarshal(raw, to); err != nil {
		d.errs = append(d.errs, bad(name, fmt.Sprintf("%.40q", raw), "must be "+want))
	}
}

func (d *decoder) rules(name string, needed bool) []rules.Rule {
	raw, ok := d.take(name, "a list of rules")
	if !ok {
		if needed && len(d.errs) == 0 {
			d.errs = append(d.errs, bad(name, "nothing", "must be given"))
		}
		return nil
	}
	list, err := rules.Parse(raw)
	if err != nil {
		d.errs = append(d.errs, fmt.Errorf("%s: %w", name, err))
	}
	return list
}

func (e Edit) validate() error {
	errs := []error{rules.Validate(e.Rules), rules.Validate(e.Then)}
	switch {
	case e.Author == "":
		errs = append(errs, bad("author", `""`, "must be given"))
	case len(e.Author) > longestAuthor:
		errs = append(errs, bad("author", len(e.Author), fmt.Sprintf("must have at most %d bytes", longestAuthor)))
	}
	if len(e.Note) > longestNote {
		errs = append(errs, bad("note", len(e.Note), fmt.Sprintf("must have at most %d bytes", longestNote)))
	}
	if len(e.Configured) > longestDigest {
		errs = append(errs, bad("configured", len(e.Configured), fmt.Sprintf("must have at most %d bytes", longestDigest)))
	}
	if e.For != 0 && (e.For < shortest || e.For > longest) {
		errs = append(errs, bad("for", e.For, "must be 0 (for good), or from 1ms to a year"))
	}
	if e.For == 0 && (len(e.Then) > 0 || e.Base > 0) {
		errs = append(errs, bad("then", len(e.Then), "must be empty for an edit without an end"))
	}
	for _, text := range e.texts() {
		if !utf8.ValidString(text) { // JSON would turn it into another
			errs = append(errs, bad("text", fmt.Sprintf("%q", text), "must be valid UTF-8"))
		}
	}
	return errors.Join(errs...)
}

func (e Edit) texts() []string {
	all := []string{e.Author, e.Note, e.Configured}
	for _, list := range [][]rules.Rule{e.Rules, e.Then} {
		for _, r := range list {
			all = append(all, r.Name, r.Match.User, r.Match.Tenant, r.Match.Method)
		}
	}
	return all
}

// clone shares no memory with e that its owner could change.
func (e Edit) clone() Edit {
	e.Rules, e.Then = cloneRules(e.Rules), cloneRules(e.Then)
	return e
}

func cloneRules(list []rules.Rule) []rules.Rule {
	list = slices.Clone(list)
	for i := range list {
		list[i].Per = slices.Clone(list[i].Per)
	}
	return list
}

func (r Revision) clone() Revision {
	r.Edit = r.Edit.clone()
	return r
}

func bad(field string, value any, reason string) error {
	return &ratelimit.FieldError{Field: field, Value: value, Reason: reason}
}
