package saramax_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/saramax"
	"github.com/bulwark-go/bulwark/saramax/saramaxtest"
)

const topic = "orders"

// unit is a handler on a member without a broker.
type unit struct {
	*saramaxtest.Member
	t       *testing.T
	handler *saramax.GroupHandler
	events  journal[saramax.Event]
	parked  journal[saramax.Rejected]
	parkErr func() error // nil: parking works
}

// parking makes u the place for rejected records.
func (u *unit) parking() saramax.Option {
	return saramax.WithParker(saramax.ParkerFunc(func(_ context.Context, r saramax.Rejected) error {
		if u.parkErr != nil {
			if err := u.parkErr(); err != nil {
				return err
			}
		}
		u.parked.add(r)
		return nil
	}))
}

// newUnit begins a session. Call it in a bubble.
func newUnit(t *testing.T, work saramax.Work, opts ...saramax.Option) *unit {
	t.Helper()
	u := &unit{Member: saramaxtest.NewMember(t), t: t}
	u.use(work, append([]saramax.Option{u.parking()}, opts...)...)
	return u
}

func (u *unit) use(work saramax.Work, opts ...saramax.Option) {
	u.t.Helper()
	h, err := saramax.NewGroupHandler(u.Member, "group", work,
		append(opts, saramax.OnEvent(func(e saramax.Event) { u.events.add(e) }))...)
	require.NoError(u.t, err)
	u.handler = h
	u.Begin(h)
}

// kinds returns the events of a kind.
func (u *unit) kinds(kind saramax.EventKind) []saramax.Event {
	var out []saramax.Event
	for _, e := range u.events.list() {
		if e.Kind == kind {
			out = append(out, e)
		}
	}
	return out
}

func (u *unit) committed() int64 {
	offset, _ := u.Committed(topic, 0)
	return offset
}

// raw makes n messages with one byte each, without a key.
func raw(n int) []*sarama.ConsumerMessage {
	out := make([]*sarama.ConsumerMessage, n)
	for i := range out {
		out[i] = &sarama.ConsumerMessage{Value: []byte{byte(i)}}
	}
	return out
}

// keyed makes messages with these keys.
func keyed(keys ...string) []*sarama.ConsumerMessage {
	out := make([]*sarama.ConsumerMessage, len(keys))
	for i, key := range keys {
		out[i] = &sarama.ConsumerMessage{Key: []byte(key), Value: []byte{1}}
	}
	return out
}

type rawRecord = saramax.Record[[]byte]

func each(f func(context.Context, rawRecord) error) saramax.Work {
	return saramax.Each(f, saramax.WithCodec(saramax.Raw()))
}

func batches(f func(context.Context, []rawRecord) []saramax.Verdict) saramax.Work {
	return saramax.Batch(f, saramax.WithCodec(saramax.Raw()))
}

func bulk(f func(context.Context, []rawRecord) error) saramax.Work {
	return saramax.Bulk(f, saramax.WithCodec(saramax.Raw()))
}

var errTransient = errors.New("transient")

// settle lets everything run that runs without time passing.
func settle() { synctest.Wait() }

// pass lets time pass, and what it brings.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// exit is a handler's mistake, such as t.FailNow of a test.
func exit() { runtime.Goexit() }
