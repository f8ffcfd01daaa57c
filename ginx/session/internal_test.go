package session

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The model of expiring is a plain map that never forgets.
func TestExpiringKeepsWhatItMustAndNoMoreThanItMay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 8).Draw(t, "limit")
		e := newExpiring[int](limit)
		type entry struct {
			value int
			ends  time.Time
		}
		model := map[string]entry{}
		now := time.Unix(0, 0)
		key := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"})
		for step := range rapid.IntRange(1, 100).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "pass")))
			k := key.Draw(t, "key")
			switch rapid.SampledFrom([]string{"put", "put", "get", "remove"}).Draw(t, "op") {
			case "put":
				ends := now.Add(time.Duration(rapid.IntRange(-1, 10).Draw(t, "life")))
				living := 0
				for other, it := range model {
					if other != k && now.Before(it.ends) {
						living++
					}
				}
				e.put(k, step, now, ends)
				model[k] = entry{step, ends}
				if living >= limit {
					// Something living had to give way: forget what did.
					for other, it := range model {
						if _, ok := e.get(other, now); !ok && now.Before(it.ends) {
							require.NotEqual(t, k, other, "never the newest")
							delete(model, other)
						}
					}
				}
			case "remove":
				e.remove(k)
				delete(model, k)
			}
			require.LessOrEqual(t, len(e.items), limit)
			require.Equal(t, len(e.items), len(e.byEnds))
			for other := range e.items {
				require.Contains(t, model, other)
			}
			for other, it := range model {
				value, ok := e.get(other, now)
				require.Equal(t, now.Before(it.ends), ok, "%s", other)
				if ok {
					require.Equal(t, it.value, value)
				}
			}
		}
	})
}

func TestExpiringGivesWayWhatEndsFirst(t *testing.T) {
	e, now := newExpiring[int](2), time.Unix(0, 0)
	e.put("late", 1, now, now.Add(3))
	e.put("soon", 2, now, now.Add(1))
	e.put("new", 3, now, now.Add(2))
	_, ok := e.get("soon", now)
	require.False(t, ok)
	for _, key := range []string{"late", "new"} {
		_, ok := e.get(key, now)
		require.True(t, ok, key)
	}
}

func TestExpiringClearsAwayWithoutBeingFull(t *testing.T) {
	e, now := newExpiring[int](1000), time.Unix(0, 0)
	for i := range 500 {
		e.put(string(rune(i+1)), i, now, now.Add(1))
	}
	now = now.Add(2)
	for i := range 500 {
		e.put(string(rune(i+1000)), i, now, now.Add(10))
	}
	require.Len(t, e.items, 500)
}

// slowData answers late, with what was true before.
type slowData struct {
	*MemoryData
	late time.Duration
	down bool
}

func (d *slowData) Access(ctx context.Context, ref string, a Access) (Record, error) {
	if d.down {
		return Record{}, errors.New("down")
	}
	r, err := d.MemoryData.Access(ctx, ref, a)
	<-time.After(d.late)
	return r, err
}

func TestLateAnswerDoesNotReviveASessionForAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &slowData{MemoryData: NewMemoryData(), late: 900 * time.Millisecond}
		s, err := NewServerSide(store, ServerSideConfig{CacheTTL: 100 * time.Millisecond, StoreTimeout: time.Second})
		require.NoError(t, err)
		x := &Session{owner: s, header: http.Header{}}
		require.NoError(t, x.Start(t.Context(), 42))
		ref := x.ref
		<-time.After(time.Second)
		go func() { _, _, _ = s.live.check(t.Context(), ref, 0) }() // finds it alive
		<-time.After(50 * time.Millisecond)
		require.NoError(t, x.End(t.Context())) // overtakes the answer
		<-time.After(time.Second)
		store.down = true
		value, from, err := s.live.check(t.Context(), ref, time.Hour)
		require.False(t, err == nil && value.ID != "", "%v from %v", value, from)
	})
}

func TestSealedRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := sealed{
			id: rapid.String().Draw(t, "id"), user: rapid.Int64().Draw(t, "user"), end: rapid.Int64().Draw(t, "end"),
			extended: rapid.Int64().Draw(t, "extended"), expires: rapid.Int64().Draw(t, "expires"),
			fields: rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "fields"),
		}
		got, ok := parseSealed(s.append(nil))
		require.True(t, ok)
		require.Equal(t, s, got)
	})
}

func FuzzSealed(f *testing.F) {
	f.Add([]byte{})
	f.Add(sealed{id: "a", user: 1, fields: map[string]string{"b": "c"}}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, ok := parseSealed(b)
		if !ok {
			return
		}
		again, ok := parseSealed(s.append(nil))
		if !ok || again.id != s.id || len(again.fields) != len(s.fields) {
			t.Fatalf("%v became %v", s, again)
		}
	})
}
