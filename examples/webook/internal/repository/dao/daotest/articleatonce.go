package daotest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
)

func ids(t *testing.T, s suite) {
	const writers, each = 4, 20
	var mu sync.Mutex
	seen := map[int64]bool{}
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range each {
				saved, err := s.Save(context.WithoutCancel(t.Context()), text(ann, "x"))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				seen[saved.ID] = true
				mu.Unlock()
			}
		})
	}
	all.Wait()
	require.Len(t, seen, writers*each)
	for id := range seen {
		require.Positive(t, id)
		require.LessOrEqual(t, id, int64(1)<<53-1)
	}
}

func concurrentPublications(t *testing.T, s suite) {
	a := s.publish(t, text(ann, "start"))
	for round := range 5 {
		var all sync.WaitGroup
		for n := range 6 {
			all.Go(func() {
				if _, err := s.Publish(context.WithoutCancel(t.Context()), again(a, fmt.Sprint(round, "/", n))); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		require.Equal(t, s.draft(t, a), s.readable(t, a.ID))
	}
	require.EqualValues(t, 31, s.draft(t, a).Version, "each change counts")
}

func publicationAndWithdrawal(t *testing.T, s suite) {
	a := s.publish(t, text(ann, "start"))
	for range 10 {
		var all sync.WaitGroup
		var failed atomic.Pointer[error]
		note := func(err error) {
			if err != nil {
				failed.Store(&err)
			}
		}
		ctx := context.WithoutCancel(t.Context())
		all.Go(func() { _, err := s.Publish(ctx, again(a, "again")); note(err) })
		all.Go(func() { note(s.Withdraw(ctx, ann, a.ID)) })
		all.Wait()
		require.Nil(t, failed.Load())
		if s.draft(t, a).Status == domain.ArticlePrivate {
			s.unreadable(t, a.ID)
		} else {
			s.readable(t, a.ID)
		}
	}
}
