package saramax_test

import (
	"context"
	"fmt"
	"time"

	"github.com/IBM/sarama"

	"github.com/bulwark-go/bulwark/internal/embedded"
	"github.com/bulwark-go/bulwark/saramax"
)

type readEvent struct{ Article, User int64 }

func ExampleNewProducer() {
	kafka, err := embedded.StartKafka(embedded.KafkaConfig{Topics: []embedded.Topic{{Name: "read_article"}}})
	if err != nil {
		panic(err)
	}
	defer func() { _ = kafka.Close() }()

	raw, err := saramax.NewRawProducer(kafka.Addrs(), saramax.NewConfig("articles"))
	if err != nil {
		panic(err)
	}
	reads, err := saramax.NewProducer(raw, "read_article", saramax.JSON[readEvent]())
	if err != nil {
		panic(err)
	}

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	receipt, err := reads.Send(ctx, []byte("article-7"), readEvent{Article: 7, User: 1})
	fmt.Println(receipt.Topic, receipt.Partition, receipt.Offset, err)

	pending, err := reads.Enqueue(ctx, []byte("article-7"), readEvent{Article: 7, User: 2})
	if err != nil {
		panic(err) // not produced
	}
	receipt, err = pending.Wait(ctx)
	fmt.Println(receipt.Offset, err)

	fmt.Println(raw.Close(ctx)) // lists what was not confirmed, if anything
	// Output:
	// read_article 0 0 <nil>
	// 1 <nil>
	// <nil>
}

func ExampleNewRawProducer() {
	cfg := sarama.NewConfig() // counts a record as produced when one broker has it
	_, err := saramax.NewRawProducer([]string{"broker:9092"}, cfg)
	fmt.Println(err != nil)

	_, err = saramax.NewRawProducer([]string{"broker:9092"}, saramax.NewConfig("articles"))
	fmt.Println(err)
	// Output:
	// true
	// <nil>
}

func ExampleNewConfig() {
	cfg := saramax.NewConfig("articles")
	fmt.Println(saramax.Check(cfg))
	cfg.Net.ReadTimeout = 30 * time.Second
	fmt.Println(saramax.Check(cfg))
	// Output:
	// <nil>
	// saramax: config: Net.ReadTimeout is 30s, and a rebalance takes up to Consumer.Group.Rebalance.Timeout 1m0s, so that joining times out while a slow member leaves: set 1m5s or more
}
