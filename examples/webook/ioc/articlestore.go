package ioc

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3afero"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/examples/webook/config"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/dao"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/dao/mongodao"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/dao/s3dao"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/observe"
)

// ArticleStore is where articles are kept, with what runs behind it.
type ArticleStore struct {
	store dao.ArticleStore
	sweep func(context.Context) error // nil: nothing to do
}

// Run works in the background until ctx ends.
func (s *ArticleStore) Run(ctx context.Context) error {
	if s.sweep == nil {
		<-ctx.Done()
		return nil
	}
	return s.sweep(ctx)
}

// NewArticleStore returns the store that cfg names, ready for use. An embedded object
// store has its files in dir.
func NewArticleStore(ctx context.Context, c *Closers, cfg config.Articles, db *gorm.DB, dir string, observer observe.Observer) (*ArticleStore, error) {
	if cfg.Storage == config.StorageMongo {
		return mongoArticles(ctx, c, cfg.Mongo)
	}
	if err := dao.MigrateArticles(ctx, db); err != nil {
		return nil, err
	}
	if cfg.Storage == config.StorageS3 {
		return s3Articles(ctx, c, cfg.S3, db, dir, observer)
	}
	return &ArticleStore{store: dao.NewArticles(db)}, nil
}

func s3Articles(ctx context.Context, c *Closers, cfg config.S3, db *gorm.DB, dir string, observer observe.Observer) (*ArticleStore, error) {
	if err := dao.MigrateArticleObjects(ctx, db); err != nil {
		return nil, err
	}
	embedded := cfg.Endpoint == ""
	if embedded {
		if err := embedS3(ctx, c, &cfg, dir); err != nil {
			return nil, err
		}
	}
	client := s3Client(c, cfg)
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if embedded {
		var there *types.BucketAlreadyExists
		if _, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &cfg.Bucket}); err != nil && !errors.As(err, &there) {
			return nil, unreachable("s3", "embedded", err)
		}
	}
	if _, err := client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &cfg.Bucket}); err != nil {
		return nil, unreachable("s3", cfg.Endpoint+" bucket "+cfg.Bucket, err)
	}
	store, err := s3dao.New(dao.NewArticleObjects(db), client, s3dao.Config{Bucket: cfg.Bucket}, observer)
	if err != nil {
		return nil, err
	}
	return &ArticleStore{store: store, sweep: store.Run}, nil
}

// embedS3 starts an object store with its files in dir and lets cfg name it.
func embedS3(ctx context.Context, c *Closers, cfg *config.S3, dir string) error {
	files, err := s3afero.FsPath(filepath.Join(dir, "s3"), s3afero.FsPathCreateAll)
	if err != nil {
		return fmt.Errorf("embedded s3: %w", err)
	}
	backend, err := s3afero.MultiBucket(files)
	if err != nil {
		return fmt.Errorf("embedded s3: %w", err)
	}
	addr, err := embed(ctx, c, "embedded s3", gofakes3.New(backend).Server())
	cfg.Endpoint, cfg.KeyID, cfg.KeySecret = "http://"+addr, "embedded", logger.NewSecret("embedded")
	return err
}

// s3Client tries a call three times, as the SDK does by default.
func s3Client(c *Closers, cfg config.S3) *s3.Client {
	transport := awshttp.NewBuildableClient()
	c.AddClose("s3 client", func() error { transport.GetTransport().CloseIdleConnections(); return nil })
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(cfg.Endpoint), UsePathStyle: true, Region: cfg.Region, HTTPClient: transport,
		Credentials: credentials.NewStaticCredentialsProvider(cfg.KeyID, cfg.KeySecret.Reveal(), ""),
	})
}

func mongoArticles(ctx context.Context, c *Closers, cfg config.Mongo) (*ArticleStore, error) {
	client, err := mongo.Connect(options.Client().ApplyURI(cfg.URI.Reveal()).
		SetConnectTimeout(connectTimeout).SetServerSelectionTimeout(connectTimeout))
	if err != nil {
		// The driver quotes the URI, which may hold the password.
		return nil, errors.New("articles.mongo.uri is malformed; it is not shown, for it may hold the password")
	}
	c.Add("mongodb", client.Disconnect)
	store, err := mongodao.New(client.Database(cfg.Database), cfg.Node)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := store.Migrate(ctx); err != nil {
		return nil, unreachable("mongodb", "articles.mongo.uri", err)
	}
	return &ArticleStore{store: store}, nil
}
