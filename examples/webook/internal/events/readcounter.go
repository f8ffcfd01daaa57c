package events

import (
	"context"
	"errors"
	"fmt"

	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
	"github.com/bulwark-go/bulwark/saramax"
)

// Counter counts readings, each once however often it is told of it.
type Counter interface {
	// CountReads counts those that are new, all or none. refused[i] says why reads[i]
	// can never be counted; it is nil for the others.
	CountReads(ctx context.Context, reads []domain.Read) (refused []error, err error)
}

// ReadCounter consumes read events. It is safe for concurrent use.
type ReadCounter struct {
	counter Counter
}

// NewReadCounter returns a ReadCounter that hands over to counter.
func NewReadCounter(counter Counter) *ReadCounter { return &ReadCounter{counter} }

// errNoArticle says that an event names no article.
var errNoArticle = errors.New("events: read: no article")

// Handle counts a batch of events in one go. An event that can never be counted is put
// aside and does not hold up the others; when the counter fails, all are tried again.
func (c *ReadCounter) Handle(ctx context.Context, batch []saramax.Record[ReadEvent]) []saramax.Verdict {
	verdicts := make([]saramax.Verdict, len(batch))
	reads, places := make([]domain.Read, 0, len(batch)), make([]int, 0, len(batch))
	for i, r := range batch {
		if r.Value.ArticleID <= 0 {
			verdicts[i] = saramax.DeadLetter(errNoArticle)
			continue
		}
		reads = append(reads, domain.Read{
			EventID: eventID(r), Biz: domain.BizArticle, BizID: r.Value.ArticleID, UserID: r.Value.UserID,
		})
		places = append(places, i)
	}
	refused, err := c.counter.CountReads(ctx, reads)
	if err != nil {
		for _, at := range places {
			verdicts[at] = saramax.Retry(err)
		}
		return verdicts
	}
	for i, why := range refused {
		if why != nil {
			verdicts[places[i]] = saramax.DeadLetter(why)
		}
	}
	return verdicts
}

// eventID is the id that the producer gave, or, from one that gives none, the event's
// place: a replay keeps that as well, only a copy elsewhere does not.
func eventID(r saramax.Record[ReadEvent]) string {
	if id := r.Headers.Get(HeaderEventID); len(id) > 0 {
		return string(id)
	}
	return fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset)
}
