package failover_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bulwark-go/bulwark/failover"
)

// sender is what the providers of these examples have in common.
type sender func(context.Context, string) (string, error)

func send(text string) func(context.Context, sender) (string, error) {
	return func(ctx context.Context, s sender) (string, error) { return s(ctx, text) }
}

func works(name string) sender {
	return func(context.Context, string) (string, error) { return "sent by " + name, nil }
}

func refuses(context.Context, string) (string, error) {
	return "", failover.Mark(errors.New("account suspended"), failover.Rejected)
}

func silent(context.Context, string) (string, error) { return "", context.DeadlineExceeded }

func ExampleNewGroup() {
	group, err := failover.NewGroup(failover.Config{Name: "sms"}, []failover.Candidate[sender]{
		{Name: "first", Value: refuses},
		{Name: "second", Value: works("second")},
	}, failover.WithOrder())
	if err != nil {
		fmt.Println(err)
		return
	}
	receipt, err := failover.Do(context.Background(), group, send("hello"))
	fmt.Println(receipt, err)
	// Output: sent by second <nil>
}

// A time-out leaves open whether the message was sent, so Do does not send it again.
func ExampleDo() {
	group, err := failover.NewGroup(failover.Config{Name: "sms"}, []failover.Candidate[sender]{
		{Name: "first", Value: silent},
		{Name: "second", Value: works("second")},
	}, failover.WithStickyTimeouts(0))
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = failover.Do(context.Background(), group, send("hello"))
	var failed *failover.CallError
	fmt.Println(errors.As(err, &failed), failed.Outcome(), errors.Is(err, context.DeadlineExceeded))
	receipt, err := failover.Do(context.Background(), group, send("hello again"))
	fmt.Println(receipt, err)
	// Output:
	// true unknown true
	// sent by second <nil>
}

func ExampleHedge() {
	slow := func(ctx context.Context, _ string) (string, error) {
		<-ctx.Done() // until another one was faster
		return "", ctx.Err()
	}
	group, err := failover.NewGroup(failover.Config{Name: "search", HedgeAfter: time.Millisecond}, []failover.Candidate[sender]{
		{Name: "first", Value: slow},
		{Name: "second", Value: works("second")},
	}, failover.WithOrder())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(failover.Hedge(context.Background(), group, send("hello")))
	// Output: sent by second <nil>
}
