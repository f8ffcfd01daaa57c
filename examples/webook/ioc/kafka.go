package ioc

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/IBM/sarama"

	"github.com/bulwark-go/bulwark/examples/webook/config"
	"github.com/bulwark-go/bulwark/examples/webook/internal/events"
	"github.com/bulwark-go/bulwark/examples/webook/internal/health"
	"github.com/bulwark-go/bulwark/internal/embedded"
)

// Brokers is a Kafka cluster, and what our topics and groups are called there.
type Brokers struct {
	Addrs []string
	Names events.Names
}

// Kafka returns the brokers at cfg.Addrs, or an embedded one that keeps its records in
// dir. No request waits for it, so its health is not required.
func Kafka(c *Closers, cfg config.Kafka, dir string) (Brokers, health.Component, error) {
	addrs, detail := cfg.Addrs, strings.Join(cfg.Addrs, ", ")
	if len(addrs) == 0 {
		server, err := embedded.StartKafka(embedded.KafkaConfig{Dir: filepath.Join(dir, "kafka")})
		if err != nil {
			return Brokers{}, health.Component{}, err
		}
		c.AddClose("embedded kafka", server.Close)
		addrs = server.Addrs()
		detail = "embedded, " + strings.Join(addrs, ", ")
	}
	client, err := sarama.NewClient(addrs, kafkaConfig())
	if err != nil {
		return Brokers{}, health.Component{}, unreachable("kafka", strings.Join(addrs, ", "), err)
	}
	c.AddClose("kafka client", client.Close)
	// sarama takes no context: the time-outs of its configuration bound the call.
	ping := func(context.Context) error { return client.RefreshMetadata() }
	brokers := Brokers{Addrs: addrs, Names: events.Names{Prefix: cfg.Prefix}}
	return brokers, health.Component{Name: "kafka", Detail: detail, Ping: ping}, nil
}

func kafkaConfig() *sarama.Config {
	cfg := sarama.NewConfig()
	cfg.ClientID = "webook"
	cfg.Version = sarama.V3_6_0_0
	// A first connection reads several times, so each gets a part of the wait.
	cfg.Net.DialTimeout = connectTimeout / 3
	cfg.Net.ReadTimeout = connectTimeout / 3
	cfg.Net.WriteTimeout = connectTimeout / 3
	cfg.Metadata.Retry.Max = 0
	cfg.Metadata.Timeout = connectTimeout
	return cfg
}
