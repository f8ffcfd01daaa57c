package redissession

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bulwark-go/bulwark/ginx/session"
)

var (
	//go:embed create.lua
	createLua string
	//go:embed access.lua
	accessLua string

	create = redis.NewScript(createLua)
	access = redis.NewScript(accessLua)
)

// Data is a session.DataStore in Redis: a hash per session, an entry per field.
// The key holds a hash of the reference, so who can read Redis can't take
// sessions over. It is safe for concurrent use.
type Data struct {
	rdb  redis.UniversalClient
	keys keyspace
}

var _ session.DataStore = (*Data)(nil)

// NewData returns a Data. The client stays the caller's.
func NewData(rdb redis.UniversalClient, opts ...Option) *Data {
	return &Data{rdb: rdb, keys: newKeyspace(DataPrefix, opts)}
}

// Create implements session.DataStore.
func (d *Data) Create(ctx context.Context, r session.Record, ttl time.Duration) (string, error) {
	ref := rand.Text()
	created, err := create.Run(ctx, d.rdb, d.key(ref), max(ttl.Milliseconds(), 1), r.ID, r.UserID, r.EndsAt.UnixMilli()).Bool()
	if err != nil {
		return "", fmt.Errorf("redissession: create: %w", err)
	}
	if !created {
		return "", errors.New("redissession: create: the session has ended already")
	}
	return ref, nil
}

// Access implements session.DataStore.
func (d *Data) Access(ctx context.Context, ref string, a session.Access) (session.Record, error) {
	args := make([]any, 0, 4+2*len(a.Set)+len(a.Delete)+len(a.Get))
	args = append(args, a.TTL.Milliseconds(), a.After.Milliseconds(), len(a.Set), len(a.Delete))
	for field, value := range a.Set {
		args = append(args, field, value)
	}
	for _, field := range a.Delete {
		args = append(args, field)
	}
	for _, field := range a.Get {
		args = append(args, field)
	}
	answer, err := access.Run(ctx, d.rdb, d.key(ref), args...).Slice()
	if err != nil {
		return session.Record{}, fmt.Errorf("redissession: access: %w", err)
	}
	if len(answer) == 0 {
		return session.Record{}, session.ErrRevoked
	}
	r, err := record(answer, a.Get)
	r.Ref = ref
	return r, err
}

// record reads the answer of access.lua.
func record(answer []any, get []string) (r session.Record, err error) {
	if len(answer) != 4+len(get) {
		return r, fmt.Errorf("redissession: access: %d values answered", len(answer))
	}
	r.ID, _ = answer[0].(string)
	user, _ := answer[1].(string)
	end, _ := answer[2].(string)
	ends, errEnd := strconv.ParseInt(end, 10, 64)
	r.UserID, err = strconv.ParseInt(user, 10, 64)
	if err = errors.Join(err, errEnd); err != nil {
		return session.Record{}, fmt.Errorf("redissession: access: %w", err)
	}
	r.EndsAt = time.UnixMilli(ends)
	r.Extended = answer[3] == int64(1)
	r.Fields = make(map[string]string, len(get))
	for i, field := range get {
		if value, ok := answer[4+i].(string); ok {
			r.Fields[field] = value
		}
	}
	return r, nil
}

// Drop implements session.DataStore.
func (d *Data) Drop(ctx context.Context, ref string) error {
	if err := d.rdb.Del(ctx, d.key(ref)...).Err(); err != nil {
		return fmt.Errorf("redissession: drop: %w", err)
	}
	return nil
}

func (d *Data) key(ref string) []string {
	sum := sha256.Sum256([]byte(ref))
	return []string{d.keys.key(hex.EncodeToString(sum[:]))}
}
