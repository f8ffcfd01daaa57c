package loggertest

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/logger"
)

// withCases are about fields that outlive the call that gave them.
func withCases() []lineCase {
	return []lineCase{
		{"With adds to each line", withAdds},
		{"With does not touch its origin", withBranches},
		{"With of nothing", withNothing},
		{"With and call repeat a key", withRepeats},
		{"slice changed after With", sliceChanged},
		{"values changed after With", valuesChanged},
		{"fields changed after the line", fieldsChanged},
		{"group given a slice", groupOfSlice},
		{"log valuer is read by With", valuerOnce},
	}
}

func withAdds(t *testing.T, b Backend) {
	log := logger.New(b.Core).With(logger.Int("a", 1)).With(logger.Int("b", 2))
	log.Info("m", logger.Int("c", 3))
	log.Info("m")
	records := all(t, b)
	require.Len(t, records, 2)
	require.Equal(t, `{"a":1,"b":2,"c":3}`, canonicalText(records[0].Fields))
	require.Equal(t, `{"a":1,"b":2}`, canonicalText(records[1].Fields))
}

func withBranches(t *testing.T, b Backend) {
	origin := logger.New(b.Core).With(logger.Int("a", 1))
	left, right := origin.With(logger.String("side", "left")), origin.With(logger.String("side", "right"))
	left.Info("m")
	right.Info("m")
	origin.Info("m")
	records := all(t, b)
	require.Len(t, records, 3)
	require.Equal(t, "left", records[0].Fields["side"])
	require.Equal(t, "right", records[1].Fields["side"])
	require.NotContains(t, records[2].Fields, "side")
}

func withNothing(t *testing.T, b Backend) {
	logger.New(b.Core).With().With(logger.Err(nil), logger.Group("g")).Info("m")
	require.Empty(t, one(t, b).Fields)
}

func withRepeats(t *testing.T, b Backend) {
	logger.New(b.Core).With(logger.Int("k", 1)).Info("m", logger.Int("k", 2))
	require.Equal(t, `{"k":2}`, canonicalText(one(t, b).Fields))
}

func sliceChanged(t *testing.T, b Backend) {
	given := []logger.Field{logger.String("k", "old").Field(), logger.Group("g", logger.Int("a", 1)).Field()}
	core := b.Core.With(given)
	given[0] = logger.String("k", "new").Field()
	given[1].Fields()[0] = logger.Int("a", 2).Field()
	logger.New(core).Info("m")
	require.Equal(t, `{"g":{"a":1},"k":"old"}`, canonicalText(one(t, b).Fields))
}

type mutableError struct{ text string }

func (e *mutableError) Error() string { return e.text }

func valuesChanged(t *testing.T, b Backend) {
	m := map[string]string{"a": "old"}
	s := &struct{ A string }{"old"}
	l := []string{"old"}
	err := &mutableError{"old"}
	log := logger.New(b.Core).With(logger.Any("m", m), logger.Any("s", s),
		logger.Strings("l", l), logger.Err(err), logger.Group("g", logger.Any("m", m)))
	m["a"], s.A, l[0], err.text = "new", "new", "new", "new"
	log.Info("m")
	require.Equal(t, `{"error":"old","g":{"m":{"a":"old"}},"l":["old"],"m":{"a":"old"},"s":{"A":"old"}}`,
		canonicalText(one(t, b).Fields))
}

func fieldsChanged(t *testing.T, b Backend) {
	m := map[string]string{"a": "old"}
	given := []logger.Arg{logger.Any("m", m), logger.Err(errors.New("old"))}
	log := logger.New(b.Core)
	log.Info("m", given...)
	m["a"] = "new"
	given[1] = logger.Err(errors.New("new"))
	require.Equal(t, `{"error":"old","m":{"a":"old"}}`, canonicalText(one(t, b).Fields))
}

func groupOfSlice(t *testing.T, b Backend) {
	inner := []logger.Arg{logger.Int("a", 1)}
	g := logger.Group("g", inner...)
	inner[0] = g // would be a cycle if the group kept the slice
	logger.New(b.Core).Info("m", g)
	require.Equal(t, `{"g":{"a":1}}`, canonicalText(one(t, b).Fields))
}

func valuerOnce(t *testing.T, b Backend) {
	calls := 0
	log := logger.New(b.Core).With(logger.Stringer("k", counting{&calls}))
	log.Info("m")
	log.Info("m")
	for _, r := range all(t, b) {
		require.Equal(t, "called", r.Fields["k"])
	}
	require.Equal(t, 1, calls)
}

type counting struct{ calls *int }

func (c counting) String() string {
	*c.calls++
	return "called"
}
