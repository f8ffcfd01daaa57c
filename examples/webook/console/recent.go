package console

import (
	"sync"
	"time"

	"github.com/bulwark-go/bulwark/logger"
)

// recentMax is how many errors are kept: a screen full.
const recentMax = 50

// Recent keeps the last errors that were logged. Put it inside the masking core,
// so that it never sees what is masked. It is safe for concurrent use.
type Recent struct {
	mu   sync.Mutex
	ring [recentMax]Problem
	next int
	size int
}

// Problem is one logged error, shortened for the page.
type Problem struct {
	Time    time.Time
	Message string
	Detail  string
	TraceID string
}

// Wrap returns a Core that hands each line to inner, and keeps the errors.
func (r *Recent) Wrap(inner logger.Core) logger.Core { return recentCore{Core: inner, recent: r} }

// Problems returns what is kept, newest first.
func (r *Recent) Problems() []Problem {
	r.mu.Lock()
	defer r.mu.Unlock()
	problems := make([]Problem, 0, r.size)
	for i := range r.size {
		problems = append(problems, r.ring[(r.next-1-i+recentMax)%recentMax])
	}
	return problems
}

func (r *Recent) add(p Problem) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ring[r.next] = p
	r.next = (r.next + 1) % recentMax
	r.size = min(r.size+1, recentMax)
}

type recentCore struct {
	logger.Core
	recent *Recent
	with   []logger.Field
}

func (c recentCore) With(fields []logger.Field) logger.Core {
	c.Core = c.Core.With(fields)
	c.with = append(c.with[:len(c.with):len(c.with)], fields...)
	return c
}

func (c recentCore) Write(e logger.Entry, fields []logger.Field) {
	if e.Level >= logger.LevelError {
		c.recent.add(Problem{
			Time: e.Time, Message: e.Message, TraceID: e.TraceID,
			Detail: detail(c.with, fields),
		})
	}
	c.Core.Write(e, fields)
}
