package domain

// BizArticle is what articles are called where counters are kept for many kinds of
// things.
const BizArticle = "article"

// Interactive is what readers did with one thing, and what one of them did.
type Interactive struct {
	// Biz and BizID name the thing.
	Biz   string
	BizID int64
	// ReadCnt, LikeCnt and CollectCnt are never negative.
	ReadCnt    int64
	LikeCnt    int64
	CollectCnt int64
	// Version grows with each change of the counts, so that of two copies one can
	// tell which is newer; 0 where nobody did anything yet.
	Version int64
	// Liked and Collected tell what the one who asked did; false when nobody in
	// particular asked.
	Liked     bool
	Collected bool
}

// Read is one reading of a thing.
type Read struct {
	// EventID names this reading, and no other, however often it is told.
	EventID string
	Biz     string
	BizID   int64
	// UserID is who read; 0 for a visitor who has not logged in.
	UserID int64
}
