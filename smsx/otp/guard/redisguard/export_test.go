package redisguard

import "strings"

// OnClock makes the store read the time from a list as TIME returns it.
func (s *Store) OnClock(name string) *Store {
	s.load(strings.Replace(stateLua, "redis.call('TIME')", "redis.call('LRANGE', '"+name+"', 0, 1)", 1))
	return s
}
