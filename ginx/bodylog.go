package ginx

import (
	"errors"

	"github.com/bulwark-go/bulwark/logger"
)

// bodies returns the fields for the bodies that are to be logged.
func (v *visit) bodies() []logger.Arg {
	var fields []logger.Arg
	fields = appendBody(fields, "request_body", v.request)
	return appendBody(fields, "response_body", v.x.response)
}

func appendBody(fields []logger.Arg, key string, p *capture) []logger.Arg {
	if p == nil {
		return fields
	}
	body, truncated := p.kept()
	if len(body) == 0 {
		return fields
	}
	fields = append(fields, logger.String(key, maskBody(mediaType(p.header.Get("Content-Type")), body)))
	if truncated {
		fields = append(fields, logger.Bool(key+"_truncated", true))
	}
	return fields
}

// appendStack adds the stack of a panic.
func appendStack(fields []logger.Arg, err error) []logger.Arg {
	var p *panicError
	if errors.As(err, &p) {
		fields = append(fields, logger.String("stack", string(p.stack)))
	}
	return fields
}
