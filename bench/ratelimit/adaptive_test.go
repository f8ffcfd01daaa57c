package ratelimit_test

import (
	"testing"

	"github.com/failsafe-go/failsafe-go/adaptivelimiter"
	"github.com/go-kratos/aegis/ratelimit"
	"github.com/go-kratos/aegis/ratelimit/bbr"
	"github.com/stretchr/testify/require"
	"github.com/zeromicro/go-zero/core/load"

	"github.com/bulwark-go/bulwark/ratelimit/concurrency"
)

// BenchmarkAdaptive measures both halves of an admitted call.
func BenchmarkAdaptive(b *testing.B) {
	ours, err := concurrency.NewAdaptive(concurrency.AdaptiveConfig{})
	require.NoError(b, err)
	failsafe := adaptivelimiter.NewWithDefaults[any]()
	aegis := bbr.NewLimiter()
	load.DisableLog()
	zero := load.NewAdaptiveShedder()
	run(b, []contender{
		{"bulwark adaptive", func() bool {
			ticket, _ := ours.Acquire(background, "billing")
			ticket.Release()
			return ticket.Allowed
		}},
		{"failsafe adaptive", func() bool {
			permit, ok := failsafe.TryAcquirePermit()
			if ok {
				permit.Record()
			}
			return ok
		}},
		{"aegis bbr", func() bool {
			done, err := aegis.Allow()
			if err == nil {
				done(ratelimit.DoneInfo{})
			}
			return true // it may refuse when the machine is busy
		}},
		{"go-zero shedder", func() bool {
			promise, err := zero.Allow()
			if err == nil {
				promise.Pass()
			}
			return true
		}},
	}, true)
}
