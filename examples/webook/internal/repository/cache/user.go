// Package cache keeps copies of rows in Redis.
package cache

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
)

// ErrMiss means that there is no copy.
var ErrMiss = errors.New("cache: miss")

//go:embed store.lua
var storeSource string

var storeScript = redis.NewScript(storeSource)

// Users caches profiles as JSON under user:info:<id>. It is safe for concurrent
// use.
type Users struct {
	rdb   redis.Cmdable
	fence time.Duration
}

// NewUsers returns a cache in rdb. No copy is stored for fence after a Forget.
func NewUsers(rdb redis.Cmdable, fence time.Duration) *Users {
	return &Users{rdb: rdb, fence: fence}
}

type entry struct {
	ID       int64     `json:"id"`
	Email    string    `json:"email,omitempty"`
	Phone    string    `json:"phone,omitempty"`
	Nickname string    `json:"nickname,omitempty"`
	Birthday time.Time `json:"birthday,omitzero"`
	AboutMe  string    `json:"aboutMe,omitempty"`
}

// Get returns the copy of user id, [ErrMiss] when there is none, or another error
// when Redis failed. A copy that can't be read counts as none.
func (c *Users) Get(ctx context.Context, id int64) (domain.User, error) {
	text, err := c.rdb.Get(ctx, key(id)).Bytes()
	if errors.Is(err, redis.Nil) {
		return domain.User{}, ErrMiss
	}
	if err != nil {
		return domain.User{}, fmt.Errorf("cache: get user %d: %w", id, err)
	}
	var e entry
	if err := json.Unmarshal(text, &e); err != nil || e.ID != id {
		return domain.User{}, ErrMiss
	}
	return domain.User(e), nil
}

// Store keeps a copy of u for ttl, unless u was forgotten less than the fence ago.
func (c *Users) Store(ctx context.Context, u domain.User, ttl time.Duration) error {
	text, err := json.Marshal(entry(u))
	if err != nil {
		return fmt.Errorf("cache: store user %d: %w", u.ID, err)
	}
	keys := []string{key(u.ID), fenceKey(u.ID)}
	if err := storeScript.Run(ctx, c.rdb, keys, text, ttl.Milliseconds()).Err(); err != nil {
		return fmt.Errorf("cache: store user %d: %w", u.ID, err)
	}
	return nil
}

// Forget removes the copy of user id and raises the fence, in one transaction.
func (c *Users) Forget(ctx context.Context, id int64) error {
	_, err := c.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, fenceKey(id), "1", c.fence)
		p.Del(ctx, key(id))
		return nil
	})
	if err != nil {
		return fmt.Errorf("cache: forget user %d: %w", id, err)
	}
	return nil
}

func key(id int64) string { return "user:info:" + strconv.FormatInt(id, 10) }

// fenceKey has the entry's whole key as its hash tag, so that a Redis Cluster
// keeps the two together.
func fenceKey(id int64) string { return "{" + key(id) + "}:fence" }
