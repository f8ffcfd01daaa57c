package loggertest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/logger"
)

// Backend is a Core under test, with a way to read its lines back.
type Backend struct {
	// Core must let every level from debug on pass, and show callers, times in RFC
	// 3339 with nanoseconds and durations as texts ("1.5s") where that is a setting
	// of what is behind it.
	Core logger.Core
	// Records returns the lines so far. It must not skip lines it cannot read.
	Records func() ([]Record, error)
	// SetLevel sets the lowest level that passes, while the Core is in use.
	SetLevel func(logger.Level)
}

// Test runs the suite against the Backends that factory makes, one for each case.
// Every Core gives the same record for the same call: levels, callers, trace ids,
// modules, all kinds of fields, With, groups, duplicate keys, values that panic,
// contain themselves or are huge, and texts that try to forge lines.
func Test(t *testing.T, factory func(testing.TB) Backend) {
	for _, c := range valueCases() {
		t.Run("value/"+c.name, func(t *testing.T) {
			b := factory(t)
			logger.New(b.Core).Info("m", c.fields()...)
			c.check(t, one(t, b))
		})
		t.Run("with/"+c.name, func(t *testing.T) {
			b := factory(t)
			logger.New(b.Core).With(c.fields()...).Info("m")
			c.check(t, one(t, b))
		})
	}
	for _, c := range lineCases() {
		t.Run("line/"+c.name, func(t *testing.T) { c.run(t, factory(t)) })
	}
}

type valueCase struct {
	name   string
	fields func() []logger.Arg
	want   map[string]any
}

func (c valueCase) check(t *testing.T, r Record) {
	t.Helper()
	require.Equal(t, canonicalText(c.want), canonicalText(r.Fields))
	require.Equal(t, "m", r.Message)
	require.Equal(t, logger.LevelInfo, r.Level)
}

type lineCase struct {
	name string
	run  func(t *testing.T, b Backend)
}

func all(t *testing.T, b Backend) []Record {
	t.Helper()
	records, err := b.Records()
	require.NoError(t, err)
	return records
}

func one(t *testing.T, b Backend) Record {
	t.Helper()
	records := all(t, b)
	require.Len(t, records, 1)
	return records[0]
}
