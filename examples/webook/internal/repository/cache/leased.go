package cache

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed leased_store.lua
var leasedStoreSource string

//go:embed leased_begin.lua
var leasedBeginSource string

//go:embed leased_finish.lua
var leasedFinishSource string

var (
	leasedStoreScript  = redis.NewScript(leasedStoreSource)
	leasedBeginScript  = redis.NewScript(leasedBeginSource)
	leasedFinishScript = redis.NewScript(leasedFinishSource)
)

// Lease is what a reader of a missing copy needs to store one. It is void once the
// copy's origin is changed: what was read before may be old.
type Lease struct {
	changes int64
	void    bool
}

// leased keeps copies that are never older than the last finished change. Beside each
// copy is a record, a hash that counts the changes and those under way: a reader may
// store only what it began to read when nothing was being changed, and when nothing
// has been changed since; a writer only when it was alone.
//
// A writer that dies leaves its change open, and the copy away, until the record
// expires. The record must outlive every read and every change that is under way.
type leased struct {
	rdb    redis.Cmdable
	record time.Duration
}

// get returns the copy, or [ErrMiss] and the lease to store one.
func (l leased) get(ctx context.Context, key string) ([]byte, Lease, error) {
	p := l.rdb.Pipeline()
	text := p.Get(ctx, key)
	record := p.HMGet(ctx, recordKey(key), "changes", "open")
	if _, err := p.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return nil, Lease{void: true}, fmt.Errorf("cache: get: %w", err)
	}
	copied, err := text.Bytes()
	if err == nil {
		return copied, Lease{void: true}, nil
	}
	var state struct {
		Changes int64 `redis:"changes"`
		Open    int64 `redis:"open"`
	}
	if err := record.Scan(&state); err != nil {
		return nil, Lease{void: true}, fmt.Errorf("cache: get: %w", err)
	}
	return nil, Lease{changes: state.Changes, void: state.Open > 0}, ErrMiss
}

// store keeps what was read under the lease; when that is void nothing happens.
func (l leased) store(ctx context.Context, key string, lease Lease, text []byte, ttl time.Duration) error {
	if lease.void {
		return nil
	}
	keys := []string{key, recordKey(key)}
	if err := leasedStoreScript.Run(ctx, l.rdb, keys, lease.changes, text, ttl.Milliseconds()).Err(); err != nil {
		return fmt.Errorf("cache: store: %w", err)
	}
	return nil
}

// begin removes the copy and returns the change's number for finish, which must be
// called.
func (l leased) begin(ctx context.Context, key string) (int64, error) {
	keys := []string{key, recordKey(key)}
	number, err := leasedBeginScript.Run(ctx, l.rdb, keys, l.record.Milliseconds()).Int64()
	if err != nil {
		return 0, fmt.Errorf("cache: begin change: %w", err)
	}
	return number, nil
}

// finish ends a change, with the new copy where the caller has one.
func (l leased) finish(ctx context.Context, key string, number int64, text []byte, ttl time.Duration) error {
	keys := []string{key, recordKey(key)}
	err := leasedFinishScript.Run(ctx, l.rdb, keys, number, text, ttl.Milliseconds(), l.record.Milliseconds()).Err()
	if err != nil {
		return fmt.Errorf("cache: finish change: %w", err)
	}
	return nil
}

// recordKey has the copy's whole key as its hash tag, so that a Redis Cluster keeps
// the two together.
func recordKey(key string) string { return "{" + key + "}:changes" }
