package dao

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/go-sql-driver/mysql"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// transactTries bounds how often a transaction is run that the database ended for the
// sake of another one.
const transactTries = 5

// transact runs do in a transaction, and again in another one if the database ended
// it to resolve a deadlock. Each statement of ours reads what is committed when it
// begins and locks what it changes, so nothing more than that isolation is needed:
// MySQL's default would lock gaps between rows, too.
func transact(ctx context.Context, db *gorm.DB, do func(tx *gorm.DB) error) (err error) {
	for range transactTries {
		err = db.WithContext(ctx).Transaction(do, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
		if !ended(err) {
			return err
		}
	}
	return err
}

// mysqlDeadlock is the number of MySQL's and MariaDB's error; PostgreSQL's have the
// SQL states for a deadlock and for a conflict of versions.
const mysqlDeadlock = 1213

// ended tells whether the database ended the transaction for another one's sake.
func ended(err error) bool {
	if number := (*mysql.MySQLError)(nil); errors.As(err, &number) {
		return number.Number == mysqlDeadlock
	}
	if state := (interface{ SQLState() string })(nil); errors.As(err, &state) {
		return state.SQLState() == "40P01" || state.SQLState() == "40001"
	}
	return false
}

// errDrifted says that a relation was in force that its counter did not count.
var errDrifted = errors.New("counter is zero though there is something to take from it")

// count moves the thing's counter by step, which must not be 0. What is taken from it
// must be there: a counter never becomes negative.
func count(tx *gorm.DB, biz string, bizID int64, counter string, step int64) error {
	now := tx.NowFunc().UnixMilli()
	if step > 0 {
		row := Interactive{Biz: biz, BizID: bizID, Version: 1, Ctime: now, Utime: now}
		switch counter {
		case "like_cnt":
			row.LikeCnt = step
		case "collect_cnt":
			row.CollectCnt = step
		}
		return add(tx, counter, []Interactive{row})
	}
	done := tx.Model(&Interactive{}).Where("biz_id = ? AND biz = ?", bizID, biz).Where(counter+" >= ?", -step).
		Updates(map[string]any{
			counter:   gorm.Expr(counter+" + ?", step),
			"version": gorm.Expr("version + 1"),
			"utime":   now,
		})
	if done.Error == nil && done.RowsAffected == 0 {
		return fmt.Errorf("%s: %w", counter, errDrifted)
	}
	return done.Error
}

// add inserts the rows, or adds their counter to the rows that are there: one
// statement. It is the one place where databases need to be told apart, since MySQL
// has a name of its own for what could not be inserted.
func add(tx *gorm.DB, counter string, rows []Interactive) error {
	incoming := "excluded." + counter
	if tx.Name() == "mysql" {
		incoming = "VALUES(" + counter + ")"
	}
	return tx.Clauses(clause.OnConflict{
		Columns: []clause.Column{{Name: "biz_id"}, {Name: "biz"}},
		DoUpdates: append(
			clause.AssignmentColumns([]string{"utime"}),
			clause.Assignment{Column: clause.Column{Name: counter}, Value: gorm.Expr("interactives." + counter + " + " + incoming)},
			clause.Assignment{Column: clause.Column{Name: "version"}, Value: gorm.Expr("interactives.version + 1")},
		),
	}).Create(&rows).Error
}
