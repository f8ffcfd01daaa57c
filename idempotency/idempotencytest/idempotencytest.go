// Package idempotencytest is the suite that every idempotency.Store passes, and every
// decorator of one.
package idempotencytest

import (
	"context"
	"testing"

	"github.com/bulwark-go/bulwark/idempotency"
)

// Harness is a store under test and books that its transactions write.
type Harness[Tx any] struct {
	// Store is empty.
	Store idempotency.Store[Tx]
	// Add adds n to an account within a transaction.
	Add func(tx Tx, account string, n int) error
	// Sum is what the account has, as it is committed.
	Sum func(ctx context.Context, account string) (int, error)
}

// Test runs the suite; open returns an empty store for each of its parts.
func Test[Tx any](t *testing.T, open func(t *testing.T) Harness[Tx]) {
	for name, part := range map[string]func(*testing.T, Harness[Tx]){
		"a repeat has no effect":                    repeat[Tx],
		"a failed effect leaves nothing":            failed[Tx],
		"a panic leaves nothing":                    panicked[Tx],
		"a goroutine's end leaves nothing":          goexit[Tx],
		"another payload is a conflict":             conflict[Tx],
		"keys are compared by byte":                 bytewise[Tx],
		"keys that cannot be used":                  invalid[Tx],
		"one of many at once is first":              atOnce[Tx],
		"repeats get the first answer":              answers[Tx],
		"a batch has its firsts only":               batch[Tx],
		"what comes twice in a batch":               twice[Tx],
		"a conflict is one of the batch":            batchConflict[Tx],
		"a failed batch leaves nothing":             batchFailed[Tx],
		"an empty batch has no effect":              batchEmpty[Tx],
		"batches at once count once":                batchesAtOnce[Tx],
		"half of 500 are repeats":                   large[Tx],
		"counters equal the model":                  model[Tx],
		"peeking changes nothing":                   peek[Tx],
		"a caller who leaves changes nothing":       cancelled[Tx],
		"an effect may do something once elsewhere": nested[Tx],
	} {
		t.Run(name, func(t *testing.T) { part(t, open(t)) })
	}
}
