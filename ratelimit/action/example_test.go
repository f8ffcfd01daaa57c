package action_test

import (
	"context"
	"fmt"

	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/action"
)

func ExampleDo() {
	limiter, err := ratelimit.NewTokenBucket(ratelimit.PerHour(1))
	if err != nil {
		panic(err)
	}
	load := action.Call[string]{Key: "user:42", Cost: 1, Run: func(context.Context) (string, error) {
		return "today's ranking", nil
	}}
	yesterdays := action.Default(func(context.Context) (string, error) { return "yesterday's ranking", nil })
	for range 2 {
		page, how, err := action.Do(context.Background(), limiter, load, yesterdays)
		fmt.Println(page, how, err)
	}
	// Output:
	// today's ranking ran <nil>
	// yesterday's ranking defaulted <nil>
}
