package saramaxtest_test

import (
	"context"
	"fmt"
	"log"

	"github.com/IBM/sarama"

	"github.com/bulwark-go/bulwark/saramax"
	"github.com/bulwark-go/bulwark/saramax/saramaxtest"
)

// inExample stands for the *testing.T of a test.
type inExample struct{}

func (inExample) Helper()                           {}
func (inExample) Cleanup(func())                    {}
func (inExample) Errorf(format string, args ...any) { log.Printf(format, args...) }
func (inExample) Fatalf(format string, args ...any) { log.Fatalf(format, args...) }

func ExampleNewMember() {
	member := saramaxtest.NewMember(inExample{})
	handler, err := saramax.NewGroupHandler(member, "billing", saramax.Each(
		func(_ context.Context, rec saramax.Record[string]) error {
			fmt.Printf("%d %q\n", rec.Offset, rec.Value)
			return nil
		}))
	if err != nil {
		log.Fatal(err)
	}
	member.Begin(handler)
	claim := member.Claim("orders", 0)
	handled := make(chan struct{})
	go func() {
		defer close(handled)
		claim.Send(&sarama.ConsumerMessage{Value: []byte(`"paid"`)})
	}()
	<-handled
	for {
		if status := handler.Status(); len(status.Partitions) == 1 && status.Partitions[0].Commit == 1 {
			break
		}
	}
	member.End() // revokes, drains and commits
	offset, _ := member.Committed("orders", 0)
	fmt.Println(offset)
	// Output:
	// 0 "paid"
	// 1
}
