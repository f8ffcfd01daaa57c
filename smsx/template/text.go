package template

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/bulwark-go/bulwark/smsx"
)

// Text tells what a message's receivers read, to count its segments. It must be safe
// for concurrent use.
type Text func(m smsx.Message) (string, error)

// errText means that a template is unknown or its arguments do not fit.
var errText = errors.New("smsx/template: no such text")

// Texts returns the Text of templates by their ids: what vendors approved, the
// sender's signature included. An argument stands for "${name}" and, counted from
// one, for "{1}".
func Texts(byID map[string]string) Text {
	copied := make(map[string]string, len(byID))
	for id, text := range byID {
		copied[id] = text
	}
	return func(m smsx.Message) (string, error) {
		text, ok := copied[m.Template]
		if !ok {
			return "", fmt.Errorf("%w: template %q", errText, m.Template)
		}
		pairs := make([]string, 0, 4*len(m.Args))
		for i, arg := range m.Args {
			pairs = append(pairs, "${"+arg.Name+"}", arg.Value, "{"+strconv.Itoa(i+1)+"}", arg.Value)
		}
		return strings.NewReplacer(pairs...).Replace(text), nil
	}
}
