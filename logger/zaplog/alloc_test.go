//go:build !race

// The race detector makes sync.Pool drop what it is given, which then allocates.

package zaplog_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/logger/zaplog"
)

type discard struct{}

func (*discard) Write(p []byte) (int, error) { return len(p), nil }

func TestLinesOfThreePlainFieldsAllocateNothing(t *testing.T) {
	enc := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
	log := logger.New(zaplog.New(zap.New(zapcore.NewCore(enc, zapcore.AddSync(&discard{}), zap.InfoLevel))))
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		log.Info("m", logger.String("a", "b"), logger.Int("c", 1), logger.Duration("d", time.Second))
	}))
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		log.Debug("m", logger.String("a", "b"), logger.Int("c", 1), logger.Duration("d", time.Second))
	}))
}
