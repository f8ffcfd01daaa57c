// Package redissession keeps sessions in Redis: [Store] those of tokens, [Data]
// the fields of server-side ones.
//
// Keys are "<prefix>:{<length>:<id>}" with a time to live, always, and each
// operation is one command or one script on one key, so a cluster will do. Needs
// Redis 5 or newer.
//
// go-redis ignores a context's deadline on the wire unless the client's option
// ContextTimeoutEnabled is set. Set it, or a Redis that hangs keeps a request
// for the client's own time-outs and retries rather than for
// session.Config.StoreTimeout. And leave ReadOnly and the options that route
// reads unset: a replica that lags keeps logged-out sessions alive.
package redissession

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bulwark-go/bulwark/ginx/session"
)

// The default prefixes of keys.
const (
	TokenPrefix = "session:token"
	DataPrefix  = "session:data"
)

//go:embed rotate.lua
var rotateLua string

var rotate = redis.NewScript(rotateLua)

// Option configures [New] and [NewData].
type Option interface{ apply(*keyspace) }

type optionFunc func(*keyspace)

func (f optionFunc) apply(k *keyspace) { f(k) }

// WithPrefix sets what keys begin with, for services that share a Redis. Default
// [TokenPrefix] or [DataPrefix], which an empty prefix leaves as it is.
func WithPrefix(prefix string) Option {
	return optionFunc(func(k *keyspace) {
		if prefix != "" {
			k.prefix = prefix
		}
	})
}

type keyspace struct{ prefix string }

func newKeyspace(prefix string, opts []Option) keyspace {
	k := keyspace{prefix: prefix}
	for _, o := range opts {
		o.apply(&k)
	}
	return k
}

func (k keyspace) key(id string) string {
	return k.prefix + ":{" + strconv.Itoa(len(id)) + ":" + id + "}"
}

// Store is a session.Store in Redis. It is safe for concurrent use.
type Store struct {
	rdb  redis.UniversalClient
	keys keyspace
}

var _ session.Store = (*Store)(nil)

// New returns a Store. The client stays the caller's.
func New(rdb redis.UniversalClient, opts ...Option) *Store {
	return &Store{rdb: rdb, keys: newKeyspace(TokenPrefix, opts)}
}

// Create implements session.Store.
func (s *Store) Create(ctx context.Context, id string, ttl time.Duration) error {
	// Nothing precedes generation 1, so since when it is current is never asked.
	created, err := s.rdb.SetNX(ctx, s.keys.key(id), "1:0", ttl).Result()
	if err != nil {
		return fmt.Errorf("redissession: create: %w", err)
	}
	if !created {
		return errors.New("redissession: create: id is taken")
	}
	return nil
}

// Alive implements session.Store.
func (s *Store) Alive(ctx context.Context, id string) (bool, error) {
	n, err := s.rdb.Exists(ctx, s.keys.key(id)).Result()
	if err != nil {
		return false, fmt.Errorf("redissession: look up: %w", err)
	}
	return n == 1, nil
}

// Rotate implements session.Store.
func (s *Store) Rotate(ctx context.Context, id string, r session.Rotation) (int64, error) {
	n, err := rotate.Run(ctx, s.rdb, []string{s.keys.key(id)},
		r.Generation, r.Grace.Milliseconds(), max(r.TTL.Milliseconds(), 1)).Int64()
	switch {
	case err != nil:
		return 0, fmt.Errorf("redissession: rotate: %w", err)
	case n == 0:
		return 0, session.ErrRevoked
	case n < 0:
		return 0, session.ErrReused
	}
	return n, nil
}

// Revoke implements session.Store.
func (s *Store) Revoke(ctx context.Context, id string) error {
	if err := s.rdb.Del(ctx, s.keys.key(id)).Err(); err != nil {
		return fmt.Errorf("redissession: revoke: %w", err)
	}
	return nil
}
