package cache

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
)

var (
	//go:embed counts_load.lua
	countsLoadSource string
	//go:embed counts_store.lua
	countsStoreSource string
	//go:embed counts_renew.lua
	countsRenewSource string

	countsLoad  = redis.NewScript(countsLoadSource)
	countsStore = redis.NewScript(countsStoreSource)
	countsRenew = redis.NewScript(countsRenewSource)
)

// Interactives caches counters as hashes under interactive:<biz>:<id>. It is safe for
// concurrent use.
//
// A copy follows its row by version. To add one to a copy whenever one was added to
// the row would count twice what a reader has stored in between, and to leave a
// missing copy alone would let a slow reader store what it read before the change. So
// a change carries the whole row and only ever replaces an older copy, and a reader
// stores under a lease that each change takes away.
type Interactives struct {
	rdb   redis.Cmdable
	lease time.Duration
}

// NewInteractives returns a cache in rdb. Who finds no copy has lease to read the row
// and store one; only then is it another one's turn.
func NewInteractives(rdb redis.Cmdable, lease time.Duration) *Interactives {
	return &Interactives{rdb: rdb, lease: lease}
}

// Turn is the right to store a copy. The zero Turn is none: storing in it does
// nothing.
type Turn struct{ token string }

// Get returns the copy of the thing's counters. Without one it returns [ErrMiss] and,
// to one of those who look, a lease; any other error means that Redis failed. A copy
// that can't be read counts as none.
func (c *Interactives) Get(ctx context.Context, biz string, bizID int64) (domain.Interactive, Turn, error) {
	token := rand.Text()
	got, err := countsLoad.Run(ctx, c.rdb, countsKeys(biz, bizID), token, c.lease.Milliseconds()).StringSlice()
	if err != nil {
		return domain.Interactive{}, Turn{}, fmt.Errorf("cache: get counters of %s %d: %w", biz, bizID, err)
	}
	copied := domain.Interactive{Biz: biz, BizID: bizID}
	if scan(got, &copied.ReadCnt, &copied.LikeCnt, &copied.CollectCnt, &copied.Version) == nil {
		return copied, Turn{}, nil
	}
	if len(got) == 1 && got[0] == "1" {
		return domain.Interactive{}, Turn{token}, ErrMiss
	}
	return domain.Interactive{}, Turn{}, ErrMiss
}

// Store keeps a copy for ttl, unless the lease has ended or a change took it away.
func (c *Interactives) Store(ctx context.Context, turn Turn, i domain.Interactive, ttl time.Duration) error {
	if turn == (Turn{}) {
		return nil
	}
	err := countsStore.Run(ctx, c.rdb, countsKeys(i.Biz, i.BizID), turn.token, ttl.Milliseconds(),
		i.ReadCnt, i.LikeCnt, i.CollectCnt, i.Version).Err()
	if err != nil {
		return fmt.Errorf("cache: store counters of %s %d: %w", i.Biz, i.BizID, err)
	}
	return nil
}

// Renew brings the copies that there are up to these counters, all in one round trip.
// Copies that are newer stay, and where there is none it makes none.
func (c *Interactives) Renew(ctx context.Context, changed ...domain.Interactive) error {
	if len(changed) == 0 {
		return nil
	}
	_, err := c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.ScriptLoad(ctx, countsRenewSource) // so that not each call carries the text
		for _, i := range changed {
			countsRenew.EvalSha(ctx, p, countsKeys(i.Biz, i.BizID), i.ReadCnt, i.LikeCnt, i.CollectCnt, i.Version)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("cache: renew counters of %d things: %w", len(changed), err)
	}
	return nil
}

// countsKeys names the copy and the lease, which has the copy's whole key as its hash
// tag, so that a Redis Cluster keeps the two together.
func countsKeys(biz string, bizID int64) []string {
	key := "interactive:" + biz + ":" + strconv.FormatInt(bizID, 10)
	return []string{key, "{" + key + "}:lease"}
}

var errShape = errors.New("cache: not a row of counters")

func scan(texts []string, to ...*int64) error {
	if len(texts) != len(to) {
		return errShape
	}
	for i, text := range texts {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return errShape
		}
		*to[i] = n
	}
	return nil
}
