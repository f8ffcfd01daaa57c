// Package repository joins the SQL tables with their caches.
package repository

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/cache"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/dao"
	"github.com/bulwark-go/bulwark/observe"
)

var (
	// ErrUnavailable means that the cache fails, and the call can not or may not
	// go on without it.
	ErrUnavailable = errors.New("repository: cache unavailable")
	// ErrBusy means that the cache fails and as many reads as may pass to SQL are
	// there already.
	ErrBusy = errors.New("repository: busy")
)

// Settings are what an operator may change while the app runs.
type Settings struct {
	// TTL is how long a profile stays cached.
	TTL time.Duration
	// Timeout bounds each call to the cache.
	Timeout time.Duration
	// PassMax is how many reads may go to SQL at once while the cache fails; 0
	// means none: they fail with the cache.
	PassMax int
}

// Users stores accounts in SQL, and profiles also in the cache. It is safe for
// concurrent use.
type Users struct {
	table    *dao.Users
	cache    *cache.Users
	settings func() Settings
	observer observe.Observer
	passing  gate
}

// NewUsers returns a repository over table and cache. It asks settings at each
// call, and tells observer how each cached read went; nil watches nothing.
func NewUsers(table *dao.Users, cache *cache.Users, settings func() Settings, observer observe.Observer) *Users {
	return &Users{table: table, cache: cache, settings: settings, observer: observe.OrNop(observer)}
}

// Create adds an account and returns its id, or [domain.ErrDuplicateUser].
func (r *Users) Create(ctx context.Context, email, passwordHash string) (int64, error) {
	return r.table.Insert(ctx, dao.User{Email: sql.NullString{String: email, Valid: true}, Password: passwordHash})
}

// Credentials returns what a login with the e-mail is checked against, or
// [domain.ErrUserNotFound]. They are never cached: a hash belongs in one place.
func (r *Users) Credentials(ctx context.Context, email string) (domain.Credentials, error) {
	row, err := r.table.ByEmail(ctx, email)
	if err != nil {
		return domain.Credentials{}, err
	}
	return domain.Credentials{UserID: row.ID, Hash: row.Password}, nil
}

// FindOrCreateByPhone returns the id of the account with the phone, which is made
// when there is none.
func (r *Users) FindOrCreateByPhone(ctx context.Context, phone string) (int64, error) {
	return r.findOrCreate(ctx,
		func(ctx context.Context) (dao.User, error) { return r.table.ByPhone(ctx, phone) },
		dao.User{Phone: sql.NullString{String: phone, Valid: true}})
}

// HasPhone tells whether there is an account with the phone.
func (r *Users) HasPhone(ctx context.Context, phone string) (bool, error) {
	_, err := r.table.ByPhone(ctx, phone)
	if errors.Is(err, domain.ErrUserNotFound) {
		return false, nil
	}
	return err == nil, err
}

// FindOrCreateByWechat returns the id of the account with the openid, which is made
// when there is none.
func (r *Users) FindOrCreateByWechat(ctx context.Context, info domain.WechatInfo) (int64, error) {
	return r.findOrCreate(ctx,
		func(ctx context.Context) (dao.User, error) { return r.table.ByWechat(ctx, info.OpenID) },
		dao.User{WechatOpenID: []byte(info.OpenID), WechatUnionID: info.UnionID})
}

// findOrCreate looks first, as most who log in have an account. Of two who find
// none at once the unique index lets one insert, and the other reads that row.
func (r *Users) findOrCreate(ctx context.Context, find func(context.Context) (dao.User, error), fresh dao.User) (int64, error) {
	row, err := find(ctx)
	if err == nil || !errors.Is(err, domain.ErrUserNotFound) {
		return row.ID, err
	}
	id, err := r.table.Insert(ctx, fresh)
	if !errors.Is(err, domain.ErrDuplicateUser) {
		return id, err
	}
	row, err = find(ctx)
	return row.ID, err
}

// Profile returns user id from the cache; only a miss reads SQL. When the cache
// fails, Settings.PassMax decides.
func (r *Users) Profile(ctx context.Context, id int64) (domain.User, error) {
	s := r.settings()
	cached, err := r.cached(ctx, id, s.Timeout)
	switch {
	case err == nil:
		r.report(ctx, observe.OK, "hit", nil)
		return cached, nil
	case errors.Is(err, cache.ErrMiss):
		r.report(ctx, observe.OK, "miss", nil)
	case ctx.Err() != nil:
		return domain.User{}, err // the caller left or is out of time: not the cache's failure
	default:
		return r.pass(ctx, id, s.PassMax, err)
	}
	user, err := r.load(ctx, id)
	if err != nil {
		return domain.User{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	// A copy that could not be stored costs one more query, no more.
	_ = r.cache.Store(ctx, user, s.TTL)
	return user, nil
}

// Edit changes nickname, birthday and about-me of the user with u's id. The cached
// copy goes first, behind a fence that keeps readers of the old row from storing
// it again; so when the cache fails nothing has changed, and a change is never
// followed by the old values.
func (r *Users) Edit(ctx context.Context, u domain.User) error {
	if err := r.forget(ctx, u.ID); err != nil {
		return err
	}
	row := dao.User{ID: u.ID, Nickname: u.Nickname, AboutMe: u.AboutMe}
	if !u.Birthday.IsZero() {
		row.Birthday = sql.NullInt64{Int64: u.Birthday.UnixMilli(), Valid: true}
	}
	return r.table.UpdateProfile(ctx, row)
}

func (r *Users) cached(ctx context.Context, id int64, timeout time.Duration) (domain.User, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return r.cache.Get(ctx, id)
}

func (r *Users) forget(ctx context.Context, id int64) error {
	ctx, cancel := context.WithTimeout(ctx, r.settings().Timeout)
	defer cancel()
	if err := r.cache.Forget(ctx, id); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

// pass reads SQL in the failing cache's stead, with at most limit others.
func (r *Users) pass(ctx context.Context, id int64, limit int, cause error) (domain.User, error) {
	if limit == 0 {
		err := fmt.Errorf("%w: %w", ErrUnavailable, cause)
		r.report(ctx, observe.Failed, "fail", err)
		return domain.User{}, err
	}
	if !r.passing.enter(limit) {
		err := fmt.Errorf("%w: %w", ErrBusy, cause)
		r.report(ctx, observe.Rejected, "busy", err)
		return domain.User{}, err
	}
	defer r.passing.leave()
	r.report(ctx, observe.Degraded, "pass", cause)
	return r.load(ctx, id)
}

func (r *Users) load(ctx context.Context, id int64) (domain.User, error) {
	row, err := r.table.ByID(ctx, id)
	if err != nil {
		return domain.User{}, err
	}
	user := domain.User{
		ID: row.ID, Email: row.Email.String, Phone: row.Phone.String,
		Nickname: row.Nickname, AboutMe: row.AboutMe,
	}
	if row.Birthday.Valid {
		user.Birthday = time.UnixMilli(row.Birthday.Int64).UTC()
	}
	return user, nil
}
