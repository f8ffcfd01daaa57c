package ratelimit_test

import (
	"fmt"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/rules"
	"github.com/bulwark-go/bulwark/ratelimit/rules/dryrun"
)

// BenchmarkDryRun records calls of so many subjects: what each decision of a set of
// rules costs more. "sampled" has room for a hundredth of them.
func BenchmarkDryRun(b *testing.B) {
	for _, n := range []int{1, 1000, 100_000} {
		subjects := make([]rules.Subject, n)
		for i := range subjects {
			subjects[i] = rules.Subject{
				User: "user:" + strconv.Itoa(i), Method: "GET /articles/:id",
				IP: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}),
			}
		}
		for name, cfg := range map[string]dryrun.Config{"whole": {}, "sampled": {Calls: 1 << 14, Subjects: 1 << 12}} {
			b.Run(fmt.Sprintf("%d subjects/%s", n, name), func(b *testing.B) {
				b.ReportAllocs()
				r, err := dryrun.New(cfg)
				require.NoError(b, err)
				i := 0
				for b.Loop() {
					r.Record(subjects[i], 1)
					if i++; i == n {
						i = 0
					}
				}
			})
		}
		b.Run(fmt.Sprintf("%d subjects/whole, parallel", n), func(b *testing.B) {
			b.ReportAllocs()
			r, err := dryrun.New(dryrun.Config{})
			require.NoError(b, err)
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); {
					r.Record(subjects[i], 1)
					if i++; i == n {
						i = 0
					}
				}
			})
		})
	}
}

// BenchmarkDryRunReplay replays so many calls, to two sets of rules.
func BenchmarkDryRunReplay(b *testing.B) {
	list := []rules.Rule{
		{Name: "login", Match: rules.Match{Method: "POST /login"}, Per: []rules.Field{rules.IP}, Rate: ratelimit.PerMinute(5)},
		{Name: "default", Per: []rules.Field{rules.User}, Rate: ratelimit.PerSecond(1)},
	}
	for _, n := range []int{1000, 30_000, 1_000_000} {
		b.Run(fmt.Sprintf("%d calls", n), func(b *testing.B) {
			r, err := dryrun.New(dryrun.Config{Window: time.Hour})
			require.NoError(b, err)
			for i := range n {
				r.Record(rules.Subject{User: strconv.Itoa(i % 1000)}, 1)
			}
			b.ReportAllocs()
			for b.Loop() {
				_, err := r.Replay(background, list, list)
				require.NoError(b, err)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/call")
		})
	}
}
