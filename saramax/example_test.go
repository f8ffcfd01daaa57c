package saramax_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/IBM/sarama"

	"github.com/bulwark-go/bulwark/internal/embedded"
	"github.com/bulwark-go/bulwark/saramax"
)

// broker starts a cluster with a topic that holds these values, and returns a client.
func broker(topic string, values ...string) (sarama.Client, func()) {
	k, err := embedded.StartKafka(embedded.KafkaConfig{Topics: []embedded.Topic{{Name: topic}}})
	if err != nil {
		log.Fatal(err)
	}
	client, err := sarama.NewClient(k.Addrs(), config())
	if err != nil {
		log.Fatal(err)
	}
	producer, err := sarama.NewSyncProducerFromClient(client)
	if err != nil {
		log.Fatal(err)
	}
	for _, v := range values {
		if _, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(v)}); err != nil {
			log.Fatal(err)
		}
	}
	return client, func() { _, _, _ = producer.Close(), client.Close(), k.Close() }
}

type readEvent struct {
	Article int64 `json:"article"`
}

func ExampleNewConsumer() {
	client, end := broker("read_article", `{"article":1}`, `{"article":2}`, `{"article":1}`)
	defer end()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	reads := map[int64]int{}
	c, err := saramax.NewConsumer(client, "interactive", []string{"read_article"},
		saramax.Batch(func(_ context.Context, batch []saramax.Record[readEvent]) []saramax.Verdict {
			for _, rec := range batch {
				reads[rec.Value.Article]++
			}
			if len(reads) == 2 {
				stop() // the example has seen enough
			}
			return nil // all done
		}), saramax.WithBatch(500, 200*time.Millisecond))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(c.Run(ctx), reads)
	// Output: <nil> map[1:2 2:1]
}

func ExampleEach() {
	client, end := broker("payments", `{"article":7}`, `{"article":8}`)
	defer end()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	handle := func(_ context.Context, rec saramax.Record[readEvent]) error {
		switch rec.Value.Article {
		case 7:
			if rec.Attempt == 1 {
				return errors.New("database is busy") // tried again, after a while
			}
			fmt.Println("7 at attempt", rec.Attempt)
			return nil
		default:
			return saramax.Permanent(errors.New("no such article"))
		}
	}
	parked := saramax.ParkerFunc(func(_ context.Context, r saramax.Rejected) error {
		fmt.Println("parked", r.Message.Offset, r.Reason)
		stop()
		return nil
	})
	c, err := saramax.NewConsumer(client, "billing", []string{"payments"}, saramax.Each(handle),
		saramax.WithRetry(saramax.RetryPolicy{Attempts: 3, Base: time.Millisecond}), saramax.WithParker(parked))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(c.Run(ctx))
	// Output:
	// 7 at attempt 2
	// parked 1 permanent
	// <nil>
}

func ExampleNewGroupHandler() {
	client, end := broker("orders", `{"article":1}`)
	defer end()
	group, err := sarama.NewConsumerGroupFromClient("own-loop", client)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = group.Close() }()
	ctx, stop := context.WithCancel(context.Background())

	h, err := saramax.NewGroupHandler(group, "own-loop", saramax.Each(
		func(_ context.Context, rec saramax.Record[readEvent]) error {
			fmt.Println("article", rec.Value.Article)
			stop()
			return nil
		}))
	if err != nil {
		log.Fatal(err)
	}
	for ctx.Err() == nil {
		if err := group.Consume(ctx, []string{"orders"}, h); err != nil {
			log.Print(err)
		}
	}
	// Output: article 1
}

func ExamplePermanent() {
	fmt.Println(saramax.VerdictOf(errors.New("timeout")).Action())
	fmt.Println(saramax.VerdictOf(saramax.Permanent(errors.New("no such user"))).Action())
	// Output:
	// retry
	// dead_letter
}
