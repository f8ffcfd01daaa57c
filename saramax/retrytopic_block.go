package saramax

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// blocks are the keys of one source topic that have records in retry topics. They are
// what the compacted topic of blocked keys says: the last word on each record.
//
// A record that goes to a retry topic is entered before its copy is published, and the
// entry is taken out once it was worked off there, before its offset passes. So a crash
// leaves an entry too many at most, whose record comes once more and takes it out. Until
// then later records with its key follow it, topic by topic, and overtake nothing: each
// of these topics is in order, and a record moves from one to the next only behind those
// that moved before.
type blocks struct {
	mu      sync.Mutex
	records map[recordID]blocked
	keys    map[string][]int // how many records in each tier
}

// recordID is where a record lay first, within its topic.
type recordID struct {
	partition int32
	offset    int64
}

// blocked says that a record with a key waits in a tier.
type blocked struct {
	key  string
	tier int
}

func newBlocks() *blocks {
	return &blocks{records: make(map[recordID]blocked), keys: make(map[string][]int)}
}

// holds tells whether a record of key that lies in tier has others of its key ahead of
// it.
func (b *blocks) holds(key []byte, tier int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	counts := b.keys[string(key)]
	for t := tier + 1; t < len(counts); t++ {
		if counts[t] > 0 {
			return true
		}
	}
	return false
}

// enter says that a record waits in a tier. Word of a lower one comes late.
func (b *blocks) enter(id recordID, entry blocked) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if old, known := b.records[id]; known && old.tier >= entry.tier {
		return
	}
	b.drop(id)
	counts := b.keys[entry.key]
	for len(counts) <= entry.tier {
		counts = append(counts, 0)
	}
	counts[entry.tier]++
	b.records[id], b.keys[entry.key] = entry, counts
}

// leave says that a record waits no longer.
func (b *blocks) leave(id recordID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop(id)
}

// drop is leave with mu held.
func (b *blocks) drop(id recordID) {
	old, known := b.records[id]
	if !known {
		return
	}
	delete(b.records, id)
	counts := b.keys[old.key]
	counts[old.tier]--
	for _, n := range counts {
		if n > 0 {
			return
		}
	}
	delete(b.keys, old.key)
}

// clear forgets everything, before the topic is read anew.
func (b *blocks) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.records)
	clear(b.keys)
}

// String is the key under which the compacted topic keeps what holds of the record.
func (id recordID) String() string {
	return strconv.FormatInt(int64(id.partition), 10) + "/" + strconv.FormatInt(id.offset, 10)
}

func recordIDIn(text string) (recordID, error) {
	p, o, _ := strings.Cut(text, "/")
	partition, err := strconv.ParseInt(p, 10, 32)
	if err == nil {
		var offset int64
		if offset, err = strconv.ParseInt(o, 10, 64); err == nil {
			return recordID{int32(partition), offset}, nil
		}
	}
	return recordID{}, fmt.Errorf("saramax: %q is not the place of a record", text)
}

// blockedJSON is the value of a record in the compacted topic.
type blockedJSON struct {
	Key  []byte `json:"key"`
	Tier int    `json:"tier"`
}

func (e blocked) encode() []byte {
	data, err := json.Marshal(blockedJSON{[]byte(e.key), e.tier})
	if err != nil {
		panic(err) // bytes and a number
	}
	return data
}

// maxTiers keeps a corrupt entry from costing memory.
const maxTiers = 1 << 10

func blockedIn(data []byte) (blocked, error) {
	var v blockedJSON
	if err := json.Unmarshal(data, &v); err != nil {
		return blocked{}, fmt.Errorf("saramax: blocked key: %w", err)
	}
	if v.Tier < 1 || v.Tier > maxTiers {
		return blocked{}, fmt.Errorf("saramax: blocked key in tier %d", v.Tier)
	}
	return blocked{string(v.Key), v.Tier}, nil
}
