package events

import (
	"context"
	"fmt"
	"strconv"

	"github.com/google/uuid"

	"github.com/bulwark-go/bulwark/saramax"
)

// ReadProducer tells of articles that were read. It is safe for concurrent use.
type ReadProducer struct {
	producer *saramax.Producer[ReadEvent]
}

// NewReadProducer returns a ReadProducer that shares raw with others.
func NewReadProducer(raw *saramax.RawProducer, names Names) (*ReadProducer, error) {
	producer, err := saramax.NewProducer(raw, names.Of(TopicRead), saramax.JSON[ReadEvent]())
	if err != nil {
		return nil, err
	}
	return &ReadProducer{producer}, nil
}

// Read tells that uid, or with 0 somebody, read the article. It hands the event over
// and does not wait for the brokers to have it: a reading that is not counted is a
// lesser loss than an article that does not come. Only where the brokers have been
// away for long, and all room is taken, it waits until ctx ends. What becomes of the
// event the observer of the producer sees.
func (p *ReadProducer) Read(ctx context.Context, uid, articleID int64) error {
	// Version 7 begins with the time: keys that are stored together lie together.
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("events: read: %w", err)
	}
	// By article, so that one consumer adds up what belongs together.
	key := strconv.AppendInt(nil, articleID, 10)
	header := saramax.Header{Key: HeaderEventID, Value: []byte(id.String())}
	if _, err := p.producer.Enqueue(ctx, key, ReadEvent{UserID: uid, ArticleID: articleID}, header); err != nil {
		return fmt.Errorf("events: read: %w", err)
	}
	return nil
}
