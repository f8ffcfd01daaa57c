package rules_test

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/rules"
)

func ExampleNew() {
	set, err := rules.New([]rules.Rule{
		{Name: "vip", Match: rules.Match{User: "42"}, Unlimited: true},
		{Name: "login", Match: rules.Match{Method: "POST /login"}, Per: []rules.Field{rules.IP}, Rate: ratelimit.PerMinute(5)},
		{Name: "default", Per: []rules.Field{rules.User}, Rate: ratelimit.PerSecond(100)},
	})
	if err != nil {
		panic(err)
	}
	guest := rules.Subject{IP: netip.MustParseAddr("203.0.113.9"), Method: "POST /login"}
	for range 2 {
		d, err := set.Decide(context.Background(), guest, 1)
		if err != nil {
			panic(err)
		}
		fmt.Println(d.Rule, d.Allowed)
	}
	fmt.Print(set.Explain(context.Background(), guest))
	// Output:
	// login true
	// login false
	// vip: does not apply, because of the user
	// login: decides, and denies
	// default: does not apply, because of the user
}

func ExampleParse() {
	list, err := rules.Parse([]byte(`[{"name": "default", "per": ["user"], "rate": {"count": 100, "per": "1s"}}]`))
	fmt.Println(len(list), list[0].Rate, err)
	_, err = rules.Parse([]byte(`[{"name": "default", "rates": {"count": 100, "per": "1s"}}]`))
	fmt.Println(err)
	// Output:
	// 1 100/1s <nil>
	// ratelimit: rules[0].rates {"count": 100, "per": "1s"}: is unknown
}
