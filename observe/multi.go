package observe

import (
	"context"
	"sync"
)

// Multi returns an Observer that reports to each of observers, in order: the
// context that one returns is the parent of the next one's, and the ends run in
// reverse, as deferred calls would. Nil observers and [Nop] are dropped, a Multi
// among them is spread; a single one that is left is returned as it is, and
// without any the result is [Nop].
func Multi(observers ...Observer) Observer {
	var m multi
	for _, o := range observers {
		if inner, ok := o.(*multi); ok {
			m.observers = append(m.observers, inner.observers...)
		} else if !IsNop(o) {
			m.observers = append(m.observers, o)
		}
	}
	switch len(m.observers) {
	case 0:
		return nop{}
	case 1:
		return m.observers[0]
	}
	m.pool.New = func() any {
		r := &multiRun{pool: &m.pool, ends: make([]End, len(m.observers))}
		r.end = r.finish
		return r
	}
	return &m
}

type multi struct {
	observers []Observer
	pool      sync.Pool // of *multiRun, each with room for one End per observer
}

func (m *multi) Start(ctx context.Context, op Operation) (context.Context, End) {
	r := m.pool.Get().(*multiRun)
	for i, o := range m.observers {
		ctx, r.ends[i] = o.Start(ctx, op)
	}
	return ctx, r.end
}

// multiRun is one operation under way. It is pooled together with its End, so
// that fanning out costs no allocation of its own.
type multiRun struct {
	pool *sync.Pool
	ends []End
	end  End // r.finish, bound once
}

func (r *multiRun) finish(res Result) {
	for i := len(r.ends) - 1; i >= 0; i-- {
		r.ends[i](res)
		r.ends[i] = nil // a run in the pool must not keep a caller's values alive
	}
	r.pool.Put(r)
}
