package idempotency

import "context"

// Filter is a pre-check in front of a [Store]; [Filtered] joins the two. It may forget
// and may be wrong: what it has not seen is inserted, where the unique index decides,
// and what it may have seen is looked up first. Both are right whatever the filter
// says; a good one spares repeats their transaction.
//
// A Filter is safe for concurrent use.
type Filter interface {
	// Look returns what the filter knows of each key, in the order of keys. An error
	// means that nothing is known of any.
	Look(ctx context.Context, keys []Fingerprint) ([]Hint, error)
	// Remember is told of deliveries whose effect is committed, never before.
	Remember(ctx context.Context, done []Mark) error
}

// Mark is a committed delivery.
type Mark struct {
	// Key stands for its key, Digest for key and payload.
	Key    Fingerprint
	Digest Digest
}

// Hint is what a [Filter] knows of a key. The zero Hint is: not seen.
type Hint struct {
	// Seen tells that the key may have been done.
	Seen bool
	// Digest is the one that [Filter.Remember] was given with the key, from a filter
	// that keeps it; else zero. Look is not told it, so a filter that is wrong cannot
	// make it up.
	Digest Digest
	// Via is the kind of filter.
	Via Via
}

// Cascade returns a Filter that asks each of filters only about the keys that those
// before may have seen: the cheapest goes first. All of them remember. What the first
// one has forgotten, or another process has seen, is not asked further, and the unique
// index decides on it.
func Cascade(filters ...Filter) Filter { return cascade(filters) }

type cascade []Filter

func (c cascade) Look(ctx context.Context, keys []Fingerprint) ([]Hint, error) {
	hints := make([]Hint, len(keys))
	at := make([]int, len(keys)) // where in hints the keys left are
	for i := range at {
		at[i] = i
	}
	for _, filter := range c {
		if len(keys) == 0 {
			break
		}
		said, err := filter.Look(ctx, keys)
		if err != nil {
			return nil, err
		}
		var leftKeys []Fingerprint
		var leftAt []int
		for i, hint := range said {
			hints[at[i]] = hint
			if hint.Seen {
				leftKeys, leftAt = append(leftKeys, keys[i]), append(leftAt, at[i])
			}
		}
		keys, at = leftKeys, leftAt
	}
	return hints, nil
}

func (c cascade) Remember(ctx context.Context, done []Mark) error {
	var first error
	for _, filter := range c { // all of them, as each can forget on its own
		if err := filter.Remember(ctx, done); err != nil && first == nil {
			first = err
		}
	}
	return first
}
