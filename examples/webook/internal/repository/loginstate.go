package repository

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// LoginStates remembers which logins through another site have been finished. It
// is safe for concurrent use.
type LoginStates struct {
	rdb     redis.Cmdable
	ttl     time.Duration
	timeout func() time.Duration
}

// NewLoginStates returns a memory in rdb that lasts ttl, which must be no shorter
// than a state is accepted. Each call to Redis gets timeout.
func NewLoginStates(rdb redis.Cmdable, ttl time.Duration, timeout func() time.Duration) *LoginStates {
	return &LoginStates{rdb: rdb, ttl: ttl, timeout: timeout}
}

// Spend tells whether it was called with state for the first time. The error wraps
// [ErrUnavailable] when Redis can't say; then nobody may be let in.
func (s *LoginStates) Spend(ctx context.Context, state string) (fresh bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout())
	defer cancel()
	sum := sha256.Sum256([]byte(state))
	fresh, err = s.rdb.SetNX(ctx, "login:state:"+hex.EncodeToString(sum[:]), 1, s.ttl).Result()
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return fresh, nil
}
