package failover

import "sync/atomic"

// token is one further attempt, in the unit that the budget is kept in.
const token = 1_000_000

// budget pays for attempts beyond the first one. Each call pays a share of a token in,
// so that further attempts are a share of calls, whatever the traffic: a bucket that
// time refills would let a quiet hour pay for a storm.
type budget struct{ tokens atomic.Int64 }

func (b *budget) fill(set *settings) { b.tokens.Store(int64(set.RetryBurst) * token) }

// deposit hears of a call.
func (b *budget) deposit(set *settings) {
	full := int64(set.RetryBurst) * token
	for {
		now := b.tokens.Load()
		if now >= full {
			return
		}
		if b.tokens.CompareAndSwap(now, min(now+int64(max(set.RetryRatio, 0)*token), full)) {
			return
		}
	}
}

// spend takes a token, or reports that there is none. A burst that was lowered holds
// at once.
func (b *budget) spend(set *settings) bool {
	full := int64(set.RetryBurst) * token
	for {
		now := b.tokens.Load()
		if set.RetryRatio < 0 || now < token {
			return false
		}
		if b.tokens.CompareAndSwap(now, min(now, full)-token) {
			return true
		}
	}
}

// refund gives a token back that was not needed.
func (b *budget) refund() { b.tokens.Add(token) }
