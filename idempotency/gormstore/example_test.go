package gormstore_test

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/idempotency"
	"github.com/bulwark-go/bulwark/idempotency/gormstore"
)

// readCount is what an article's readers add to.
type readCount struct {
	Article string `gorm:"primaryKey"`
	Reads   int
}

// readEvent has an id that its producer made, and that stays when it is published
// again.
type readEvent struct{ ID, Article string }

const reads = idempotency.Scope("read_article")

func (e readEvent) delivery() idempotency.Delivery {
	return idempotency.Delivery{Key: reads.Key(e.ID), Payload: idempotency.Fields(e.Article)}
}

func ExampleNew() {
	db, ctx := opened.DB(), context.Background()
	store, err := gormstore.New(db, gormstore.Config{Window: 30 * 24 * time.Hour})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := store.Migrate(ctx); err != nil {
		fmt.Println(err)
		return
	}
	_ = db.AutoMigrate(&readCount{})
	_ = db.Create(&readCount{Article: "7"}).Error

	read := readEvent{"event-1", "7"}
	for range 3 {
		decision, err := store.Do(ctx, reads.Key(read.ID), idempotency.Fields(read.Article), func(tx *gorm.DB) error {
			return tx.Model(&readCount{}).Where("article = ?", read.Article).Update("reads", gorm.Expr("reads + 1")).Error
		})
		fmt.Println(decision.Kind, err)
	}
	// A batch: the effect gets what is new only.
	decisions, err := idempotency.DoEach(ctx, store, []readEvent{read, {"event-2", "7"}, {"event-3", "7"}, {"event-2", "7"}}, readEvent.delivery,
		func(tx *gorm.DB, first []readEvent) error {
			return tx.Model(&readCount{}).Where("article = ?", "7").Update("reads", gorm.Expr("reads + ?", len(first))).Error
		})
	for _, d := range decisions {
		fmt.Print(d.Kind, " ")
	}
	var count readCount
	_ = db.Take(&count).Error
	fmt.Println(err, count.Reads)
	// Output:
	// first <nil>
	// repeat <nil>
	// repeat <nil>
	// repeat first first repeat <nil> 3
}
