package saramax

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"
)

const (
	// deadLetterRetention leaves a long weekend to find a dead letter.
	deadLetterRetention = 3 * 24 * time.Hour
	// retryBacklog is how long a retry topic may lag behind its delay before retention
	// reaches what was not handled.
	retryBacklog = 24 * time.Hour
)

// FailureTopics are the topics that a group needs beside those it consumes.
type FailureTopics struct {
	// Group and Topics are those of the consumer.
	Group  string
	Topics []string
	// Delays are those of [WithRetryTopics]; none without it.
	Delays []time.Duration
	// Order is that of [WithRetryOrder].
	Order RetryOrder
	// Replication is how many replicas Create asks for; 0 for what the cluster
	// configures for new topics.
	Replication int16
}

// wanted is what a topic must be like.
type wanted struct {
	name       string
	partitions int32 // at least; exactly, for a retry topic
	exactly    bool
	retention  time.Duration // at least
	compacted  bool          // or not at all
}

// Create creates the topics that are missing, with what Check demands, and changes none
// that is there. A source must be there, as its partitions are counted.
func (t FailureTopics) Create(admin sarama.ClusterAdmin) error {
	want, err := t.wanted(admin)
	if err != nil {
		return err
	}
	var errs []error
	for _, w := range want {
		err := admin.CreateTopic(w.name, w.detail(t.Replication), false)
		if err != nil && !errors.Is(err, sarama.ErrTopicAlreadyExists) {
			errs = append(errs, fmt.Errorf("saramax: create topic %s: %w", w.name, err))
		}
	}
	return errors.Join(errs...)
}

func (w wanted) detail(replication int16) *sarama.TopicDetail {
	if replication == 0 {
		replication = -1
	}
	policy, retention := "delete", "-1"
	if w.compacted {
		policy = "compact"
	} else if w.exactly { // a retry topic is passing trade
		retention = strconv.FormatInt(w.retention.Milliseconds(), 10)
	}
	return &sarama.TopicDetail{
		NumPartitions: w.partitions, ReplicationFactor: replication,
		ConfigEntries: map[string]*string{"cleanup.policy": &policy, "retention.ms": &retention},
	}
}

// Check returns nil when each topic is there and fit for its part, or an error that
// says of each violation what to set:
//
//   - A retry topic has as many partitions as its source, so that records with one key
//     stay together, and keeps them for its delay and a day of backlog.
//   - A dead-letter topic keeps its records for three days.
//   - Neither is compacted, as that would keep but the last failed record of a key.
//   - The topic of blocked keys under [BlockKey] has one partition, is compacted, and
//     never deletes by age.
func (t FailureTopics) Check(admin sarama.ClusterAdmin) error {
	want, err := t.wanted(admin)
	if err != nil {
		return err
	}
	var errs []error
	for _, w := range want {
		errs = append(errs, w.check(admin))
	}
	return errors.Join(errs...)
}

func (t FailureTopics) wanted(admin sarama.ClusterAdmin) ([]wanted, error) {
	r, err := newRoutes(t.Group, t.Topics, t.Delays)
	if err != nil {
		return nil, fmt.Errorf("saramax: %w", err)
	}
	var all []wanted
	for _, source := range t.Topics {
		n, err := partitionsOf(admin, source)
		if err != nil {
			return nil, err
		}
		for tier, delay := range t.Delays {
			all = append(all, wanted{name: r.topic(source, tier+1), partitions: n, exactly: true, retention: delay + retryBacklog})
		}
		if len(t.Delays) > 0 && t.Order == BlockKey {
			all = append(all, wanted{name: blockedTopic(source, t.Group), partitions: 1, exactly: true, compacted: true})
		}
		all = append(all, wanted{name: r.deadLetter(source), partitions: 1, retention: deadLetterRetention})
	}
	return all, nil
}

func (w wanted) check(admin sarama.ClusterAdmin) error {
	n, err := partitionsOf(admin, w.name)
	if err != nil {
		return err
	}
	var errs []error
	if w.exactly && n != w.partitions {
		errs = append(errs, fmt.Errorf("saramax: topic %s has %d partitions, and needs %d: create it anew with that many", w.name, n, w.partitions))
	}
	entries, err := configOf(admin, w.name)
	if err != nil {
		return errors.Join(append(errs, fmt.Errorf("saramax: read the configuration of topic %s: %w", w.name, err))...)
	}
	for _, e := range entries {
		switch e.Name {
		case "cleanup.policy":
			errs = append(errs, w.checkPolicy(e.Value))
		case "retention.ms":
			errs = append(errs, w.checkRetention(e.Value))
		}
	}
	return errors.Join(errs...)
}

// configOf returns what of a topic's configuration matters here.
func configOf(admin sarama.ClusterAdmin, topic string) ([]sarama.ConfigEntry, error) {
	found, err := admin.DescribeConfigs([]*sarama.ConfigResource{{
		Type: sarama.TopicResource, Name: topic, ConfigNames: []string{"cleanup.policy", "retention.ms"},
	}}, sarama.DescribeConfigsOptions{})
	if err != nil {
		return nil, err
	}
	var entries []sarama.ConfigEntry
	for _, f := range found {
		if f.ErrorCode != sarama.ErrNoError {
			return nil, fmt.Errorf("%w: %s", f.ErrorCode, f.ErrorMsg)
		}
		entries = append(entries, f.Configs...)
	}
	return entries, nil
}

func (w wanted) checkPolicy(policy string) error {
	want := "delete"
	if w.compacted {
		want = "compact"
	}
	if strings.TrimSpace(policy) == want {
		return nil
	}
	return fmt.Errorf("saramax: topic %s has cleanup.policy=%s, and loses records by it: set cleanup.policy=%s", w.name, policy, want)
}

func (w wanted) checkRetention(text string) error {
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return fmt.Errorf("saramax: topic %s has retention.ms=%q, which is no number", w.name, text)
	}
	if w.compacted || ms < 0 || ms >= w.retention.Milliseconds() {
		return nil
	}
	return fmt.Errorf("saramax: topic %s keeps records for %v only, and must for %v: set retention.ms to at least %d, or to -1",
		w.name, time.Duration(ms)*time.Millisecond, w.retention, w.retention.Milliseconds())
}

func partitionsOf(admin sarama.ClusterAdmin, topic string) (int32, error) {
	described, err := admin.DescribeTopics([]string{topic})
	if err == nil && len(described) == 1 && described[0].Err != sarama.ErrNoError {
		err = described[0].Err
	}
	switch {
	case errors.Is(err, sarama.ErrUnknownTopicOrPartition):
		return 0, fmt.Errorf("saramax: topic %s does not exist: create it, for example with FailureTopics.Create: %w", topic, err)
	case err != nil:
		return 0, fmt.Errorf("saramax: describe topic %s: %w", topic, err)
	case len(described) != 1:
		return 0, fmt.Errorf("saramax: describe topic %s: got %d answers", topic, len(described))
	}
	return int32(len(described[0].Partitions)), nil
}
