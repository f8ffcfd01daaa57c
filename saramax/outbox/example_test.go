package outbox_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/IBM/sarama"
	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/internal/embedded"
	"github.com/bulwark-go/bulwark/saramax/outbox"
)

// exampleDB is a database in a folder of its own.
func exampleDB() (*gorm.DB, func()) {
	dir, err := os.MkdirTemp("", "outbox")
	must(err)
	s, err := embedded.OpenSQLite(embedded.SQLiteConfig{Path: filepath.Join(dir, "example.db")})
	must(err)
	return s.DB(), func() {
		must(s.Close())
		must(os.RemoveAll(dir))
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

type PaidEvent struct{ TradeNo string }

func ExampleNewRelay() {
	db, closeDB := exampleDB()
	defer closeDB()
	plugin, err := outbox.NewPlugin(outbox.Settings{})
	must(err)
	must(db.Use(plugin)) // Add finds it, and wakes relays at commit
	must(outbox.Migrate(context.Background(), db))

	ctx, stop := context.WithCancel(context.Background())
	relay, err := outbox.NewRelay(db, outbox.PublisherFunc(func(_ context.Context, messages []outbox.Message) []error {
		for _, m := range messages {
			fmt.Println(m.Topic, m.Key, m.Type, string(m.Payload))
		}
		stop() // an example ends
		return nil
	}), outbox.Config{})
	must(err)

	must(db.Transaction(func(tx *gorm.DB) error {
		// ... change what the event tells of, here
		return outbox.Add(tx, "payment_events", "T-1001", PaidEvent{TradeNo: "T-1001"})
	}))
	fmt.Println(relay.Run(ctx))
	// Output:
	// payment_events T-1001 PaidEvent {"TradeNo":"T-1001"}
	// <nil>
}

func ExampleNewSaramaPublisher() {
	kafka, err := embedded.StartKafka(embedded.KafkaConfig{Topics: []embedded.Topic{{Name: "payment_events"}}})
	must(err)
	defer func() { must(kafka.Close()) }()
	cfg := sarama.NewConfig()
	cfg.Version = sarama.V3_6_0_0
	cfg.Producer.RequiredAcks = sarama.WaitForAll
	cfg.Producer.Idempotent, cfg.Net.MaxOpenRequests = true, 1
	cfg.Producer.Return.Successes = true
	producer, err := sarama.NewSyncProducer(kafka.Addrs(), cfg)
	must(err)
	defer func() { must(producer.Close()) }()

	publisher := outbox.NewSaramaPublisher(producer)
	errs := publisher.Publish(context.Background(), []outbox.Message{{ID: "1", Topic: "payment_events", Key: "T-1001", Payload: []byte("{}")}})
	fmt.Println(errs)
	// Output: []
}

func ExampleNewPlugin() {
	_, err := outbox.NewPlugin(outbox.Settings{Table: "Events", Buckets: 1000})
	fmt.Println(err)
	// Output:
	// outbox: Settings.Table is Events: must be up to 48 of a-z, 0-9 and _, not beginning with a digit
	// Settings.Buckets is 1000: must be from 1 to 256
}

func ExampleNewAdmin() {
	db, closeDB := exampleDB()
	defer closeDB()
	ctx := context.Background()
	must(outbox.Migrate(ctx, db))
	must(db.Transaction(func(tx *gorm.DB) error {
		return outbox.Add(tx, "payment_events", "T-1001", PaidEvent{TradeNo: "T-1001"})
	}))
	admin, err := outbox.NewAdmin(db)
	must(err)
	status, err := admin.Status(ctx)
	must(err)
	fmt.Println(status.Pending, status.Dead, status.Unowned)
	requeued, err := admin.Requeue(ctx, outbox.Filter{Topic: "payment_events"})
	fmt.Println(requeued, err)
	// Output:
	// 1 0 64
	// 0 <nil>
}
