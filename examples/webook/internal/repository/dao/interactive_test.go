package dao_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"pgregory.net/rapid"

	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/dao"
	"github.com/bulwark-go/bulwark/internal/testenv"
)

const biz = "article"

// eachInteractives runs test on every SQL server that there is.
func eachInteractives(t *testing.T, test func(t *testing.T, db *gorm.DB, table *dao.Interactives)) {
	testenv.EachSQL(t, func(t *testing.T, db *gorm.DB) {
		require.NoError(t, dao.MigrateInteractives(t.Context(), db))
		require.NoError(t, dao.MigrateInteractives(t.Context(), db), "a second start must find the tables as it wants them")
		test(t, db, dao.NewInteractives(db))
	})
}

// inForce counts the relations to a thing that are in force.
func inForce(t require.TestingT, db *gorm.DB, model any, bizID int64) (n int64) {
	require.NoError(t, db.Model(model).Where("biz = ? AND biz_id = ? AND status = 1", biz, bizID).Count(&n).Error)
	return n
}

func TestALikeCountsOnceAndIsTakenBackOnce(t *testing.T) {
	eachInteractives(t, func(t *testing.T, db *gorm.DB, table *dao.Interactives) {
		for _, step := range []struct {
			do      func(context.Context, string, int64, int64) (dao.Interactive, bool, error)
			uid     int64
			changed bool
			likes   int64
		}{
			{table.CancelLike, 7, false, 0},
			{table.Like, 7, true, 1},
			{table.Like, 7, false, 1},
			{table.Like, 8, true, 2},
			{table.CancelLike, 7, true, 1},
			{table.CancelLike, 7, false, 1},
			{table.Like, 7, true, 2},
		} {
			after, changed, err := step.do(t.Context(), biz, 1, step.uid)
			require.NoError(t, err)
			require.Equal(t, step.changed, changed)
			now, err := table.ByID(t.Context(), biz, 1)
			require.NoError(t, err)
			require.Equal(t, step.likes, now.LikeCnt)
			if changed {
				require.Equal(t, now, after)
			}
		}
		liked, err := table.Liked(t.Context(), biz, 1, 7)
		require.NoError(t, err)
		require.True(t, liked)
		liked, err = table.Liked(t.Context(), biz, 2, 7)
		require.NoError(t, err)
		require.False(t, liked, "another thing")
		liked, err = table.Liked(t.Context(), "video", 1, 7)
		require.NoError(t, err)
		require.False(t, liked, "a thing of another kind")
		require.EqualValues(t, 2, inForce(t, db, &dao.UserLikeBiz{}, 1))
	})
}

func TestWhatIsCollectedAgainMovesAndIsNotCountedAgain(t *testing.T) {
	eachInteractives(t, func(t *testing.T, db *gorm.DB, table *dao.Interactives) {
		cid := func() (row dao.UserCollectionBiz) {
			require.NoError(t, db.Where("uid = ? AND biz_id = ?", 7, 1).Take(&row).Error)
			return row
		}
		after, changed, err := table.Collect(t.Context(), biz, 1, 3, 7)
		require.NoError(t, err)
		require.True(t, changed)
		require.EqualValues(t, 1, after.CollectCnt)
		require.EqualValues(t, 3, cid().CID)

		_, changed, err = table.Collect(t.Context(), biz, 1, 4, 7)
		require.NoError(t, err)
		require.False(t, changed)
		require.EqualValues(t, 4, cid().CID)

		for _, want := range []bool{true, false} {
			_, changed, err = table.CancelCollect(t.Context(), biz, 1, 7)
			require.NoError(t, err)
			require.Equal(t, want, changed)
			collected, err := table.Collected(t.Context(), biz, 1, 7)
			require.NoError(t, err)
			require.False(t, collected)
		}
		after, changed, err = table.Collect(t.Context(), biz, 1, 5, 7)
		require.NoError(t, err)
		require.True(t, changed)
		require.EqualValues(t, 1, after.CollectCnt)
		require.EqualValues(t, 5, cid().CID)
	})
}

// Many clicks of few people at once, as impatient people and retrying clients make
// them.
func TestCountersEqualTheRelationsWhenManyClickAtOnce(t *testing.T) {
	eachInteractives(t, func(t *testing.T, db *gorm.DB, table *dao.Interactives) {
		const people, things, rounds = 3, 2, 8
		var all sync.WaitGroup
		var changes atomic.Int64
		for n := range people * things * 2 {
			all.Go(func() {
				uid, thing := int64(n%people+1), int64(n/people%things+1)
				for round := range rounds {
					for i, do := range []func() (dao.Interactive, bool, error){
						func() (dao.Interactive, bool, error) { return table.Like(t.Context(), biz, thing, uid) },
						func() (dao.Interactive, bool, error) {
							return table.Collect(t.Context(), biz, thing, int64(round), uid)
						},
						func() (dao.Interactive, bool, error) { return table.CancelLike(t.Context(), biz, thing, uid) },
						func() (dao.Interactive, bool, error) { return table.CancelCollect(t.Context(), biz, thing, uid) },
					} {
						if (round+n+i)%4 == 3 {
							continue // not always in pairs
						}
						_, changed, err := do()
						if err != nil {
							t.Error(err)
						}
						if changed {
							changes.Add(1)
						}
					}
				}
			})
		}
		all.Wait()
		var versions int64
		for thing := range int64(things) {
			row, err := table.ByID(t.Context(), biz, thing+1)
			require.NoError(t, err)
			require.Equal(t, inForce(t, db, &dao.UserLikeBiz{}, thing+1), row.LikeCnt)
			require.Equal(t, inForce(t, db, &dao.UserCollectionBiz{}, thing+1), row.CollectCnt)
			versions += row.Version
		}
		require.Equal(t, changes.Load(), versions, "each change makes a new version, and nothing else does")
	})
}

// relations are the pairs of a person and a thing that are in force.
type relations map[[2]int64]bool

func (r relations) of(bizID int64) (n int64) {
	for key, in := range r {
		if in && key[1] == bizID {
			n++
		}
	}
	return n
}

// Whatever people do in whatever order, the counters are those of a model of sets, are
// never negative, and equal the rows in force.
func TestCountersFollowAModelOfSets(t *testing.T) {
	eachInteractives(t, func(t *testing.T, db *gorm.DB, table *dao.Interactives) {
		first := int64(0) // each run has things of its own
		rapid.Check(t, func(r *rapid.T) {
			first += 10
			likes, collections, reads := relations{}, relations{}, map[int64]int64{}
			person, thing := rapid.Int64Range(1, 3), rapid.Custom(func(r *rapid.T) int64 { return first + rapid.Int64Range(0, 2).Draw(r, "n") })
			follow := func(set relations, want bool, do func(uid, bizID int64) (dao.Interactive, bool, error)) func(*rapid.T) {
				return func(r *rapid.T) {
					key := [2]int64{person.Draw(r, "uid"), thing.Draw(r, "thing")}
					after, changed, err := do(key[0], key[1])
					require.NoError(r, err)
					require.Equal(r, set[key] != want, changed)
					set[key] = want
					if changed {
						require.Equal(r, likes.of(key[1]), after.LikeCnt)
						require.Equal(r, collections.of(key[1]), after.CollectCnt)
					}
				}
			}
			r.Repeat(map[string]func(*rapid.T){
				"like": follow(likes, true, func(uid, id int64) (dao.Interactive, bool, error) {
					return table.Like(t.Context(), biz, id, uid)
				}),
				"cancel like": follow(likes, false, func(uid, id int64) (dao.Interactive, bool, error) {
					return table.CancelLike(t.Context(), biz, id, uid)
				}),
				"collect": follow(collections, true, func(uid, id int64) (dao.Interactive, bool, error) {
					return table.Collect(t.Context(), biz, id, uid%2, uid)
				}),
				"cancel collect": follow(collections, false, func(uid, id int64) (dao.Interactive, bool, error) {
					return table.CancelCollect(t.Context(), biz, id, uid)
				}),
				"read": func(r *rapid.T) {
					batch := rapid.MapOfN(thing, rapid.Int64Range(1, 5), 1, 3).Draw(r, "reads")
					_, err := table.BatchIncrRead(t.Context(), biz, batch)
					require.NoError(r, err)
					for id, n := range batch {
						reads[id] += n
					}
				},
			})
			for id := first; id < first+3; id++ {
				row, err := table.ByID(t.Context(), biz, id)
				require.NoError(r, err)
				require.Equal(r, [3]int64{reads[id], likes.of(id), collections.of(id)}, [3]int64{row.ReadCnt, row.LikeCnt, row.CollectCnt})
				require.Equal(r, row.LikeCnt, inForce(r, db, &dao.UserLikeBiz{}, id))
				require.Equal(r, row.CollectCnt, inForce(r, db, &dao.UserCollectionBiz{}, id))
			}
		})
	})
}

func TestReadsOfManyThingsAreAddedInFewStatements(t *testing.T) {
	eachInteractives(t, func(t *testing.T, db *gorm.DB, table *dao.Interactives) {
		_, _, err := table.Like(t.Context(), biz, 5, 7)
		require.NoError(t, err)
		reads := map[int64]int64{}
		for id := range int64(600) {
			reads[id+1] = id + 1
		}
		inserts := 0
		require.NoError(t, db.Callback().Create().After("gorm:create").Register(testenv.Name(t), func(*gorm.DB) { inserts++ }))
		for round := range int64(2) {
			after, err := table.BatchIncrRead(t.Context(), biz, reads)
			require.NoError(t, err)
			require.Len(t, after, len(reads))
			for _, row := range after {
				require.Equal(t, reads[row.BizID]*(round+1), row.ReadCnt)
			}
		}
		require.Equal(t, 4, inserts, "two statements for 600 things")
		row, err := table.ByID(t.Context(), biz, 5)
		require.NoError(t, err)
		require.EqualValues(t, 1, row.LikeCnt, "another counter stays as it is")
		require.EqualValues(t, 3, row.Version)
	})
}

func TestReadsThatAreNoneAreRefused(t *testing.T) {
	eachInteractives(t, func(t *testing.T, _ *gorm.DB, table *dao.Interactives) {
		for _, n := range []int64{0, -1} {
			_, err := table.BatchIncrRead(t.Context(), biz, map[int64]int64{1: 1, 2: n})
			require.ErrorContains(t, err, "must be positive")
		}
		row, err := table.ByID(t.Context(), biz, 1)
		require.NoError(t, err)
		require.Zero(t, row.ReadCnt)
		after, err := table.BatchIncrRead(t.Context(), biz, nil)
		require.NoError(t, err)
		require.Empty(t, after)
	})
}

// Batches of several consumers hold rows of the same things.
func TestBatchesSideBySideDoNotLoseReads(t *testing.T) {
	eachInteractives(t, func(t *testing.T, db *gorm.DB, table *dao.Interactives) {
		const consumers, batches, things = 4, 8, 20
		reads := map[int64]int64{}
		for id := range int64(things) {
			reads[id+1] = 2
		}
		var all sync.WaitGroup
		for range consumers {
			all.Go(func() {
				for range batches {
					if _, err := table.BatchIncrRead(t.Context(), biz, reads); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		rows, err := table.ByIDs(t.Context(), biz, []int64{1, things, things + 1})
		require.NoError(t, err)
		require.Len(t, rows, 2, "what has no counters is left out")
		for _, row := range rows {
			require.EqualValues(t, consumers*batches*2, row.ReadCnt)
		}
	})
}

func TestALikeThatWasNeverCountedIsNotTakenFromACounter(t *testing.T) {
	eachInteractives(t, func(t *testing.T, db *gorm.DB, table *dao.Interactives) {
		require.NoError(t, db.Create(&dao.UserLikeBiz{UID: 7, BizID: 1, Biz: biz, Status: 1}).Error)
		_, _, err := table.CancelLike(t.Context(), biz, 1, 7)
		require.ErrorContains(t, err, "counter is zero")
		liked, err := table.Liked(t.Context(), biz, 1, 7)
		require.NoError(t, err)
		require.True(t, liked, "and the relation stays with it")
	})
}
