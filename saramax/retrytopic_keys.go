package saramax

import (
	"context"
	"errors"

	"github.com/IBM/sarama"
)

// open starts to follow the blocked keys of each source.
func (a *aside) open(ctx context.Context, group string, client sarama.Client) error {
	blockades := make(map[string]*blockade)
	a.blockades.Store(&blockades)
	for _, source := range a.routes.sources {
		b, err := openBlockade(ctx, blockedTopic(source, group), a.retry, client, a.emit)
		if err != nil {
			return err
		}
		blockades[source] = b
	}
	return nil
}

// blockade is that of a topic's source.
func (a *aside) blockade(topic string) *blockade {
	return (*a.blockades.Load())[a.routes.station(topic).source]
}

func (a *aside) close(context.Context) error {
	var errs []error
	if blockades := a.blockades.Load(); blockades != nil {
		for _, b := range *blockades {
			errs = append(errs, b.close())
		}
	}
	return errors.Join(errs...)
}

// claimed says that a partition has come.
func (a *aside) claimed(topic string, partition int32) {
	a.blockade(topic).claimed(place{topic, partition})
}

// redirect tells whether a record must follow others of its key.
func (a *aside) redirect(msg *sarama.ConsumerMessage) bool {
	at := a.routes.station(msg.Topic)
	if msg.Key == nil || at.tier == a.routes.tiers() {
		return false // there is no order, or nothing can be ahead
	}
	return a.blockade(msg.Topic).judge(place{msg.Topic, msg.Partition}, msg.Key, at.tier)
}

// block enters a record that is about to go to a retry topic.
func (a *aside) block(ctx context.Context, msg *sarama.ConsumerMessage, f Failure, tier int) error {
	if a.order != BlockKey || msg.Key == nil {
		return nil
	}
	id := recordID{f.Origin.Partition, f.Origin.Offset}
	return a.blockade(msg.Topic).block(ctx, id, blocked{string(msg.Key), tier})
}

// release takes out a record that has come to an end in a retry topic.
func (a *aside) release(ctx context.Context, msg *sarama.ConsumerMessage) error {
	at := a.routes.station(msg.Topic)
	if a.order != BlockKey || msg.Key == nil || at.tier == 0 {
		return nil
	}
	origin := originOf(placeOf(msg), headersOf(msg.Headers))
	return a.blockade(msg.Topic).release(ctx, recordID{origin.Partition, origin.Offset})
}

// releasing is work whose records are taken out of the blocked ones before they pass.
type releasing struct {
	Work
	aside *aside
}

func (w releasing) run(ctx context.Context, items []*item, verdicts []Verdict) error {
	err := w.Work.run(ctx, items, verdicts)
	switch {
	case err == nil:
	case VerdictOf(err).action == ActionSkip: // all of them
		for i := range verdicts {
			verdicts[i] = Skip()
		}
	default:
		return err
	}
	for i, it := range items {
		if action := verdicts[i].action; action != ActionDone && action != ActionSkip {
			continue
		}
		// A record that is done but not taken out would block its key for ever.
		if err := w.aside.release(ctx, it.msg); err != nil {
			verdicts[i] = Retry(err)
		}
	}
	return nil
}
