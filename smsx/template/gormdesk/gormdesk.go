// Package gormdesk keeps the requests of a [template.Desk] in MySQL, MariaDB,
// PostgreSQL or SQLite, over the *gorm.DB that a service has: one table, made by
// [Requests.Migrate], of a row for each request. It holds no token.
//
// Rows stay until you delete them, and with them the memory of what was asked for: a
// token whose row is gone counts as revoked.
package gormdesk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/smsx/template"
)

// DefaultTable is the table without [WithTable].
const DefaultTable = "sms_template_requests"

// Requests implements [template.Requests]. It is safe for concurrent use. Make it with
// [New].
type Requests struct {
	db    *gorm.DB
	table string
}

var _ template.Requests = (*Requests)(nil)

// Option configures [New].
type Option interface{ apply(*Requests) }

type optionFunc func(*Requests)

func (f optionFunc) apply(r *Requests) { f(r) }

// WithTable names the table; [DefaultTable] without it.
func WithTable(name string) Option { return optionFunc(func(r *Requests) { r.table = name }) }

// tableName is what may stand in a statement without quotes.
var tableName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,47}$`)

// New returns the requests in db. It does not use the database yet; call
// [Requests.Migrate] where the table may be missing.
func New(db *gorm.DB, opts ...Option) (*Requests, error) {
	r := &Requests{table: DefaultTable}
	for _, o := range opts {
		o.apply(r)
	}
	if db == nil {
		return nil, errors.New("gormdesk: db <nil>: must be given")
	}
	if !tableName.MatchString(r.table) {
		return nil, fmt.Errorf("gormdesk: table %q: must be up to 48 of a-z, 0-9 and _, not beginning with a digit", r.table)
	}
	r.db = db.Session(&gorm.Session{NewDB: true, SkipDefaultTransaction: true})
	return r, nil
}

// row is a request as it is stored. Times are microseconds of the Unix era.
type row struct {
	ID      string `gorm:"primaryKey;size:128"`
	AskedBy string `gorm:"size:255;not null"`
	Decided string `gorm:"size:255;not null"`
	State   int    `gorm:"not null"`
	At      int64  `gorm:"not null"`
	Grant   []byte `gorm:"column:wish;not null"`
}

// Migrate makes the table if it is missing.
func (r *Requests) Migrate(ctx context.Context) error {
	if err := r.db.WithContext(ctx).Table(r.table).AutoMigrate(&row{}); err != nil {
		return fmt.Errorf("gormdesk: migrate: %w", err)
	}
	return nil
}

// Put implements [template.Requests].
func (r *Requests) Put(ctx context.Context, q template.Request, from *template.State) (bool, error) {
	grant, err := json.Marshal(q.Grant)
	if err != nil {
		return false, fmt.Errorf("gormdesk: put: %w", err)
	}
	stored := row{ID: q.ID, AskedBy: q.By, Decided: q.Decided, State: int(q.State), At: q.At.UnixMicro(), Grant: grant}
	table := r.db.WithContext(ctx).Table(r.table)
	if from != nil {
		done := table.Where("id = ? AND state = ?", q.ID, int(*from)).
			Select("AskedBy", "Decided", "State", "At", "Grant").Updates(&stored)
		if done.Error != nil {
			return false, fmt.Errorf("gormdesk: put: %w", done.Error)
		}
		return done.RowsAffected == 1, nil
	}
	if err := table.Create(&stored).Error; err != nil {
		if _, found := r.Get(ctx, q.ID); found == nil {
			return false, nil // there is one: that is why
		}
		return false, fmt.Errorf("gormdesk: put: %w", err)
	}
	return true, nil
}

// Get implements [template.Requests].
func (r *Requests) Get(ctx context.Context, id string) (template.Request, error) {
	var found []row
	if err := r.db.WithContext(ctx).Table(r.table).Where("id = ?", id).Limit(1).Find(&found).Error; err != nil {
		return template.Request{}, fmt.Errorf("gormdesk: get: %w", err)
	}
	if len(found) == 0 || found[0].ID != id { // MySQL takes "A" for "a"
		return template.Request{}, template.ErrNoRequest
	}
	q := template.Request{
		ID: found[0].ID, By: found[0].AskedBy, Decided: found[0].Decided,
		State: template.State(found[0].State), At: time.UnixMicro(found[0].At),
	}
	if err := json.Unmarshal(found[0].Grant, &q.Grant); err != nil {
		return template.Request{}, fmt.Errorf("gormdesk: request %s: %w", id, err)
	}
	return q, nil
}
