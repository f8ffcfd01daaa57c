package saramax

import (
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// configured is a client with settings of ours, for the group that is made from it.
// The caller's own settings stay as they are.
type configured struct {
	sarama.Client
	config *sarama.Config
}

func (c configured) Config() *sarama.Config { return c.config }

// Close leaves the client to its owner.
func (configured) Close() error { return nil }

// groupConfig returns a copy of the client's settings with those that consuming
// without loss depends on.
func groupConfig(from *sarama.Config, s *settings) *sarama.Config {
	cfg := *from
	cfg.Consumer.Return.Errors = true // they are read, always
	cfg.Consumer.Offsets.Initial = sarama.OffsetOldest
	cfg.Consumer.Offsets.AutoCommit.Enable = true // repeats what failed, and flushes at the end
	cfg.Consumer.Offsets.AutoCommit.Interval = s.commit
	cfg.Consumer.Group.ResetInvalidOffsets = false // that would be silent
	cfg.Consumer.Fetch.Max = 0                     // a record larger than that would be passed over
	return &cfg
}

// checkGroupConfig tells what of a client's settings contradicts itself for a group.
func checkGroupConfig(cfg *sarama.Config, drain time.Duration) []error {
	var errs []error
	group := cfg.Consumer.Group
	if cfg.Net.ReadTimeout < group.Rebalance.Timeout {
		errs = append(errs, fmt.Errorf("Net.ReadTimeout %v is below Consumer.Group.Rebalance.Timeout %v, so joining a group fails "+
			"while another member drains: set at least %v", cfg.Net.ReadTimeout, group.Rebalance.Timeout, group.Rebalance.Timeout+5*time.Second))
	}
	if group.Heartbeat.Interval*3 > group.Session.Timeout {
		errs = append(errs, fmt.Errorf("Consumer.Group.Heartbeat.Interval %v is above a third of Session.Timeout %v",
			group.Heartbeat.Interval, group.Session.Timeout))
	}
	if most := group.Rebalance.Timeout / 5 * 4; drain > most {
		errs = append(errs, fmt.Errorf("drain %v is above %v, 0.8 times Consumer.Group.Rebalance.Timeout", drain, most))
	}
	if !cfg.Version.IsAtLeast(sarama.V0_11_0_0) {
		errs = append(errs, fmt.Errorf("the client's Version %v is older than 0.11, which brought headers", cfg.Version))
	}
	return errs
}

// committedOffset asks the group's coordinator for a commit and its metadata; the
// offset is -1 where the group has none.
func committedOffset(client sarama.Client, group, topic string, partition int32) (int64, string, error) {
	found, err := committedOffsets(client, group, map[string][]int32{topic: {partition}})
	if err != nil {
		return -1, "", err
	}
	block := found.GetBlock(topic, partition)
	switch {
	case block == nil:
		return -1, "", sarama.ErrIncompleteResponse
	case !errors.Is(block.Err, sarama.ErrNoError):
		return -1, "", block.Err
	}
	return block.Offset, block.Metadata, nil
}

func committedOffsets(client sarama.Client, group string, partitions map[string][]int32) (*sarama.OffsetFetchResponse, error) {
	broker, err := client.Coordinator(group)
	if err != nil {
		return nil, err
	}
	found, err := broker.FetchOffset(sarama.NewOffsetFetchRequest(client.Config().Version, group, partitions))
	if err != nil {
		return nil, err
	}
	if !errors.Is(found.Err, sarama.ErrNoError) {
		return nil, found.Err
	}
	return found, nil
}
