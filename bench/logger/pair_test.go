package logger_test

import (
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/logger/zaplog"
)

// block is how many calls of one side are timed at a stretch: some tenths of a
// millisecond, far above the clock's grain and far below a change of the machine's
// pace.
const block = 500

// BenchmarkPair times blocks of both sides in turn, so that a machine that changes its
// pace changes both, and reports bare zap's time over ours: the median of the
// pairs as times-zap, with its quartiles.
func BenchmarkPair(b *testing.B) {
	b.Run("three-fields", func(b *testing.B) {
		log, zl := logger.New(zaplog.New(newZap())), newZap()
		pair(b, func() {
			log.Info("request served", logger.String("route", "/users/:id"), logger.Int("status", 200),
				logger.Duration("took", 1500*time.Microsecond))
		}, func() {
			zl.Info("request served", zap.String("route", "/users/:id"), zap.Int("status", 200),
				zap.Duration("took", 1500*time.Microsecond))
		})
	})
}

func pair(b *testing.B, ours, bare func()) {
	ratios := make([]float64, 0, b.N)
	var o, z time.Duration
	for range b.N {
		one, other := timed(ours), timed(bare)
		ratios = append(ratios, float64(other)/float64(one))
		o, z = o+one, z+other
	}
	slices.Sort(ratios)
	b.ReportMetric(float64(z)/float64(o), "times-zap")
	b.ReportMetric(ratios[len(ratios)/4], "times-zap-q1")
	b.ReportMetric(ratios[len(ratios)/2], "times-zap-median")
	b.ReportMetric(ratios[len(ratios)*3/4], "times-zap-q3")
}

func timed(call func()) time.Duration {
	start := time.Now()
	for range block {
		call()
	}
	return time.Since(start)
}
