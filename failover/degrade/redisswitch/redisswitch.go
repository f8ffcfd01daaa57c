// Package redisswitch keeps the orders of degrade.Switches in Redis, for all instances
// that share it.
//
//	switches, err := degrade.NewSwitches(redisswitch.New(rdb), []string{"recommendations", "writes"}, degrade.SwitchConfig{})
//	go switches.Run(ctx)
//
// Each order is one key with an expiry, so that the server's clock ends it and those
// of the instances do not matter. Errors are those of the client, wrapped.
package redisswitch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bulwark-go/bulwark/failover/degrade"
)

// prefix begins every key, unless WithPrefix sets another.
const prefix = "bulwark:switch"

// Option configures [New].
type Option interface{ apply(*Store) }

type optionFunc func(*Store)

func (f optionFunc) apply(s *Store) { f(s) }

// WithPrefix sets what keys begin with; "bulwark:switch" without it.
func WithPrefix(p string) Option { return optionFunc(func(s *Store) { s.prefix = p }) }

// Store is a [degrade.Store] in Redis. Create it with [New]. It is safe for concurrent
// use.
type Store struct {
	client redis.Cmdable
	prefix string
}

// New returns a store that uses client, which stays the caller's.
func New(client redis.Cmdable, opts ...Option) *Store {
	s := &Store{client: client, prefix: prefix}
	for _, o := range opts {
		o.apply(s)
	}
	return s
}

// order is a degrade.Order on its way. Its field names are a contract with instances
// of other versions.
type order struct {
	Off    bool   `json:"off"`
	Owner  string `json:"owner"`
	Reason string `json:"reason,omitempty"`
}

// key holds the name's length, so that no name can look like another.
func (s *Store) key(name string) string {
	return s.prefix + ":" + strconv.Itoa(len(name)) + ":" + name
}

// Load implements [degrade.Store], in one round trip to each node.
func (s *Store) Load(ctx context.Context, names []string) ([]degrade.Order, error) {
	replies := make([]*redis.StringCmd, len(names))
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, name := range names {
			replies[i] = p.Get(ctx, s.key(name))
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("redisswitch: load: %w", err)
	}
	orders := make([]degrade.Order, len(names))
	for i, reply := range replies {
		text, err := reply.Bytes()
		if errors.Is(err, redis.Nil) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("redisswitch: load: %w", err)
		}
		var o order
		if err := json.Unmarshal(text, &o); err != nil {
			return nil, fmt.Errorf("redisswitch: order for %q: %w", names[i], err)
		}
		orders[i] = degrade.Order(o)
	}
	return orders, nil
}

// Put implements [degrade.Store]. Times are kept in milliseconds, rounded up.
func (s *Store) Put(ctx context.Context, name string, o degrade.Order, d time.Duration) error {
	text, err := json.Marshal(order(o))
	if err != nil {
		return fmt.Errorf("redisswitch: order for %q: %w", name, err)
	}
	d = (d + time.Millisecond - 1).Truncate(time.Millisecond)
	if err := s.client.Set(ctx, s.key(name), text, d).Err(); err != nil {
		return fmt.Errorf("redisswitch: put: %w", err)
	}
	return nil
}

// Delete implements [degrade.Store].
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := s.client.Del(ctx, s.key(name)).Err(); err != nil {
		return fmt.Errorf("redisswitch: delete: %w", err)
	}
	return nil
}
