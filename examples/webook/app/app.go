// Package app is webook as a value: New builds it, Run serves it until its context
// ends. The program and the end-to-end tests start the same thing.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bulwark-go/bulwark/examples/webook/config"
	"github.com/bulwark-go/bulwark/examples/webook/internal/health"
	"github.com/bulwark-go/bulwark/examples/webook/ioc"
	"github.com/bulwark-go/bulwark/logger"
)

// closeTimeout bounds what comes after the drain: flushing and closing.
const closeTimeout = 5 * time.Second

// App is one instance of webook. Make it with [New].
type App struct {
	live       *config.Live
	configFile string
	logTo      io.Writer

	log         logger.Logger
	level       *logger.LevelVar
	monitor     *health.Monitor
	probes      *ioc.Probes
	limits      *ioc.Limits
	articles    *ioc.Articles
	interactive *ioc.Interactive
	messages    *ioc.Messages // nil: none
	web, ops    *ioc.Server
	demo        Demo
	closers     ioc.Closers
	// consoleToken is empty unless it was made here.
	consoleToken string
}

// Demo is the account that the embedded app is seeded with. The zero Demo means
// that there is none.
type Demo struct {
	Email string
	// Password is empty when the account is from an earlier run.
	Password string
}

// Option configures [New].
type Option interface{ apply(*App) }

type optionFunc func(*App)

func (f optionFunc) apply(a *App) { f(a) }

// WithLog sends the log to w instead of standard error.
func WithLog(w io.Writer) Option { return optionFunc(func(a *App) { a.logTo = w }) }

// WithConfigFile makes Run watch the file that the configuration came from.
func WithConfigFile(path string) Option { return optionFunc(func(a *App) { a.configFile = path }) }

// New listens, connects and builds everything; when it returns the app is ready to
// [App.Run]. On error everything that was begun is undone. The error is one line
// that names the component and its address.
func New(ctx context.Context, cfg config.Config, opts ...Option) (*App, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	a := &App{live: config.NewLive(cfg), logTo: os.Stderr}
	for _, o := range opts {
		o.apply(a)
	}
	if err := a.wire(ctx, cfg); err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		return nil, errors.Join(err, a.closers.Close(ctx))
	}
	return a, nil
}

// URL is where the app answers.
func (a *App) URL() string { return "http://" + reachable(a.web.Addr()) }

// MetricsURL is where operators ask.
func (a *App) MetricsURL() string { return "http://" + reachable(a.ops.Addr()) }

// Demo returns the seeded account.
func (a *App) Demo() Demo { return a.demo }

// ConsoleToken returns the token that was made for the console's changes, empty where
// the configuration has one or all is read only.
func (a *App) ConsoleToken() string { return a.consoleToken }

// Run serves until ctx ends, then stops in good order: unready first, running
// requests drained for at most http.shutdown, everything closed in reverse order.
// It returns nil after a clean stop. An App runs once.
func (a *App) Run(ctx context.Context) error {
	err := a.serve(ctx)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	return errors.Join(err, a.closers.Close(closing))
}

func (a *App) serve(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(a.web.Serve)
	group.Go(a.ops.Serve)
	group.Go(func() error { a.monitor.Run(ctx); return nil })
	group.Go(func() error { a.limits.Run(ctx); return nil })
	group.Go(func() error { return a.articles.Run(ctx) })
	group.Go(func() error { return a.interactive.Run(ctx) })
	if a.messages != nil {
		group.Go(func() error { return a.messages.Run(ctx) })
	}
	if a.configFile != "" {
		group.Go(func() error { a.watch(ctx); return nil })
	}
	group.Go(func() error {
		<-ctx.Done()
		return a.drain(ctx)
	})
	a.log.Info("webook serves", logger.String("url", a.URL()), logger.String("metrics", a.MetricsURL()))
	return group.Wait()
}

// watch takes over changes of the configuration. That it can't be watched is no
// reason to stop serving.
func (a *App) watch(ctx context.Context) {
	changed := func(cfg config.Config) {
		setLevel(a.level, cfg.Log.Level)
		a.limits.Apply(cfg.Limits)
	}
	if err := a.live.Watch(ctx, a.configFile, a.log, changed); err != nil {
		a.log.Error("configuration is not watched", logger.Err(err))
	}
}

// drain stops the web first: operators may watch until the end.
func (a *App) drain(ctx context.Context) error {
	a.probes.Leave()
	a.log.Info("webook stops")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.live.Get().HTTP.Shutdown)
	defer cancel()
	return errors.Join(a.web.Shutdown(ctx), a.ops.Shutdown(ctx))
}

func setLevel(level *logger.LevelVar, text string) {
	if l, err := logger.ParseLevel(text); err == nil { // config allows known levels only
		level.Set(l)
	}
}

// reachable turns the address of a listener on all interfaces into one to call.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}
