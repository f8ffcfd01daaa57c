package redisquota

import "strings"

// OnClock makes the quota read the time from a list as TIME returns it.
func (q *Quota) OnClock(name string) *Quota {
	q.load(strings.Replace(stateLua, "redis.call('TIME')", "redis.call('LRANGE', '"+name+"', 0, 1)", 1))
	return q
}
