package ioc

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/bulwark-go/bulwark/examples/webook/config"
	"github.com/bulwark-go/bulwark/examples/webook/console"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/rules"
	"github.com/bulwark-go/bulwark/ratelimit/rules/dryrun"
	"github.com/bulwark-go/bulwark/ratelimit/rules/redisrules"
	"github.com/bulwark-go/bulwark/ratelimit/rules/rollout"
)

const (
	pauseOfGuard = time.Second
	// pollRules is how often an instance looks for a revision that no news told of:
	// so even then every instance has it within a second.
	pollRules = 900 * time.Millisecond
	// tryConfigured is how long to wait before a change of the configuration that
	// could not be saved is tried again.
	tryConfigured = time.Second
)

// recorded bounds the calls of which the console can tell what edited rules would
// have done: five minutes of 700 a second, in some 6 MB. Of more it takes a sample.
var recorded = dryrun.Config{Calls: 1 << 18, Subjects: 1 << 15}

// Instance is this instance's name in the fleet, from the address that it listens
// on: several may share a machine.
func Instance(addr string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		port = addr
	}
	return net.JoinHostPort(host, port)
}

// steered is a set of rules that the fleet shares.
type steered struct {
	console.Set
	rules *rules.Set
	log   logger.Logger
	// wanted holds the newest rules of the configuration that are still to be saved.
	wanted chan []rules.Rule
	author string
	// waiting tells that it was logged that they wait.
	waiting bool
}

func steer(s console.Set, list []rules.Rule, build counters, instance string, log logger.Logger, scope ...rules.Field) (*steered, error) {
	s.Tally = console.NewTally()
	recorder, err := dryrun.New(recorded, dryrun.WithInstances(func() int { return build.live.Get().Limits.Instances }))
	if err != nil {
		return nil, err
	}
	s.DryRun = recorder
	decided := func(ctx context.Context, subject rules.Subject, cost int64, d ratelimit.Decision, err error) {
		s.Tally.Decided(ctx, subject, cost, d, err)
		recorder.Record(subject, cost)
	}
	set, err := rules.New(list, rules.WithOnDecision(decided), rules.WithOnShadow(s.Tally.Shadowed), rules.WithScope(scope...),
		rules.WithFactory(func(r rules.Rule) (ratelimit.Limiter, error) { return build.limiter(s.Name, r) }))
	if err != nil {
		return nil, err
	}
	store, err := redisrules.New(build.rdb, s.Name, redisrules.WithPrefix("webook:rules"))
	if err != nil {
		return nil, err
	}
	s.Follower, err = rollout.New(set, store, instance, rollout.Config{Poll: pollRules, Timeout: time.Second})
	return &steered{
		Set: s, rules: set, log: log.With(logger.String("limits", s.Name)),
		wanted: make(chan []rules.Rule, 1), author: "configuration of " + instance,
	}, err
}

// Sets is what the console shows and changes.
func (l *Limits) Sets() []console.Set { return []console.Set{l.address.Set, l.user.Set} }

// CatchUp takes over what the fleet runs, or starts it with the rules of the
// configuration: before the first request, so that a restart forgets nothing. When
// Redis does not answer, those of the configuration hold until Run reaches it.
func (l *Limits) CatchUp(ctx context.Context, cfg config.Limits) {
	l.address.catchUp(ctx, cfg.PerAddress)
	l.user.catchUp(ctx, cfg.PerUser)
}

// Apply hands over a changed configuration. Only rules that it has changed itself
// become a revision; nothing undoes what people changed on the console since.
func (l *Limits) Apply(cfg config.Limits) {
	l.address.want(cfg.PerAddress)
	l.user.want(cfg.PerUser)
}

// Run follows the fleet's rules until ctx ends. While Redis is away the last ones
// stay.
func (l *Limits) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, s := range []*steered{l.address, l.user} {
		all.Go(func() { _ = s.Follower.Run(ctx) }) // ends with ctx, and for nothing else
		all.Go(func() { s.configure(ctx) })
	}
	all.Wait()
}

func (s *steered) catchUp(ctx context.Context, list []rules.Rule) {
	if !s.save(ctx, list) {
		s.want(list)
	}
}

// want puts the newest rules in the place of those that still waited. It is called
// by one goroutine at a time.
func (s *steered) want(list []rules.Rule) {
	select {
	case <-s.wanted:
	default:
	}
	s.wanted <- list
}

func (s *steered) configure(ctx context.Context) {
	for {
		var list []rules.Rule
		select {
		case <-ctx.Done():
			return
		case list = <-s.wanted:
		}
		for !s.save(ctx, list) {
			select {
			case <-ctx.Done():
				return
			case list = <-s.wanted:
			case <-time.After(tryConfigured):
			}
		}
	}
}

// save tells whether the rules need no further try.
func (s *steered) save(ctx context.Context, list []rules.Rule) bool {
	before := s.Follower.Snapshot().Revision.Number
	rev, err := s.Follower.Configure(ctx, list, s.author)
	var bad *ratelimit.FieldError
	switch {
	case err == nil && rev.Author == s.author && rev.Number != before: // not of another instance
		s.log.Info("limits of the configuration taken over", logger.Uint64("revision", rev.Number))
	case err == nil, ctx.Err() != nil:
	case errors.As(err, &bad): // config lets none through, but a limiter may
		s.log.Error("limits refused, the old ones stay", logger.Err(err))
	default:
		if !s.waiting {
			s.log.Warn("limits can not be taken over yet, the last ones stay", logger.Err(err))
		}
		s.waiting = true
		return false
	}
	s.waiting = false
	return true
}
