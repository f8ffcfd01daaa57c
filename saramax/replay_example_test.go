package saramax_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/IBM/sarama"

	"github.com/bulwark-go/bulwark/saramax"
)

// A record that no attempt could mend is dead-lettered; once the cause is mended it is
// brought back, and the handler knows it by its origin.
func ExampleNewReplayer() {
	client, end := broker("orders", `{"article":1}`, `{"article":2}`)
	defer end()
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		log.Fatal(err)
	}
	topics := saramax.FailureTopics{Group: "billing", Topics: []string{"orders"}, Replication: 1}
	if err := topics.Create(admin); err != nil {
		log.Fatal(err)
	}
	producer, err := sarama.NewSyncProducerFromClient(client)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = producer.Close() }()

	mended := false
	handled := make(chan string, 1)
	consumer, err := saramax.NewConsumer(client, "billing", []string{"orders"},
		saramax.Each(func(_ context.Context, rec saramax.Record[readEvent]) error {
			if rec.Value.Article == 2 && !mended {
				mended = true
				return saramax.Permanent(errors.New("no such account"))
			}
			handled <- saramax.OriginOf(rec).String()
			return nil
		}), saramax.WithDeadLetter(producer))
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- consumer.Run(ctx) }()
	fmt.Println("handled", <-handled)

	replayer, err := saramax.NewReplayer(client, producer, saramax.ReplayConfig{
		From: saramax.DeadLetterTopic("orders", "billing"), To: "orders", PerSecond: 100, Window: 24 * time.Hour,
	}, saramax.WithReplayFilter(saramax.FailedFor(saramax.ReasonPermanent)))
	if err != nil {
		log.Fatal(err)
	}
	for kept := 0; kept == 0; { // until the record is dead
		report, err := replayer.Run(ctx)
		if err != nil {
			log.Fatal(err)
		}
		if kept = report.Kept; kept > 0 {
			fmt.Println("replayed", report.Kept, "too old for the handler", report.Old)
		}
	}
	fmt.Println("handled", <-handled)
	stop()
	fmt.Println(<-done)
	// Output:
	// handled orders/0/0
	// replayed 1 too old for the handler 0
	// handled orders/0/1
	// <nil>
}
