package redissession_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bulwark-go/bulwark/ginx/session"
	"github.com/bulwark-go/bulwark/ginx/session/redissession"
	"github.com/bulwark-go/bulwark/internal/embedded"
)

// connect connects to a Redis for the examples.
func connect() (rdb *redis.Client, stop func()) {
	server, err := embedded.StartRedis(embedded.RedisConfig{})
	if err != nil {
		panic(err)
	}
	rdb = redis.NewClient(&redis.Options{Addr: server.Addr(), ContextTimeoutEnabled: true})
	return rdb, func() { _, _ = rdb.Close(), server.Close() }
}

func ExampleNew() {
	rdb, stop := connect()
	defer stop()
	secret := func() []byte { b := make([]byte, 32); _, _ = rand.Read(b); return b } // from your secret store
	sessions, err := session.New(redissession.New(rdb, redissession.WithPrefix("webook:session")), session.Keys{
		Access:  []session.Key{{ID: "a1", Secret: secret()}},
		Refresh: []session.Key{{ID: "r1", Secret: secret()}},
	}, session.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	tokens, err := sessions.Issue(ctx, 42, "Mozilla/5.0")
	if err != nil {
		fmt.Println(err)
		return
	}
	claims, err := sessions.Verify(ctx, tokens.Access, "Mozilla/5.0")
	fmt.Println(claims.UserID, err)
	_, err = sessions.Verify(ctx, tokens.Access, "curl/8")
	fmt.Println(err)
	// Output:
	// 42 <nil>
	// login required (code 4): session: invalid token: another user agent
}

func ExampleNewData() {
	rdb, stop := connect()
	defer stop()
	sessions, err := session.NewServerSide(redissession.NewData(rdb), session.ServerSideConfig{IdleTTL: time.Hour})
	fmt.Println(sessions != nil, err)
	// Output: true <nil>
}
