package saramax

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// offsetMap is what is done above a commit, as runs of offsets, in order. It travels
// in the metadata of the commit, so that a crash repeats only what was not done.
type offsetMap []offsetRun

type offsetRun struct{ first, last int64 }

// has tells whether an offset is done.
func (m offsetMap) has(offset int64) bool {
	if len(m) == 0 || offset < m[0].first || offset > m[len(m)-1].last {
		return false
	}
	_, found := slices.BinarySearchFunc(m, offset, func(r offsetRun, at int64) int {
		switch {
		case r.last < at:
			return -1
		case r.first > at:
			return 1
		}
		return 0
	})
	return found
}

const (
	// metadataMax is what brokers take by default (offset.metadata.max.bytes).
	metadataMax  = 4096
	runsPrefix   = "bw1r:" // pairs of uvarints: how many are not done, how many are
	bitsPrefix   = "bw1b:" // one bit for each offset from the commit on
	mapBytesMost = (metadataMax - len(runsPrefix)) / 4 * 3
)

var errMap = errors.New("saramax: not an offset map")

// encodeOffsetMap returns what is done above the commit in the shorter of two forms;
// empty when nothing is. What does not fit is left out from the top: it is consumed
// again after a crash, which is right if not ideal.
func encodeOffsetMap(commit int64, t *tracker) string {
	if t.above == 0 && len(t.restored) == 0 {
		return ""
	}
	var runs, bits []byte
	at, runsFull := commit, false
	for first, last := range t.doneAbove {
		if !runsFull {
			mark := len(runs)
			runs = binary.AppendUvarint(runs, uint64(first-at))
			runs = binary.AppendUvarint(runs, uint64(last-first+1))
			at = last + 1
			if runsFull = len(runs) > mapBytesMost; runsFull {
				runs = runs[:mark]
			}
		}
		if bits = setBits(bits, first-commit, last-commit); runsFull && len(bits) == mapBytesMost {
			break
		}
	}
	// Where runs are not complete, bits reach at least as far: a run takes two bytes or
	// more and a bit a bit, unless offsets lie far apart.
	if len(runs) == 0 {
		return ""
	}
	if !runsFull && (len(runs) <= len(bits) || len(bits) == mapBytesMost) || len(bits) == 0 {
		return runsPrefix + base64.RawStdEncoding.EncodeToString(runs)
	}
	return bitsPrefix + base64.RawStdEncoding.EncodeToString(bits)
}

// setBits sets bits from first to last, as far as they fit.
func setBits(bits []byte, first, last int64) []byte {
	last = min(last, int64(mapBytesMost)*8-1)
	if first > last {
		return bits
	}
	if n := int(last/8) + 1; n > len(bits) {
		bits = append(bits, make([]byte, n-len(bits))...)
	}
	for i := first; i <= last; i++ {
		bits[i/8] |= 1 << (i % 8)
	}
	return bits
}

// decodeOffsetMap reads what encodeOffsetMap wrote. Metadata of others is an error.
func decodeOffsetMap(commit int64, metadata string) (offsetMap, error) {
	if metadata == "" {
		return nil, nil
	}
	if len(metadata) > 4*metadataMax {
		return nil, fmt.Errorf("%w: %d bytes", errMap, len(metadata))
	}
	for prefix, read := range map[string]func(int64, []byte) (offsetMap, error){runsPrefix: readRuns, bitsPrefix: readBits} {
		text, ours := strings.CutPrefix(metadata, prefix)
		if !ours {
			continue
		}
		data, err := base64.RawStdEncoding.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errMap, err)
		}
		return read(commit, data)
	}
	return nil, fmt.Errorf("%w: unknown form", errMap)
}

func readRuns(commit int64, data []byte) (offsetMap, error) {
	var m offsetMap
	for at := commit; len(data) > 0; {
		gap, n := binary.Uvarint(data)
		if n <= 0 {
			return nil, fmt.Errorf("%w: cut off", errMap)
		}
		data = data[n:]
		length, n := binary.Uvarint(data)
		if n <= 0 || length == 0 || gap == 0 || gap > 1<<62 || length > 1<<62 {
			return nil, fmt.Errorf("%w: bad run", errMap)
		}
		data = data[n:]
		first := at + int64(gap)
		last := first + int64(length) - 1
		if first <= at || last < first {
			return nil, fmt.Errorf("%w: offsets overflow", errMap)
		}
		m = append(m, offsetRun{first, last})
		at = last + 1
	}
	return m, nil
}

func readBits(commit int64, data []byte) (offsetMap, error) {
	var m offsetMap
	for i := range int64(len(data)) * 8 {
		if data[i/8]&(1<<(i%8)) == 0 {
			continue
		}
		at := commit + i
		switch {
		case i == 0 || at < commit:
			return nil, fmt.Errorf("%w: bits out of range", errMap)
		case len(m) > 0 && m[len(m)-1].last == at-1:
			m[len(m)-1].last = at
		default:
			m = append(m, offsetRun{at, at})
		}
	}
	return m, nil
}
