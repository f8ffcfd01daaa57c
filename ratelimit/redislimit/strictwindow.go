package redislimit

import (
	_ "embed"
	"math"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bulwark-go/bulwark/ratelimit"
)

//go:embed strictwindow.lua
var strictWindowLua string

var strictWindowScript = newScript(strictWindowLua)

// parts is how many sub-windows cover a period; the script has the same.
const parts = 10

// NewStrictWindow returns a limiter that counts in tenths of the period and takes
// the oldest, of which only a part lies within the last period, as a whole. It
// takes some 150 bytes of Redis's memory for a key at any limit.
//
// All instances together so admit at most the rate's count in any window as long
// as the period, and in turn may be refused up to a tenth of the period too early.
// A bad rate or option is refused with [*ratelimit.FieldError]s.
func NewStrictWindow(rdb redis.UniversalClient, rate ratelimit.Rate, opts ...Option) (*Limiter, error) {
	o := newOptions("strict", opts)
	return newLimiter(rdb, rate, o, strictWindowScript, func(q ratelimit.Quota) (algorithm, error) {
		w, err := newWindow(q, math.MaxUint32, tooMany)
		w.limits[1] = (w.length-1)/parts + 1
		return &strict{w}, err
	})
}

// strict is the conservative window.
//
// Bound: a window of at most parts sub-windows touches at most parts+1 of them,
// that of its last admission and the parts before it, and no admission leaves
// their sum above the limit.
type strict struct{ window }

func (s *strict) most(t time.Duration) int64 { return s.oneWindow(t) }

func (s *strict) answers() int { return 3 }

func (s *strict) decide(reply []int64, cost int64) ratelimit.Decision {
	return decideSum(&s.window, reply, cost)
}
