package saramax

import (
	"fmt"
	"testing"

	"github.com/IBM/sarama"
	"pgregory.net/rapid"
)

// lanesModel holds what waits of each key, in order, and which keys are busy.
type lanesModel struct {
	order   Order
	waiting map[string][]*item
	retry   map[string]*item
	busy    map[string]bool
	n       int
}

// key names the order that a record stands in; each record without one stands alone.
func (m *lanesModel) key(it *item) string {
	switch {
	case m.order == OrderPartition:
		return "all"
	case m.order == OrderKey && it.msg.Key != nil:
		return "key " + string(it.msg.Key)
	}
	return fmt.Sprint("record ", it.msg.Offset)
}

// ready counts lanes and records that may be begun, and what waits below the quota.
func (m *lanesModel) ready(perKey int) (lanes, records, waiting int) {
	keys := map[string]bool{}
	for key := range m.waiting {
		keys[key] = true
	}
	for key := range m.retry {
		keys[key] = true
	}
	for key := range keys {
		n := len(m.waiting[key])
		if m.order == OrderPartition {
			waiting += n
		} else {
			waiting += min(n, perKey)
		}
		if m.retry[key] != nil {
			n++
		}
		if n > 0 && !m.busy[key] {
			lanes, records = lanes+1, records+n
		}
	}
	return lanes, records, waiting
}

func TestLanesAreTheirModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const perKey = 3
		order := rapid.SampledFrom([]Order{OrderPartition, OrderKey, Unordered}).Draw(t, "order")
		q := newLanes(order, perKey)
		m := &lanesModel{order: order, waiting: map[string][]*item{}, retry: map[string]*item{}, busy: map[string]bool{}}
		type taken struct {
			lane  *lane
			items []*item
		}
		var running []taken
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			switch op := rapid.IntRange(0, 3).Draw(t, "op"); {
			case op <= 1:
				key := rapid.SampledFrom([][]byte{nil, {}, []byte("a"), []byte("b")}).Draw(t, "key")
				it := &item{msg: &sarama.ConsumerMessage{Key: key, Offset: int64(m.n)}}
				m.n++
				q.push(it)
				m.waiting[m.key(it)] = append(m.waiting[m.key(it)], it)
			case op == 2 && q.ready > 0:
				most := rapid.IntRange(1, 4).Draw(t, "most")
				head := q.peek()
				items, l := q.take(nil, most)
				if len(items) == 0 || items[0] != head {
					t.Fatal("take does not begin with what peek shows")
				}
				key := m.key(items[0])
				if m.busy[key] {
					t.Fatalf("%s is begun twice at a time", key)
				}
				m.busy[key] = true
				for _, it := range items {
					want := m.retry[key]
					if want != nil {
						delete(m.retry, key)
					} else {
						want, m.waiting[key] = m.waiting[key][0], m.waiting[key][1:]
					}
					if it != want {
						t.Fatalf("%s: offset %d comes before %d", key, it.msg.Offset, want.msg.Offset)
					}
				}
				running = append(running, taken{l, items})
			case op == 3 && len(running) > 0:
				i := rapid.IntRange(0, len(running)-1).Draw(t, "which")
				r := running[i]
				running = append(running[:i], running[i+1:]...)
				key := m.key(r.items[0])
				if rapid.Bool().Draw(t, "again") && len(r.items) == 1 {
					r.lane.retry = r.items[0]
					m.retry[key] = r.items[0]
				}
				m.busy[key] = false
				q.release(r.lane)
			}
			lanes, records, waiting := m.ready(perKey)
			if q.ready != lanes || q.records != records || q.waiting != waiting {
				t.Fatalf("%d lanes, %d records, %d waiting; want %d, %d, %d", q.ready, q.records, q.waiting, lanes, records, waiting)
			}
		}
		for key, l := range q.byKey {
			if l.empty() && !l.busy {
				t.Fatalf("lane %q is kept without work", key)
			}
		}
	})
}
