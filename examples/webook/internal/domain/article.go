package domain

import (
	"errors"
	"time"
)

// ErrArticleNotFound means that there is no such article, or none that the caller
// may see or change: the stores do not tell these apart.
var ErrArticleNotFound = errors.New("webook: article not found")

// ArticleStatus says who can read a copy of an article. Its numbers are stored and
// sent to front ends.
type ArticleStatus uint8

// The statuses.
const (
	// ArticleUnknown is the zero status; nothing is stored with it.
	ArticleUnknown ArticleStatus = iota
	// ArticleUnpublished is what the author has changed since readers got their copy,
	// if they have one.
	ArticleUnpublished
	// ArticlePublished is what readers see.
	ArticlePublished
	// ArticlePrivate was withdrawn: for the author only.
	ArticlePrivate
)

// Article is one copy of an article: the author's, or the readers'. Its texts are
// clean, see package service.
type Article struct {
	// ID is the same for both copies; 0 before the first save.
	ID       int64
	AuthorID int64
	// Title is plain text, Content HTML, Abstract the beginning of its text, also
	// as HTML. Lists come without Content.
	Title, Abstract, Content string
	Status                   ArticleStatus
	// Version counts the changes of the author's copy. The readers' copy has the one
	// that it was made from, so that no older one ever takes its place.
	Version int64
	// Ctime and Utime are when the copy was made and last changed.
	Ctime, Utime time.Time
}

// Counts is what readers did with a thing, and what one of them did.
type Counts struct {
	Reads, Likes, Collects int64
	// Liked and Collected tell of the reader who asked.
	Liked, Collected bool
}

// Cursor is a place in a list that has the newest first. What follows is older than
// Time, or as old with a smaller ID.
type Cursor struct {
	Time time.Time
	ID   int64
}
