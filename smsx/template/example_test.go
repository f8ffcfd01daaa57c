package template_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/bulwark-go/bulwark/smsx"
	"github.com/bulwark-go/bulwark/smsx/memory"
	"github.com/bulwark-go/bulwark/smsx/quota"
	"github.com/bulwark-go/bulwark/smsx/template"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// exampleKeys are from a secret store in earnest.
func exampleKeys() []template.Key {
	sum := sha256.Sum256([]byte("example"))
	return []template.Key{{ID: "2026a", Secret: sum[:]}}
}

var ends = template.Config{Issuer: "sms-desk", Audience: "sms-gateway"}

func Example() {
	ctx := context.Background()

	// The desk: one person asks, another approves.
	desk := must(template.NewDesk(&template.MemoryRequests{}, must(template.NewIssuer(exampleKeys(), ends))))
	request := must(desk.Ask(ctx, "ann", template.Grant{
		Tenant: "shop", Template: "SMS_1", Capacity: 1000, RatePerMinute: 60, MaxNumbers: 1,
		NotBefore: time.Now(), ExpiresAt: time.Now().AddDate(0, 3, 0),
	}))
	token := must(desk.Approve(ctx, request.ID, "bob"))

	// The gateway: it sends what tokens allow.
	verifier := must(template.NewVerifier(exampleKeys(), ends, template.WithRevoked(desk.Revoked)))
	texts := template.Texts(map[string]string{"SMS_1": "[Shop] Your parcel ${number} is here."})
	secret := sha256.Sum256([]byte("another one"))
	svc := must(template.New(memory.New("vendor"), verifier, must(quota.NewMemory()), texts, secret[:]))

	message := smsx.Message{
		ID: "parcel-7", Args: []smsx.Arg{{Name: "number", Value: "7"}},
		Numbers: []smsx.Number{must(smsx.ParseNumber("+8613800138000"))},
	}
	receipt := must(svc.Send(template.WithToken(ctx, token), message))
	fmt.Println(receipt.Results[0].Outcome)
	_, err := svc.Send(template.WithToken(ctx, token), message)
	fmt.Println(err)
	// Output:
	// accepted
	// smsx: rejected: : ***00 is rejected: number_limit (""): smsx/template: message ID is used up: duplicate
}

func ExampleNew() {
	_, err := template.New(memory.New("vendor"), must(template.NewVerifier(exampleKeys(), ends)), must(quota.NewMemory()),
		template.Texts(nil), []byte("short"))
	fmt.Println(err)
	// Output: smsx/template: secret has 5 bytes, must have at least 32
}

func ExampleNewIssuer() {
	issuer := must(template.NewIssuer(exampleKeys(), ends))
	_, err := issuer.Issue(template.Grant{
		Tenant: "shop", Template: "SMS_1", Capacity: 1000, MaxNumbers: 1,
		NotBefore: time.Now(), ExpiresAt: time.Now().Add(time.Hour),
	})
	fmt.Println(err)
	// Output: <nil>
}

func ExampleNewVerifier() {
	verifier := must(template.NewVerifier(exampleKeys(), ends))
	_, err := verifier.Verify(context.Background(), "SMS_1")
	fmt.Println(err)
	// Output: smsx/template: invalid token: token is malformed
}

func ExampleNewDesk() {
	desk := must(template.NewDesk(&template.MemoryRequests{}, must(template.NewIssuer(exampleKeys(), ends))))
	request := must(desk.Ask(context.Background(), "ann", template.Grant{
		Tenant: "shop", Template: "SMS_1", Capacity: 1000, MaxNumbers: 1,
		NotBefore: time.Now(), ExpiresAt: time.Now().Add(time.Hour),
	}))
	_, err := desk.Approve(context.Background(), request.ID, "ann")
	fmt.Println(err)
	// Output: smsx/template: own request
}
