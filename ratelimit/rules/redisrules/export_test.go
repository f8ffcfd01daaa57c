package redisrules

import "time"

// SetSilence shortens how long a subscription may be silent.
func (s *Store) SetSilence(d time.Duration) { s.silence = d }
