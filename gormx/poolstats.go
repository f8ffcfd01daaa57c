package gormx

import (
	"database/sql"
	"errors"
	"iter"

	"github.com/bulwark-go/bulwark/observe"
)

var (
	poolConnections = observe.Gauge{Component: "db_pool", Name: "connections", Help: "Open connections.", Labels: []string{"db", "state"}}
	poolMaxOpen     = observe.Gauge{Component: "db_pool", Name: "max_open_connections", Help: "Most connections allowed; 0 for no limit.", Labels: []string{"db"}}
	poolWaits       = observe.Gauge{Component: "db_pool", Name: "waits_total", Help: "Times that a connection was waited for.", Labels: []string{"db"}, Cumulative: true}
	poolWaited      = observe.Gauge{Component: "db_pool", Name: "wait_seconds_total", Help: "Time spent waiting for connections.", Labels: []string{"db"}, Cumulative: true}
	poolClosed      = observe.Gauge{Component: "db_pool", Name: "closed_total", Help: "Connections closed by the pool's own limits.", Labels: []string{"db", "reason"}, Cumulative: true}
)

// Statser has pool statistics; a *sql.DB does.
type Statser interface {
	Stats() sql.DBStats
}

// PoolStats is an [observe.Source] of a connection pool: connections in use and
// idle, their limit, how often and how long callers waited for one, and how many
// were closed by which limit. It is read at each scrape and safe for concurrent use.
type PoolStats struct {
	db   string
	pool Statser
}

// NewPoolStats returns the statistics of pool, labelled with the database's name.
// It fails when db is empty or pool is nil.
func NewPoolStats(db string, pool Statser) (*PoolStats, error) {
	var errs []error
	if db == "" {
		errs = append(errs, errors.New("gormx: db is empty"))
	}
	if pool == nil {
		errs = append(errs, errors.New("gormx: pool is nil"))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return &PoolStats{db: db, pool: pool}, nil
}

// Readings implements [observe.Source].
func (p *PoolStats) Readings() iter.Seq[observe.Reading] {
	return func(yield func(observe.Reading) bool) {
		s := p.pool.Stats()
		all := [...]observe.Reading{
			{Gauge: &poolConnections, Values: observe.Values{p.db, "in_use"}, Value: float64(s.InUse)},
			{Gauge: &poolConnections, Values: observe.Values{p.db, "idle"}, Value: float64(s.Idle)},
			{Gauge: &poolMaxOpen, Values: observe.Values{p.db}, Value: float64(s.MaxOpenConnections)},
			{Gauge: &poolWaits, Values: observe.Values{p.db}, Value: float64(s.WaitCount)},
			{Gauge: &poolWaited, Values: observe.Values{p.db}, Value: s.WaitDuration.Seconds()},
			{Gauge: &poolClosed, Values: observe.Values{p.db, "max_idle"}, Value: float64(s.MaxIdleClosed)},
			{Gauge: &poolClosed, Values: observe.Values{p.db, "max_idle_time"}, Value: float64(s.MaxIdleTimeClosed)},
			{Gauge: &poolClosed, Values: observe.Values{p.db, "max_lifetime"}, Value: float64(s.MaxLifetimeClosed)},
		}
		for _, r := range all {
			if !yield(r) {
				return
			}
		}
	}
}
