package testenv

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bulwark-go/bulwark/internal/embedded"
)

// Redis returns a client on an empty Redis database that no other test uses. Make
// more clients on the same database, as other instances of a service would, from
// its Options.
func Redis(t testing.TB) *redis.Client {
	t.Helper()
	client := redis.NewClient(RedisOptions(t))
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// RedisOptions returns the options of a client on an empty Redis database that no
// other test uses: on a real server a logical database, chosen by DB.
func RedisOptions(t testing.TB) *redis.Options {
	t.Helper()
	if addr := os.Getenv(EnvRedis); addr != "" {
		return &redis.Options{Addr: addr, DB: claimDatabase(t, addr)}
	}
	return &redis.Options{Addr: EmbeddedRedis(t).Addr()}
}

// RedisAddr returns the address of a Redis for code that takes nothing else. On a
// real server that is logical database 0, which all tests share and nobody
// empties: put [Name] into every key. Prefer [RedisOptions].
func RedisAddr(t testing.TB) string {
	t.Helper()
	if addr := os.Getenv(EnvRedis); addr != "" {
		return addr
	}
	return EmbeddedRedis(t).Addr()
}

// EmbeddedRedis returns an in-process Redis with exact expiry whatever the
// environment names: for tests that need its FastForward.
func EmbeddedRedis(t testing.TB) *embedded.Redis {
	t.Helper()
	server, err := embedded.StartRedis(embedded.RedisConfig{Expiry: embedded.ExpiryExact})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server
}

// claimDatabase takes a logical database of a real server for the test. Claims
// are keys in database 0, so that packages tested in parallel do not meet.
func claimDatabase(t testing.TB, addr string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	claims := redis.NewClient(&redis.Options{Addr: addr})
	owner := Name(t)
	db, err := claim(ctx, claims, owner, claimFor(t))
	if err != nil {
		_ = claims.Close()
		t.Fatalf("%s=%s: %v", EnvRedis, addr, err)
	}
	t.Cleanup(func() {
		defer func() { _ = claims.Close() }()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := flush(ctx, addr, db); err != nil {
			t.Errorf("empty redis database %d: %v", db, err)
		}
		claims.Del(ctx, claimKey(db)) // nobody else deletes it, and it ends by itself
	})
	if err := flush(ctx, addr, db); err != nil {
		t.Fatalf("%s=%s: empty database %d: %v", EnvRedis, addr, db, err)
	}
	return db
}

// claimFor is how long a claim outlives a test that was killed.
func claimFor(t testing.TB) time.Duration {
	if t, ok := t.(interface{ Deadline() (time.Time, bool) }); ok {
		if deadline, ok := t.Deadline(); ok {
			return time.Until(deadline) + time.Minute
		}
	}
	return 12 * time.Hour
}

func claim(ctx context.Context, claims *redis.Client, owner string, keep time.Duration) (int, error) {
	config, err := claims.ConfigGet(ctx, "databases").Result()
	if err != nil {
		return 0, err
	}
	databases, err := strconv.Atoi(config["databases"])
	if err != nil {
		return 0, fmt.Errorf("number of databases: %w", err)
	}
	retry := time.NewTicker(100 * time.Millisecond)
	defer retry.Stop()
	for {
		for db := 1; db < databases; db++ {
			err := claims.SetArgs(ctx, claimKey(db), owner, redis.SetArgs{Mode: "NX", TTL: keep}).Err()
			switch {
			case err == nil:
				return db, nil
			case err != redis.Nil: //nolint:errorlint // a sentinel that go-redis never wraps
				return 0, err
			}
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("all %d databases are taken: %w", databases-1, ctx.Err())
		case <-retry.C:
		}
	}
}

func claimKey(db int) string { return fmt.Sprintf("bulwark:testenv:{database}:%d", db) }

func flush(ctx context.Context, addr string, db int) error {
	client := redis.NewClient(&redis.Options{Addr: addr, DB: db})
	defer func() { _ = client.Close() }()
	return client.FlushDB(ctx).Err()
}
