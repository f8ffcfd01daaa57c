package rollout

import (
	"errors"
	"fmt"
)

// ErrRunning is returned by [Follower.Run] when it runs already.
var ErrRunning = errors.New("rollout: the follower runs already")

// ErrUnknown is returned by [Follower.Rollback] for a revision that the history
// does not hold.
var ErrUnknown = errors.New("rollout: no such revision in the history")

// Error implements error.
func (e *DocumentError) Error() string {
	return fmt.Sprintf("rollout: the stored revision %d is bad: %v", e.Number, e.Err)
}

// Unwrap returns what is wrong.
func (e *DocumentError) Unwrap() error { return e.Err }
