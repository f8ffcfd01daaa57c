//go:build !race

// The race detector makes sync.Pool drop what it is given, which then allocates.

package logger_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/logger"
)

func TestLinesAllocateNothing(t *testing.T) {
	err := errors.New("boom")
	for name, log := range map[string]logger.Logger{
		"plain":   logger.New(discard{}),
		"derived": logger.New(discard{}).With(logger.Int("k", 1)).Named("m").Ctx(logger.ContextWithTrace(context.Background(), "t", "s")),
		"off":     logger.New(logger.Nop()),
	} {
		require.Zero(t, testing.AllocsPerRun(1000, func() {
			log.Info("m", logger.String("a", "b"), logger.Int("c", 1), logger.Err(err), logger.Bool("d", true), logger.Float64("e", 1))
		}), name)
	}
}

func TestQueueingAllocatesNothing(t *testing.T) {
	a := newAsync(t, discard{}, 64)
	log := logger.New(a)
	for range 128 { // each slot's slice grows once
		log.Info("m", logger.Int("a", 1), logger.String("b", "c"))
		_ = a.Flush(context.Background())
	}
	require.Zero(t, testing.AllocsPerRun(32, func() { log.Info("m", logger.Int("a", 1), logger.String("b", "c")) }))
}
