package app

import (
	"context"
	"crypto/rand"
	"errors"

	"github.com/bulwark-go/bulwark/examples/webook/config"
	"github.com/bulwark-go/bulwark/examples/webook/console"
	"github.com/bulwark-go/bulwark/examples/webook/internal/health"
	"github.com/bulwark-go/bulwark/examples/webook/internal/web"
	"github.com/bulwark-go/bulwark/examples/webook/ioc"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/observe"
)

// wire builds everything, what others depend on first. It listens before all else:
// a taken port is the most frequent mistake, and then nothing has been started.
func (a *App) wire(ctx context.Context, cfg config.Config) (err error) {
	recent, rates := &console.Recent{}, console.NewRates()
	logs, err := ioc.Log(a.logTo, cfg.Log, recent)
	if err != nil {
		return err
	}
	a.log, a.level = logs.App, logs.Level
	if a.web, err = ioc.Listen(ctx, &a.closers, "http.addr", cfg.HTTP.Addr, a.log); err != nil {
		return err
	}
	if a.ops, err = ioc.Listen(ctx, &a.closers, "metrics.addr", cfg.Metrics.Addr, a.log); err != nil {
		return err
	}
	registry, metrics, err := ioc.Metrics(a.log)
	if err != nil {
		return err
	}
	build := console.ReadBuild()
	traces, spans, err := ioc.Tracing(ctx, &a.closers, cfg.Trace, build.Version, a.log)
	if err != nil {
		return err
	}
	// A request has its span from otelgin; what happens below it reports to both.
	inner, outer := observe.Multi(metrics, ioc.InTraces(spans)), observe.Multi(metrics, rates)

	dir, err := ioc.DataDir(&a.closers, cfg.Data)
	if err != nil {
		return err
	}
	db, sqlHealth, err := ioc.SQL(ctx, &a.closers, cfg.DB, dir, logs.App, inner)
	if err != nil {
		return err
	}
	rdb, redisHealth, err := ioc.Redis(ctx, &a.closers, cfg.Redis, logs.App, inner)
	if err != nil {
		return err
	}
	brokers, kafkaHealth, err := ioc.Kafka(&a.closers, cfg.Kafka, dir)
	if err != nil {
		return err
	}
	a.monitor = health.New(a.log, sqlHealth, redisHealth, kafkaHealth)
	a.probes = ioc.NewProbes(a.monitor)
	pool, err := ioc.PoolStats(db)
	if err != nil {
		return err
	}
	if err := errors.Join(metrics.Register(a.monitor), metrics.Register(pool)); err != nil {
		return err
	}

	if err := ioc.Migrate(ctx, db); err != nil {
		return err
	}
	accounts := ioc.UserRepository(db, rdb, a.live, inner)
	users, err := ioc.Users(accounts, cfg.Users)
	if err != nil {
		return err
	}
	sessions, rules, err := ioc.Sessions(rdb, cfg.Session, inner)
	if err != nil {
		return err
	}
	if a.interactive, err = ioc.NewInteractive(ctx, &a.closers, a.live, db, rdb, brokers,
		ioc.Watchers{Inner: inner, Consumed: observe.Multi(metrics, spans), Log: a.log}); err != nil {
		return err
	}
	if err := a.interactive.Register(metrics.Register); err != nil {
		return err
	}
	if err := a.wireArticles(ctx, cfg, db, dir, rdb, accounts, inner); err != nil {
		return err
	}
	if err := a.articles.Register(metrics.Register); err != nil {
		return err
	}
	if cfg.DB.Driver == "" {
		if a.demo, err = seed(ctx, users, a.articles.Service, a.interactive.Service); err != nil {
			return err
		}
	}
	breakers := &console.Breakers{}
	if a.limits, err = ioc.NewLimits(rdb, a.live, ioc.Instance(a.web.Addr()), breakers, a.log, inner); err != nil {
		return err
	}
	a.limits.CatchUp(ctx, cfg.Limits)
	wechat, err := ioc.Wechat(ctx, &a.closers, a.live, accounts, rdb, sessions, a.URL()+"/oauth2/wechat/callback", breakers, inner)
	if err != nil {
		return err
	}
	articles, err := a.articles.Routes(sessions, rules, a.limits.PerUser())
	if err != nil {
		return err
	}
	routes := []ioc.Routes{web.NewUsers(users, sessions, rules, a.limits.PerUser()), wechat, articles,
		a.interactive.Routes(a.articles.Service, sessions, rules, a.limits.PerUser())}
	if a.messages, err = ioc.NewMessages(ctx, &a.closers, a.live, db, rdb, a.log, inner); err != nil {
		return err
	}
	var shown *console.Messages
	if a.messages != nil {
		logins, err := a.messages.SMSLogin(a.live, rdb, accounts, inner)
		if err != nil {
			return err
		}
		routes = append(routes, web.NewSMS(logins, sessions))
		shown = a.messages.Console()
		if err := a.messages.Register(metrics.Register); err != nil {
			return err
		}
	}
	if err := breakers.Register(metrics.Register); err != nil {
		return err
	}
	engine, err := ioc.Engine(cfg.HTTP, a.log, outer, traces, a.limits.PerAddress(), routes...)
	if err != nil {
		return err
	}
	token := cfg.Console.Token
	if token.Empty() && cfg.DB.Driver == "" {
		a.consoleToken = rand.Text()
		token = logger.NewSecret(a.consoleToken)
	}
	page, err := console.New(console.Sources{
		Build: build, Health: a.monitor, Rates: rates, Recent: recent, Sets: a.limits.Sets(), Breakers: breakers,
		Messages: shown, Consumers: []console.Consumer{a.interactive.Console()},
	}, token, a.log)
	if err != nil {
		return err
	}
	a.web.Handle(ioc.Site(engine, page, a.probes))
	a.ops.Handle(ioc.Operators(registry, a.probes))
	a.monitor.Check(ctx)
	return nil
}
