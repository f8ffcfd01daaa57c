package redishook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/bulwark-go/bulwark/observe"
	"github.com/redis/go-redis/v9"
)

// outcomeOf classifies what a call came back with. An answer of Redis is judged as
// one whatever became of the caller meanwhile; anything else is the caller's
// doing once the caller's context has ended, because an interrupted read looks
// like a broken connection.
func outcomeOf(ctx context.Context, err error) observe.Outcome {
	var network net.Error
	switch {
	case err == nil, errors.Is(err, redis.Nil):
		return observe.OK
	case errors.Is(err, redis.TxFailedErr), redis.HasErrorPrefix(err, "NOSCRIPT"):
		return observe.Skipped // nothing was done, and the caller does it otherwise
	case isReply(err):
		return observe.Failed
	case ctx.Err() != nil:
		return observe.OutcomeOf(ctx.Err())
	case errors.Is(err, redis.ErrPoolTimeout), errors.As(err, &network) && network.Timeout():
		return observe.Timeout
	default:
		return observe.OutcomeOf(err)
	}
}

func isReply(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply)
}

// maskedError hides the text of an error that may quote keys and values.
type maskedError struct {
	text string
	err  error
}

func (e *maskedError) Error() string { return e.text }
func (e *maskedError) Unwrap() error { return e.err }

// masked returns err with a text that can go to spans and logs: an error reply is
// its code, what broke a connection stays, and of anything else, such as a value
// that did not parse, only the type shows.
func masked(err error) error {
	var network net.Error
	switch {
	case err == nil, errors.Is(err, redis.Nil):
		return nil
	case isReply(err):
		return &maskedError{"redis: " + code(err), err}
	case errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, context.Canceled),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, redis.ErrClosed), errors.Is(err, redis.ErrPoolTimeout):
		return err
	default:
		return &maskedError{fmt.Sprintf("redis: %T", err), err}
	}
}

// code returns the first word of an error reply where it is one of Redis's codes,
// which are in capitals; a script may answer anything.
func code(err error) string {
	var reply redis.Error
	if !errors.As(err, &reply) {
		return "error reply"
	}
	word, _, _ := strings.Cut(reply.Error(), " ")
	if word == "" || len(word) > 16 || strings.Trim(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return "error reply"
	}
	return word
}
