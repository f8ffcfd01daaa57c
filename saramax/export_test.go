package saramax

import (
	"time"

	"github.com/IBM/sarama"
)

// WithDue sets when records are due, as retry topics do.
func WithDue(due func(*sarama.ConsumerMessage) time.Time) Option {
	return optionFunc(func(s *settings) { s.due = due })
}

// WithBudget sets a budget made of functions; settle is told "done", "rejected" or
// "given up".
func WithBudget(admit func() (int, time.Duration), settle func(string)) Option {
	return optionFunc(func(s *settings) { s.budget = testBudget{admit, settle} })
}

type testBudget struct {
	admitFunc  func() (int, time.Duration)
	settleFunc func(string)
}

func (b testBudget) admit(string, int32) (int, time.Duration) { return b.admitFunc() }

func (b testBudget) settle(_ string, _ int32, end settlement) {
	b.settleFunc([]string{"done", "rejected", "given up"}[end])
}

// WithRedirect sets which records are parked unhandled.
func WithRedirect(f func(*sarama.ConsumerMessage) bool) Option {
	return optionFunc(func(s *settings) { s.redirect = f })
}

// WithEarlier sets how many attempts records had elsewhere.
func WithEarlier(f func(*sarama.ConsumerMessage) int) Option {
	return optionFunc(func(s *settings) { s.earlier = f })
}

// SetFetchMap makes h read back commits with f.
func (h *GroupHandler) SetFetchMap(f func(string, int32) (int64, string, error)) { h.fetchMap = f }

// Looks counts how often workers and timers of the claims of now looked for work.
func Looks(h *GroupHandler) (n int64) {
	h.each(func(c *claim) {
		c.mu.Lock()
		defer c.mu.Unlock()
		n += c.turns
	})
	return n
}

// Ticks counts how often the session's ticker fired.
func Ticks(h *GroupHandler) int64 { return h.beats.Load() }
