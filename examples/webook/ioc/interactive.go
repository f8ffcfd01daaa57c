package ioc

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/IBM/sarama"
	"github.com/gin-gonic/gin"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/examples/webook/config"
	"github.com/bulwark-go/bulwark/examples/webook/console"
	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
	"github.com/bulwark-go/bulwark/examples/webook/internal/events"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/cache"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/dao"
	"github.com/bulwark-go/bulwark/examples/webook/internal/service"
	"github.com/bulwark-go/bulwark/examples/webook/internal/web"
	"github.com/bulwark-go/bulwark/ginx/session"
	"github.com/bulwark-go/bulwark/idempotency"
	"github.com/bulwark-go/bulwark/idempotency/gormstore"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/saramax"
	"github.com/bulwark-go/bulwark/saramax/lag"
)

const (
	// drain is how long a batch that is being counted may take to end, when the app
	// stops or another instance takes its partition.
	drain = 3 * time.Second
	// again is the pause before a consumer is started anew that could not go on.
	again = 5 * time.Second
)

// Interactive is what readers do with things: the use cases, the events, and what
// counts those in the background.
type Interactive struct {
	Service  *service.Interactives
	reads    *events.ReadProducer
	consumer *saramax.Consumer
	lag      *lag.Monitor // of what the consumer has
	aside    *lag.Monitor // of its dead-letter topics
	once     *gormstore.Store
	log      logger.Logger
}

// Watchers are who is told of what. Inner sees what belongs to a request, Consumed also
// what begins with an event, and so has traces of its own.
type Watchers struct {
	Inner, Consumed observe.Observer
	Log             logger.Logger
}

// NewInteractive returns the use cases over db, with counters cached in rdb, and events
// that go through the brokers.
func NewInteractive(ctx context.Context, c *Closers, live *config.Live, db *gorm.DB, rdb *redis.Client, brokers Brokers, w Watchers) (*Interactive, error) {
	if err := dao.MigrateInteractives(ctx, db); err != nil {
		return nil, fmt.Errorf("sql: %w", err)
	}
	cfg := live.Get()
	// Who finds no copy has a request's time to read the row and store one.
	cached := cache.NewInteractives(rdb, cfg.HTTP.Timeout+time.Second)
	settings := func() repository.Settings { return interactiveSettings(live.Get().Interactive) }
	counters := repository.NewInteractives(dao.NewInteractives(db), cached, settings, w.Inner)
	i := &Interactive{Service: service.NewInteractives(counters), log: w.Log.Named("reads")}
	var err error
	if i.once, err = gormstore.New(db, gormstore.Config{Window: cfg.Interactive.Reads.Remember},
		gormstore.WithTxOptions(sql.TxOptions{Isolation: sql.LevelReadCommitted})); err != nil {
		return nil, err
	}
	if err := i.once.Migrate(ctx); err != nil {
		return nil, fmt.Errorf("sql: %w", err)
	}
	raw, err := producer(c, brokers, w.Inner)
	if err != nil {
		return nil, err
	}
	if i.reads, err = events.NewReadProducer(raw, brokers.Names); err != nil {
		return nil, err
	}
	reads := repository.NewReads(idempotency.Observe(i.once, w.Inner), counters)
	return i, i.consume(ctx, c, cfg.Interactive.Reads, reads, raw, brokers, w)
}

func interactiveSettings(cfg config.Interactive) repository.Settings {
	return repository.Settings{TTL: cfg.CacheTTL, Timeout: cfg.CacheTimeout, PassMax: cfg.CachePassMax}
}

// producer is what all events go through.
func producer(c *Closers, brokers Brokers, observer observe.Observer) (*saramax.RawProducer, error) {
	raw, err := saramax.NewRawProducer(brokers.Addrs, saramax.NewConfig(ServiceName),
		saramax.WithProducerObserver(observer), saramax.WithProducerTrace(inRecords{Propagator()}))
	if err != nil {
		return nil, err
	}
	c.Add("kafka producer", raw.Close)
	return raw, nil
}

// consume makes the consumer of read events, and the topics that it needs.
func (i *Interactive) consume(ctx context.Context, c *Closers, cfg config.Reads, reads *repository.Reads, raw *saramax.RawProducer, brokers Brokers, w Watchers) error {
	group, topics := brokers.Names.Of(events.GroupInteractive), brokers.Names.ReadTopics()
	if err := brokers.makeTopics(ctx, consumed{group, topics}); err != nil {
		return err
	}
	client, err := sarama.NewClient(brokers.Addrs, saramax.NewConfig(ServiceName+"-"+events.GroupInteractive))
	if err != nil {
		return unreachable("kafka", strings.Join(brokers.Addrs, ", "), err)
	}
	c.AddClose("kafka consumer's client", client.Close)
	i.consumer, err = saramax.NewConsumer(client, group, topics,
		saramax.Batch(events.Linked(inRecords{Propagator()}, events.NewReadCounter(reads).Handle)),
		saramax.WithBatch(cfg.Batch, cfg.Linger), saramax.WithDrain(drain),
		// What fails is the database, and it fails for all: that is waited for. An
		// event that is wrong in itself is put aside at once.
		saramax.WithRetry(saramax.RetryPolicy{Attempts: math.MaxInt, Max: 10 * time.Second}),
		saramax.WithDeadLetter(raw), saramax.WithObserver(w.Consumed), saramax.WithLogger(i.log))
	if err != nil {
		return err
	}
	return i.watch(c, group, topics, cfg.LagInterval, brokers)
}

// watch makes what asks the brokers how far the consumer is behind. Its client is its
// own: on the consumer's its questions would wait behind long polls.
func (i *Interactive) watch(c *Closers, group string, topics []string, interval time.Duration, brokers Brokers) error {
	client, err := sarama.NewClient(brokers.Addrs, saramax.NewConfig(ServiceName+"-lag"))
	if err != nil {
		return unreachable("kafka", strings.Join(brokers.Addrs, ", "), err)
	}
	c.AddClose("kafka lag client", client.Close)
	cfg := lag.Config{Interval: interval}
	if i.lag, err = lag.New(client, group, topics, cfg, lag.WithConsumer(i.consumer)); err != nil {
		return err
	}
	var aside []string
	for _, topic := range topics {
		aside = append(aside, saramax.DeadLetterTopic(topic, group))
	}
	i.aside, err = lag.New(client, group, aside, cfg)
	return err
}

// Run counts what was read, and forgets the events that are too old to come again,
// until ctx ends. What can't go on is started anew: articles are served meanwhile.
func (i *Interactive) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return i.once.Run(ctx, func(err error) { i.log.Warn("old events are not forgotten", logger.Err(err)) })
	})
	group.Go(func() error { return i.lag.Run(ctx) })
	group.Go(func() error { return i.aside.Run(ctx) })
	group.Go(func() error {
		for {
			err := i.consumer.Run(ctx)
			if ctx.Err() != nil {
				return err
			}
			i.log.Error("consumer of read events stopped, it is started anew", logger.Err(err))
			select {
			case <-ctx.Done():
			case <-time.After(again):
			}
		}
	})
	return group.Wait()
}

// Register hands the states of consumer and lag to a metrics backend's own Register.
func (i *Interactive) Register(register func(observe.Source) error) error {
	return errors.Join(register(i.consumer), register(i.lag))
}

// Console returns the consumer as an operator sees it.
func (i *Interactive) Console() console.Consumer {
	return console.Consumer{
		About:  "adds up what was read, in batches",
		Status: i.consumer.Status, Lag: i.lag.Snapshot, PutAside: i.aside.Snapshot,
		Pause:  func(topic string) { i.consumer.Pause(topic) },
		Resume: func(topic string) { i.consumer.Resume(topic) },
	}
}

// ArticleOptions connect articles with their counters and events.
func (i *Interactive) ArticleOptions() []service.ArticlesOption {
	return []service.ArticlesOption{service.WithCounters(articleCounts{i.Service}), service.WithReadEvents(i.reads)}
}

// articleCounts are counters as the use cases of articles ask for them.
type articleCounts struct{ interactives *service.Interactives }

func (c articleCounts) Counts(ctx context.Context, biz string, id, uid int64) (domain.Counts, error) {
	got, err := c.interactives.Get(ctx, biz, id, uid)
	return domain.Counts{
		Reads: got.ReadCnt, Likes: got.LikeCnt, Collects: got.CollectCnt, Liked: got.Liked, Collected: got.Collected,
	}, err
}

// Routes returns the routes of likes and collections. Readers log in.
func (i *Interactive) Routes(articles *service.Articles, sessions *session.Manager, rules *session.Rules, limit gin.HandlerFunc) Routes {
	return web.NewInteractives(i.Service, articles, sessions.Login(rules), limit)
}
