package idempotency_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/idempotency"
	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/observe/observetest"
)

func TestSuiteObserved(t *testing.T) {
	suite(t, func(t *testing.T, s store) store { return idempotency.Observe(s, observetest.NewRecorder(t)) })
}

func TestObserveReportsEachDecision(t *testing.T) {
	s, _ := open(t)
	rec := observetest.NewRecorder(t)
	observed := idempotency.Observe(idempotency.Filtered[*gorm.DB](s, exact{}, idempotency.WithTrustedMarks()), rec)
	fine := func(*gorm.DB) error { return nil }
	type line struct {
		decision, via string
		outcome       observe.Outcome
	}
	take := func() (lines []line) {
		for _, r := range rec.Ended("idempotency", "decisions") {
			require.Equal(t, "test", r.Label("scope"))
			lines = append(lines, line{r.Label("decision"), r.Label("via"), r.Result.Outcome})
		}
		rec.Reset()
		return lines
	}
	_, _ = observed.Do(t.Context(), scope.Key("1"), nil, fine)
	_, _ = observed.Do(t.Context(), scope.Key("1"), nil, fine)
	_, _ = observed.Do(t.Context(), scope.Key("1"), []byte("other"), fine)
	_, _ = observed.DoAnswer(t.Context(), scope.Key("1"), nil, nil)
	_, _ = observed.Do(t.Context(), scope.Key("2"), nil, func(*gorm.DB) error { return errDown })
	_, _ = observed.Do(t.Context(), scope.Key("2"), nil, func(*gorm.DB) error { return context.Canceled })
	require.Panics(t, func() { _, _ = observed.Do(t.Context(), scope.Key("2"), nil, func(*gorm.DB) error { panic("boom") }) })
	require.Panics(t, func() {
		_, _ = observed.DoAnswer(t.Context(), scope.Key("2"), nil, func(*gorm.DB) ([]byte, error) { panic("boom") })
	})
	require.Equal(t, []line{
		{"first", "database", observe.OK},
		{"repeat", "redis", observe.Skipped},
		{"conflict", "database", observe.Failed},
		{"repeat", "database", observe.Skipped},
		{"undecided", "database", observe.Failed},
		{"undecided", "database", observe.Canceled},
		{"undecided", "database", observe.Panicked},
		{"undecided", "database", observe.Panicked},
	}, take())

	_, _, err := s.Lease(t.Context(), scope.Key("held"), nil, 1<<40)
	require.NoError(t, err)
	batch := []idempotency.Delivery{{Key: scope.Key("1")}, {Key: scope.Key("3")}, {Key: scope.Key("held")}, {Key: scope.Key("1"), Payload: []byte("other")}}
	_, err = observed.DoBatch(t.Context(), batch, func(*gorm.DB, []int) error { return nil })
	require.NoError(t, err)
	require.Equal(t, []line{
		{"repeat", "redis", observe.Skipped}, {"first", "database", observe.OK},
		{"in_progress", "database", observe.Rejected}, {"conflict", "database", observe.Failed},
	}, take())
	_, err = observed.DoBatch(t.Context(), []idempotency.Delivery{{Key: scope.Key("4")}, {Key: scope.Key("5")}}, func(*gorm.DB, []int) error { return errDown })
	require.ErrorIs(t, err, errDown)
	require.Equal(t, []line{{"undecided", "database", observe.Failed}, {"undecided", "database", observe.Failed}}, take())
	_, _ = observed.Peek(t.Context(), batch)
	require.Empty(t, take())
}

func TestObserveWithoutAnObserverIsTheStore(t *testing.T) {
	s, _ := open(t)
	require.Same(t, s, idempotency.Observe[*gorm.DB](s, nil))
	require.Same(t, s, idempotency.Observe[*gorm.DB](s, observe.Nop()))
}
