package otp

import (
	"crypto/subtle"
	"time"
)

const (
	days    = 31 // days of failures: 30 times 24 hours touch no more
	day     = int64(86_400)
	hour    = int64(3_600)
	setBack = 60_000 // ms that a clock may be set back before cooldowns and codes end
)

// state is what is remembered of a subject and purpose; state.lua is the same in
// Redis, and a property test holds them together. Times are Unix ms, days since
// 1970, and seconds for sends.
type state struct {
	id, guess string // the last issue's and the last guess's
	answer    Outcome
	code      string // MAC; "" for none
	tries     int
	cooldown  int64 // ms, until then
	expires   int64 // ms
	sends     []int64
	failed    [days]int // of the days that end with lastDay
	lastDay   int64
}

// at returns the state without what is too old at a time. A clock that was set back
// forgets nothing.
func (s *state) at(now time.Time) *state {
	next := *s
	next.advance(now)
	return &next
}

func (s *state) advance(now time.Time) {
	secs := now.Unix()
	var kept []int64
	for _, at := range s.sends {
		if at = min(at, secs+1); secs-at < day {
			kept = append(kept, at)
		}
	}
	s.sends = kept
	today := secs / day
	if gap := min(max(today-s.lastDay, 0), days); gap > 0 {
		var next [days]int
		copy(next[:], s.failed[gap:])
		s.failed = next
	}
	s.lastDay = today
}

// lockedFor returns for how long the failure budget is spent, in ms.
func (s *state) lockedFor(ms int64, l Limits) int64 {
	for gap := range int64(days + 1) {
		sum := 0
		for _, n := range s.failed[gap:] {
			sum += n
		}
		if sum < l.FailuresPerMonth && (gap > 0 || s.failed[days-1] < l.FailuresPerDay) {
			if gap == 0 {
				return 0
			}
			return (s.lastDay+gap)*day*1000 - ms
		}
	}
	return 0
}

func (s *state) issue(now time.Time, in Issue) Issued {
	if s.id == in.ID {
		return Issued{Outcome: Granted}
	}
	l, ms, secs, next := in.Limits, now.UnixMilli(), now.Unix(), s.at(now)
	if wait := next.lockedFor(ms, l); wait > 0 {
		return Issued{Locked, time.Duration(wait) * time.Millisecond}
	}
	wait := s.cooldown - ms
	if wait > l.Cooldown.Milliseconds()+setBack {
		wait = 0 // the clock was set back; the hour's count still holds
	}
	wait = max(wait, full(next.sends, secs, hour, l.SendsPerHour), full(next.sends, secs, day, l.SendsPerDay))
	if wait > 0 {
		return Issued{Limited, time.Duration(wait) * time.Millisecond}
	}
	*s = *next
	s.id, s.code, s.tries = in.ID, in.MAC, l.Tries
	s.cooldown, s.expires = ms+l.Cooldown.Milliseconds(), ms+l.Validity.Milliseconds()
	s.sends = append(s.sends, secs+1) // rounded up, so that no window is short
	return Issued{Outcome: Granted}
}

// full returns, in ms, until when a window has no room for another send.
func full(sends []int64, secs, window int64, limit int) int64 {
	if len(sends) < limit {
		return 0
	}
	return max(sends[len(sends)-limit]+window-secs, 0) * 1000
}

func (s *state) verify(now time.Time, in Guess) Outcome {
	if s.guess == in.ID {
		return s.answer
	}
	next := s.at(now)
	right := 0
	for _, mac := range in.MACs {
		right |= subtle.ConstantTimeCompare([]byte(mac), []byte(s.code))
	}
	left := s.expires - now.UnixMilli()
	switch {
	case s.code == "":
		return Absent
	case left <= 0 || left > in.Limits.Validity.Milliseconds()+setBack:
		return Expired
	case s.tries <= 0:
		return Exhausted
	case next.lockedFor(now.UnixMilli(), in.Limits) > 0:
		return Locked
	}
	*s = *next
	s.guess = in.ID
	if right == 1 {
		s.code, s.answer = "", Verified
		return Verified
	}
	s.tries--
	s.failed[days-1]++
	s.answer = Wrong
	return s.answer
}

// idle tells whether nothing is left to remember.
func (s *state) idle(now time.Time) bool {
	next := s.at(now)
	return len(next.sends) == 0 && next.failed == [days]int{} && s.expires <= now.UnixMilli()
}
