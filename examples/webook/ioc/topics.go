package ioc

import (
	"errors"
	"fmt"
	"strings"

	"github.com/IBM/sarama"

	"github.com/bulwark-go/bulwark/saramax"
)

// partitions is how many a topic of ours is made with: as many instances can share its
// work.
const partitions = 3

// consumed is what a group consumes.
type consumed struct {
	group  string
	topics []string
}

// makeTopics makes those topics that are missing, and for each group the topics for
// what it puts aside. What is there stays as an operator made it.
func (b Brokers) makeTopics(groups ...consumed) error {
	admin, err := sarama.NewClusterAdmin(b.Addrs, kafkaConfig())
	if err != nil {
		return unreachable("kafka", strings.Join(b.Addrs, ", "), err)
	}
	defer admin.Close()
	for _, topic := range b.Names.Topics() {
		// -1: the replicas that the cluster's operator chose.
		err := admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: -1}, false)
		if err != nil && !errors.Is(err, sarama.ErrTopicAlreadyExists) {
			return fmt.Errorf("kafka: create topic %s: %w", topic, err)
		}
	}
	for _, g := range groups {
		if err := (saramax.FailureTopics{Group: g.group, Topics: g.topics}).Create(admin); err != nil {
			return fmt.Errorf("kafka: %w", err)
		}
	}
	return nil
}
