package dryrun

const (
	// tends is how often in a horizon it is looked whether the level can be lowered.
	tends = 16
	// A level is raised unless forgetting old calls leaves a part of the room free,
	// so that it is not searched again soon, and lowered when what is used would
	// fill half of it.
	spare  = 8
	little = 4
)

// relieve makes room: by forgetting what is too old, or else by recording half as
// many subjects, if that has not happened since the caller looked at the level.
func (r *Recorder) relieve(now int64, seen uint32) {
	r.turn.Lock()
	defer r.turn.Unlock()
	if r.level.Load() != seen {
		return
	}
	if r.expire(now); r.left() >= 1.0/spare {
		return
	}
	r.level.Store(seen + 1)
	r.changed, r.lowered = now, false
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		s.thin(r.chunks, seen+1)
		s.mu.Unlock()
	}
}

// tend forgets what is too old, also in shards that have no calls any more, and
// lowers the level when there is room.
func (r *Recorder) tend(now int64) {
	due := r.due.Load()
	if now < due || !r.due.CompareAndSwap(due, now+r.horizon/tends) {
		return
	}
	if !r.turn.TryLock() {
		return // whoever has it makes room as well
	}
	defer r.turn.Unlock()
	r.expire(now)
	level := r.level.Load()
	if level == 0 || now-r.changed < r.horizon || r.left() < 1-1.0/little {
		return
	}
	r.level.Store(level - 1)
	r.changed, r.lowered = now, true
}

// whole is the least level at which everything is there since the horizon began.
// It needs the turn.
func (r *Recorder) whole(now int64) uint32 {
	level := r.level.Load()
	if r.lowered && now-r.changed < r.horizon {
		level++
	}
	return level
}

// expire needs the turn.
func (r *Recorder) expire(now int64) {
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		s.expire(r.chunks, now-r.horizon)
		s.mu.Unlock()
	}
}

// left is the part of the room that is free, of the chunks or of the fullest table.
func (r *Recorder) left() float64 {
	left := float64(r.chunks.left()) / float64(len(r.chunks.next))
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		left = min(left, float64(s.subjects.left())/float64(len(s.subjects.entries)))
		s.mu.Unlock()
	}
	return left
}

// Snapshot is the state of a [Recorder].
type Snapshot struct {
	// Calls and Subjects are how many are kept.
	Calls, Subjects int
	// Share is that of the users and addresses that are recorded now: 1 for all,
	// 0.5 for a half, and so on.
	Share float64
	// Bytes is what the recorder takes, full or not.
	Bytes int
}

// Snapshot returns the present state.
func (r *Recorder) Snapshot() Snapshot {
	s := Snapshot{Share: part(r.level.Load()), Bytes: len(r.chunks.calls)*16 + len(r.chunks.next)*8}
	for i := range r.shards {
		sh := &r.shards[i]
		sh.mu.Lock()
		if q := sh.calls; q.count > 0 {
			s.Calls += (q.count-1)*chunkSize + q.fill
		}
		t := &sh.subjects
		s.Subjects += len(t.entries) - t.left()
		s.Bytes += len(t.entries)*(entrySize+4) + len(t.index)*4
		sh.mu.Unlock()
	}
	return s
}

// entrySize is that of an entry, in bytes.
const entrySize = 56

func part(level uint32) float64 { return 1 / float64(uint64(1)<<min(level, 63)) }
