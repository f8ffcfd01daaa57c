package ioc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/IBM/sarama"

	"github.com/bulwark-go/bulwark/saramax"
)

const (
	// partitions is how many a topic of ours is made with: as many instances can share
	// its work.
	partitions = 3
	// topicsTimeout is how long brokers may take to tell each other of new topics, and
	// topicsPause how often they are asked.
	topicsTimeout = 15 * time.Second
	topicsPause   = 20 * time.Millisecond
)

// consumed is what a group consumes.
type consumed struct {
	group  string
	topics []string
}

// makeTopics makes those topics that are missing, and for each group the topics for
// what it puts aside, and waits until they can be used. What is there stays as an
// operator made it.
func (b Brokers) makeTopics(ctx context.Context, groups ...consumed) error {
	admin, err := sarama.NewClusterAdmin(b.Addrs, kafkaConfig())
	if err != nil {
		return unreachable("kafka", strings.Join(b.Addrs, ", "), err)
	}
	defer admin.Close()
	ctx, cancel := context.WithTimeout(ctx, topicsTimeout)
	defer cancel()
	topics := b.Names.Topics()
	for _, topic := range topics {
		// -1: the replicas that the cluster's operator chose.
		err := admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: -1}, false)
		if err != nil && !errors.Is(err, sarama.ErrTopicAlreadyExists) {
			return fmt.Errorf("kafka: create topic %s: %w", topic, err)
		}
	}
	if err := awaitTopics(ctx, admin, topics); err != nil {
		return err
	}
	var aside []string
	for _, g := range groups {
		if err := (saramax.FailureTopics{Group: g.group, Topics: g.topics}).Create(admin); err != nil {
			return fmt.Errorf("kafka: %w", err)
		}
		for _, topic := range g.topics {
			aside = append(aside, saramax.DeadLetterTopic(topic, g.group))
		}
	}
	return awaitTopics(ctx, admin, aside)
}

// awaitTopics returns when each partition has a leader: a cluster says that a topic is
// made before all of it knows.
func awaitTopics(ctx context.Context, admin sarama.ClusterAdmin, topics []string) error {
	pause := time.NewTicker(topicsPause)
	defer pause.Stop()
	for {
		err := leaders(admin, topics)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("kafka: topics are not ready: %w: %w", ctx.Err(), err)
		case <-pause.C:
		}
	}
}

func leaders(admin sarama.ClusterAdmin, topics []string) error {
	described, err := admin.DescribeTopics(topics)
	if err != nil {
		return err
	}
	for _, topic := range described {
		if !errors.Is(topic.Err, sarama.ErrNoError) {
			return fmt.Errorf("%s: %w", topic.Name, topic.Err)
		}
		for _, p := range topic.Partitions {
			if !errors.Is(p.Err, sarama.ErrNoError) {
				return fmt.Errorf("%s/%d: %w", topic.Name, p.ID, p.Err)
			}
		}
	}
	return nil
}
