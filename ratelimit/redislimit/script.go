package redislimit

import (
	"context"
	"crypto/sha1" //nolint:gosec // the name that Redis gives scripts, no protection
	"encoding/hex"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// script is a Lua script on one key that returns integers.
type script struct{ source, sha any } // strings, boxed once

func newScript(source string) *script {
	sum := sha1.Sum([]byte(source)) //nolint:gosec
	return &script{source: source, sha: hex.EncodeToString(sum[:])}
}

// one is the number of keys; as text, since that is how go-redis looks for the key
// that decides the slot.
const one = "1"

// call returns an argument list with room for n more.
func (s *script) call(key string, n int) []any {
	return append(make([]any, 0, 4+n), "evalsha", s.sha, one, key)
}

// run runs a call that was completed with the script's arguments. Each node has a
// script cache of its own, which a restart, a failover or SCRIPT FLUSH empties; a
// node that does not know the script gets it as a whole. That works under
// pipelining, too, since every call looks at its own reply, which has at least want
// numbers.
func (s *script) run(ctx context.Context, rdb redis.UniversalClient, call []any, want int) ([]int64, error) {
	cmd := redis.NewIntSliceCmd(ctx, call...)
	_ = rdb.Process(ctx, cmd) // the same error as the command's
	reply, err := cmd.Result()
	if err != nil && redis.HasErrorPrefix(err, "NOSCRIPT") {
		whole := append([]any(nil), call...)
		whole[0], whole[1] = "eval", s.source
		cmd = redis.NewIntSliceCmd(ctx, whole...)
		_ = rdb.Process(ctx, cmd)
		reply, err = cmd.Result()
	}
	if err != nil {
		return nil, storeError(err, call[3].(string))
	}
	if len(reply) < want { // some proxies do not run scripts
		return nil, fmt.Errorf("redislimit: the script's answer has %d numbers, not %d", len(reply), want)
	}
	return reply, nil
}

// storeError types the error of a key that holds something else.
func storeError(err error, key string) error {
	if redis.HasErrorPrefix(err, "WRONGTYPE") || redis.HasErrorPrefix(err, "BADSTATE") {
		return &StateError{Key: key, cause: err}
	}
	return fmt.Errorf("redislimit: %w", err)
}

// StateError is returned when a key holds something that no limiter of this sort
// wrote: another program, or a limiter with another algorithm, uses the same
// prefix. Nothing was changed. It counts as a failure of the store.
type StateError struct {
	// Key is the Redis key. The error's text leaves it out: it may tell who the
	// subject is.
	Key   string
	cause error
}

// Error implements error.
func (e *StateError) Error() string {
	return fmt.Sprintf("redislimit: the key holds something else: %v", e.cause)
}

// Unwrap returns Redis's error.
func (e *StateError) Unwrap() error { return e.cause }
