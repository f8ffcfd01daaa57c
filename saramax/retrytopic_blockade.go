package saramax

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// blockade keeps the [blocks] of one source topic in step with the compacted topic, as
// long as a consumer runs. All instances of a group read the whole topic, since any of
// them may get any partition next.
type blockade struct {
	*blocks
	topic     string
	publisher Publisher
	emit      func(Event)

	reading context.Context // ends with close
	stop    context.CancelFunc
	ended   chan struct{} // closed when the reader has ended
	client  sarama.Client // the reader's own: its long polls would delay those of the group

	posMu    sync.Mutex
	position int64             // of the next record to read
	moved    chan struct{}     // closed when position changes
	barriers map[place]barrier // of the partitions that are claimed
}

// barrier is what must have been read before a record of a partition may be judged:
// everything that the partition's last owner wrote.
type barrier struct {
	tenure int // of the partition, so that one barrier does not serve another's
	set    bool
	offset int64
}

// openBlockade reads the topic up to its present end, and goes on reading it until
// close.
func openBlockade(ctx context.Context, topic string, p Publisher, near sarama.Client, emit func(Event)) (*blockade, error) {
	var addrs []string
	for _, b := range near.Brokers() {
		addrs = append(addrs, b.Addr())
	}
	config := *near.Config()
	config.Consumer.Fetch.Max = 0
	client, err := sarama.NewClient(addrs, &config)
	if err != nil {
		return nil, fmt.Errorf("saramax: read blocked keys: %w", err)
	}
	reading, stop := context.WithCancel(context.WithoutCancel(ctx))
	b := &blockade{
		blocks: newBlocks(), topic: topic, publisher: p, emit: emit, client: client,
		reading: reading, stop: stop, ended: make(chan struct{}), moved: make(chan struct{}), barriers: make(map[place]barrier),
	}
	go b.read(reading)
	// Whoever fails here would fail with every record.
	if err := b.reach(ctx, place{}); err != nil {
		return nil, errors.Join(fmt.Errorf("saramax: read blocked keys from %s: %w", topic, err), b.close())
	}
	return b, nil
}

func (b *blockade) close() error {
	b.stop()
	<-b.ended
	return b.client.Close()
}

// read follows the topic until ctx ends. It begins anew when it is thrown out.
func (b *blockade) read(ctx context.Context) {
	defer close(b.ended)
	for failures := 0; ctx.Err() == nil; failures++ {
		if failures > 0 && !pause(ctx, time.Duration(backoffBound(100*time.Millisecond, 5*time.Second, failures))) {
			return
		}
		if err := b.readFromStart(ctx); err != nil && ctx.Err() == nil {
			b.emit(Event{Kind: EventError, Topic: b.topic, Offset: -1, Err: err})
		}
	}
}

func (b *blockade) readFromStart(ctx context.Context) error {
	consumer, err := sarama.NewConsumerFromClient(b.client)
	if err != nil {
		return err
	}
	defer func() { _ = consumer.Close() }()
	messages, err := consumer.ConsumePartition(b.topic, 0, sarama.OffsetOldest)
	if err != nil {
		return err
	}
	defer func() { _ = messages.Close() }()
	b.moveTo(0) // first, so that nobody trusts what is being cleared
	b.clear()
	for {
		select {
		case <-ctx.Done():
			return nil
		case msg, ok := <-messages.Messages():
			if !ok {
				return errors.New("saramax: reading was ended from outside")
			}
			b.apply(msg)
			b.moveTo(msg.Offset + 1)
		}
	}
}

// apply takes over what a record of the topic says. What is none of ours blocks nothing.
func (b *blockade) apply(msg *sarama.ConsumerMessage) {
	id, err := recordIDIn(string(msg.Key))
	if err != nil {
		return // a barrier, for example
	}
	if msg.Value == nil {
		b.leave(id)
		return
	}
	if entry, err := blockedIn(msg.Value); err != nil {
		b.emit(Event{Kind: EventError, Topic: b.topic, Offset: msg.Offset, Err: err})
	} else {
		b.enter(id, entry)
	}
}

func (b *blockade) moveTo(position int64) {
	b.posMu.Lock()
	defer b.posMu.Unlock()
	b.position = position
	close(b.moved)
	b.moved = make(chan struct{})
}

// claimed says that a partition has come to this instance: what its last owner wrote
// must be read before its records are judged.
func (b *blockade) claimed(at place) {
	b.posMu.Lock()
	defer b.posMu.Unlock()
	b.barriers[at] = barrier{tenure: b.barriers[at].tenure + 1}
}

// barrierKey is the key of the records that are published to be read back: what is read
// before is all that was written before. They are deletions, so compaction clears them.
const barrierKey = "barrier"

// reach returns when everything was read that was published before the partition came.
func (b *blockade) reach(ctx context.Context, at place) error {
	for {
		b.posMu.Lock()
		bar, position, moved := b.barriers[at], b.position, b.moved
		b.posMu.Unlock()
		switch {
		case !bar.set:
			if err := b.setBarrier(at, bar.tenure); err != nil {
				return err
			}
		case position > bar.offset:
			return nil
		default:
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-b.ended:
				return errNotRead
			case <-moved:
			}
		}
	}
}

var errNotRead = errors.New("saramax: blocked keys are no longer read")

func (b *blockade) setBarrier(at place, tenure int) error {
	_, offset, err := b.publisher.SendMessage(&sarama.ProducerMessage{
		Topic: b.topic, Key: sarama.StringEncoder(barrierKey), Timestamp: time.Now(),
	})
	if err != nil {
		return err
	}
	b.posMu.Lock()
	defer b.posMu.Unlock()
	if b.barriers[at].tenure == tenure {
		b.barriers[at] = barrier{tenure, true, offset}
	}
	return nil
}

// judge tells whether a record of key in a tier has others ahead of it. It waits until
// that can be known; without hope, the answer is yes, which overtakes nothing.
func (b *blockade) judge(at place, key []byte, tier int) bool {
	for failures := 0; ; {
		if err := b.reach(b.reading, at); err != nil {
			failures++
			if !pause(b.reading, time.Duration(backoffBound(100*time.Millisecond, 5*time.Second, failures))) {
				return true
			}
			continue
		}
		held := b.holds(key, tier)
		if b.isCurrent(at) { // and was, when it was asked
			return held
		}
	}
}

func (b *blockade) isCurrent(at place) bool {
	b.posMu.Lock()
	defer b.posMu.Unlock()
	bar := b.barriers[at]
	return bar.set && b.position > bar.offset
}

// block enters a record, durably.
func (b *blockade) block(ctx context.Context, id recordID, entry blocked) error {
	err := publish(ctx, b.publisher, &sarama.ProducerMessage{
		Topic: b.topic, Key: sarama.StringEncoder(id.String()), Value: sarama.ByteEncoder(entry.encode()), Timestamp: time.Now(),
	})
	if err == nil {
		b.enter(id, entry) // the next record of the key does not wait for the echo
	}
	return err
}

// release takes a record out, durably.
func (b *blockade) release(ctx context.Context, id recordID) error {
	err := publish(ctx, b.publisher, &sarama.ProducerMessage{
		Topic: b.topic, Key: sarama.StringEncoder(id.String()), Timestamp: time.Now(),
	})
	if err == nil {
		b.leave(id)
	}
	return err
}
