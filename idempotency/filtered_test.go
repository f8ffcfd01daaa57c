package idempotency_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/idempotency"
	"github.com/bulwark-go/bulwark/observe/observetest"
)

// Whatever a filter says, the decisions are those of the unique index.
func TestNoFilterMakesADecisionWrong(t *testing.T) {
	for name, make := range map[string]func(t *testing.T) idempotency.Filter{
		"always yes":     func(*testing.T) idempotency.Filter { return &filter{hint: yes} },
		"always no":      func(*testing.T) idempotency.Filter { return &filter{} },
		"sometimes":      func(*testing.T) idempotency.Filter { return &filter{hint: half} },
		"yes with a lie": func(*testing.T) idempotency.Filter { return &filter{hint: forged} },
		"down":           func(*testing.T) idempotency.Filter { return &filter{look: errDown, rememberIt: errDown} },
		"bloom":          func(t *testing.T) idempotency.Filter { return bloom(t, idempotency.BloomConfig{Keys: 1000}) },
		"bloom, much too small": func(t *testing.T) idempotency.Filter {
			return bloom(t, idempotency.BloomConfig{Keys: 10, FalsePositives: 0.5})
		},
		"cascade": func(t *testing.T) idempotency.Filter {
			return idempotency.Cascade(bloom(t, idempotency.BloomConfig{Keys: 1000}), &locked{exact: exact{}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			suite(t, func(t *testing.T, s store) store {
				return idempotency.Filtered(s, &serial{next: make(t)}, idempotency.WithTrustedMarks())
			})
		})
	}
	t.Run("not trusted", func(t *testing.T) {
		suite(t, func(t *testing.T, s store) store { return idempotency.Filtered(s, &locked{exact: exact{}}) })
	})
}

// locked makes an exact filter safe for concurrent use.
type locked struct {
	mu    sync.Mutex
	exact exact
}

func (l *locked) Look(ctx context.Context, keys []idempotency.Fingerprint) ([]idempotency.Hint, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.exact.Look(ctx, keys)
}

func (l *locked) Remember(ctx context.Context, done []idempotency.Mark) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.exact.Remember(ctx, done)
}

// serial makes any filter safe for concurrent use.
type serial struct {
	mu   sync.Mutex
	next idempotency.Filter
}

func (s *serial) Look(ctx context.Context, keys []idempotency.Fingerprint) ([]idempotency.Hint, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next.Look(ctx, keys)
}

func (s *serial) Remember(ctx context.Context, done []idempotency.Mark) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next.Remember(ctx, done)
}

// A mark before the commit would turn a crash, or a failure, into a loss.
func TestMarksAreSetAfterTheCommitOnly(t *testing.T) {
	s, b := open(t)
	f := &filter{}
	f.during = func() { // the mark is being set: the effect is there for everybody
		n, err := b.sum(t.Context(), "a")
		require.NoError(t, err)
		require.Positive(t, n)
	}
	filtered := idempotency.Filtered[*gorm.DB](s, f)
	effect := func(fail error) func(*gorm.DB) error {
		return func(tx *gorm.DB) error {
			require.Empty(t, f.remembered, "marked before the effect")
			return errors.Join(b.add(tx, "a", 1), fail)
		}
	}
	_, err := filtered.Do(t.Context(), scope.Key("1"), nil, effect(errDown))
	require.ErrorIs(t, err, errDown)
	require.Empty(t, f.remembered, "a failed effect was marked")
	require.Panics(t, func() {
		_, _ = filtered.Do(t.Context(), scope.Key("1"), nil, func(*gorm.DB) error { panic("boom") })
	})
	require.Empty(t, f.remembered)
	_, err = filtered.Do(t.Context(), scope.Key("1"), nil, effect(nil))
	require.NoError(t, err)
	d := idempotency.Delivery{Key: scope.Key("1")}
	require.Equal(t, []idempotency.Mark{{Key: d.Key.Fingerprint(), Digest: d.Digest()}}, f.remembered)

	f.remembered = nil
	_, err = filtered.Do(t.Context(), scope.Key("1"), []byte("other"), effect(nil))
	require.ErrorIs(t, err, idempotency.ErrConflict)
	require.Empty(t, f.remembered, "a conflict was marked")
}

func TestWhatIsMarkedIsAnsweredWithoutTheDatabaseOnlyIfTrusted(t *testing.T) {
	for _, trusted := range []bool{true, false} {
		t.Run(fmt.Sprint(trusted), func(t *testing.T) {
			s, b := open(t)
			var opts []idempotency.FilterOption
			if trusted {
				opts = append(opts, idempotency.WithTrustedMarks())
			}
			filtered := idempotency.Filtered[*gorm.DB](s, exact{}, opts...)
			add := func(tx *gorm.DB) error { return b.add(tx, "a", 1) }
			_, err := filtered.Do(t.Context(), scope.Key("1"), []byte("5"), add)
			require.NoError(t, err)

			b.statements.Store(0)
			d, err := filtered.Do(t.Context(), scope.Key("1"), []byte("5"), add)
			require.NoError(t, err)
			require.Equal(t, idempotency.Repeat, d.Kind)
			require.Equal(t, trusted, d.Via == idempotency.ViaRedis)
			require.Equal(t, trusted, b.statements.Load() == 0)
			require.LessOrEqual(t, b.statements.Load(), int64(1), "a read, and no transaction")

			// A mark of another payload proves nothing.
			_, err = filtered.Do(t.Context(), scope.Key("1"), []byte("6"), add)
			require.ErrorIs(t, err, idempotency.ErrConflict)
			// An answer is in the database only.
			for range 2 {
				d, err = filtered.DoAnswer(t.Context(), scope.Key("2"), nil, func(*gorm.DB) ([]byte, error) { return []byte("yes"), nil })
				require.NoError(t, err)
				require.Equal(t, "yes", string(d.Answer))
			}

			b.statements.Store(0)
			batch := []idempotency.Delivery{{Key: scope.Key("1"), Payload: []byte("5")}, {Key: scope.Key("2")}}
			decisions, err := filtered.DoBatch(t.Context(), batch, nil)
			require.NoError(t, err)
			for _, d := range decisions {
				require.Equal(t, idempotency.Repeat, d.Kind)
			}
			require.Equal(t, trusted, b.statements.Load() == 0)
			require.LessOrEqual(t, b.statements.Load(), int64(1))
		})
	}
}

// What a filter has not seen costs no look-up: the insert decides.
func TestWhatIsNewGoesStraightToTheInsert(t *testing.T) {
	s, b := open(t)
	none := func(*gorm.DB) error { return nil }
	_, err := idempotency.Filtered[*gorm.DB](s, &filter{}).Do(t.Context(), scope.Key("1"), nil, none)
	require.NoError(t, err)
	require.Equal(t, int64(1), b.statements.Load())
	_, err = idempotency.Filtered[*gorm.DB](s, &filter{hint: yes}).Do(t.Context(), scope.Key("2"), nil, none)
	require.NoError(t, err)
	require.Equal(t, int64(3), b.statements.Load(), "a false positive costs a look-up")
}

func TestAFilterThatFailsIsCountedAndPassedBy(t *testing.T) {
	s, _ := open(t)
	rec := observetest.NewRecorder(t)
	filtered := idempotency.Filtered[*gorm.DB](s, &filter{look: errDown, rememberIt: errDown}, idempotency.WithFilterObserver(rec))
	for _, kind := range []idempotency.Kind{idempotency.First, idempotency.Repeat} {
		d, err := filtered.Do(t.Context(), scope.Key("1"), nil, func(*gorm.DB) error { return nil })
		require.NoError(t, err)
		require.Equal(t, kind, d.Kind)
	}
	failures := rec.Ended("idempotency", "filter_failures")
	require.Len(t, failures, 4)
	require.Equal(t, "look", failures[0].Label("step"))
	require.Equal(t, "remember", failures[1].Label("step"))
	require.ErrorIs(t, failures[0].Result.Err, errDown)
}

// The caller leaves as soon as the effect is committed: the mark is set all the same.
func TestAMarkOutlivesItsCaller(t *testing.T) {
	s, _ := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	b := bloom(t, idempotency.BloomConfig{Keys: 10})
	filtered := idempotency.Filtered[*gorm.DB](leaving{s, cancel}, strict{b})
	_, err := filtered.Do(ctx, scope.Key("1"), nil, func(*gorm.DB) error { return nil })
	require.NoError(t, err)
	require.True(t, seen(t, b, "1"))
}

// leaving is a store whose caller leaves after each commit.
type leaving struct {
	store
	leave func()
}

func (l leaving) Do(ctx context.Context, key idempotency.Key, payload []byte, effect func(*gorm.DB) error) (idempotency.Decision, error) {
	defer l.leave()
	return l.store.Do(ctx, key, payload, effect)
}

// strict heeds its context.
type strict struct{ idempotency.Filter }

func (s strict) Remember(ctx context.Context, done []idempotency.Mark) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return s.Filter.Remember(ctx, done)
}

func TestCascadeAsksTheNextOnlyAboutWhatMayBeSeen(t *testing.T) {
	first, second := exact{}, exact{}
	asked := 0
	counted := countingFilter{second, &asked}
	c := idempotency.Cascade(first, counted)
	keys := make([]idempotency.Fingerprint, 4)
	for i, id := range ids("k", 4) {
		keys[i] = scope.Key(id).Fingerprint()
	}
	first[keys[1]], first[keys[3]], second[keys[3]] = idempotency.Digest{1}, idempotency.Digest{2}, idempotency.Digest{3}
	hints, err := c.Look(t.Context(), keys)
	require.NoError(t, err)
	require.Equal(t, 2, asked)
	require.Equal(t, []bool{false, false, false, true}, []bool{hints[0].Seen, hints[1].Seen, hints[2].Seen, hints[3].Seen})
	require.Equal(t, idempotency.Digest{3}, hints[3].Digest)

	down := &filter{look: errDown, rememberIt: errDown}
	_, err = idempotency.Cascade(first, down).Look(t.Context(), keys)
	require.ErrorIs(t, err, errDown)
	require.ErrorIs(t, idempotency.Cascade(down, first).Remember(t.Context(), []idempotency.Mark{{Key: keys[0]}}), errDown)
	require.Contains(t, first, keys[0], "the others remember")
	none, err := idempotency.Cascade().Look(t.Context(), keys)
	require.NoError(t, err)
	require.Len(t, none, 4)
}

type countingFilter struct {
	idempotency.Filter
	asked *int
}

func (c countingFilter) Look(ctx context.Context, keys []idempotency.Fingerprint) ([]idempotency.Hint, error) {
	*c.asked += len(keys)
	return c.Filter.Look(ctx, keys)
}

func TestFilteredWithoutAFilterIsTheStore(t *testing.T) {
	s, _ := open(t)
	require.Same(t, s, idempotency.Filtered[*gorm.DB](s, nil))
}
