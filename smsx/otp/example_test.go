package otp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/bulwark-go/bulwark/smsx/memory"
	"github.com/bulwark-go/bulwark/smsx/otp"
)

func Example() {
	var received string
	sender := otp.SenderFunc(func(_ context.Context, d otp.Delivery) error {
		received = d.Code // an SMS provider, in earnest
		return nil
	})
	keys := otp.Keys{ // from wherever secrets are kept
		Subject: bytes.Repeat([]byte{1}, 32),
		Codes:   []otp.Key{{ID: "2026a", Secret: bytes.Repeat([]byte{2}, 32)}},
	}
	codes, err := otp.New(otp.NewMemory(), sender, keys, otp.Config{CountryCode: "86"})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	fmt.Println(codes.Issue(ctx, "login", "+86 138 0013 8000"))
	fmt.Println(errors.Is(codes.Issue(ctx, "login", "138-0013-8000"), otp.ErrLimited))
	fmt.Println(codes.Verify(ctx, "login", "13800138000", received))
	fmt.Println(codes.Verify(ctx, "login", "13800138000", received))
	// Output:
	// <nil>
	// true
	// true <nil>
	// false <nil>
}

func ExampleNewSMS() {
	provider := memory.New("desk") // a vendor's, or a chain of them, in earnest
	sms, err := otp.NewSMS(provider, "SMS_1", otp.SMSConfig{MinutesArg: "minutes"})
	if err != nil {
		panic(err)
	}
	codes, err := otp.New(otp.NewMemory(), sms, otp.Keys{
		Subject: bytes.Repeat([]byte{1}, 32), Codes: []otp.Key{{ID: "a", Secret: bytes.Repeat([]byte{2}, 32)}},
	}, otp.Config{CountryCode: "86"})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	if err := codes.Issue(ctx, "login", "13800138000"); err != nil {
		panic(err)
	}
	sent := provider.Sent()[0]
	fmt.Println(sent)
	fmt.Println(codes.Verify(ctx, "login", "13800138000", sent.Args[0].Value))
	// Output:
	// smsx.Message(SMS_1, 2 args, [***00])
	// true <nil>
}

func ExampleNew() {
	_, err := otp.New(otp.NewMemory(), otp.SenderFunc(nil), otp.Keys{
		Subject: bytes.Repeat([]byte{1}, 32), Codes: []otp.Key{{ID: "a", Secret: bytes.Repeat([]byte{2}, 32)}},
	}, otp.Config{FailuresPerMonth: 1000, FailuresPerDay: 50})
	fmt.Println(err)
	// Output: otp: MaxTakeover = 0.0001 is exceeded: Digits, Tries and the failure budget allow more
}

func ExampleNewMemory() {
	out, err := otp.NewMemory().Verify(context.Background(), "nobody", otp.Guess{ID: "1"})
	fmt.Println(out, err)
	// Output: absent <nil>
}
