package console

import (
	"slices"

	"github.com/bulwark-go/bulwark/observe"
)

// routeOf is the request's method and route template.
func routeOf(op observe.Operation, res observe.Result) string {
	method, route := label(op, res, "method"), label(op, res, "route")
	if route == "" {
		route = "(no route)"
	}
	return method + " " + route
}

// statusOf is the first digit of the request's status or status class; 0 where the
// kind has neither.
func statusOf(op observe.Operation, res observe.Result) byte {
	for _, name := range []string{"status", "status_class"} {
		if text := label(op, res, name); text != "" {
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
