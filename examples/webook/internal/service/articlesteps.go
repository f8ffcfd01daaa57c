package service

import (
	"context"
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
var publishHalf = observe.Kind{
	Component: "article", Action: "published_half", Help: "Articles that were saved as published and could not be given to readers at once.",
	Form: observe.Instant, EndLabels: []string{"repair"},
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
	repo     *repository.Articles
	repairs  Repairs
	observer observe.Observer
}

// NewTwoSteps returns the third way to publish. It tells observer, which may be nil,
// of each article that it had to leave to repairs.
func NewTwoSteps(repo *repository.Articles, repairs Repairs, observer observe.Observer) *TwoSteps {
	return &TwoSteps{repo: repo, repairs: repairs, observer: observe.OrNop(observer)}
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
	repair, failure := "accepted", p.repairs.Later(ctx, saved)
	if failure != nil {
		repair = "lost"
	}
	observe.Emit(ctx, p.observer, observe.Operation{Kind: &publishHalf},
		observe.Result{Outcome: observe.Degraded, Values: observe.Values{repair}, Err: err})
	return saved.ID, failure
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
