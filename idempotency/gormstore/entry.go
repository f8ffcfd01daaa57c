package gormstore

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/bulwark-go/bulwark/idempotency"
)

// maxKey is how long a key may be and still be stored as it is.
const maxKey = 128

const hashed = "sha256:"

// stored is the form in which an id is stored: as it is, or its hash where the database
// could not keep it.
func stored(id string) string {
	if len(id) <= maxKey && utf8.ValidString(id) && !strings.ContainsRune(id, 0) && !strings.HasPrefix(id, hashed) {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return hashed + hex.EncodeToString(sum[:])
}

// name is a key as it is stored.
type name struct{ scope, key string }

// entry is a key of a batch.
type entry struct {
	name
	// at are the deliveries of the key in the batch, and digests theirs.
	at      []int
	digests []idempotency.Digest
	state   state
	row     row // where it was found
}

// state is what is known of an entry.
type state uint8

const (
	pending  state = iota
	inserted       // by this transaction
	found          // in the table
)

// row is a key in the table. Tags spare it the naming strategy of whoever opened the
// database.
type row struct {
	ID         int64  `gorm:"column:id"`
	Scope      string `gorm:"column:scope"`
	Key        string `gorm:"column:msg_key"`
	Digest     []byte `gorm:"column:digest"`
	Token      int64  `gorm:"column:token"`
	LeaseUntil int64  `gorm:"column:lease_until"` // 0 when done
	Remaining  int64  `gorm:"column:remaining"`   // of the lease, in microseconds
	Answer     []byte `gorm:"column:answer"`
}

// entriesOf returns the keys of a batch in the order in which they are inserted, which
// is the same for all batches.
func entriesOf(batch []idempotency.Delivery) ([]entry, error) {
	if len(batch) == 1 {
		d := batch[0]
		e := entry{name: name{string(d.Key.Scope), stored(d.Key.ID)}, at: []int{0}, digests: []idempotency.Digest{d.Digest()}}
		return []entry{e}, d.Key.Validate()
	}
	entries := make([]entry, 0, len(batch))
	known := make(map[name]int, len(batch))
	for i, d := range batch {
		if err := d.Key.Validate(); err != nil {
			return nil, err
		}
		n := name{string(d.Key.Scope), stored(d.Key.ID)}
		at, ok := known[n]
		if !ok {
			at = len(entries)
			known[n] = at
			entries = append(entries, entry{name: n})
		}
		entries[at].at = append(entries[at].at, i)
		entries[at].digests = append(entries[at].digests, d.Digest())
	}
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(strings.Compare(a.scope, b.scope), strings.Compare(a.key, b.key))
	})
	return entries, nil
}

func settled(entries []entry) bool {
	return !slices.ContainsFunc(entries, func(e entry) bool { return e.state == pending })
}

// firsts are the deliveries that are first, in the order of the batch.
func firsts(entries []entry) []int {
	var first []int
	for _, e := range entries {
		if e.state == inserted {
			first = append(first, e.at[0])
		}
	}
	slices.Sort(first)
	return first
}

// decisions tells what became of each delivery.
func decisions(batch []idempotency.Delivery, entries []entry) []idempotency.Decision {
	all := make([]idempotency.Decision, len(batch))
	for _, e := range entries {
		for i, at := range e.at {
			all[at] = e.decision(i)
		}
	}
	return all
}

// decision tells what became of the i-th delivery of the key.
func (e *entry) decision(i int) idempotency.Decision {
	switch {
	case e.state == pending:
		return idempotency.Decision{}
	case e.state == inserted && i == 0:
		return idempotency.Decision{Kind: idempotency.First}
	case e.state == inserted && e.digests[i] != e.digests[0],
		e.state == found && !bytes.Equal(e.digests[i][:], e.row.Digest):
		return idempotency.Decision{Kind: idempotency.Conflict}
	case e.state == found && e.row.LeaseUntil != 0:
		return idempotency.Decision{Kind: idempotency.InProgress, RetryAfter: max(0, time.Duration(e.row.Remaining)*time.Microsecond)}
	default:
		return idempotency.Decision{Kind: idempotency.Repeat, Answer: e.row.Answer}
	}
}
