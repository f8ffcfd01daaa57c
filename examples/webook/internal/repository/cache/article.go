package cache

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
)

// Articles caches, as JSON, each author's first page under article:first_page:<uid>,
// the authors' copies under article:<id> and the readers' under
// article:pub:detail:<id>. It is safe for concurrent use.
//
// A copy that was not there comes with a [Lease], which its Store needs. A writer
// tells of its change with Begin and Finish, and no reader stores what is older.
type Articles struct {
	leased leased
}

// NewArticles returns a cache in rdb. No read and no change may take longer than
// longest.
func NewArticles(rdb redis.Cmdable, longest time.Duration) *Articles {
	return &Articles{leased: leased{rdb: rdb, record: longest}}
}

type articleEntry struct {
	ID       int64                `json:"id"`
	AuthorID int64                `json:"authorId"`
	Title    string               `json:"title"`
	Abstract string               `json:"abstract"`
	Content  string               `json:"content,omitempty"`
	Status   domain.ArticleStatus `json:"status"`
	Version  int64                `json:"version"`
	Ctime    time.Time            `json:"ctime"`
	Utime    time.Time            `json:"utime"`
}

// FirstPage returns the author's first page.
func (c *Articles) FirstPage(ctx context.Context, author int64) ([]domain.Article, Lease, error) {
	entries, lease, err := get[[]articleEntry](ctx, c.leased, firstPageKey(author))
	if err != nil {
		return nil, lease, err
	}
	page := make([]domain.Article, len(entries))
	for i, e := range entries {
		page[i] = domain.Article(e)
	}
	return page, lease, nil
}

// StoreFirstPage keeps the author's first page for ttl.
func (c *Articles) StoreFirstPage(ctx context.Context, lease Lease, author int64, page []domain.Article, ttl time.Duration) error {
	entries := make([]articleEntry, len(page))
	for i, a := range page {
		entries[i] = articleEntry(a)
	}
	text, err := json.Marshal(entries)
	if err != nil {
		return err
	}
	return c.leased.store(ctx, firstPageKey(author), lease, text, ttl)
}

// Draft returns the author's copy of article id, whoever asks.
func (c *Articles) Draft(ctx context.Context, id int64) (domain.Article, Lease, error) {
	return c.one(ctx, draftKey(id), id)
}

// StoreDraft keeps the author's copy for ttl.
func (c *Articles) StoreDraft(ctx context.Context, lease Lease, a domain.Article, ttl time.Duration) error {
	return c.store(ctx, draftKey(a.ID), lease, a, ttl)
}

// Published returns the readers' copy of article id.
func (c *Articles) Published(ctx context.Context, id int64) (domain.Article, Lease, error) {
	return c.one(ctx, publishedKey(id), id)
}

// StorePublished keeps the readers' copy for ttl.
func (c *Articles) StorePublished(ctx context.Context, lease Lease, a domain.Article, ttl time.Duration) error {
	return c.store(ctx, publishedKey(a.ID), lease, a, ttl)
}

func (c *Articles) one(ctx context.Context, key string, id int64) (domain.Article, Lease, error) {
	e, lease, err := get[articleEntry](ctx, c.leased, key)
	if err == nil && e.ID != id {
		err = ErrMiss
	}
	return domain.Article(e), lease, err
}

func (c *Articles) store(ctx context.Context, key string, lease Lease, a domain.Article, ttl time.Duration) error {
	text, err := json.Marshal(articleEntry(a))
	if err != nil {
		return err
	}
	return c.leased.store(ctx, key, lease, text, ttl)
}

// get takes a copy that can't be read for none.
func get[T any](ctx context.Context, l leased, key string) (entry T, lease Lease, err error) {
	text, lease, err := l.get(ctx, key)
	if err != nil {
		return entry, lease, err
	}
	if err := json.Unmarshal(text, &entry); err != nil {
		var none T
		return none, lease, ErrMiss
	}
	return entry, lease, nil
}

// Change is a change under way. The zero Change has nothing to finish.
type Change struct {
	keys    []string
	numbers []int64
	id      int64
}

// Scope says which copies a change makes old.
type Scope uint8

// The scopes.
const (
	// OfAuthor is the author's copy, and the first page that lists it.
	OfAuthor Scope = iota
	// OfBoth is the readers' copy, too.
	OfBoth
)

// Begin removes the copies that a change of article id makes old, and keeps readers
// from storing them again until Finish. An id of 0 is an article that is to be made.
// When it fails, all that it began is left to expire.
func (c *Articles) Begin(ctx context.Context, author, id int64, scope Scope) (Change, error) {
	change := Change{keys: []string{firstPageKey(author)}, id: id}
	if id != 0 {
		change.keys = append(change.keys, draftKey(id))
		if scope == OfBoth {
			change.keys = append(change.keys, publishedKey(id))
		}
	}
	for _, key := range change.keys {
		number, err := c.leased.begin(ctx, key)
		if err != nil {
			return Change{}, err
		}
		change.numbers = append(change.numbers, number)
	}
	return change, nil
}

// Finish ends the change. Where it made a new readers' copy, fresh is that, to be
// kept for ttl; else nil.
func (c *Articles) Finish(ctx context.Context, change Change, fresh *domain.Article, ttl time.Duration) error {
	var text []byte
	if fresh != nil {
		var err error
		if text, err = json.Marshal(articleEntry(*fresh)); err != nil {
			return err
		}
	}
	var errs []error
	for i, key := range change.keys {
		var copied []byte
		if fresh != nil && key == publishedKey(fresh.ID) {
			copied = text
		}
		errs = append(errs, c.leased.finish(ctx, key, change.numbers[i], copied, ttl))
	}
	if fresh != nil && change.id == 0 && len(change.keys) > 0 {
		// Nobody could read or change it before it was there: this is the lease of a
		// reader who came then.
		errs = append(errs, c.leased.store(ctx, publishedKey(fresh.ID), Lease{}, text, ttl))
	}
	return errors.Join(errs...)
}

func firstPageKey(author int64) string { return "article:first_page:" + strconv.FormatInt(author, 10) }
func draftKey(id int64) string         { return "article:" + strconv.FormatInt(id, 10) }
func publishedKey(id int64) string     { return "article:pub:detail:" + strconv.FormatInt(id, 10) }
