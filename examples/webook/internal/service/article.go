package service

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
	"github.com/bulwark-go/bulwark/examples/webook/internal/errs"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository"
	"github.com/bulwark-go/bulwark/observe"
)

// ArticleBiz is what articles are called where several sorts of things are counted.
const ArticleBiz = domain.BizArticle

// Publisher makes an article the author's and the readers' copy and returns its id.
// [repository.Articles], [repository.TwoStores] and [TwoSteps] are the three ways.
type Publisher interface {
	Publish(ctx context.Context, a domain.Article) (int64, error)
}

// Profiles know who an author is. [repository.Users] does.
type Profiles interface {
	Profile(ctx context.Context, id int64) (domain.User, error)
}

// Counters tell what readers did with a thing of a sort, and what uid did, who is 0
// for somebody who is not logged in. An article is shown without them when they fail.
type Counters interface {
	Counts(ctx context.Context, biz string, id, uid int64) (domain.Counts, error)
}

// ReadEvents hear of each article that was read, by uid or, when that is 0, by
// somebody. Read must not wait for a broker: it is called on the way to the answer.
type ReadEvents interface {
	Read(ctx context.Context, uid, article int64) error
}

// Articles are the use cases of articles. It is safe for concurrent use.
type Articles struct {
	repo      *repository.Articles
	publisher Publisher
	profiles  Profiles
	texts     texts
	parts     time.Duration
	counters  Counters
	events    ReadEvents
	observer  observe.Observer
}

// ArticlesOption configures [NewArticles].
type ArticlesOption interface{ apply(*Articles) }

type articlesOption func(*Articles)

func (f articlesOption) apply(s *Articles) { f(s) }

// WithCounters fills the counts of an article that is read; without, all are zero.
func WithCounters(c Counters) ArticlesOption {
	return articlesOption(func(s *Articles) { s.counters = c })
}

// WithReadEvents reports each article that is read.
func WithReadEvents(e ReadEvents) ArticlesOption {
	return articlesOption(func(s *Articles) { s.events = e })
}

// WithArticleObserver reports which parts of an answer were missing.
func WithArticleObserver(o observe.Observer) ArticlesOption {
	return articlesOption(func(s *Articles) { s.observer = observe.OrNop(o) })
}

// NewArticles returns the use cases over repo. They publish with publisher, and look
// authors up in profiles.
func NewArticles(repo *repository.Articles, publisher Publisher, profiles Profiles, cfg ArticlesConfig, opts ...ArticlesOption) *Articles {
	s := &Articles{
		repo: repo, publisher: publisher, profiles: profiles, texts: newTexts(cfg), parts: cfg.PartTimeout,
		observer: observe.Nop(),
	}
	for _, o := range opts {
		o.apply(s)
	}
	return s
}

// ArticlesConfig are the bounds of [NewArticles]. None has a default.
type ArticlesConfig struct {
	// TitleMax is in characters, ContentMax in bytes of the HTML.
	TitleMax, ContentMax int
	// PartTimeout bounds the wait for a part that an article is shown without.
	PartTimeout time.Duration
}

// Draft is an article as its author sent it.
type Draft struct {
	// ID is 0 for a new one.
	ID             int64
	Title, Content string
}

// Save keeps d as the author's copy and returns its id. Readers keep what they have.
func (s *Articles) Save(ctx context.Context, author int64, d Draft) (int64, error) {
	a, err := s.clean(author, d)
	if err != nil {
		return 0, err
	}
	id, err := s.repo.Save(ctx, a)
	return id, authors(err)
}

// Publish keeps d as the author's copy, gives it to the readers, and returns its id.
func (s *Articles) Publish(ctx context.Context, author int64, d Draft) (int64, error) {
	a, err := s.clean(author, d)
	if err != nil {
		return 0, err
	}
	if a.Title == "" {
		return 0, errs.InvalidArticle("an article needs a title before it is published")
	}
	id, err := s.publisher.Publish(ctx, a)
	return id, authors(err)
}

func (s *Articles) clean(author int64, d Draft) (domain.Article, error) {
	title, titleErr := s.texts.title(d.Title)
	content, err := s.texts.content(d.Content)
	if err := errors.Join(titleErr, err); err != nil {
		return domain.Article{}, err
	}
	return domain.Article{ID: d.ID, AuthorID: author, Title: title, Abstract: abstract(content), Content: content}, nil
}

// Withdraw takes an article from the readers. The author keeps it.
func (s *Articles) Withdraw(ctx context.Context, author, id int64) error {
	return authors(s.repo.Withdraw(ctx, author, id))
}

// List returns the author's articles without content, last changed first.
func (s *Articles) List(ctx context.Context, author int64, offset, limit int) ([]domain.Article, error) {
	list, err := s.repo.List(ctx, author, offset, limit)
	return list, unavailable(err)
}

// Own returns an article to its author.
func (s *Articles) Own(ctx context.Context, author, id int64) (domain.Article, error) {
	a, err := s.repo.Draft(ctx, author, id)
	return a, readers(err)
}

// Reading is an article as a reader sees it.
type Reading struct {
	domain.Article
	// AuthorName is empty when the author has none, or nobody could say.
	AuthorName string
	// Counts are zero where they could not be had.
	Counts domain.Counts
}

// Read returns what is published under the id to uid, who is 0 for somebody who is
// not logged in. Only the article itself is needed: it is shown without counts, name
// or event where those fail.
func (s *Articles) Read(ctx context.Context, uid, id int64) (Reading, error) {
	var r Reading
	// No shared context: what fails on its own account must not cancel the article.
	var parts errgroup.Group
	parts.Go(func() (err error) { r.Article, err = s.repo.Published(ctx, id); return err })
	if s.counters != nil {
		parts.Go(func() error { r.Counts = s.counts(ctx, uid, id); return nil })
	}
	if err := parts.Wait(); err != nil {
		return Reading{}, readers(err)
	}
	r.AuthorName = s.name(ctx, r.AuthorID)
	if s.events != nil {
		s.reportMissing(ctx, "event", s.tell(ctx, uid, id))
	}
	return r, nil
}

func (s *Articles) name(ctx context.Context, author int64) string {
	ctx, cancel := context.WithTimeout(ctx, s.parts)
	defer cancel()
	profile, err := s.profiles.Profile(ctx, author)
	s.reportMissing(ctx, "author", err)
	return profile.Nickname
}

func (s *Articles) tell(ctx context.Context, uid, id int64) error {
	ctx, cancel := context.WithTimeout(ctx, s.parts)
	defer cancel()
	return s.events.Read(ctx, uid, id)
}

func (s *Articles) counts(ctx context.Context, uid, id int64) domain.Counts {
	ctx, cancel := context.WithTimeout(ctx, s.parts)
	defer cancel()
	counts, err := s.counters.Counts(ctx, ArticleBiz, id, uid)
	s.reportMissing(ctx, "counts", err)
	if err != nil {
		return domain.Counts{}
	}
	return counts
}

// articlePart counts the parts of answers, and the ones that were missing.
var articlePart = observe.Kind{
	Component: "article", Action: "part", Help: "Parts of the answer to a reader, by whether they could be had.",
	Form: observe.Instant, EndLabels: []string{"part"},
}

func (s *Articles) reportMissing(ctx context.Context, part string, err error) {
	outcome := observe.OK
	if err != nil {
		outcome = observe.Degraded
	}
	observe.Emit(ctx, s.observer, observe.Operation{Kind: &articlePart},
		observe.Result{Outcome: outcome, Values: observe.Values{part}, Err: err})
}

// authors says what a failure of the repository means to who changes an article.
func authors(err error) error {
	if errors.Is(err, domain.ErrArticleNotFound) {
		return errs.NotYourArticle(err)
	}
	return unavailable(err)
}

// readers says it to who reads one.
func readers(err error) error {
	if errors.Is(err, domain.ErrArticleNotFound) {
		return errs.ArticleNotFound(err)
	}
	return unavailable(err)
}

func unavailable(err error) error {
	switch {
	case errors.Is(err, repository.ErrBusy):
		return errs.Busy(err)
	case errors.Is(err, repository.ErrUnavailable):
		return errs.Unavailable(err)
	default:
		return err
	}
}
