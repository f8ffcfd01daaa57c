package redisotp_test

import (
	"bytes"
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/bulwark-go/bulwark/internal/embedded"
	"github.com/bulwark-go/bulwark/smsx/otp"
	"github.com/bulwark-go/bulwark/smsx/otp/redisotp"
)

func ExampleNew() {
	server, err := embedded.StartRedis(embedded.RedisConfig{}) // a service has its own
	if err != nil {
		panic(err)
	}
	defer func() { _ = server.Close() }()
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer func() { _ = rdb.Close() }()

	store, err := redisotp.New(rdb)
	if err != nil {
		panic(err)
	}
	var received string
	codes, err := otp.New(store, otp.SenderFunc(func(_ context.Context, d otp.Delivery) error {
		received = d.Code
		return nil
	}), otp.Keys{
		Subject: bytes.Repeat([]byte{1}, 32), Codes: []otp.Key{{ID: "2026a", Secret: bytes.Repeat([]byte{2}, 32)}},
	}, otp.Config{})
	if err != nil {
		panic(err)
	}
	fmt.Println(codes.Issue(context.Background(), "login", "+8613800138000"))
	fmt.Println(codes.Verify(context.Background(), "login", "+8613800138000", received))
	// Output:
	// <nil>
	// true <nil>
}
