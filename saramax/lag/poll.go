package lag

import (
	"context"
	"errors"
	"time"

	"github.com/IBM/sarama"
)

// coordinator stands for the group's among the brokers that have been asked.
const coordinator = -1

// poll asks each broker that has answered the last time, and waits for none.
func (m *Monitor) poll(ctx context.Context) {
	leaders, all, complete := m.layout()
	if !complete {
		m.fail()
		go func() { _ = m.client.RefreshMetadata(m.topics...) }()
	}
	if len(all) == 0 {
		return
	}
	m.ask(ctx, coordinator, func() error { return m.askCommits(ctx, all) })
	m.mu.Lock()
	starts := time.Since(m.looked) >= m.cfg.Starts
	if starts {
		m.looked = time.Now()
	}
	m.mu.Unlock()
	for broker, places := range leaders {
		m.ask(ctx, broker.ID(), func() error {
			begun := places
			if !starts {
				begun = m.unbegun(places)
			}
			if len(begun) > 0 {
				if err := m.askOffsets(ctx, broker, begun, sarama.OffsetOldest, (*history).begins); err != nil {
					return err
				}
			}
			return m.askOffsets(ctx, broker, places, sarama.OffsetNewest, (*history).ends)
		})
	}
}

// unbegun returns the partitions of which it is not known where they begin: those that
// came, or got a leader, since all were asked for.
func (m *Monitor) unbegun(places []place) (unknown []place) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, at := range places {
		if h := m.partitions[at]; h == nil || h.start < 0 {
			unknown = append(unknown, at)
		}
	}
	return unknown
}

// layout lists which partitions each broker leads; it is not complete where a topic or
// a leader is not known.
func (m *Monitor) layout() (leaders map[*sarama.Broker][]place, all map[string][]int32, complete bool) {
	leaders, all, complete = make(map[*sarama.Broker][]place), make(map[string][]int32), true
	for _, topic := range m.topics {
		partitions, err := m.client.Partitions(topic)
		if err != nil {
			complete = false
			continue
		}
		all[topic] = partitions
		for _, partition := range partitions {
			broker, err := m.client.Leader(topic, partition)
			if err != nil {
				complete = false
				continue
			}
			leaders[broker] = append(leaders[broker], place{topic, partition})
		}
	}
	return leaders, all, complete
}

// ask runs one question to a broker, unless the last one is still open.
func (m *Monitor) ask(ctx context.Context, broker int32, question func() error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.asked[broker] {
		m.failures++
		return
	}
	m.asked[broker] = true
	go func() {
		err := question()
		m.mu.Lock()
		defer m.mu.Unlock()
		m.asked[broker] = false
		if err != nil && ctx.Err() == nil {
			m.failures++
		}
	}()
}

func (m *Monitor) fail() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failures++
}

// askOffsets asks one broker for all partitions that it leads.
func (m *Monitor) askOffsets(ctx context.Context, broker *sarama.Broker, places []place, what int64, tell func(*history, time.Time, int64)) error {
	request := sarama.NewOffsetRequest(m.client.Config().Version)
	for _, at := range places {
		request.AddBlock(at.topic, at.partition, what, 1)
	}
	now := time.Now() // before the answer is made: an end is never older than that
	response, err := broker.GetAvailableOffsets(request)
	if err != nil {
		_ = broker.Close() // sarama opens it anew
		_ = m.client.RefreshMetadata(m.topics...)
		return err
	}
	var errs []error
	m.mu.Lock()
	for _, at := range places {
		block := response.GetBlock(at.topic, at.partition)
		switch {
		case ctx.Err() != nil:
		case block == nil:
			errs = append(errs, sarama.ErrIncompleteResponse)
		case !errors.Is(block.Err, sarama.ErrNoError):
			errs = append(errs, block.Err)
		default:
			tell(m.historyOf(at), now, block.Offset)
			m.polled = now
		}
	}
	m.mu.Unlock()
	if len(errs) > 0 {
		_ = m.client.RefreshMetadata(m.topics...) // a leader has moved, most likely
	}
	return errors.Join(errs...)
}

// askCommits asks the group's coordinator for all commits.
func (m *Monitor) askCommits(ctx context.Context, all map[string][]int32) error {
	broker, err := m.client.Coordinator(m.group)
	if err != nil {
		return err
	}
	now := time.Now()
	response, err := broker.FetchOffset(sarama.NewOffsetFetchRequest(m.client.Config().Version, m.group, all))
	if err == nil && !errors.Is(response.Err, sarama.ErrNoError) && !errors.Is(response.Err, sarama.ErrGroupIDNotFound) {
		err = response.Err
	}
	if err != nil {
		_ = m.client.RefreshCoordinator(m.group)
		return err
	}
	var errs []error
	m.mu.Lock()
	defer m.mu.Unlock()
	for topic, partitions := range all {
		for _, partition := range partitions {
			block := response.GetBlock(topic, partition)
			switch {
			case ctx.Err() != nil:
			case errors.Is(response.Err, sarama.ErrGroupIDNotFound), block != nil && errors.Is(block.Err, sarama.ErrGroupIDNotFound):
				m.historyOf(place{topic, partition}).commits(now, -1) // it has never committed
			case block == nil:
				errs = append(errs, sarama.ErrIncompleteResponse)
			case !errors.Is(block.Err, sarama.ErrNoError):
				errs = append(errs, block.Err)
			default:
				m.historyOf(place{topic, partition}).commits(now, block.Offset)
			}
		}
	}
	return errors.Join(errs...)
}

// historyOf wants mu held.
func (m *Monitor) historyOf(at place) *history {
	h := m.partitions[at]
	if h == nil {
		h = newHistory(m.cfg)
		m.partitions[at] = h
	}
	return h
}
