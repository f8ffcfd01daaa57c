package saramax

import (
	"errors"

	"github.com/IBM/sarama"
)

// Murmur2 puts records of one key into one partition, the one that Kafka's own clients
// in Java choose, so that topics written from both sides can be joined by partition.
// Records without a key are spread at random. It is the default of [NewConfig].
func Murmur2(topic string) sarama.Partitioner { return sarama.NewMurmur2Partitioner(topic) }

// Hash puts records of one key into one partition by FNV-1a, as sarama does by default
// and no other client: for topics that are written that way already. Records without
// a key are spread at random.
func Hash(topic string) sarama.Partitioner { return sarama.NewHashPartitioner(topic) }

// ConsistentCRC puts records of one key into one partition by CRC-32, the one that
// librdkafka's consistent_random chooses. Records without a key are spread at random.
func ConsistentCRC(topic string) sarama.Partitioner {
	return sarama.NewConsistentCRCHashPartitioner(topic)
}

// Random spreads records at random over the partitions that have a leader, whatever
// their key: records of one key lose their order.
func Random(topic string) sarama.Partitioner { return sarama.NewRandomPartitioner(topic) }

// RoundRobin deals records out to the partitions that have a leader in turn, whatever
// their key: records of one key lose their order.
func RoundRobin(topic string) sarama.Partitioner { return sarama.NewRoundRobinPartitioner(topic) }

// Manual has the caller choose each partition, with [Producer.SendTo] and the like;
// other records are refused with [ErrNoPartition].
func Manual(string) sarama.Partitioner { return manual{} }

// ErrNoPartition refuses a record whose partition [Manual] leaves to the caller, who
// named none.
var ErrNoPartition = errors.New("saramax: no partition was named")

type manual struct{}

func (manual) Partition(*sarama.ProducerMessage, int32) (int32, error) { return -1, ErrNoPartition }
func (manual) RequiresConsistency() bool                               { return true }

// anyPartition leaves the choice to the partitioner.
const anyPartition = -1

// pinned obeys a caller who names the partition, and else asks the partitioner below.
type pinned struct{ below sarama.Partitioner }

func pin(below sarama.PartitionerConstructor) sarama.PartitionerConstructor {
	return func(topic string) sarama.Partitioner { return pinned{below(topic)} }
}

func (p pinned) Partition(m *sarama.ProducerMessage, partitions int32) (int32, error) {
	if to := partitionOf(m); to != anyPartition {
		return to, nil
	}
	return p.below.Partition(m, partitions)
}

func (p pinned) RequiresConsistency() bool { return p.below.RequiresConsistency() }

// MessageRequiresConsistency implements [sarama.DynamicConsistencyPartitioner]: a named
// partition counts among all of them, also while some have no leader.
func (p pinned) MessageRequiresConsistency(m *sarama.ProducerMessage) bool {
	if partitionOf(m) != anyPartition {
		return true
	}
	if dynamic, ok := p.below.(sarama.DynamicConsistencyPartitioner); ok {
		return dynamic.MessageRequiresConsistency(m)
	}
	return p.below.RequiresConsistency()
}

func partitionOf(m *sarama.ProducerMessage) int32 {
	if pending, ok := m.Metadata.(*Pending); ok {
		return pending.partition
	}
	return anyPartition
}
