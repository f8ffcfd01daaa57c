// Package mongodao keeps articles in MongoDB: the authors' copies in the collection
// articles, the readers' in published_articles.
//
// It does without transactions, which a single server has not. Instead each change of
// an author's copy is one atomic step that also counts its version, and the readers'
// copy takes only what has a newer one. So whatever overlaps, both end equal; when the
// second step fails the author is told, and the same change once more mends it.
package mongodao

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/dao"
)

// document is a copy of an article. Times are milliseconds since the Unix epoch.
type document struct {
	ID       int64  `bson:"_id"`
	Title    string `bson:"title"`
	Abstract string `bson:"abstract"`
	Content  string `bson:"content"`
	AuthorID int64  `bson:"author_id"`
	Status   uint8  `bson:"status"`
	Version  int64  `bson:"version"`
	Ctime    int64  `bson:"ctime"`
	Utime    int64  `bson:"utime"`
}

const (
	private   = uint8(domain.ArticlePrivate)
	published = uint8(domain.ArticlePublished)
)

// newestFirst is the order of lists. Of two of one time the later made is first.
var newestFirst = bson.D{{Key: "utime", Value: -1}, {Key: "_id", Value: -1}}

// withoutContent is what lists leave out.
var withoutContent = bson.D{{Key: "content", Value: 0}}

// Articles is a [dao.ArticleStore]. It is safe for concurrent use.
type Articles struct {
	authors, readers *mongo.Collection
	ids              *snowflake
}

var _ dao.ArticleStore = (*Articles)(nil)

// New returns a store in db. The node, 0 to 31, makes its ids distinct from those of
// others: no two that run at the same time may share one.
func New(db *mongo.Database, node int) (*Articles, error) {
	ids, err := newSnowflake(node, time.Now)
	if err != nil {
		return nil, err
	}
	return &Articles{authors: db.Collection("articles"), readers: db.Collection("published_articles"), ids: ids}, nil
}

// Migrate makes the indexes that lists need. Several instances may do so at once.
func (s *Articles) Migrate(ctx context.Context) error {
	_, err := s.authors.Indexes().CreateOne(ctx, mongo.IndexModel{
		Keys: append(bson.D{{Key: "author_id", Value: 1}}, newestFirst...),
	})
	if err != nil {
		return fmt.Errorf("mongodao: migrate: %w", err)
	}
	_, err = s.readers.Indexes().CreateOne(ctx, mongo.IndexModel{
		Keys: append(bson.D{{Key: "status", Value: 1}}, newestFirst...),
	})
	if err != nil {
		return fmt.Errorf("mongodao: migrate: %w", err)
	}
	return nil
}

// Save implements [dao.AuthorStore].
func (s *Articles) Save(ctx context.Context, a domain.Article) (domain.Article, error) {
	now := time.Now().UnixMilli()
	if a.ID == 0 {
		doc := toDocument(a)
		doc.ID, doc.Version, doc.Ctime, doc.Utime = s.ids.next(), 1, now, now
		_, err := s.authors.InsertOne(ctx, doc)
		return doc.domain(), wrap("save", err)
	}
	return s.change(ctx, "save", a.AuthorID, a.ID, bson.M{
		"title": a.Title, "abstract": a.Abstract, "content": a.Content, "status": uint8(a.Status), "utime": now,
	})
}

// change sets values of a copy that must be the author's, and returns what it is then.
func (s *Articles) change(ctx context.Context, what string, author, id int64, values bson.M) (domain.Article, error) {
	var doc document
	err := s.authors.FindOneAndUpdate(ctx,
		bson.M{"_id": id, "author_id": author},
		bson.M{"$set": values, "$inc": bson.M{"version": int64(1)}},
		options.FindOneAndUpdate().SetReturnDocument(options.After),
	).Decode(&doc)
	return doc.domain(), wrap(what, err)
}

// Draft implements [dao.AuthorStore].
func (s *Articles) Draft(ctx context.Context, author, id int64) (domain.Article, error) {
	var doc document
	err := s.authors.FindOne(ctx, bson.M{"_id": id, "author_id": author}).Decode(&doc)
	return doc.domain(), wrap("find", err)
}

// Drafts implements [dao.AuthorStore].
func (s *Articles) Drafts(ctx context.Context, author int64, offset, limit int) ([]domain.Article, error) {
	return list(ctx, s.authors, bson.M{"author_id": author}, offset, limit)
}

// Publish implements [dao.ArticleStore].
func (s *Articles) Publish(ctx context.Context, a domain.Article) (domain.Article, error) {
	a.Status = domain.ArticlePublished
	saved, err := s.Save(ctx, a)
	if err != nil {
		return domain.Article{}, err
	}
	return saved, s.Put(ctx, saved)
}

// Put implements [dao.ReaderStore].
func (s *Articles) Put(ctx context.Context, a domain.Article) error {
	err := s.put(ctx, a.AuthorID, a.ID, a.Version, bson.M{"$set": bson.M{
		"title": a.Title, "abstract": a.Abstract, "content": a.Content, "status": published, "version": a.Version,
		"ctime": a.Ctime.UnixMilli(), "utime": a.Utime.UnixMilli(),
	}})
	return wrap("put", err)
}

// put updates or makes the readers' copy where it is older than version. One that is
// newer, or another author's, does not match; then to make it fails by its id, which
// is what is wanted. Two that make it at once meet there, too: the loser looks again.
func (s *Articles) put(ctx context.Context, author, id, version int64, update bson.M) error {
	filter := bson.M{"_id": id, "author_id": author, "version": bson.M{"$lt": version}}
	_, err := s.readers.UpdateOne(ctx, filter, update, options.UpdateOne().SetUpsert(true))
	if !mongo.IsDuplicateKeyError(err) {
		return err
	}
	_, err = s.readers.UpdateOne(ctx, filter, update)
	return err
}

// Withdraw implements [dao.ArticleStore].
func (s *Articles) Withdraw(ctx context.Context, author, id int64) error {
	now := time.Now().UnixMilli()
	a, err := s.change(ctx, "withdraw", author, id, bson.M{"status": private, "utime": now})
	if err != nil {
		return err
	}
	err = s.put(ctx, author, id, a.Version, bson.M{
		"$set":         bson.M{"status": private, "version": a.Version, "utime": now},
		"$setOnInsert": bson.M{"title": "", "abstract": "", "content": "", "ctime": now},
	})
	return wrap("withdraw", err)
}

// Published implements [dao.ReaderStore].
func (s *Articles) Published(ctx context.Context, id int64) (domain.Article, error) {
	var doc document
	err := s.readers.FindOne(ctx, bson.M{"_id": id, "status": published}).Decode(&doc)
	return doc.domain(), wrap("find published", err)
}

// PublishedAfter implements [dao.ReaderStore].
func (s *Articles) PublishedAfter(ctx context.Context, from domain.Cursor, limit int) ([]domain.Article, error) {
	at := from.Time.UnixMilli()
	return list(ctx, s.readers, bson.M{"status": published, "$or": bson.A{
		bson.M{"utime": bson.M{"$lt": at}},
		bson.M{"utime": at, "_id": bson.M{"$lt": from.ID}},
	}}, 0, limit)
}

func list(ctx context.Context, c *mongo.Collection, filter bson.M, offset, limit int) ([]domain.Article, error) {
	cursor, err := c.Find(ctx, filter, options.Find().
		SetSort(newestFirst).SetProjection(withoutContent).SetSkip(int64(offset)).SetLimit(int64(limit)))
	if err != nil {
		return nil, wrap("list", err)
	}
	var docs []document
	if err := cursor.All(ctx, &docs); err != nil {
		return nil, wrap("list", err)
	}
	articles := make([]domain.Article, len(docs))
	for i, doc := range docs {
		articles[i] = doc.domain()
	}
	return articles, nil
}

func toDocument(a domain.Article) document {
	return document{
		Title: a.Title, Abstract: a.Abstract, Content: a.Content, AuthorID: a.AuthorID, Status: uint8(a.Status),
	}
}

func (d document) domain() domain.Article {
	return domain.Article{
		ID: d.ID, AuthorID: d.AuthorID, Title: d.Title, Abstract: d.Abstract, Content: d.Content,
		Status: domain.ArticleStatus(d.Status), Version: d.Version,
		Ctime: time.UnixMilli(d.Ctime), Utime: time.UnixMilli(d.Utime),
	}
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, mongo.ErrNoDocuments) {
		err = domain.ErrArticleNotFound
	}
	return fmt.Errorf("mongodao: %s article: %w", what, err)
}
