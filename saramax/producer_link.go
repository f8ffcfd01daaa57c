package saramax

import (
	"context"
	"fmt"

	"github.com/IBM/sarama"
)

// link is the connection of a RawProducer, from the attempt to make it on.
type link struct {
	ready    chan struct{} // closed when it stands, or err says why it does not
	err      error
	client   sarama.Client
	producer sarama.AsyncProducer
	over     chan struct{} // closed when nothing runs any more
}

// connect returns a link that stands. The first caller has it made; the others wait,
// each until its own ctx ends. One that failed is given up, and made anew for the next
// record.
func (p *RawProducer) connect(ctx context.Context) (*link, error) {
	p.mu.Lock()
	l := p.link
	if l == nil {
		l = &link{ready: make(chan struct{}), over: make(chan struct{})}
		p.link = l
		go p.run(l)
	}
	p.mu.Unlock()
	select {
	case <-l.ready:
		return l, l.err
	default:
	}
	select {
	case <-l.ready:
		return l, l.err
	case <-p.closing:
		return nil, ErrProducerClosed
	case <-ctx.Done():
		return nil, fmt.Errorf("saramax: connect: %w", context.Cause(ctx))
	}
}

// run owns a link: it makes it, collects what settles, and ends it when the producer
// has closed.
func (p *RawProducer) run(l *link) {
	defer close(l.over)
	if err := l.open(p.addrs, p.config); err != nil {
		p.mu.Lock()
		p.link = nil
		p.mu.Unlock()
		l.err = fmt.Errorf("saramax: connect: %w", err)
		close(l.ready)
		return
	}
	close(l.ready)
	p.collect(l.producer)
	_ = l.client.Close() // nothing is left that its error could tell of
}

func (l *link) open(addrs []string, cfg *sarama.Config) error {
	client, err := sarama.NewClient(addrs, cfg)
	if err != nil {
		return err
	}
	producer, err := sarama.NewAsyncProducerFromClient(client)
	if err != nil {
		_ = client.Close()
		return err
	}
	l.client, l.producer = client, producer
	return nil
}

// collect drains both channels until they close: sarama's goroutines stand still while
// either is full.
func (p *RawProducer) collect(producer sarama.AsyncProducer) {
	successes, errs := producer.Successes(), producer.Errors()
	for successes != nil || errs != nil {
		select {
		case msg, ok := <-successes:
			if !ok {
				successes = nil
				continue
			}
			p.succeeded(msg)
		case failure, ok := <-errs:
			if !ok {
				errs = nil
				continue
			}
			p.failed(failure.Msg, failure.Err)
		}
	}
}

// shut begins the end of a link, which must not be used any more.
func (l *link) shut() {
	<-l.ready
	if l.err == nil {
		l.producer.AsyncClose()
	}
}
