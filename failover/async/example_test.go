package async_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bulwark-go/bulwark/failover/async"
)

type message struct{ Phone, Text string }

// The provider turns the first call away; a worker delivers the message later.
func ExampleNew() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	delivered := make(chan string, 1)
	overloaded := true
	send := func(_ context.Context, m message) error {
		if overloaded {
			overloaded = false
			return async.NotDone(errors.New("503: overloaded"))
		}
		delivered <- m.Text
		return nil
	}

	rescued, err := async.New(async.NewMemory(), send, async.Config{
		Name: "sms", NotAfter: 10 * time.Minute, Backoff: 10 * time.Millisecond, Poll: 5 * time.Millisecond,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	outcome, err := rescued.Do(ctx, message{"13800138000", "hello"})
	fmt.Println(outcome.Status, outcome.Reason, err)

	ended := make(chan error)
	go func() { ended <- rescued.Run(ctx) }()
	fmt.Println(<-delivered)
	cancel()
	fmt.Println(<-ended)
	// Output:
	// accepted turned_away <nil>
	// hello
	// <nil>
}

func ExampleNewJudge() {
	judge, err := async.NewJudge(async.JudgeConfig{Name: "sms"}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	send := func(context.Context, message) error { return errors.New("connection reset") }
	rescued, err := async.New(async.NewMemory(), send, async.Config{Name: "sms"}, async.WithJudge(judge))
	if err != nil {
		fmt.Println(err)
		return
	}
	for {
		outcome, err := rescued.Do(context.Background(), message{"13800138000", "hello"})
		if err == nil {
			fmt.Println(outcome.Status, outcome.Reason)
			return
		}
	}
	// Output: accepted judged
}

func ExampleNewMemory() {
	store := async.NewMemory()
	stored, err := store.Put(context.Background(), []async.Entry{{Queue: "sms", Key: "a"}, {Queue: "sms", Key: "a"}})
	fmt.Println(stored[0].Duplicate, stored[1].Duplicate, err)
	// Output: false true <nil>
}
