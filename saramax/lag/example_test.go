package lag_test

import (
	"context"
	"fmt"
	"time"

	"github.com/IBM/sarama"

	"github.com/bulwark-go/bulwark/internal/embedded"
	"github.com/bulwark-go/bulwark/saramax"
	"github.com/bulwark-go/bulwark/saramax/lag"
)

func ExampleNew() {
	kafka, err := embedded.StartKafka(embedded.KafkaConfig{Topics: []embedded.Topic{{Name: "read_article"}}})
	if err != nil {
		panic(err)
	}
	defer func() { _ = kafka.Close() }()
	client, err := sarama.NewClient(kafka.Addrs(), saramax.NewConfig("interactive-lag"))
	if err != nil {
		panic(err)
	}
	defer func() { _ = client.Close() }()

	// In a service: lag.WithConsumer(consumer), and register the monitor with observe/prom.
	monitor, err := lag.New(client, "interactive", []string{"read_article"}, lag.Config{Interval: 100 * time.Millisecond})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- monitor.Run(ctx) }()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for len(monitor.Snapshot()) == 0 {
		<-look.C
	}
	for _, p := range monitor.Snapshot() {
		fmt.Println(p.Topic, p.Partition, p.Messages, p.Behind)
	}
	cancel()
	fmt.Println(<-done)
	// Output:
	// read_article 0 0 0s
	// <nil>
}
