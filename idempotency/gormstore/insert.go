package gormstore

import (
	"errors"
	"fmt"
	"reflect"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
	"gorm.io/gorm/schema"
)

// Insert adds row, a model of GORM, in the transaction tx, and lets its own unique
// index over the columns named decide: it returns nil when row is in, and the row that
// was there before when it is a repeat, for the caller to compare. The transaction goes
// on in both cases, on all databases. A duplicate of any other index is an error, and
// so is a call outside a transaction.
func Insert[M any](tx *gorm.DB, row *M, unique ...string) (before *M, err error) {
	if _, inTx := tx.Statement.ConnPool.(gorm.TxCommitter); !inTx {
		return nil, violation("tx", "no transaction", "one, which the effect uses too")
	}
	key, err := keyOf(tx, row, unique)
	if err != nil {
		return nil, err
	}
	there, share := new(M), []clause.Expression{}
	session := tx.Session(&gorm.Session{NewDB: true, Context: tx.Statement.Context, Logger: quiet(tx)})
	if d, ok := dialects[tx.Name()]; ok && d.onConflict != "" {
		columns := make([]clause.Column, len(unique))
		for i, name := range unique {
			columns[i] = clause.Column{Name: name}
		}
		session = session.Clauses(clause.OnConflict{Columns: columns, DoNothing: true})
	} else {
		share = append(share, clause.Locking{Strength: clause.LockingStrengthShare})
	}
	created := session.Create(row)
	if created.Error == nil && created.RowsAffected > 0 {
		return nil, nil
	}
	if created.Error != nil && !duplicate(created.Error) {
		return nil, fmt.Errorf("gormstore: insert: %w", created.Error)
	}
	err = plain(tx).Clauses(share...).Where(key).Take(there).Error
	if err != nil { // a duplicate of something else, on MySQL
		return nil, fmt.Errorf("gormstore: insert: %w", errors.Join(created.Error, err))
	}
	return there, nil
}

// quiet is the logger for a statement that a duplicate makes fail, which is an answer.
func quiet(tx *gorm.DB) logger.Interface {
	if dialects[tx.Name()].onConflict != "" {
		return tx.Logger
	}
	return logger.Discard
}

// keyOf returns what the columns of the unique index have in row.
func keyOf[M any](tx *gorm.DB, row *M, unique []string) (map[string]any, error) {
	if row == nil || len(unique) == 0 {
		return nil, violation("row and unique", fmt.Sprintf("%v of %v", unique, row), "a row, and the columns of its unique index")
	}
	statement := &gorm.Statement{DB: tx}
	if err := statement.Parse(row); err != nil {
		return nil, fmt.Errorf("gormstore: insert: %w", err)
	}
	key := make(map[string]any, len(unique))
	for _, name := range unique {
		field, ok := statement.Schema.FieldsByDBName[name]
		if !ok {
			return nil, violation("unique", name, "a column of "+statement.Schema.Table)
		}
		key[name] = valueOf(tx, field, row)
	}
	return key, nil
}

func valueOf(tx *gorm.DB, field *schema.Field, row any) any {
	value, _ := field.ValueOf(tx.Statement.Context, reflect.ValueOf(row).Elem())
	return value
}
