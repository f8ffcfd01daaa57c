package embedded

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kfake"
)

// KafkaConfig configures [StartKafka]. The zero value is one broker on a free
// port, without topics, that keeps its records in memory.
type KafkaConfig struct {
	// Dir keeps the records on disk, over a restart too; made when it is not
	// there. Empty keeps them in memory, all of them: for tests only.
	Dir string
	// Ports are the loopback ports to listen on, one for each broker; they decide
	// the number of brokers. Set them where clients must find the cluster again
	// after a restart. Empty takes free ports.
	Ports []int
	// Brokers is the number of brokers when Ports is empty; 1 by default.
	Brokers int
	// Partitions is how many a topic gets that does not say; 1 by default, as on
	// a real broker.
	Partitions int
	// AutoCreateTopics creates a topic when it is first asked for. Off by
	// default: a mistyped topic should be an error.
	AutoCreateTopics bool
	// Topics are created at start where they are not there yet.
	Topics []Topic
}

// topicName is Kafka's own rule, which the embedded cluster does not check.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// Topic describes a topic for [KafkaConfig].
type Topic struct {
	// Name is required.
	Name string
	// Partitions defaults to KafkaConfig.Partitions.
	Partitions int
	// Retention is how long records are kept; 0 keeps them for ever. It is
	// enforced once a minute.
	Retention time.Duration
	// RetentionBytes is how much a partition keeps; 0 for no bound.
	RetentionBytes int64
}

// Kafka is a Kafka cluster inside this process.
type Kafka struct {
	cluster *kfake.Cluster
	addrs   []string
	close   func()
}

// StartKafka starts a Kafka cluster and creates its topics. The error names the
// address when a port is taken.
func StartKafka(cfg KafkaConfig) (*Kafka, error) {
	cfg, err := cfg.checked()
	if err != nil {
		return nil, err
	}
	cluster, err := kfake.NewCluster(cfg.options()...)
	if err != nil {
		return nil, fmt.Errorf("embedded: start kafka: %w", err)
	}
	k := &Kafka{cluster: cluster, addrs: cluster.ListenAddrs(), close: sync.OnceFunc(cluster.Close)}
	if err := k.createTopics(cfg); err != nil {
		_ = k.Close()
		return nil, err
	}
	return k, nil
}

// Addrs are the host:port of each broker.
func (k *Kafka) Addrs() []string { return slices.Clone(k.addrs) }

// Close stops the cluster, after writing what Dir keeps. A second call does
// nothing. To restart a cluster close it and start another with the same Dir and
// Ports.
func (k *Kafka) Close() error {
	k.close()
	return nil
}

func (c KafkaConfig) checked() (KafkaConfig, error) {
	var errs []error
	for i, port := range c.Ports {
		if port < 1 || port > 65535 {
			errs = append(errs, fmt.Errorf("KafkaConfig.Ports[%d] is %d, not a port", i, port))
		}
	}
	if c.Brokers < 0 {
		errs = append(errs, fmt.Errorf("KafkaConfig.Brokers %d is negative", c.Brokers))
	}
	if len(c.Ports) > 0 && c.Brokers > 0 && c.Brokers != len(c.Ports) {
		errs = append(errs, fmt.Errorf("KafkaConfig.Brokers is %d but there are %d Ports", c.Brokers, len(c.Ports)))
	}
	if c.Partitions < 0 {
		errs = append(errs, fmt.Errorf("KafkaConfig.Partitions %d is negative", c.Partitions))
	}
	for i, t := range c.Topics {
		errs = append(errs, t.check(fmt.Sprintf("KafkaConfig.Topics[%d]", i)))
	}
	if err := errors.Join(errs...); err != nil {
		return c, fmt.Errorf("embedded: %w", err)
	}
	c.Brokers = max(c.Brokers, 1)
	c.Partitions = max(c.Partitions, 1)
	return c, nil
}

func (t Topic) check(field string) error {
	var errs []error
	if !topicName.MatchString(t.Name) {
		errs = append(errs, fmt.Errorf("%s.Name %q is not 1 to 249 of [a-zA-Z0-9._-]", field, t.Name))
	}
	if t.Partitions < 0 {
		errs = append(errs, fmt.Errorf("%s.Partitions %d is negative", field, t.Partitions))
	}
	if t.Retention < 0 || t.Retention > 0 && t.Retention < time.Millisecond {
		errs = append(errs, fmt.Errorf("%s.Retention %v is neither 0 nor at least 1ms", field, t.Retention))
	}
	if t.RetentionBytes < 0 {
		errs = append(errs, fmt.Errorf("%s.RetentionBytes %d is negative", field, t.RetentionBytes))
	}
	return errors.Join(errs...)
}

func (c KafkaConfig) options() []kfake.Opt {
	opts := []kfake.Opt{
		kfake.DefaultNumPartitions(c.Partitions),
		// The cleaner runs hourly by default, too seldom for short retentions.
		kfake.BrokerConfigs(map[string]string{"log.cleaner.backoff.ms": "60000"}),
	}
	if len(c.Ports) > 0 {
		opts = append(opts, kfake.Ports(c.Ports...))
	} else {
		opts = append(opts, kfake.NumBrokers(c.Brokers))
	}
	if c.Dir != "" {
		opts = append(opts, kfake.DataDir(c.Dir))
	}
	if c.AutoCreateTopics {
		opts = append(opts, kfake.AllowAutoTopicCreation())
	}
	return opts
}

// createTopics goes through the protocol rather than through seeding: the cluster
// ignores seeds once Dir holds data, and only a topic that sets its own retention
// has one.
func (k *Kafka) createTopics(cfg KafkaConfig) error {
	if len(cfg.Topics) == 0 {
		return nil
	}
	client := sarama.NewConfig()
	client.Version = sarama.V3_6_0_0
	admin, err := sarama.NewClusterAdmin(k.addrs, client)
	if err != nil {
		return fmt.Errorf("embedded: create topics: %w", err)
	}
	defer func() { _ = admin.Close() }()
	for _, t := range cfg.Topics {
		detail := t.detail(cfg.Partitions)
		if err := admin.CreateTopic(t.Name, detail, false); err != nil && !errors.Is(err, sarama.ErrTopicAlreadyExists) {
			return fmt.Errorf("embedded: create topic %s: %w", t.Name, err)
		}
	}
	return nil
}

func (t Topic) detail(partitions int) *sarama.TopicDetail {
	if t.Partitions > 0 {
		partitions = t.Partitions
	}
	bound := func(n int64) *string {
		if n == 0 {
			n = -1
		}
		s := strconv.FormatInt(n, 10)
		return &s
	}
	return &sarama.TopicDetail{
		NumPartitions: int32(partitions), ReplicationFactor: 1,
		ConfigEntries: map[string]*string{
			"retention.ms":    bound(t.Retention.Milliseconds()),
			"retention.bytes": bound(t.RetentionBytes),
		},
	}
}
