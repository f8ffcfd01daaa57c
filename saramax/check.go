package saramax

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/IBM/sarama"
)

// What [NewConfig] sets and [CheckConsumer] demands.
const (
	// joinMargin is how much longer than a rebalance an answer is waited for.
	joinMargin = 5 * time.Second
	// retryCeiling is the longest pause between two attempts to produce, and
	// retries how many there are: two minutes, nearly, before a broker is given up.
	retryCeiling = time.Second
	retries      = 120
)

// NewConfig returns a configuration of sarama whose defaults lose nothing: records
// count as produced when all in-sync replicas have them, and once; a new group begins
// at the oldest record; and no default works against another. clientID names the
// service to the brokers, for their logs and quotas: service and group, say.
//
// Give a consumer group and a [RawProducer] a configuration, and a connection, each: the
// single open request of an idempotent producer makes a shared connection wait for the
// long polls of the consumer.
func NewConfig(clientID string) *sarama.Config {
	cfg := sarama.NewConfig()
	cfg.ClientID = clientID
	cfg.Version = sarama.V2_8_0_0
	cfg.Net.MaxOpenRequests = 1
	cfg.Metadata.AllowAutoTopicCreation = false

	cfg.Producer.RequiredAcks = sarama.WaitForAll
	cfg.Producer.Idempotent = true
	cfg.Producer.Return.Successes = true
	cfg.Producer.Return.Errors = true
	cfg.Producer.Partitioner = Murmur2
	cfg.Producer.Retry.Max = retries
	cfg.Producer.Retry.BackoffFunc = retryPause

	group := &cfg.Consumer.Group
	group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategySticky()}
	group.ResetInvalidOffsets = false
	cfg.Net.ReadTimeout = group.Rebalance.Timeout + joinMargin
	cfg.Consumer.Offsets.Initial = sarama.OffsetOldest
	cfg.Consumer.Return.Errors = true
	cfg.Consumer.MaxProcessingTime = time.Second
	return cfg
}

// retryPause doubles from a tenth of a second up to retryCeiling, and takes up to half
// of it off again at random, so that producers that failed together come back apart.
func retryPause(attempt, _ int) time.Duration {
	pause := retryCeiling
	if attempt < 5 {
		pause = min(pause, 100*time.Millisecond<<max(attempt-1, 0))
	}
	return pause - rand.N(pause/2)
}

// ConfigError is one setting of a [sarama.Config] that loses records or works against
// another. The checks join them.
type ConfigError struct {
	// Field is the setting, as in "Net.ReadTimeout".
	Field string
	// Problem says what the setting is and what comes of it.
	Problem string
	// Remedy says what to set.
	Remedy string
}

// Error implements error.
func (e *ConfigError) Error() string {
	return fmt.Sprintf("saramax: config: %s %s: %s", e.Field, e.Problem, e.Remedy)
}

// findings collects violations.
type findings []error

func (f *findings) when(wrong bool, field, problem, remedy string) {
	if wrong {
		*f = append(*f, &ConfigError{Field: field, Problem: problem, Remedy: remedy})
	}
}

func (f findings) join() error { return errors.Join(f...) }

// ConsumerPlan is what a consumer means to do, for [CheckConsumer] to hold against the
// client's settings. A zero field is not checked, or asks for nothing.
type ConsumerPlan struct {
	// Drain is how long a consumer that leaves may finish what it holds.
	Drain time.Duration
	// BufferBytes is what the client may hold of each partition before the consumer
	// takes it, with records of at most RecordBytes.
	BufferBytes int64
	// RecordBytes is the size of the largest record; 1 MiB, the brokers' default bound,
	// when it is 0.
	RecordBytes int64
	// Start is where a group without commits begins: [sarama.OffsetNewest] passes over
	// all records from before it first joins, and so has to be named here too. 0 is
	// [sarama.OffsetOldest].
	Start int64
}

// Check joins what [CheckConsumer] and [CheckProducer] find without a plan and with
// all replicas: for a configuration that comes from elsewhere.
func Check(cfg *sarama.Config) error {
	if cfg == nil {
		return CheckProducer(cfg, AllReplicas)
	}
	return errors.Join(CheckConsumer(cfg, ConsumerPlan{}), CheckProducer(cfg, AllReplicas))
}

// CheckConsumer tells which settings lose records of a consumer group, or contradict
// each other or plan, as joined [ConfigError]s that say what to set. It accepts what
// [NewConfig] returns, and not what sarama.NewConfig does.
func CheckConsumer(cfg *sarama.Config, plan ConsumerPlan) error {
	if cfg == nil {
		return &ConfigError{Field: "Config", Problem: "is nil", Remedy: "take that of NewConfig"}
	}
	var f findings
	f.membership(cfg, plan)
	f.offsets(cfg, plan)
	f.fetching(cfg, plan)
	return f.join()
}

func (f *findings) membership(cfg *sarama.Config, plan ConsumerPlan) {
	group, net := &cfg.Consumer.Group, &cfg.Net
	rebalance := group.Rebalance.Timeout
	f.when(net.ReadTimeout < rebalance+joinMargin, "Net.ReadTimeout",
		fmt.Sprintf("is %v, and a rebalance takes up to Consumer.Group.Rebalance.Timeout %v, so that joining times out while a slow member leaves", net.ReadTimeout, rebalance),
		fmt.Sprintf("set %v or more", rebalance+joinMargin))
	f.when(group.Heartbeat.Interval > group.Session.Timeout/3, "Consumer.Group.Heartbeat.Interval",
		fmt.Sprintf("is %v, which leaves fewer than three heartbeats in Consumer.Group.Session.Timeout %v", group.Heartbeat.Interval, group.Session.Timeout),
		fmt.Sprintf("set %v or less", group.Session.Timeout/3))
	f.when(plan.Drain > rebalance*4/5, "Consumer.Group.Rebalance.Timeout",
		fmt.Sprintf("is %v, and draining for %v leaves too little of it to commit and join again", rebalance, plan.Drain),
		fmt.Sprintf("set %v or more, or drain for %v or less", plan.Drain*5/4, rebalance*4/5))
}

func (f *findings) offsets(cfg *sarama.Config, plan ConsumerPlan) {
	offsets := &cfg.Consumer.Offsets
	start := plan.Start
	if start == 0 {
		start = sarama.OffsetOldest
	}
	f.when(offsets.Initial != start, "Consumer.Offsets.Initial", "is "+startName(offsets.Initial)+startProblem(offsets.Initial),
		"set "+startName(start)+", or ask for the other by name")
	f.when(cfg.Consumer.Group.ResetInvalidOffsets, "Consumer.Group.ResetInvalidOffsets",
		"is true, so that a group that retention overtook jumps on without a word",
		"set false, and reset offsets as a decision")
	f.when(!offsets.AutoCommit.Enable, "Consumer.Offsets.AutoCommit.Enable",
		"is false, and closing flushes no commit then",
		"set true: only what is worked off gets marked")
	f.when(!cfg.Consumer.Return.Errors, "Consumer.Return.Errors",
		"is false, so that failed commits are heard of by nobody",
		"set true, and drain the group's Errors")
}

func startName(offset int64) string {
	switch offset {
	case sarama.OffsetNewest:
		return "OffsetNewest"
	case sarama.OffsetOldest:
		return "OffsetOldest"
	default:
		return fmt.Sprint(offset)
	}
}

func startProblem(offset int64) string {
	if offset == sarama.OffsetNewest {
		return ", so that what was produced before a group first joined is passed over"
	}
	return ", and the plan says otherwise"
}

func (f *findings) fetching(cfg *sarama.Config, plan ConsumerPlan) {
	record := plan.RecordBytes
	if record == 0 {
		record = 1 << 20
	}
	fetch := &cfg.Consumer.Fetch
	f.when(fetch.Max > 0 && int64(fetch.Max) < record, "Consumer.Fetch.Max",
		fmt.Sprintf("is %d, and a record above it is passed over; they have up to %d bytes", fetch.Max, record),
		"set 0, which knows no bound")
	held := int64(cfg.ChannelBufferSize) * record
	f.when(plan.BufferBytes > 0 && held > plan.BufferBytes, "ChannelBufferSize",
		fmt.Sprintf("is %d, which holds up to %d bytes of a partition, above the bound of %d", cfg.ChannelBufferSize, held, plan.BufferBytes),
		fmt.Sprintf("set %d or less", plan.BufferBytes/record))
	f.when(cfg.Consumer.MaxWaitTime >= cfg.Net.ReadTimeout, "Net.ReadTimeout",
		fmt.Sprintf("is %v, and a broker without news answers a fetch after Consumer.MaxWaitTime %v, so that an idle topic looks like a dead broker", cfg.Net.ReadTimeout, cfg.Consumer.MaxWaitTime),
		fmt.Sprintf("set %v or more", cfg.Consumer.MaxWaitTime+joinMargin))
}

// CheckProducer tells which settings make records produced with acks get lost, twice
// or out of order, or contradict each other, as joined [ConfigError]s that say what to
// set. It accepts what [NewConfig] returns, and not what sarama.NewConfig does: its
// default is that of [LeaderOnly], which has to be named.
func CheckProducer(cfg *sarama.Config, acks Acks) error {
	if cfg == nil {
		return &ConfigError{Field: "Config", Problem: "is nil", Remedy: "take that of NewConfig"}
	}
	var f findings
	producer := &cfg.Producer
	f.durability(cfg, acks)
	f.when(!producer.Return.Successes, "Producer.Return.Successes", "is false, so that nothing is ever confirmed", "set true")
	f.when(!producer.Return.Errors, "Producer.Return.Errors", "is false, so that failures are heard of by nobody", "set true")
	f.when(!cfg.Version.IsAtLeast(sarama.V0_11_0_0), "Version", fmt.Sprintf("is %v, which knows no headers", cfg.Version), "set V0_11_0_0 or later")
	f.when(cfg.Net.ReadTimeout <= producer.Timeout, "Net.ReadTimeout",
		fmt.Sprintf("is %v, and the broker may wait for its replicas for Producer.Timeout %v, so that what it did is taken for lost", cfg.Net.ReadTimeout, producer.Timeout),
		fmt.Sprintf("set %v or more", producer.Timeout+joinMargin))
	f.when(producer.MaxMessageBytes >= int(sarama.MaxRequestSize), "Producer.MaxMessageBytes",
		fmt.Sprintf("is %d, and a request ends at sarama.MaxRequestSize %d", producer.MaxMessageBytes, sarama.MaxRequestSize), "set less: what the brokers take")
	f.when((producer.Flush.Bytes > 0 || producer.Flush.Messages > 0) && producer.Flush.Frequency == 0, "Producer.Flush.Frequency",
		"is 0, and Producer.Flush.Bytes or Messages waits for more records for ever", "set how long the first one may wait")
	return f.join()
}

func (f *findings) durability(cfg *sarama.Config, acks Acks) {
	producer := &cfg.Producer
	f.when(producer.RequiredAcks != acks.required(), "Producer.RequiredAcks",
		fmt.Sprintf("is %d, which is not %v", producer.RequiredAcks, acks),
		fmt.Sprintf("set %d, or name another durability", acks.required()))
	if acks != AllReplicas {
		f.when(producer.Idempotent, "Producer.Idempotent", fmt.Sprintf("is true, which %v is too weak for", acks), "set false")
		return
	}
	f.when(!producer.Idempotent, "Producer.Idempotent", "is false, so that a retry may write a record twice, or after a later one", "set true")
	f.when(cfg.Net.MaxOpenRequests != 1, "Net.MaxOpenRequests",
		fmt.Sprintf("is %d, and an idempotent producer keeps order with one only", cfg.Net.MaxOpenRequests), "set 1")
	f.when(producer.Retry.Max < 1, "Producer.Retry.Max",
		fmt.Sprintf("is %d, so that an election of a leader loses records", producer.Retry.Max), fmt.Sprintf("set 1 or more; NewConfig has %d", retries))
}
