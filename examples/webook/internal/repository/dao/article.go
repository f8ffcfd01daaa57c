package dao

import (
	"context"

	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
)

// AuthorStore keeps the authors' copies of articles. Implementations are safe for
// concurrent use.
type AuthorStore interface {
	// Save adds a where its ID is 0, else replaces title, abstract, content and status
	// of the copy that has a's ID and AuthorID, or returns [domain.ErrArticleNotFound]
	// where there is none: who the author is, is part of the update's own condition.
	// It returns a with ID, Version, Ctime and Utime as stored.
	Save(ctx context.Context, a domain.Article) (domain.Article, error)
	// Draft returns the author's copy, or [domain.ErrArticleNotFound].
	Draft(ctx context.Context, author, id int64) (domain.Article, error)
	// Drafts lists the author's copies without their content, last changed first.
	Drafts(ctx context.Context, author int64, offset, limit int) ([]domain.Article, error)
}

// ReaderStore keeps the readers' copies. Implementations are safe for concurrent use.
type ReaderStore interface {
	// Put makes a the readers' copy, unless they have one of the same or a newer
	// Version, which is no error: puts may come late, twice and in any order.
	Put(ctx context.Context, a domain.Article) error
	// Published returns the copy with the id if readers may see it, else
	// [domain.ErrArticleNotFound].
	Published(ctx context.Context, id int64) (domain.Article, error)
	// PublishedAfter lists what readers may see, newest first, from the cursor on and
	// without content. A place in the list is a time and an id, not a count, so that
	// what is published or withdrawn meanwhile makes nobody skip a row.
	PublishedAfter(ctx context.Context, from domain.Cursor, limit int) ([]domain.Article, error)
}

// ArticleStore keeps both copies, and changes them together.
type ArticleStore interface {
	AuthorStore
	ReaderStore
	// Publish is Save and Put with status [domain.ArticlePublished]; where the store
	// has transactions, in one. It returns the author's copy as stored.
	Publish(ctx context.Context, a domain.Article) (domain.Article, error)
	// Withdraw sets both copies to [domain.ArticlePrivate], or returns
	// [domain.ErrArticleNotFound] when the author has no such article. Where readers
	// never had a copy, they get an empty private one, so that a Put of an older
	// version that is still under way changes nothing. Twice is as good as once.
	Withdraw(ctx context.Context, author, id int64) error
}
