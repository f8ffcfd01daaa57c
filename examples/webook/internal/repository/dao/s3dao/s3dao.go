// Package s3dao keeps what readers read of articles in S3, and the rest in SQL.
//
// Each publication makes an object of its own, and the row says which one counts.
// So readers get a title and a content that belong together, at any moment: an object
// is never overwritten. Objects that nobody needs are deleted right after the
// transaction that made them so, and again in [Articles.Run] until that succeeds.
package s3dao

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/dao"
	"github.com/bulwark-go/bulwark/observe"
)

const (
	// contentType is for people who look into the bucket.
	contentType = "text/html; charset=utf-8"
	// cleanUp bounds the deletion that follows a change: the caller need not wait
	// longer, as Run tries again.
	cleanUp = 2 * time.Second
	// sweepSize is how many objects are deleted at a time.
	sweepSize = 100
	// readTries is how often a reader looks again when what it was sent to has just
	// been replaced.
	readTries = 3
)

// Config are the settings of [New].
type Config struct {
	// Bucket must be there already.
	Bucket string
	// Grace is how long an object may take to become an article's, and at least as
	// long as a request; 0 is 1 min.
	Grace time.Duration
	// SweepEvery is the pause between two rounds of Run; 0 is 1 min.
	SweepEvery time.Duration
}

// Articles is a [dao.ArticleStore]. It is safe for concurrent use.
type Articles struct {
	tables   dao.ArticleObjects
	client   *s3.Client
	cfg      Config
	observer observe.Observer
}

var _ dao.ArticleStore = (*Articles)(nil)

// New returns a store over tables, which must have been migrated, and a bucket. It
// tells observer, which may be nil, of each call to S3.
func New(tables dao.ArticleObjects, client *s3.Client, cfg Config, observer observe.Observer) (*Articles, error) {
	if cfg.Bucket == "" || cfg.Grace < 0 || cfg.SweepEvery < 0 {
		return nil, fmt.Errorf("s3dao: Bucket must not be empty, Grace and SweepEvery not negative: %+v", cfg)
	}
	if cfg.Grace == 0 {
		cfg.Grace = time.Minute
	}
	if cfg.SweepEvery == 0 {
		cfg.SweepEvery = time.Minute
	}
	return &Articles{tables: tables, client: client, cfg: cfg, observer: observe.OrNop(observer)}, nil
}

// Save implements [dao.AuthorStore].
func (s *Articles) Save(ctx context.Context, a domain.Article) (domain.Article, error) {
	return s.tables.Save(ctx, a)
}

// Draft implements [dao.AuthorStore].
func (s *Articles) Draft(ctx context.Context, author, id int64) (domain.Article, error) {
	return s.tables.Draft(ctx, author, id)
}

// Drafts implements [dao.AuthorStore].
func (s *Articles) Drafts(ctx context.Context, author int64, offset, limit int) ([]domain.Article, error) {
	return s.tables.Drafts(ctx, author, offset, limit)
}

// PublishedAfter implements [dao.ReaderStore].
func (s *Articles) PublishedAfter(ctx context.Context, from domain.Cursor, limit int) ([]domain.Article, error) {
	return s.tables.PublishedAfter(ctx, from, limit)
}

// Publish implements [dao.ArticleStore]. The transaction does not wait for S3: the
// object is made before it begins.
func (s *Articles) Publish(ctx context.Context, a domain.Article) (domain.Article, error) {
	object, err := s.upload(ctx, a.Content)
	if err != nil {
		return domain.Article{}, err
	}
	saved, err := s.tables.Publish(ctx, a, object)
	if err == nil {
		s.tidy(ctx)
	}
	return saved, err
}

// Put implements [dao.ReaderStore].
func (s *Articles) Put(ctx context.Context, a domain.Article) error {
	object, err := s.upload(ctx, a.Content)
	if err != nil {
		return err
	}
	err = s.tables.Put(ctx, a, object)
	if err == nil {
		s.tidy(ctx)
	}
	return err
}

// upload makes an object that is announced, so that it is deleted unless it becomes
// an article's.
func (s *Articles) upload(ctx context.Context, content string) (object string, err error) {
	object = "articles/" + rand.Text()
	if err := s.tables.Announce(ctx, object); err != nil {
		return "", err
	}
	return object, s.call(ctx, "put", func(ctx context.Context) error {
		_, err := s.client.PutObject(ctx, &s3.PutObjectInput{
			Bucket: &s.cfg.Bucket, Key: &object, Body: strings.NewReader(content), ContentType: aws.String(contentType),
		})
		return err
	})
}

// Withdraw implements [dao.ArticleStore]. Once the row says so the article is
// withdrawn, and the object is deleted now or, should S3 be away, by Run.
func (s *Articles) Withdraw(ctx context.Context, author, id int64) error {
	err := s.tables.Withdraw(ctx, author, id)
	if err == nil {
		s.tidy(ctx)
	}
	return err
}

// Published implements [dao.ReaderStore].
func (s *Articles) Published(ctx context.Context, id int64) (a domain.Article, err error) {
	for range readTries {
		var object string
		if a, object, err = s.tables.Published(ctx, id); err != nil || object == "" {
			return a, err
		}
		if a.Content, err = s.download(ctx, object); err == nil {
			return a, nil
		}
		var gone *types.NoSuchKey
		if !errors.As(err, &gone) {
			break
		}
	}
	return domain.Article{}, err
}

func (s *Articles) download(ctx context.Context, object string) (content string, err error) {
	err = s.call(ctx, "get", func(ctx context.Context) error {
		out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.cfg.Bucket, Key: &object})
		if err != nil {
			return err
		}
		defer out.Body.Close()
		text, err := io.ReadAll(out.Body)
		content = string(text)
		return err
	})
	return content, err
}

// Run deletes what nobody needs any more until ctx ends: what could not be deleted at
// once, and what a process that died has left. Any number of instances may run it.
func (s *Articles) Run(ctx context.Context) error {
	ticker := time.NewTicker(s.cfg.SweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			// What fails is in the metrics, and tried again.
			_ = s.Sweep(ctx)
		}
	}
}

// Sweep is one round of [Articles.Run].
func (s *Articles) Sweep(ctx context.Context) error {
	for {
		objects, err := s.tables.Doomed(ctx, time.Now().Add(-s.cfg.Grace), sweepSize)
		if err != nil {
			return err
		}
		for _, object := range objects {
			if err := s.remove(ctx, object); err != nil {
				return err
			}
		}
		if len(objects) < sweepSize {
			return nil
		}
	}
}

// tidy is a sweep that nobody waits for longer than cleanUp, nor cancels.
func (s *Articles) tidy(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
	defer cancel()
	_ = s.Sweep(ctx)
}

func (s *Articles) remove(ctx context.Context, object string) error {
	err := s.call(ctx, "delete", func(ctx context.Context) error {
		// Deleting what is gone already is a success, as S3 has it.
		_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.cfg.Bucket, Key: &object})
		return err
	})
	if err != nil {
		return err
	}
	return s.tables.Gone(ctx, object)
}

// objectCall is a call to S3, with the retries that the client makes by itself.
var objectCall = observe.Kind{
	Component: "article_objects", Action: "call", Help: "Calls to the object store that keeps what readers read.",
	Role: observe.Client, StartLabels: []string{"operation"},
}

func (s *Articles) call(ctx context.Context, operation string, f func(context.Context) error) (err error) {
	ctx, end := s.observer.Start(ctx, observe.Operation{Kind: &objectCall, Values: observe.Values{operation}})
	outcome := observe.Panicked
	defer func() { end(observe.Result{Outcome: outcome, Err: err}) }()
	if err = f(ctx); err != nil {
		err = fmt.Errorf("s3dao: %s object: %w", operation, err)
	}
	outcome = observe.OutcomeOf(err)
	return err
}
