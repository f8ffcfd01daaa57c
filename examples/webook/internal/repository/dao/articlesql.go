package dao

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
)

// article is a row of the table articles, the authors' copies. Times are
// milliseconds since the Unix epoch.
type article struct {
	ID       int64  `gorm:"primaryKey;autoIncrement"`
	Title    string `gorm:"size:1024"`
	Abstract string `gorm:"size:2048"`
	// Content is MySQL's MEDIUMTEXT: a BLOB ends at 64 KiB.
	Content  string `gorm:"size:16777215"`
	AuthorID int64  `gorm:"index:idx_articles_author,priority:1"`
	Status   uint8
	Version  int64
	Ctime    int64
	Utime    int64 `gorm:"index:idx_articles_author,priority:2"`
}

// publishedArticle is a row of the table published_articles, the readers' copies.
type publishedArticle struct {
	ID       int64  `gorm:"primaryKey;autoIncrement:false"`
	Title    string `gorm:"size:1024"`
	Abstract string `gorm:"size:2048"`
	Content  string `gorm:"size:16777215"`
	// Object is where the content is instead, see [ArticleObjects].
	Object   string `gorm:"size:128"`
	AuthorID int64  `gorm:"index"`
	Status   uint8  `gorm:"index:idx_published_articles_newest,priority:1"`
	Version  int64
	Ctime    int64
	Utime    int64 `gorm:"index:idx_published_articles_newest,priority:2"`
}

const (
	private   = uint8(domain.ArticlePrivate)
	published = uint8(domain.ArticlePublished)
)

// withoutContent are the columns of lists.
var withoutContent = []string{"id", "title", "abstract", "author_id", "status", "version", "ctime", "utime"}

// articleTries is one more than there are things to create: two tables and three
// indexes.
const articleTries = 6

// MigrateArticles creates or extends the two tables. Several instances may do so at
// once.
func MigrateArticles(ctx context.Context, db *gorm.DB) error {
	return migrate(ctx, db, articleTries, &article{}, &publishedArticle{})
}

// Articles is the tables articles and published_articles, the [ArticleStore] in SQL.
type Articles struct {
	db *gorm.DB
}

var _ ArticleStore = (*Articles)(nil)

// NewArticles returns the tables in db, which must have been migrated with
// [MigrateArticles].
func NewArticles(db *gorm.DB) *Articles { return &Articles{db: db} }

// Save implements [AuthorStore].
func (t *Articles) Save(ctx context.Context, a domain.Article) (saved domain.Article, err error) {
	err = t.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		saved, err = save(tx, a)
		return err
	})
	return saved, wrapArticle("save", err)
}

// save is one insert, or an update and a look at what it made of the row, which is
// locked until tx ends.
func save(tx *gorm.DB, a domain.Article) (domain.Article, error) {
	now := time.Now().UnixMilli()
	if a.ID == 0 {
		row := article{
			Title: a.Title, Abstract: a.Abstract, Content: a.Content, AuthorID: a.AuthorID,
			Status: uint8(a.Status), Version: 1, Ctime: now, Utime: now,
		}
		err := tx.Create(&row).Error
		return row.domain(), err
	}
	err := changeArticle(tx, a.AuthorID, a.ID, map[string]any{
		"title": a.Title, "abstract": a.Abstract, "content": a.Content, "status": uint8(a.Status), "utime": now,
	})
	if err != nil {
		return domain.Article{}, err
	}
	var row article
	err = tx.Select("version", "ctime", "utime").Where("id = ?", a.ID).Take(&row).Error
	a.Version, a.Ctime, a.Utime = row.Version, time.UnixMilli(row.Ctime), time.UnixMilli(row.Utime)
	return a, err
}

// changeArticle updates a row that must be the author's.
func changeArticle(tx *gorm.DB, author, id int64, values map[string]any) error {
	values["version"] = gorm.Expr("version + 1")
	result := tx.Model(&article{}).Where("id = ? AND author_id = ?", id, author).Updates(values)
	if result.Error == nil && result.RowsAffected == 0 {
		return domain.ErrArticleNotFound
	}
	return result.Error
}

// Draft implements [AuthorStore].
func (t *Articles) Draft(ctx context.Context, author, id int64) (domain.Article, error) {
	var row article
	err := t.db.WithContext(ctx).Where("id = ? AND author_id = ?", id, author).Take(&row).Error
	return row.domain(), wrapArticle("find", err)
}

// Drafts implements [AuthorStore].
func (t *Articles) Drafts(ctx context.Context, author int64, offset, limit int) ([]domain.Article, error) {
	var rows []article
	err := t.db.WithContext(ctx).Select(withoutContent).Where("author_id = ?", author).
		Order("utime DESC, id DESC").Offset(offset).Limit(limit).Find(&rows).Error
	list := make([]domain.Article, len(rows))
	for i, row := range rows {
		list[i] = row.domain()
	}
	return list, wrapArticle("list", err)
}

// Publish implements [ArticleStore]: in one transaction, so that the copies are equal
// whatever happens in between.
func (t *Articles) Publish(ctx context.Context, a domain.Article) (saved domain.Article, err error) {
	a.Status = domain.ArticlePublished
	err = t.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if saved, err = save(tx, a); err != nil {
			return err
		}
		_, err = put(tx, toPublished(saved))
		return err
	})
	return saved, wrapArticle("publish", err)
}

// Put implements [ReaderStore].
func (t *Articles) Put(ctx context.Context, a domain.Article) error {
	err := t.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		_, err := put(tx, toPublished(a))
		return err
	})
	return wrapArticle("put", err)
}

// put inserts the readers' row or replaces an older one of the same author. No
// database says by the affected rows of an upsert the same as another, so it is an
// insert that may do nothing, and an update that is conditional. The object that
// nobody needs any more is the one of the row before, or, when there was a newer row,
// the one that came.
func put(tx *gorm.DB, row publishedArticle) (unneeded string, err error) {
	var old publishedArticle
	found := tx.Select("object").Where("id = ?", row.ID).Limit(1).Find(&old)
	if found.Error != nil {
		return "", found.Error
	}
	inserted := found.RowsAffected == 0
	if inserted {
		if err := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&row).Error; err != nil {
			return "", err
		}
	}
	result := tx.Model(&publishedArticle{}).
		Where("id = ? AND author_id = ? AND version < ?", row.ID, row.AuthorID, row.Version).
		Updates(map[string]any{
			"title": row.Title, "abstract": row.Abstract, "content": row.Content, "object": row.Object,
			"status": row.Status, "version": row.Version, "ctime": row.Ctime, "utime": row.Utime,
		})
	if !inserted && result.RowsAffected == 0 {
		return row.Object, result.Error
	}
	return old.Object, result.Error
}

// Withdraw implements [ArticleStore].
func (t *Articles) Withdraw(ctx context.Context, author, id int64) error {
	err := t.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		_, err := withdraw(tx, author, id)
		return err
	})
	return wrapArticle("withdraw", err)
}

// withdraw also returns the object that nobody needs any more, if there is one.
func withdraw(tx *gorm.DB, author, id int64) (unneeded string, err error) {
	now := time.Now().UnixMilli()
	if err := changeArticle(tx, author, id, map[string]any{"status": private, "utime": now}); err != nil {
		return "", err
	}
	var row article
	if err := tx.Select("version").Where("id = ?", id).Take(&row).Error; err != nil {
		return "", err
	}
	tombstone := publishedArticle{ID: id, AuthorID: author, Status: private, Version: row.Version, Ctime: now, Utime: now}
	if err := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&tombstone).Error; err != nil {
		return "", err
	}
	var old publishedArticle
	if err := tx.Select("object").Where("id = ?", id).Take(&old).Error; err != nil {
		return "", err
	}
	return old.Object, tx.Model(&publishedArticle{}).Where("id = ? AND author_id = ?", id, author).
		Updates(map[string]any{"status": private, "object": "", "version": row.Version, "utime": now}).Error
}

// errElsewhere means that the operator has changed where contents are kept.
var errElsewhere = errors.New("the content is in an object store")

// Published implements [ReaderStore].
func (t *Articles) Published(ctx context.Context, id int64) (domain.Article, error) {
	row, err := t.published(ctx, id)
	if err == nil && row.Object != "" {
		err = errElsewhere
	}
	return row.domain(), wrapArticle("find published", err)
}

func (t *Articles) published(ctx context.Context, id int64) (row publishedArticle, err error) {
	err = t.db.WithContext(ctx).Where("id = ? AND status = ?", id, published).Take(&row).Error
	return row, err
}

// PublishedAfter implements [ReaderStore].
func (t *Articles) PublishedAfter(ctx context.Context, from domain.Cursor, limit int) ([]domain.Article, error) {
	var rows []publishedArticle
	at := from.Time.UnixMilli()
	err := t.db.WithContext(ctx).Select(withoutContent).
		Where("status = ? AND (utime < ? OR utime = ? AND id < ?)", published, at, at, from.ID).
		Order("utime DESC, id DESC").Limit(limit).Find(&rows).Error
	list := make([]domain.Article, len(rows))
	for i, row := range rows {
		list[i] = row.domain()
	}
	return list, wrapArticle("list published", err)
}

func (r article) domain() domain.Article {
	return domain.Article{
		ID: r.ID, AuthorID: r.AuthorID, Title: r.Title, Abstract: r.Abstract, Content: r.Content,
		Status: domain.ArticleStatus(r.Status), Version: r.Version,
		Ctime: time.UnixMilli(r.Ctime), Utime: time.UnixMilli(r.Utime),
	}
}

func (r publishedArticle) domain() domain.Article {
	return article{
		ID: r.ID, AuthorID: r.AuthorID, Title: r.Title, Abstract: r.Abstract, Content: r.Content,
		Status: r.Status, Version: r.Version, Ctime: r.Ctime, Utime: r.Utime,
	}.domain()
}

func toPublished(a domain.Article) publishedArticle {
	return publishedArticle{
		ID: a.ID, AuthorID: a.AuthorID, Title: a.Title, Abstract: a.Abstract, Content: a.Content,
		Status: published, Version: a.Version, Ctime: a.Ctime.UnixMilli(), Utime: a.Utime.UnixMilli(),
	}
}

func wrapArticle(what string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, gorm.ErrRecordNotFound) {
		err = domain.ErrArticleNotFound
	}
	return fmt.Errorf("dao: %s article: %w", what, err)
}
