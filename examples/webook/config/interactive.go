package config

import "time"

// Interactive configures the counters of reads, likes and collections. The keys of the
// cache are live.
type Interactive struct {
	// CacheTTL is how long counters stay cached, and so how long one can be behind that
	// the cache could not be told about; 15 min by default.
	CacheTTL time.Duration `mapstructure:"cacheTTL"`
	// CacheTimeout bounds one cache call; 200 ms by default: a cache slower than the
	// database it shields is as good as down.
	CacheTimeout time.Duration `mapstructure:"cacheTimeout"`
	// CachePassMax is how many reads may pass to SQL at once while the cache fails; 64
	// by default. For those beyond, and for all with 0, an article is shown without
	// its counters.
	CachePassMax int `mapstructure:"cachePassMax"`
	// Reads configures how readings of articles are counted.
	Reads Reads `mapstructure:"reads"`
}

// Reads configures the consumer of read events.
type Reads struct {
	// Batch is how many events are counted in one transaction at most; 500 by default:
	// more save little, and hold the counters' rows for longer.
	Batch int `mapstructure:"batch"`
	// Linger is how long an event waits for others; 200 ms by default, which nobody
	// notices at a counter.
	Linger time.Duration `mapstructure:"linger"`
	// Remember is how long an event is known that was counted. Replays of older ones
	// count again, so it must be longer than the topic's retention. 30 days by default;
	// the brokers' own is 7.
	Remember time.Duration `mapstructure:"remember"`
	// LagInterval is the time between two looks at how far the counting is behind; 5 s by
	// default, which costs a broker two small requests each.
	LagInterval time.Duration `mapstructure:"lagInterval"`
}

func defaultInteractive() Interactive {
	return Interactive{
		CacheTTL: 15 * time.Minute, CacheTimeout: 200 * time.Millisecond, CachePassMax: 64,
		Reads: Reads{Batch: 500, Linger: 200 * time.Millisecond, Remember: 30 * 24 * time.Hour, LagInterval: 5 * time.Second},
	}
}

func (i Interactive) validate(p *problems) {
	p.between("interactive.cacheTTL", i.CacheTTL, time.Second, 24*time.Hour)
	p.between("interactive.cacheTimeout", i.CacheTimeout, time.Millisecond, 10*time.Second)
	p.check(i.CachePassMax >= 0, "interactive.cachePassMax", i.CachePassMax, "must not be negative")
	p.check(i.Reads.Batch >= 1 && i.Reads.Batch <= 4000, "interactive.reads.batch", i.Reads.Batch, "must be between 1 and 4000")
	p.between("interactive.reads.linger", i.Reads.Linger, time.Millisecond, 10*time.Second)
	p.between("interactive.reads.lagInterval", i.Reads.LagInterval, 100*time.Millisecond, 10*time.Minute)
	p.between("interactive.reads.remember", i.Reads.Remember, time.Hour, 10*365*24*time.Hour)
}
