package config

import "time"

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

// Where readers' copies are kept.
const (
	StorageSQL = "sql"
)

// Articles configures articles and their caches. Cache is live.
type Articles struct {
	// Storage is where the readers' copies are: StorageSQL by default.
	Storage string `mapstructure:"storage"`
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
		Cache: ArticleCache{
			FirstPage: 10 * time.Minute, Draft: time.Minute, Published: 10 * time.Minute,
			Timeout: 200 * time.Millisecond, PassMax: 64,
		},
	}
}

func (a Articles) validate(p *problems, h HTTP) {
	p.oneOf("articles.storage", a.Storage, StorageSQL)
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
