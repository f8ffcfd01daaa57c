package guard_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/bulwark-go/bulwark/smsx/otp"
	"github.com/bulwark-go/bulwark/smsx/otp/guard"
)

func ExampleNew() {
	g, err := guard.New(guard.NewMemory(), guard.Config{DailyCap: 20_000, Network: 2})
	if err != nil {
		panic(err)
	}
	attacker := netip.MustParseAddr("192.0.2.7")
	for i := range 3 {
		d, err := g.Allow(context.Background(), fmt.Sprintf("+8613800138%03d", i), attacker)
		if err != nil {
			panic(err)
		}
		fmt.Printf("%v %q\n", d.Allowed, d.Reason)
	}
	// Output:
	// true ""
	// true ""
	// false "network"
}

func ExampleProtect() {
	g, err := guard.New(guard.NewMemory(), guard.Config{DailyCap: 1, CountryCode: "86"})
	if err != nil {
		panic(err)
	}
	keys := otp.Keys{Subject: secret(1), Codes: []otp.Key{{ID: "a", Secret: secret(2)}}}
	sender := otp.SenderFunc(func(context.Context, otp.Delivery) error { return nil })
	codes, err := otp.New(otp.NewMemory(), sender, keys, otp.Config{CountryCode: "86"})
	if err != nil {
		panic(err)
	}
	protected := guard.Protect(codes, g)
	ctx := guard.WithAddr(context.Background(), netip.MustParseAddr("192.0.2.7")) // the client's
	fmt.Println(protected.Issue(ctx, "login", "13800138000"))
	err = protected.Issue(ctx, "login", "13800138001")
	fmt.Println(errors.Is(err, guard.ErrBlocked), err)
	// Output:
	// <nil>
	// true guard: blocked by spend
}
