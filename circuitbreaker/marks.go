package circuitbreaker

import "sync"

// Marks is a gate without tickets, for interceptors that know only these three
// methods. It keeps the tickets itself and ends the oldest one with each mark: which
// call a mark belonged to is a guess when calls overlap. A call that hangs takes the
// mark of one that began later, and after an outage the answer of a probe may so be
// lost on it; use tickets where you can. It is safe for concurrent use.
type Marks struct {
	gate Gate

	mu      sync.Mutex
	tickets []Ticket // a ring: count of them, from head on
	head    int
	count   int
}

// maxMarks bounds the calls under way that Marks remembers. Beyond it the oldest
// is taken for one whose mark was forgotten.
const maxMarks = 4096

// NewMarks returns Marks over gate.
func NewMarks(gate Gate) *Marks { return &Marks{gate: gate} }

// Allow returns nil for an admitted call, to be followed by exactly one mark, or
// the gate's error, to be followed by none.
func (m *Marks) Allow() error {
	ticket, err := m.gate.Allow()
	if err != nil {
		return err
	}
	if forgotten, full := m.push(ticket); full {
		forgotten.Done(Neutral)
	}
	return nil
}

// MarkSuccess ends the oldest call with [Success]. Without one it does nothing.
func (m *Marks) MarkSuccess() { m.mark(Success) }

// MarkFailed ends the oldest call with [Failure]. Without one it does nothing.
func (m *Marks) MarkFailed() { m.mark(Failure) }

func (m *Marks) mark(o Outcome) {
	m.mu.Lock()
	ticket := m.pop()
	m.mu.Unlock()
	ticket.Done(o)
}

// push adds a ticket, and takes out the oldest when there are too many.
func (m *Marks) push(t Ticket) (oldest Ticket, full bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.count == maxMarks {
		oldest, full = m.pop(), true
	}
	if m.count == len(m.tickets) {
		m.grow()
	}
	m.tickets[(m.head+m.count)%len(m.tickets)] = t
	m.count++
	return oldest, full
}

// pop takes out the oldest ticket; the zero Ticket when there is none.
func (m *Marks) pop() (t Ticket) {
	if m.count == 0 {
		return t
	}
	t, m.tickets[m.head] = m.tickets[m.head], t
	m.head = (m.head + 1) % len(m.tickets)
	m.count--
	return t
}

func (m *Marks) grow() {
	bigger := make([]Ticket, max(8, 2*len(m.tickets)))
	n := copy(bigger, m.tickets[m.head:])
	copy(bigger[n:], m.tickets[:m.head])
	m.tickets, m.head = bigger, 0
}
