package dryrun

import (
	"net/netip"
	"unsafe"

	"github.com/bulwark-go/bulwark/ratelimit/rules"
)

// EntrySize is what [Snapshot] counts for a subject, and RealEntrySize what one takes.
const (
	EntrySize     = entrySize
	RealEntrySize = unsafe.Sizeof(entry{})
	CallSize      = unsafe.Sizeof(call{})
)

// Level returns the level at which a replay would be whole.
func (r *Recorder) Level() uint32 {
	r.turn.Lock()
	defer r.turn.Unlock()
	return r.whole(r.now())
}

// Kept returns how many calls are kept of each user, by a name that Pseudonym tells,
// and which users are in the sample as a whole.
func (r *Recorder) Kept() (calls map[string]int, whole map[string]bool) {
	calls, whole = map[string]int{}, map[string]bool{}
	t := r.tape()
	for _, c := range t.calls {
		s := t.subjects[c.subject]
		calls[s.User]++
		whole[s.User] = uint32(s.userLevel) >= t.level
	}
	return calls, whole
}

// Pseudonym returns the name by which a user is kept.
func (r *Recorder) Pseudonym(user string) string { return text(r.names.hash(user)) }

// PseudonymOf returns the name by which an address is kept.
func (r *Recorder) PseudonymOf(ip netip.Addr) netip.Addr { return r.names.addr(ip) }

// Subjects returns all that is kept of subjects.
func (r *Recorder) Subjects() (all []rules.Subject) {
	for _, s := range r.tape().subjects {
		all = append(all, s.Subject)
	}
	return all
}
