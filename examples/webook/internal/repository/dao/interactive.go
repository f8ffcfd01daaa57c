package dao

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Interactive is a row of the table interactives: the counters of one thing. Times
// are milliseconds since the Unix epoch.
type Interactive struct {
	ID         int64  `gorm:"primaryKey;autoIncrement"`
	BizID      int64  `gorm:"uniqueIndex:uk_interactives_biz,priority:1"`
	Biz        string `gorm:"size:128;uniqueIndex:uk_interactives_biz,priority:2"`
	ReadCnt    int64
	LikeCnt    int64
	CollectCnt int64
	// Version counts the changes of the row.
	Version int64
	Ctime   int64
	Utime   int64
}

// UserLikeBiz is a row of the table user_like_bizs: who likes what. A like that was
// taken back keeps its row, out of force.
type UserLikeBiz struct {
	ID     int64  `gorm:"primaryKey;autoIncrement"`
	UID    int64  `gorm:"column:uid;uniqueIndex:uk_user_like_bizs,priority:1"`
	BizID  int64  `gorm:"uniqueIndex:uk_user_like_bizs,priority:2"`
	Biz    string `gorm:"size:128;uniqueIndex:uk_user_like_bizs,priority:3"`
	Status uint8  // 1 in force, 0 not
	Ctime  int64
	Utime  int64
}

// UserCollectionBiz is a row of the table user_collection_bizs: who keeps what in
// which collection. One that was given up keeps its row, out of force.
type UserCollectionBiz struct {
	ID     int64  `gorm:"primaryKey;autoIncrement"`
	UID    int64  `gorm:"column:uid;uniqueIndex:uk_user_collection_bizs,priority:1"`
	BizID  int64  `gorm:"uniqueIndex:uk_user_collection_bizs,priority:2"`
	Biz    string `gorm:"size:128;uniqueIndex:uk_user_collection_bizs,priority:3"`
	CID    int64  `gorm:"column:cid;index:idx_user_collection_bizs_cid"`
	Status uint8  // 1 in force, 0 not
	Ctime  int64
	Utime  int64
}

// What a relation's status says.
const (
	outOfForce uint8 = iota
	inForce
)

// maxRows is the most rows of one statement: databases bound the size of it, and the
// number of its variables.
const maxRows = 500

// Interactives are the tables interactives, user_like_bizs and user_collection_bizs.
// A counter changes in the transaction that changes its relation, so they never
// drift apart. It is safe for concurrent use.
type Interactives struct {
	db *gorm.DB
}

// NewInteractives returns the tables in db, which must have been opened with
// TranslateError and migrated with [MigrateInteractives]. With a transaction for db, what is done
// is done in that.
func NewInteractives(db *gorm.DB) *Interactives { return &Interactives{db: db} }

// interactiveTries is [migrateTries] for three tables and four indexes.
const interactiveTries = 8

// MigrateInteractives creates or extends the tables of counters.
func MigrateInteractives(ctx context.Context, db *gorm.DB) error {
	return migrate(ctx, db, interactiveTries, &Interactive{}, &UserLikeBiz{}, &UserCollectionBiz{})
}

// Like puts uid's like of the thing in force and counts it. If it was in force
// already nothing changes. It returns the counters if they changed.
func (t *Interactives) Like(ctx context.Context, biz string, bizID, uid int64) (after Interactive, changed bool, err error) {
	after, changed, err = t.change(ctx, biz, bizID, "like_cnt", func(tx *gorm.DB) (int64, error) {
		now := time.Now().UnixMilli()
		fresh := &UserLikeBiz{UID: uid, BizID: bizID, Biz: biz, Ctime: now, Utime: now}
		return putInForce(tx, fresh, like(tx, uid, biz, bizID), map[string]any{"utime": now})
	})
	return after, changed, wrap("like", biz, bizID, err)
}

// CancelLike takes uid's like back, or changes nothing where there is none.
func (t *Interactives) CancelLike(ctx context.Context, biz string, bizID, uid int64) (after Interactive, changed bool, err error) {
	after, changed, err = t.change(ctx, biz, bizID, "like_cnt", func(tx *gorm.DB) (int64, error) {
		return takeBack(like(tx, uid, biz, bizID))
	})
	return after, changed, wrap("cancel like", biz, bizID, err)
}

// Collect puts the thing into uid's collection cid and counts it. What is in a
// collection already is moved to cid and not counted again.
func (t *Interactives) Collect(ctx context.Context, biz string, bizID, cid, uid int64) (after Interactive, changed bool, err error) {
	after, changed, err = t.change(ctx, biz, bizID, "collect_cnt", func(tx *gorm.DB) (int64, error) {
		now := time.Now().UnixMilli()
		fresh := &UserCollectionBiz{UID: uid, BizID: bizID, Biz: biz, CID: cid, Ctime: now, Utime: now}
		set := map[string]any{"cid": cid, "utime": now}
		n, err := putInForce(tx, fresh, collection(tx, uid, biz, bizID), maps.Clone(set))
		if err != nil || n > 0 {
			return n, err
		}
		return 0, collection(tx, uid, biz, bizID).Where("cid <> ?", cid).Updates(set).Error
	})
	return after, changed, wrap("collect", biz, bizID, err)
}

// CancelCollect takes the thing out of uid's collections, or changes nothing where it
// is in none.
func (t *Interactives) CancelCollect(ctx context.Context, biz string, bizID, uid int64) (after Interactive, changed bool, err error) {
	after, changed, err = t.change(ctx, biz, bizID, "collect_cnt", func(tx *gorm.DB) (int64, error) {
		return takeBack(collection(tx, uid, biz, bizID))
	})
	return after, changed, wrap("cancel collect", biz, bizID, err)
}

// BatchIncrRead adds to the read counts of many things of one biz, in one statement
// for each maxRows of them, and returns their counters after it. It goes through the
// things in the order of their ids, so that batches side by side wait for each other
// rather than deadlock. Adding none or less for a thing is refused.
func (t *Interactives) BatchIncrRead(ctx context.Context, biz string, reads map[int64]int64) ([]Interactive, error) {
	ids := slices.Sorted(maps.Keys(reads))
	now := time.Now().UnixMilli()
	after := make([]Interactive, 0, len(ids))
	for chunk := range slices.Chunk(ids, maxRows) {
		rows := make([]Interactive, len(chunk))
		for i, id := range chunk {
			if reads[id] <= 0 {
				return nil, fmt.Errorf("dao: add %d reads of %s %d: must be positive", reads[id], biz, id)
			}
			rows[i] = Interactive{Biz: biz, BizID: id, ReadCnt: reads[id], Version: 1, Ctime: now, Utime: now}
		}
		var changed []Interactive
		err := add(t.db.WithContext(ctx), "read_cnt", rows)
		if err == nil {
			changed, err = t.ByIDs(ctx, biz, chunk)
		}
		if err != nil {
			return nil, fmt.Errorf("dao: add reads of %d %s: %w", len(chunk), biz, err)
		}
		after = append(after, changed...)
	}
	return after, nil
}

// ByID returns the counters of the thing; all zero where nobody did anything yet.
func (t *Interactives) ByID(ctx context.Context, biz string, bizID int64) (Interactive, error) {
	row := Interactive{}
	err := t.db.WithContext(ctx).Where("biz_id = ? AND biz = ?", bizID, biz).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Interactive{Biz: biz, BizID: bizID}, nil
	}
	return row, wrap("counters of", biz, bizID, err)
}

// ByIDs returns the counters of the things with these ids that have any, in the order
// of the ids.
func (t *Interactives) ByIDs(ctx context.Context, biz string, ids []int64) (rows []Interactive, err error) {
	for chunk := range slices.Chunk(ids, maxRows) {
		var found []Interactive
		if err := t.db.WithContext(ctx).Where("biz_id IN ? AND biz = ?", chunk, biz).Find(&found).Error; err != nil {
			return nil, fmt.Errorf("dao: counters of %d %s: %w", len(ids), biz, err)
		}
		rows = append(rows, found...)
	}
	slices.SortFunc(rows, func(a, b Interactive) int { return cmp.Compare(a.BizID, b.BizID) })
	return rows, nil
}

// Liked tells whether uid's like of the thing is in force.
func (t *Interactives) Liked(ctx context.Context, biz string, bizID, uid int64) (bool, error) {
	liked, err := holds(like(t.db.WithContext(ctx), uid, biz, bizID))
	return liked, wrap("like of", biz, bizID, err)
}

// Collected tells whether the thing is in a collection of uid's.
func (t *Interactives) Collected(ctx context.Context, biz string, bizID, uid int64) (bool, error) {
	collected, err := holds(collection(t.db.WithContext(ctx), uid, biz, bizID))
	return collected, wrap("collection of", biz, bizID, err)
}

// change relates a user to a thing and lets the counter follow by as much as relate
// says, in one transaction.
func (t *Interactives) change(ctx context.Context, biz string, bizID int64, counter string, relate func(tx *gorm.DB) (step int64, err error)) (after Interactive, changed bool, err error) {
	err = transact(ctx, t.db, func(tx *gorm.DB) error {
		changed = false
		step, err := relate(tx)
		if err != nil || step == 0 {
			return err
		}
		changed = true
		if err := count(tx, biz, bizID, counter, step); err != nil {
			return err
		}
		after = Interactive{}
		return tx.Where("biz_id = ? AND biz = ?", bizID, biz).Take(&after).Error
	})
	return after, changed, err
}

// putInForce makes sure that the relation has a row, and then puts it in force by one
// conditional update. The rows that this affects, 1 or 0, tell whether it was in force
// before, on each database and whatever a driver counts as affected: the condition
// lets no row pass that would stay as it is.
func putInForce(tx *gorm.DB, fresh any, relation *gorm.DB, set map[string]any) (int64, error) {
	if err := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(fresh).Error; err != nil {
		return 0, err
	}
	set["status"] = inForce
	done := relation.Where("status = ?", outOfForce).Updates(set)
	return done.RowsAffected, done.Error
}

// takeBack returns -1 when the relation was in force until now, else 0.
func takeBack(relation *gorm.DB) (int64, error) {
	done := relation.Where("status = ?", inForce).
		Updates(map[string]any{"status": outOfForce, "utime": time.Now().UnixMilli()})
	return -done.RowsAffected, done.Error
}

// like is the query for one user's like of one thing.
func like(tx *gorm.DB, uid int64, biz string, bizID int64) *gorm.DB {
	return tx.Model(&UserLikeBiz{}).Where("uid = ? AND biz_id = ? AND biz = ?", uid, bizID, biz)
}

// collection is the query for one thing in one user's collections.
func collection(tx *gorm.DB, uid int64, biz string, bizID int64) *gorm.DB {
	return tx.Model(&UserCollectionBiz{}).Where("uid = ? AND biz_id = ? AND biz = ?", uid, bizID, biz)
}

func holds(relation *gorm.DB) (bool, error) {
	var n int64
	err := relation.Where("status = ?", inForce).Count(&n).Error
	return n > 0, err
}

func wrap(what, biz string, bizID int64, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("dao: %s %s %d: %w", what, biz, bizID, err)
}
