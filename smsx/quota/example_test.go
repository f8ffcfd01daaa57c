package quota_test

import (
	"context"
	"fmt"
	"time"

	"github.com/bulwark-go/bulwark/smsx/quota"
)

func Example() {
	q, err := quota.NewMemory()
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	charge := quota.Charge{Account: "shop", ID: "order-7", Content: "sha256 of the message", Units: 2, Capacity: 3}
	d, err := q.Reserve(ctx, charge)
	fmt.Println(d.Verdict, d.Spent, err)
	again, _ := q.Reserve(ctx, charge) // a retry
	fmt.Println(again.Verdict, again.Spent)
	fmt.Println(q.Commit(ctx, again.Ticket, 2))
	charge.ID = "order-8"
	d, _ = q.Reserve(ctx, charge)
	fmt.Println(d.Verdict, d.Spent)
	// Output:
	// granted 2 <nil>
	// granted 2
	// <nil>
	// exhausted 2
}

func ExampleNewMemory() {
	shanghai, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		panic(err)
	}
	_, err = quota.NewMemory(quota.WithZone(shanghai), quota.WithRetention(24*time.Hour))
	fmt.Println(err)
	// Output: <nil>
}
