package dao

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
)

// articleObject is a row of the table article_objects: an object that is not an
// article's content yet, or not any more. Doomed ones are to be deleted.
type articleObject struct {
	Object string `gorm:"primaryKey;size:128"`
	Doomed bool   `gorm:"index:idx_article_objects_age,priority:1"`
	Ctime  int64  `gorm:"index:idx_article_objects_age,priority:2"`
}

// objectTries is one more than there are things to create: a table and an index.
const objectTries = 3

// MigrateArticleObjects creates or extends the table that [ArticleObjects] needs
// besides those of [MigrateArticles].
func MigrateArticleObjects(ctx context.Context, db *gorm.DB) error {
	return migrate(ctx, db, objectTries, &articleObject{})
}

// ErrObjectDoomed means that an object took so long to become an article's that it
// has been given up.
var ErrObjectDoomed = errors.New("dao: object is to be deleted")

// ArticleObjects are the tables of [Articles] for a store that keeps the readers'
// content elsewhere, each under a name of its own. It knows of every object at any
// time whether it is needed, so that none is lost or left behind, wherever the process
// dies: an object is announced before it is made, becomes an article's in the
// transaction that publishes it, and is doomed in the one that replaces or withdraws
// it. It is safe for concurrent use.
type ArticleObjects struct {
	*Articles
}

// NewArticleObjects returns the tables in db.
func NewArticleObjects(db *gorm.DB) ArticleObjects { return ArticleObjects{NewArticles(db)} }

// Announce says that object is about to be made.
func (t ArticleObjects) Announce(ctx context.Context, object string) error {
	row := articleObject{Object: object, Ctime: time.Now().UnixMilli()}
	return wrapArticle("announce object of", t.db.WithContext(ctx).Create(&row).Error)
}

// Publish is [Articles.Publish] with the content in an announced object.
func (t ArticleObjects) Publish(ctx context.Context, a domain.Article, object string) (saved domain.Article, err error) {
	a.Status = domain.ArticlePublished
	err = t.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if saved, err = save(tx, a); err != nil {
			return err
		}
		return putObject(tx, saved, object)
	})
	return saved, wrapArticle("publish", err)
}

// Put is [Articles.Put] with the content in an announced object.
func (t ArticleObjects) Put(ctx context.Context, a domain.Article, object string) error {
	err := t.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error { return putObject(tx, a, object) })
	return wrapArticle("put", err)
}

// putObject takes the object's announcement back.
func putObject(tx *gorm.DB, a domain.Article, object string) error {
	result := tx.Where("object = ? AND doomed = ?", object, false).Delete(&articleObject{})
	if result.Error == nil && result.RowsAffected == 0 {
		return ErrObjectDoomed
	}
	if result.Error != nil {
		return result.Error
	}
	row := toPublished(a)
	row.Content, row.Object = "", object
	unneeded, err := put(tx, row)
	return errors.Join(err, doom(tx, unneeded))
}

// Withdraw is [Articles.Withdraw]; the object is doomed.
func (t ArticleObjects) Withdraw(ctx context.Context, author, id int64) error {
	err := t.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		unneeded, err := withdraw(tx, author, id)
		return errors.Join(err, doom(tx, unneeded))
	})
	return wrapArticle("withdraw", err)
}

func doom(tx *gorm.DB, object string) error {
	if object == "" {
		return nil
	}
	return tx.Create(&articleObject{Object: object, Doomed: true, Ctime: time.Now().UnixMilli()}).Error
}

// Published returns the readers' copy without content, and the object that has it.
// The object is empty where the row has the content itself, as one does that was
// published before there were objects.
func (t ArticleObjects) Published(ctx context.Context, id int64) (domain.Article, string, error) {
	row, err := t.published(ctx, id)
	return row.domain(), row.Object, wrapArticle("find published", err)
}

// Doomed returns up to limit objects that are to be deleted, oldest first. Those that
// were announced before the given time and have become nobody's are among them: they
// never will.
func (t ArticleObjects) Doomed(ctx context.Context, announced time.Time, limit int) (objects []string, err error) {
	db := t.db.WithContext(ctx)
	err = db.Model(&articleObject{}).Where("doomed = ? AND ctime < ?", false, announced.UnixMilli()).Update("doomed", true).Error
	if err == nil {
		err = db.Model(&articleObject{}).Where("doomed = ?", true).Order("ctime").Limit(limit).Pluck("object", &objects).Error
	}
	return objects, wrapArticle("list objects of", err)
}

// Gone says that a doomed object has been deleted.
func (t ArticleObjects) Gone(ctx context.Context, object string) error {
	err := t.db.WithContext(ctx).Where("object = ? AND doomed = ?", object, true).Delete(&articleObject{}).Error
	return wrapArticle("forget object of", err)
}
