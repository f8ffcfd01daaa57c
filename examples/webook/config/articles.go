package config

import (
	"fmt"
	"regexp"
	"time"

	"github.com/bulwark-go/bulwark/logger"
)

// How articles are published.
const (
	// PublishStore leaves both copies to the store, which has one transaction.
	PublishStore = "store"
	// PublishRepository writes two stores, one after the other.
	PublishRepository = "repository"
	// PublishService tries the second write up to three times and repairs it in the
	// background.
	PublishService = "service"
)

// Where articles are kept.
const (
	// StorageSQL is the database.
	StorageSQL = "sql"
	// StorageS3 has the contents in an object store, and the rest in the database.
	StorageS3 = "s3"
	// StorageMongo is MongoDB, for both copies.
	StorageMongo = "mongodb"
)

// Articles configures articles and their caches. Cache is live.
type Articles struct {
	// Storage is StorageSQL, the default, StorageS3 or StorageMongo. What was written
	// to one is not found in another.
	Storage string `mapstructure:"storage"`
	// S3 and Mongo are for their storages only.
	S3    S3    `mapstructure:"s3"`
	Mongo Mongo `mapstructure:"mongo"`
	// Publish is PublishStore, the default because nothing can get between the two
	// copies, PublishRepository or PublishService.
	Publish string `mapstructure:"publish"`
	// TitleMax is how many characters a title may have; 128 by default.
	TitleMax int `mapstructure:"titleMax"`
	// ContentMax is how many bytes of HTML a text may have; 512 KiB by default, which
	// leaves room for JSON's escapes below http.bodyLimit.
	ContentMax int `mapstructure:"contentMax"`
	// PartTimeout is how long a reader's answer waits for what it can do without, the
	// counts and the author's name; 300 ms by default.
	PartTimeout time.Duration `mapstructure:"partTimeout"`
	// Cache is about the copies in Redis.
	Cache ArticleCache `mapstructure:"cache"`
}

// S3 configures an object store.
type S3 struct {
	// Endpoint is its URL. Empty, the default, means an embedded one, where the
	// database is embedded, too.
	Endpoint string `mapstructure:"endpoint"`
	// Region is "us-east-1" by default, which stores without regions take, too.
	Region string `mapstructure:"region"`
	// Bucket must be there already, unless the store is embedded; "webook-articles" by
	// default.
	Bucket string `mapstructure:"bucket"`
	// KeyID and KeySecret sign requests.
	KeyID     string        `mapstructure:"keyID"`
	KeySecret logger.Secret `mapstructure:"keySecret"`
}

// Mongo configures MongoDB.
type Mongo struct {
	// URI is where it is, such as mongodb://localhost:27017; it may hold a password.
	URI logger.Secret `mapstructure:"uri"`
	// Database is "webook" by default.
	Database string `mapstructure:"database"`
	// Node is this instance's part of the ids that it makes, 0 to 31: no two that run at
	// a time may have the same. 0 by default.
	Node int `mapstructure:"node"`
}

// ArticleCache configures the copies of articles in Redis.
type ArticleCache struct {
	// FirstPage is the life of an author's first page; 10 min by default.
	FirstPage time.Duration `mapstructure:"firstPage"`
	// Draft is the life of an author's article, which is put there because it will be
	// opened next; 1 min by default.
	Draft time.Duration `mapstructure:"draft"`
	// Published is the life of a readers' article; 10 min by default.
	Published time.Duration `mapstructure:"published"`
	// Timeout bounds one call on the way to an answer; 200 ms by default.
	Timeout time.Duration `mapstructure:"timeout"`
	// PassMax is how many reads may pass to the store at once while the cache fails;
	// 64 by default. More are answered "busy".
	PassMax int `mapstructure:"passMax"`
}

func defaultArticles() Articles {
	return Articles{
		Storage: StorageSQL, Publish: PublishStore, TitleMax: 128, ContentMax: 512 << 10, PartTimeout: 300 * time.Millisecond,
		S3: S3{Region: "us-east-1", Bucket: "webook-articles"}, Mongo: Mongo{Database: "webook"},
		Cache: ArticleCache{
			FirstPage: 10 * time.Minute, Draft: time.Minute, Published: 10 * time.Minute,
			Timeout: 200 * time.Millisecond, PassMax: 64,
		},
	}
}

func (a Articles) validate(p *problems, h HTTP, db DB) {
	p.oneOf("articles.storage", a.Storage, StorageSQL, StorageS3, StorageMongo)
	switch a.Storage {
	case StorageS3:
		a.S3.validate(p, db)
	case StorageMongo:
		a.Mongo.validate(p)
	}
	p.oneOf("articles.publish", a.Publish, PublishStore, PublishRepository, PublishService)
	p.check(a.TitleMax >= 1 && a.TitleMax <= 1024, "articles.titleMax", a.TitleMax, "must be between 1 and 1024")
	p.check(a.ContentMax >= 1024 && int64(a.ContentMax) < h.BodyLimit, "articles.contentMax", a.ContentMax, "must be 1024 bytes or more, and less than http.bodyLimit")
	p.between("articles.partTimeout", a.PartTimeout, time.Millisecond, 10*time.Second)
	p.check(a.PartTimeout < h.Timeout, "articles.partTimeout", a.PartTimeout, "must be shorter than http.timeout")
	p.between("articles.cache.firstPage", a.Cache.FirstPage, time.Second, 24*time.Hour)
	p.between("articles.cache.draft", a.Cache.Draft, time.Second, 24*time.Hour)
	p.between("articles.cache.published", a.Cache.Published, time.Second, 24*time.Hour)
	p.between("articles.cache.timeout", a.Cache.Timeout, time.Millisecond, 10*time.Second)
	p.check(a.Cache.PassMax >= 1, "articles.cache.passMax", a.Cache.PassMax, "must be 1 or more")
}

// bucket is the form of a bucket's name.
var bucket = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

func (s S3) validate(p *problems, db DB) {
	p.check(bucket.MatchString(s.Bucket), "articles.s3.bucket", fmt.Sprintf("%q", s.Bucket), "must be 3 to 63 lower-case letters, digits, dots and dashes")
	p.check(s.Region != "", "articles.s3.region", `""`, "must not be empty")
	if s.Endpoint == "" {
		p.check(db.Driver == "", "articles.s3.endpoint", `""`, "is required with articles.storage \"s3\" and a db.driver")
		return
	}
	p.url("articles.s3.endpoint", s.Endpoint)
	if s.KeyID == "" || s.KeySecret.Empty() {
		p.add("articles.s3.keyID, articles.s3.keySecret: are required with articles.s3.endpoint; the secret is best set as WEBOOK_ARTICLES_S3_KEYSECRET")
	}
}

func (m Mongo) validate(p *problems) {
	if m.URI.Empty() {
		p.add("articles.mongo.uri: is required with articles.storage %q; best set as WEBOOK_ARTICLES_MONGO_URI", StorageMongo)
	}
	p.check(m.Database != "", "articles.mongo.database", `""`, "must not be empty")
	p.check(m.Node >= 0 && m.Node <= 31, "articles.mongo.node", m.Node, "must be between 0 and 31")
}
