// Package daotest has the suites that each implementation of a store must pass.
package daotest

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/dao"
)

const (
	ann = int64(7)
	bob = int64(8)
)

// Articles is the contract of [dao.ArticleStore]. Each store that open returns is
// empty.
func Articles(t *testing.T, open func(t *testing.T) dao.ArticleStore) {
	for name, test := range map[string]func(*testing.T, suite){
		"what was saved is found":                        savedIsFound,
		"a save replaces the author's copy only":         saveLeavesReaders,
		"only the author changes an article":             onlyTheAuthor,
		"publishing makes both copies":                   publishMakesBoth,
		"a withdrawn article is for its author only":     withdrawHides,
		"withdrawing does not mix up article and author": withdrawIsNotMixedUp,
		"withdrawing what nobody could read":             withdrawDraft,
		"puts may come late, twice and in any order":     putsInAnyOrder,
		"a late put does not undo a withdrawal":          latePut,
		"drafts are listed last changed first":           drafts,
		"published articles are listed by the cursor":    publishedByCursor,
		"texts of any sort survive":                      textsSurvive,
		"ids are distinct and fit into JavaScript":       ids,
		"concurrent publications leave equal copies":     concurrentPublications,
		"publication and withdrawal at once agree":       publicationAndWithdrawal,
	} {
		t.Run(name, func(t *testing.T) { test(t, suite{open(t)}) })
	}
}

type suite struct{ dao.ArticleStore }

func text(author int64, title string) domain.Article {
	return domain.Article{
		AuthorID: author, Title: title, Abstract: "about " + title, Content: "<p>" + title + "</p>",
		Status: domain.ArticleUnpublished,
	}
}

// again is another text for the article of a.
func again(a domain.Article, title string) domain.Article {
	next := text(a.AuthorID, title)
	next.ID = a.ID
	return next
}

func (s suite) save(t *testing.T, a domain.Article) domain.Article {
	t.Helper()
	saved, err := s.Save(t.Context(), a)
	require.NoError(t, err)
	require.Positive(t, saved.ID)
	return saved
}

func (s suite) publish(t *testing.T, a domain.Article) domain.Article {
	t.Helper()
	saved, err := s.Publish(t.Context(), a)
	require.NoError(t, err)
	require.Equal(t, domain.ArticlePublished, saved.Status)
	return saved
}

func (s suite) draft(t *testing.T, a domain.Article) domain.Article {
	t.Helper()
	found, err := s.Draft(t.Context(), a.AuthorID, a.ID)
	require.NoError(t, err)
	return found
}

func (s suite) readable(t *testing.T, id int64) domain.Article {
	t.Helper()
	found, err := s.Published(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, domain.ArticlePublished, found.Status)
	return found
}

func (s suite) unreadable(t *testing.T, id int64) {
	t.Helper()
	_, err := s.Published(t.Context(), id)
	require.ErrorIs(t, err, domain.ErrArticleNotFound)
	list, err := s.PublishedAfter(t.Context(), newest(), 1000)
	require.NoError(t, err)
	for _, a := range list {
		require.NotEqual(t, id, a.ID, "not in lists either")
	}
}

func newest() domain.Cursor {
	return domain.Cursor{Time: time.Now().Add(time.Hour), ID: math.MaxInt64}
}

func savedIsFound(t *testing.T, s suite) {
	begin := time.Now().Truncate(time.Millisecond)
	saved := s.save(t, text(ann, "one"))
	require.EqualValues(t, 1, saved.Version)
	require.Equal(t, saved.Ctime, saved.Utime)
	require.False(t, saved.Utime.Before(begin))
	require.Equal(t, saved, s.draft(t, saved))
	s.unreadable(t, saved.ID)
	_, err := s.Draft(t.Context(), bob, saved.ID)
	require.ErrorIs(t, err, domain.ErrArticleNotFound)
	_, err = s.Draft(t.Context(), ann, saved.ID+1)
	require.ErrorIs(t, err, domain.ErrArticleNotFound)
}

func saveLeavesReaders(t *testing.T, s suite) {
	first := s.publish(t, text(ann, "one"))
	second := s.save(t, again(first, "two"))
	require.Equal(t, first.ID, second.ID)
	require.Greater(t, second.Version, first.Version)
	require.Equal(t, first.Ctime, second.Ctime)
	own := s.draft(t, first)
	require.Equal(t, second, own)
	require.Equal(t, domain.ArticleUnpublished, own.Status)
	require.Equal(t, "<p>one</p>", s.readable(t, first.ID).Content)
	same := s.save(t, again(first, "two"))
	require.Equal(t, first.ID, same.ID, "a save that changes nothing is no missing article")
}

func onlyTheAuthor(t *testing.T, s suite) {
	a := s.publish(t, text(ann, "hers"))
	theft := text(bob, "his")
	theft.ID = a.ID
	_, err := s.Save(t.Context(), theft)
	require.ErrorIs(t, err, domain.ErrArticleNotFound)
	_, err = s.Publish(t.Context(), theft)
	require.ErrorIs(t, err, domain.ErrArticleNotFound)
	require.ErrorIs(t, s.Withdraw(t.Context(), bob, a.ID), domain.ErrArticleNotFound)
	theft.Version = a.Version + 5
	_ = s.Put(t.Context(), theft) // whatever it says, it must do nothing
	require.Equal(t, a, s.draft(t, a))
	require.Equal(t, "<p>hers</p>", s.readable(t, a.ID).Content)
	require.Equal(t, ann, s.readable(t, a.ID).AuthorID)

	theft.ID = a.ID + 1000
	_, err = s.Save(t.Context(), theft)
	require.ErrorIs(t, err, domain.ErrArticleNotFound, "an id is given, never taken")
	_, err = s.Publish(t.Context(), theft)
	require.ErrorIs(t, err, domain.ErrArticleNotFound)
	s.unreadable(t, theft.ID)
}

func publishMakesBoth(t *testing.T, s suite) {
	for _, a := range []domain.Article{text(ann, "new"), again(s.save(t, text(ann, "draft")), "from a draft")} {
		saved := s.publish(t, a)
		own, read := s.draft(t, saved), s.readable(t, saved.ID)
		require.Equal(t, saved, own)
		require.Equal(t, own, read)
		require.Equal(t, a.Title, read.Title)
		next := s.publish(t, again(saved, "again"))
		require.Equal(t, saved.ID, next.ID)
		require.Equal(t, "<p>again</p>", s.readable(t, saved.ID).Content)
	}
}

func withdrawHides(t *testing.T, s suite) {
	a := s.publish(t, text(ann, "one"))
	for range 2 {
		require.NoError(t, s.Withdraw(t.Context(), ann, a.ID), "twice is as good as once")
		s.unreadable(t, a.ID)
		own := s.draft(t, a)
		require.Equal(t, domain.ArticlePrivate, own.Status)
		require.Equal(t, "<p>one</p>", own.Content)
	}
	s.save(t, again(a, "two"))
	s.unreadable(t, a.ID)
	s.publish(t, again(a, "three"))
	require.Equal(t, "<p>three</p>", s.readable(t, a.ID).Content)
	require.ErrorIs(t, s.Withdraw(t.Context(), ann, a.ID+1000), domain.ErrArticleNotFound)
}

// An author whose id is that of somebody's article withdraws one of her own.
func withdrawIsNotMixedUp(t *testing.T, s suite) {
	hers := s.publish(t, text(ann, "hers"))
	his := s.publish(t, text(hers.ID, "his"))
	require.NoError(t, s.Withdraw(t.Context(), hers.ID, his.ID))
	s.unreadable(t, his.ID)
	s.readable(t, hers.ID)
	if hers.ID != his.ID {
		require.ErrorIs(t, s.Withdraw(t.Context(), his.ID, hers.ID), domain.ErrArticleNotFound)
	}
	s.readable(t, hers.ID)
}

func withdrawDraft(t *testing.T, s suite) {
	a := s.save(t, text(ann, "one"))
	require.NoError(t, s.Withdraw(t.Context(), ann, a.ID))
	s.unreadable(t, a.ID)
	require.Equal(t, domain.ArticlePrivate, s.draft(t, a).Status)
	s.publish(t, again(a, "two"))
	require.Equal(t, "<p>two</p>", s.readable(t, a.ID).Content)
}

// half is the author's half of publishing in two steps.
func (s suite) half(t *testing.T, a domain.Article) domain.Article {
	t.Helper()
	a.Status = domain.ArticlePublished
	return s.save(t, a)
}

func putsInAnyOrder(t *testing.T, s suite) {
	first := s.half(t, text(ann, "one"))
	s.unreadable(t, first.ID)
	second := s.half(t, again(first, "two"))
	third := s.half(t, again(first, "three"))
	for _, a := range []domain.Article{second, second, first, second} {
		require.NoError(t, s.Put(t.Context(), a))
		require.Equal(t, "<p>two</p>", s.readable(t, first.ID).Content)
	}
	for _, a := range []domain.Article{third, second, first} {
		require.NoError(t, s.Put(t.Context(), a))
		require.Equal(t, s.draft(t, third), s.readable(t, first.ID))
	}
}

func latePut(t *testing.T, s suite) {
	for _, a := range []domain.Article{s.half(t, text(ann, "never read")), s.publish(t, text(ann, "read before"))} {
		late := s.half(t, again(a, "late"))
		require.NoError(t, s.Withdraw(t.Context(), ann, a.ID))
		require.NoError(t, s.Put(t.Context(), late))
		s.unreadable(t, a.ID)
	}
}

func drafts(t *testing.T, s suite) {
	list, err := s.Drafts(t.Context(), ann, 0, 10)
	require.NoError(t, err)
	require.Empty(t, list)
	var saved []domain.Article
	for n := range 5 {
		saved = append(saved, s.save(t, text(ann, fmt.Sprint("a", n))))
	}
	s.save(t, text(bob, "not hers"))
	waitForNextMillisecond()
	saved[1] = s.save(t, again(saved[1], "changed"))
	page := func(offset, limit int) (titles []string) {
		list, err := s.Drafts(t.Context(), ann, offset, limit)
		require.NoError(t, err)
		for _, a := range list {
			require.Empty(t, a.Content, "lists come without")
			require.NotEmpty(t, a.Abstract)
			require.Equal(t, ann, a.AuthorID)
			titles = append(titles, a.Title)
		}
		return titles
	}
	require.Equal(t, []string{"changed", "a4", "a3", "a2", "a0"}, page(0, 10))
	require.Equal(t, []string{"changed", "a4"}, page(0, 2))
	require.Equal(t, []string{"a2", "a0"}, page(3, 10))
	require.Empty(t, page(5, 10))
}

func waitForNextMillisecond() {
	for begin := time.Now().UnixMilli(); time.Now().UnixMilli() == begin; {
	}
}

// What is published or withdrawn while somebody goes through the list makes them skip
// nothing that was there all the time.
func publishedByCursor(t *testing.T, s suite) {
	s.save(t, text(ann, "a draft is nobody's business"))
	var all []domain.Article
	for n := range 9 {
		all = append(all, s.publish(t, text(ann, fmt.Sprint("a", n))))
		if n%3 == 2 {
			waitForNextMillisecond()
		}
	}
	s.save(t, again(all[4], "a draft of what is published"))
	var seen []string
	at := newest()
	for round := 0; ; round++ {
		page, err := s.PublishedAfter(t.Context(), at, 2)
		require.NoError(t, err)
		for _, a := range page {
			require.Empty(t, a.Content)
			require.Equal(t, domain.ArticlePublished, a.Status)
			seen = append(seen, a.Title)
		}
		if len(page) < 2 {
			break
		}
		at = domain.Cursor{Time: page[1].Utime, ID: page[1].ID}
		if round == 0 {
			require.NoError(t, s.Withdraw(t.Context(), ann, all[8].ID)) // seen already
			s.publish(t, text(bob, "later"))
		}
	}
	require.Equal(t, []string{"a8", "a7", "a6", "a5", "a4", "a3", "a2", "a1", "a0"}, seen)
	none, err := s.PublishedAfter(t.Context(), domain.Cursor{Time: all[0].Utime.Add(-time.Hour)}, 10)
	require.NoError(t, err)
	require.Empty(t, none)
}

func textsSurvive(t *testing.T, s suite) {
	a := text(ann, "熔断 🚦 it's \"50%\" \\ $set {{x}}")
	a.Content = "<p>" + strings.Repeat("断", 100_000) + "</p>" // more than 64 KiB
	saved := s.publish(t, a)
	require.Equal(t, a.Title, s.readable(t, saved.ID).Title)
	require.Equal(t, a.Content, s.readable(t, saved.ID).Content)
	require.Equal(t, a.Content, s.draft(t, saved).Content)
	long := text(ann, strings.Repeat("界", 1024))
	require.Equal(t, long.Title, s.readable(t, s.publish(t, long).ID).Title)
	empty := s.publish(t, domain.Article{AuthorID: ann})
	require.Empty(t, s.readable(t, empty.ID).Content)
}

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
