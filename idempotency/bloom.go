package idempotency

import (
	"context"
	"encoding/binary"
	"errors"
	"iter"
	"math"
	"math/bits"
	"sync"
	"time"

	"github.com/bulwark-go/bulwark/observe"
)

// BloomConfig is the design of a [Bloom].
type BloomConfig struct {
	// Name is the filter's label in metrics. Required.
	Name string
	// Keys is how many keys one of the two generations is made for. Required. The
	// filter remembers at least the last Keys keys, and at most twice as many.
	Keys int
	// FalsePositives is the share of unseen keys that look seen, at most, when both
	// generations are full: 0.01 when 0.
	FalsePositives float64
	// Rotate is after how long a generation that is not full is put aside too; 0 is
	// never.
	Rotate time.Duration
}

// Bloom is a [Filter] in memory that knows keys by a few bits each: about 11 for one in
// a hundred false positives, 15.8 for one in a thousand, in each of two generations.
// When the younger one is full, or old, the older is dropped, so that it never fills
// up. It keeps no digests and so proves nothing. Create it with [NewBloom]. It is safe
// for concurrent use.
type Bloom struct {
	cfg    BloomConfig
	hashes int
	size   uint64 // bits of a generation

	mu       sync.RWMutex
	young    generation
	old      generation
	rotated  int64
	rotateAt time.Time
}

type generation struct {
	words []uint64
	keys  int
	ones  int
}

// NewBloom returns an empty filter with all its memory.
func NewBloom(cfg BloomConfig) (*Bloom, error) {
	if cfg.FalsePositives == 0 {
		cfg.FalsePositives = 0.01
	}
	var errs []error
	if cfg.Name == "" {
		errs = append(errs, violation("Name", `""`, "given"))
	}
	if cfg.Keys < 1 || cfg.Keys > math.MaxInt32 {
		errs = append(errs, violation("Keys", cfg.Keys, "from 1 to 2147483647"))
	}
	if !(cfg.FalsePositives >= 1e-9 && cfg.FalsePositives <= 0.5) {
		errs = append(errs, violation("FalsePositives", cfg.FalsePositives, "from 1e-9 to 0.5"))
	}
	if cfg.Rotate < 0 {
		errs = append(errs, violation("Rotate", cfg.Rotate, "0 or more"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	// Either generation may be wrong, so each is made for half of the share.
	perKey := -math.Log2(cfg.FalsePositives/2) / math.Ln2
	b := &Bloom{cfg: cfg, hashes: max(1, int(math.Round(perKey*math.Ln2)))}
	b.size = max(64, uint64(math.Ceil(perKey*float64(cfg.Keys))))
	b.young, b.old = b.generation(), b.generation()
	b.rotateAt = time.Now().Add(cfg.Rotate)
	return b, nil
}

func (b *Bloom) generation() generation { return generation{words: make([]uint64, (b.size+63)/64)} }

// Look implements [Filter]. It never fails.
func (b *Bloom) Look(_ context.Context, keys []Fingerprint) ([]Hint, error) {
	hints := make([]Hint, len(keys))
	b.mu.RLock()
	defer b.mu.RUnlock()
	for i := range keys {
		hints[i] = Hint{Seen: b.has(&b.young, &keys[i]) || b.has(&b.old, &keys[i]), Via: ViaFilter}
	}
	return hints, nil
}

// Remember implements [Filter]. It never fails.
func (b *Bloom) Remember(_ context.Context, done []Mark) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range done {
		if b.young.keys >= b.cfg.Keys || b.cfg.Rotate > 0 && !time.Now().Before(b.rotateAt) {
			b.rotate()
		}
		b.add(&done[i].Key)
	}
	return nil
}

func (b *Bloom) rotate() {
	clear(b.old.words)
	b.young, b.old = generation{words: b.old.words}, b.young
	b.rotated++
	b.rotateAt = time.Now().Add(b.cfg.Rotate)
}

// positions yields the key's bits: a fingerprint is two independent hashes, and their
// sums are as good as more.
func (b *Bloom) positions(key *Fingerprint) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		at, step := binary.LittleEndian.Uint64(key[:8]), binary.LittleEndian.Uint64(key[8:])|1
		for range b.hashes {
			position, _ := bits.Mul64(at, b.size) // at scaled to the size
			if !yield(position) {
				return
			}
			at += step
		}
	}
}

func (b *Bloom) has(g *generation, key *Fingerprint) bool {
	if g.keys == 0 {
		return false
	}
	for p := range b.positions(key) {
		if g.words[p/64]&(1<<(p%64)) == 0 {
			return false
		}
	}
	return true
}

func (b *Bloom) add(key *Fingerprint) {
	before := b.young.ones
	for p := range b.positions(key) {
		if word := &b.young.words[p/64]; *word&(1<<(p%64)) == 0 {
			*word |= 1 << (p % 64)
			b.young.ones++
		}
	}
	if b.young.ones > before || b.young.keys == 0 {
		b.young.keys++
	}
}

// BloomSnapshot is the state of a [Bloom].
type BloomSnapshot struct {
	// Keys counts the keys of both generations, about; Bytes is their memory.
	Keys, Bytes int
	// Fill is the share of the younger generation's bits that are set: about one half
	// when it is full, as it was designed.
	Fill float64
	// FalsePositives is the share of unseen keys that look seen now.
	FalsePositives float64
	// Rotations counts generations that were dropped.
	Rotations int64
}

// Snapshot returns the state of this moment.
func (b *Bloom) Snapshot() BloomSnapshot {
	b.mu.RLock()
	defer b.mu.RUnlock()
	fill := func(g generation) float64 { return float64(g.ones) / float64(b.size) }
	wrong := func(g generation) float64 { return math.Pow(fill(g), float64(b.hashes)) }
	return BloomSnapshot{
		Keys: b.young.keys + b.old.keys, Bytes: 8 * (len(b.young.words) + len(b.old.words)),
		Fill:           fill(b.young),
		FalsePositives: 1 - (1-wrong(b.young))*(1-wrong(b.old)),
		Rotations:      b.rotated,
	}
}

var (
	fillGauge = observe.Gauge{
		Component: "idempotency", Name: "filter_fill_ratio", Help: "Share of a bloom filter's bits that are set; one half is full.", Labels: []string{"filter"},
	}
	wrongGauge = observe.Gauge{
		Component: "idempotency", Name: "filter_false_positive_ratio", Help: "Share of unseen keys that a bloom filter takes for seen.", Labels: []string{"filter"},
	}
	rotationsGauge = observe.Gauge{
		Component: "idempotency", Name: "filter_rotations_total", Help: "Generations that a bloom filter has dropped.", Labels: []string{"filter"}, Cumulative: true,
	}
)

// Readings implements [observe.Source] with what [Bloom.Snapshot] returns.
func (b *Bloom) Readings() iter.Seq[observe.Reading] {
	return func(yield func(observe.Reading) bool) {
		s, name := b.Snapshot(), observe.Values{b.cfg.Name}
		_ = yield(observe.Reading{Gauge: &fillGauge, Values: name, Value: s.Fill}) &&
			yield(observe.Reading{Gauge: &wrongGauge, Values: name, Value: s.FalsePositives}) &&
			yield(observe.Reading{Gauge: &rotationsGauge, Values: name, Value: float64(s.Rotations)})
	}
}
