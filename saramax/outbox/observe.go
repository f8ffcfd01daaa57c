package outbox

import (
	"context"
	"iter"
	"sync/atomic"
	"time"

	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/observe"
)

var (
	claimKind = observe.Kind{
		Component: "outbox", Action: "claim", Help: "Looks at the table of events.",
		Role: observe.Client, StartLabels: []string{"outbox"}, Amount: "rows",
	}
	publishKind = observe.Kind{
		Component: "outbox", Action: "publish", Help: "Calls of the publisher.",
		Role: observe.Producer, StartLabels: []string{"outbox"}, Amount: "messages",
	}
	// Milliseconds, as amounts are whole numbers and delays mostly below a second.
	relayedKind = observe.Kind{
		Component: "outbox", Action: "relayed", Help: "Events that left the table or failed to, and how long ago they were stored.",
		Form: observe.Instant, StartLabels: []string{"outbox"}, Amount: "delay_milliseconds",
	}
)

// counters count what a relay did.
type counters struct {
	published, failed, dead atomic.Int64
	owned                   atomic.Int64
	lost, failures, missing atomic.Int64
	stats                   atomic.Pointer[Stats]
}

// Snapshot is what a relay knows without asking the database.
type Snapshot struct {
	// Published, Failed and Dead count events by what became of an attempt of this
	// relay; attempts while the destination was unavailable are not counted.
	Published, Failed, Dead int64
	// Owned is how many buckets this relay has now.
	Owned int
	// LeaseLost counts sessions that ended as their lease could not be kept, Failures
	// uses of the database that failed, Missing rows that were gone when they were
	// to be deleted: somebody else has deleted them.
	LeaseLost, Failures, Missing int64
	// Stats are those read last, at most [Config.StatsEvery] ago while Run runs; the
	// zero Stats before the first time.
	Stats Stats
}

// Snapshot returns the state of this moment.
func (r *Relay) Snapshot() Snapshot {
	c := &r.counters
	s := Snapshot{
		Published: c.published.Load(), Failed: c.failed.Load(), Dead: c.dead.Load(), Owned: int(c.owned.Load()),
		LeaseLost: c.lost.Load(), Failures: c.failures.Load(), Missing: c.missing.Load(),
	}
	if stats := c.stats.Load(); stats != nil {
		s.Stats = *stats
	}
	return s
}

func gauge(name, help string, labels ...string) *observe.Gauge {
	return &observe.Gauge{Component: "outbox", Name: name, Help: help, Labels: append([]string{"outbox"}, labels...)}
}

func total(name, help string) *observe.Gauge {
	g := gauge(name, help)
	g.Cumulative = true
	return g
}

var (
	pendingGauge  = gauge("pending_rows", "Events that are not published yet, counted up to a million.")
	oldestGauge   = gauge("oldest_pending_seconds", "How long ago the event was stored that has been waiting longest.")
	deadGauge     = gauge("dead_rows", "Dead events, counted up to a million.")
	bucketsGauge  = gauge("buckets", "Buckets that there are.")
	ownedGauge    = gauge("buckets_owned", "Buckets that this relay has.")
	snapshotGauge = gauge("oldest_snapshot_seconds", "For how long the oldest transaction has been open that keeps deleted rows.")
	lostTotal     = total("lease_lost_total", "Sessions of this relay that ended as their lease could not be kept.")
	missingTotal  = total("missing_rows_total", "Published rows that somebody else had deleted.")
	failuresTotal = total("store_failures_total", "Uses of the database by this relay that failed.")
)

// Readings implements [observe.Source] with what [Relay.Snapshot] returns.
func (r *Relay) Readings() iter.Seq[observe.Reading] {
	return func(yield func(observe.Reading) bool) {
		s, name := r.Snapshot(), observe.Values{r.cfg.Name}
		all := []observe.Reading{
			{Gauge: pendingGauge, Values: name, Value: float64(s.Stats.Pending)},
			{Gauge: oldestGauge, Values: name, Value: s.Stats.Oldest.Seconds()},
			{Gauge: deadGauge, Values: name, Value: float64(s.Stats.Dead)},
			{Gauge: bucketsGauge, Values: name, Value: float64(r.store.settings.Buckets)},
			{Gauge: ownedGauge, Values: name, Value: float64(s.Owned)},
			{Gauge: lostTotal, Values: name, Value: float64(s.LeaseLost)},
			{Gauge: missingTotal, Values: name, Value: float64(s.Missing)},
			{Gauge: failuresTotal, Values: name, Value: float64(s.Failures)},
		}
		if s.Stats.SnapshotKnown {
			all = append(all, observe.Reading{Gauge: snapshotGauge, Values: name, Value: s.Stats.OldestSnapshot.Seconds()})
		}
		for _, reading := range all {
			if !yield(reading) {
				return
			}
		}
	}
}

// lost counts and tells a lost lease.
func (r *Relay) lost() {
	r.counters.lost.Add(1)
	r.set.log.Warn("outbox: lease lost", logger.String("outbox", r.cfg.Name))
}

// report reports what became of the messages of a batch that is settled.
func (t *term) report(b *batch) {
	silent := observe.IsNop(t.r.set.observer)
	for i, m := range b.messages {
		o := b.outcomes[i]
		result := observe.Result{Err: o.err, Amount: m.Age.Milliseconds()}
		switch o.verdict {
		case sent:
			t.r.counters.published.Add(1)
		case failed:
			t.r.counters.failed.Add(1)
			result.Outcome = observe.Failed
		case dead:
			t.r.counters.dead.Add(1)
			result.Outcome = observe.Rejected
			t.r.set.log.Error("outbox: event is dead", logger.String("outbox", t.r.cfg.Name), logger.String("topic", m.Topic),
				logger.String("event", m.ID), logger.String("reason", string(o.reason)), logger.Err(o.err))
		default:
			continue
		}
		if !silent {
			observe.Emit(context.WithoutCancel(t.publish), t.r.set.observer,
				observe.Operation{Kind: &relayedKind, Values: observe.Values{t.r.cfg.Name}}, result)
		}
	}
}

// watch reads the figures until ctx ends.
func (r *Relay) watch(ctx context.Context) {
	for ctx.Err() == nil {
		if !r.asleep.Load() {
			r.readStats(ctx)
		}
		wait(ctx, spread(r.cfg.StatsEvery), nil)
	}
}

func (r *Relay) readStats(ctx context.Context) {
	use, cancel := context.WithTimeout(ctx, max(r.cfg.StoreTimeout, time.Minute))
	defer cancel()
	var stats Stats
	err := r.store.retry(use, "stats", func(db *gorm.DB) (err error) {
		stats, err = r.store.stats(db)
		return err
	})
	if err != nil {
		r.failed("stats", err)
		return
	}
	r.counters.stats.Store(&stats)
}
