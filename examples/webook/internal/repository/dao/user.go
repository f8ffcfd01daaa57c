// Package dao reads and writes the SQL tables. It keeps to what SQLite, MySQL,
// MariaDB and PostgreSQL do alike: no raw statements, duplicates by translated error,
// lengths checked before they get here.
package dao

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
)

// User is a row of the table users. Times are milliseconds since the Unix epoch.
type User struct {
	ID int64 `gorm:"primaryKey;autoIncrement"`
	// Email and Phone are unique where they are given: an account needs one.
	Email    sql.NullString `gorm:"size:254;uniqueIndex"`
	Phone    sql.NullString `gorm:"size:20;uniqueIndex"`
	Password string         `gorm:"size:72"`
	Nickname string         `gorm:"size:64"`
	Birthday sql.NullInt64
	// WechatOpenID is unique where it is given, and binary: a column of text may
	// take "oX" for "ox", which is somebody else.
	WechatOpenID  []byte `gorm:"column:wechat_open_id;size:128;uniqueIndex"`
	WechatUnionID string `gorm:"column:wechat_union_id;size:128"`
	AboutMe       string `gorm:"size:1024"`
	Ctime         int64
	Utime         int64
}

// Users is the table users. It is safe for concurrent use.
type Users struct {
	db *gorm.DB
}

// NewUsers returns the table in db, which must have been opened with
// TranslateError and migrated with [Migrate].
func NewUsers(db *gorm.DB) *Users { return &Users{db: db} }

// migrateTries is one more than there are things to create, a table and three indexes:
// of instances that start together each may lose the race for every one.
const migrateTries = 5

// Migrate creates or extends the tables. Several instances may do so at once.
func Migrate(ctx context.Context, db *gorm.DB) error {
	return migrate(ctx, db, migrateTries, &User{})
}

func migrate(ctx context.Context, db *gorm.DB, tries int, tables ...any) (err error) {
	for range tries {
		if err = db.WithContext(ctx).AutoMigrate(tables...); err == nil {
			return nil
		}
	}
	return fmt.Errorf("dao: migrate: %w", err)
}

// Insert adds u and returns its id. The unique index decides who was first: the
// loser gets [domain.ErrDuplicateUser].
func (t *Users) Insert(ctx context.Context, u User) (int64, error) {
	u.Ctime = time.Now().UnixMilli()
	u.Utime = u.Ctime
	err := t.db.WithContext(ctx).Create(&u).Error
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return 0, fmt.Errorf("dao: insert user: %w", domain.ErrDuplicateUser)
	}
	if err != nil {
		return 0, fmt.Errorf("dao: insert user: %w", err)
	}
	return u.ID, nil
}

// ByEmail returns the row with the e-mail, or [domain.ErrUserNotFound].
func (t *Users) ByEmail(ctx context.Context, email string) (User, error) {
	return t.first(ctx, "email = ?", email)
}

// ByPhone returns the row with the phone, or [domain.ErrUserNotFound].
func (t *Users) ByPhone(ctx context.Context, phone string) (User, error) {
	return t.first(ctx, "phone = ?", phone)
}

// ByWechat returns the row with the openid, or [domain.ErrUserNotFound].
func (t *Users) ByWechat(ctx context.Context, openID string) (User, error) {
	return t.first(ctx, "wechat_open_id = ?", []byte(openID))
}

// ByID returns the row with the id, or [domain.ErrUserNotFound].
func (t *Users) ByID(ctx context.Context, id int64) (User, error) {
	return t.first(ctx, "id = ?", id)
}

func (t *Users) first(ctx context.Context, where string, value any) (User, error) {
	var u User
	// Take, not First: the condition is unique, so there is nothing to order by.
	err := t.db.WithContext(ctx).Where(where, value).Take(&u).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return User{}, fmt.Errorf("dao: find user: %w", domain.ErrUserNotFound)
	}
	if err != nil {
		return User{}, fmt.Errorf("dao: find user: %w", err)
	}
	return u, nil
}

// UpdateProfile sets nickname, birthday and about_me of the row with u's id.
func (t *Users) UpdateProfile(ctx context.Context, u User) error {
	result := t.db.WithContext(ctx).Model(&User{}).Where("id = ?", u.ID).Updates(map[string]any{
		"nickname": u.Nickname,
		"birthday": u.Birthday,
		"about_me": u.AboutMe,
		"utime":    time.Now().UnixMilli(),
	})
	if result.Error != nil {
		return fmt.Errorf("dao: update user %d: %w", u.ID, result.Error)
	}
	if result.RowsAffected == 0 {
		return fmt.Errorf("dao: update user %d: %w", u.ID, domain.ErrUserNotFound)
	}
	return nil
}
