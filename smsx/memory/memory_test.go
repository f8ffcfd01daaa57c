package memory_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/bulwark-go/bulwark/smsx"
	"github.com/bulwark-go/bulwark/smsx/memory"
	"github.com/bulwark-go/bulwark/smsx/smsxtest"
)

func TestConformance(t *testing.T) {
	smsxtest.Test(t, func(testing.TB) smsxtest.Bench {
		s := memory.New("memory")
		return smsxtest.Bench{Service: s, Sent: func(n smsx.Number) (count int) {
			for _, m := range s.Sent() {
				if slices.Contains(m.Numbers, n) {
					count++
				}
			}
			return count
		}}
	})
}

func ExampleNew() {
	svc := memory.New("desk")
	number, _ := smsx.ParseNumber("+8613912345678")
	receipt, err := svc.Send(context.Background(), smsx.Message{Template: "SMS_1", Numbers: []smsx.Number{number}})
	fmt.Println(receipt.Results[0].Outcome, err, svc.Sent())
	// Output: accepted <nil> [smsx.Message(SMS_1, 0 args, [***78])]
}
