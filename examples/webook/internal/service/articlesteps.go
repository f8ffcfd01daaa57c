package service

import (
	"context"
	"iter"
	"sync/atomic"
	"time"

	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository"
	"github.com/bulwark-go/bulwark/observe"
)

// publishTries is how often the readers' half is tried while the author waits, and
// publishPause the time before the second try; it doubles with each.
const (
	publishTries = 3
	publishPause = 50 * time.Millisecond
)

// publishHalf counts articles of which only the author's half was saved: an alert,
// for readers wait until the repair has done the other.
var publishHalf = observe.Gauge{
	Component: "article", Name: "published_half_total", Cumulative: true,
	Help:   "Articles that were saved as published and could not be given to readers at once.",
	Labels: []string{"repair"},
}

// Repairs take over what could not be done now: an article that readers must get
// later, at least once. A nil error means that it will not be forgotten.
type Repairs interface {
	Later(ctx context.Context, a domain.Article) error
}

// TwoSteps publishes when the service itself has two things to call: it saves the
// author's half, tries the readers' up to three times, and leaves the rest to a repair
// in the background. It is safe for concurrent use.
type TwoSteps struct {
	repo           *repository.Articles
	repairs        Repairs
	accepted, lost atomic.Int64 // by the repair
}

// NewTwoSteps returns the third way to publish.
func NewTwoSteps(repo *repository.Articles, repairs Repairs) *TwoSteps {
	return &TwoSteps{repo: repo, repairs: repairs}
}

// Readings yields how many articles were left to repairs. It implements
// [observe.Source].
func (p *TwoSteps) Readings() iter.Seq[observe.Reading] {
	return func(yield func(observe.Reading) bool) {
		_ = yield(observe.Reading{Gauge: &publishHalf, Values: observe.Values{"accepted"}, Value: float64(p.accepted.Load())}) &&
			yield(observe.Reading{Gauge: &publishHalf, Values: observe.Values{"lost"}, Value: float64(p.lost.Load())})
	}
}

// Publish implements [Publisher]. A nil error means that readers have the article, or
// surely will.
func (p *TwoSteps) Publish(ctx context.Context, a domain.Article) (int64, error) {
	saved, err := p.repo.SavePublished(ctx, a)
	if err != nil {
		return 0, err
	}
	if err = p.put(ctx, saved); err == nil {
		return saved.ID, nil
	}
	// The author's half is there, whoever left meanwhile.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err = p.repairs.Later(ctx, saved); err != nil {
		p.lost.Add(1)
	} else {
		p.accepted.Add(1)
	}
	return saved.ID, err
}

func (p *TwoSteps) put(ctx context.Context, a domain.Article) (err error) {
	pause := publishPause
	for try := range publishTries {
		if try > 0 {
			select {
			case <-ctx.Done():
				return err
			case <-time.After(pause):
			}
			pause *= 2
		}
		if err = p.repo.PutPublished(ctx, a); err == nil {
			return nil
		}
	}
	return err
}
