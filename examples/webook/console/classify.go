package console

import (
	"slices"
	"strings"

	"github.com/bulwark-go/bulwark/observe"
)

// routeOf is the request's method and route template.
func routeOf(op observe.Operation, res observe.Result) string {
	if route := label(op, res, "route"); strings.HasPrefix(route, "/") {
		return label(op, res, "method") + " " + route
	}
	return "no such route"
}

// blame is '4' for a client's mistake, '5' for ours and 0 for neither: by the
// request's status or status class, and where that is a success by the first digit
// of its business code.
func blame(op observe.Operation, res observe.Result) byte {
	for _, name := range []string{"status", "code"} {
		if text := label(op, res, name); text != "" && (text[0] == '4' || text[0] == '5') {
			return text[0]
		}
	}
	return 0
}

func label(op observe.Operation, res observe.Result, name string) string {
	if i := slices.Index(op.Kind.StartLabels, name); i >= 0 {
		return op.Values[i]
	}
	if i := slices.Index(op.Kind.EndLabels, name); i >= 0 {
		return res.Values[i]
	}
	return ""
}
