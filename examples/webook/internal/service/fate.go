package service

import (
	"context"
	"sync/atomic"
)

// fate is what whoever sends a code tells whoever asked for it: between the two is
// the code service, to which sent now and stored for later are the same.
type fate struct{ later atomic.Bool }

type fateKey struct{}

func withFate(ctx context.Context) (context.Context, *fate) {
	f := &fate{}
	return context.WithValue(ctx, fateKey{}, f), f
}

// NoteLater notes in ctx that a message was taken on to be sent later.
func NoteLater(ctx context.Context) {
	if f, ok := ctx.Value(fateKey{}).(*fate); ok {
		f.later.Store(true)
	}
}
