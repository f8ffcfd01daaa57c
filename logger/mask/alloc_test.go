//go:build !race

// The race detector makes sync.Pool drop what it is given, which then allocates.

package mask_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/logger/mask"
)

type discard struct{}

func (discard) Enabled(logger.Level) bool          { return true }
func (discard) With([]logger.Field) logger.Core    { return discard{} }
func (discard) Write(logger.Entry, []logger.Field) {}

func TestLineWithoutAnythingToHideAllocatesNothing(t *testing.T) {
	log := logger.New(mask.New(discard{}))
	err := errors.New("connection refused")
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		log.Info("request served", logger.String("route", "/users/:id"), logger.Int("status", 200), logger.Err(err))
	}))
}

func TestTextWithoutAnythingToHideIsNotCopied(t *testing.T) {
	s := strings.Repeat(text, 10)
	require.Equal(t, s, mask.String(s))
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = mask.String(s) }))
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = mask.Key("X-Request-Id") }))
}
