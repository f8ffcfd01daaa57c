package repository

import "sync/atomic"

// gate counts who is inside. Its limit comes with each call, so that it can change
// while people are inside. The zero gate is empty.
type gate struct {
	inside atomic.Int64
}

func (g *gate) enter(limit int) bool {
	if g.inside.Add(1) > int64(limit) {
		g.inside.Add(-1)
		return false
	}
	return true
}

func (g *gate) leave() { g.inside.Add(-1) }
