package gormx

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"

	"gorm.io/gorm"
)

// tables keeps the table label within bounds: the first max names, "other" for
// all that follow and for what is no plain name.
type tables struct {
	max   int
	known atomic.Pointer[map[string]bool] // read without a lock, replaced under mu
	mu    sync.Mutex
}

// otherTable stands for the tables beyond the bound.
const otherTable = "other"

// label returns the label of the table that a statement is about, as far as gorm
// knows it.
func (t *tables) label(stmt *gorm.Statement) string {
	name := stmt.Table
	if name == "" && stmt.Schema != nil {
		name = stmt.Schema.Table
	}
	if name == "" {
		return noTable
	}
	if known := t.known.Load(); known != nil && (*known)[name] {
		return name
	}
	return t.meet(name)
}

func (t *tables) meet(name string) string {
	if !plainName(name) {
		return otherTable
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	known := map[string]bool{}
	if old := t.known.Load(); old != nil {
		known = *old
	}
	if known[name] {
		return name
	}
	if len(known) >= t.max {
		return otherTable
	}
	known = maps.Clone(known)
	known[strings.Clone(name)] = true
	t.known.Store(&known)
	return name
}

// plainName tells whether name is an identifier, perhaps with its schema: table
// expressions with values in them must not become labels.
func plainName(name string) bool {
	for i := range len(name) {
		if c := name[i]; !wordByte(c) && c != '.' && c != '$' && c != '-' {
			return false
		}
	}
	return len(name) <= 128
}
