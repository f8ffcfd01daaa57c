package sessiontest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/ginx/session"
)

// TestData checks a [session.DataStore], also one that seals sessions into their
// references. Factory is called once per case, as in [Test].
func TestData(t *testing.T, factory func(t *testing.T) session.DataStore) {
	cases := []struct {
		name string
		test func(t *testing.T, d session.DataStore)
	}{
		{"a session is what was created", dataCreated},
		{"fields are set, read and deleted one by one", dataFields},
		{"deleting a field never deletes the session", dataDeleteField},
		{"deleting the last or an unknown field keeps the session", dataDeleteLast},
		{"any text is a field and a value", dataText},
		{"a reference nobody gave out leads nowhere", dataForeign},
		{"a session ends after its time to live", dataExpires},
		{"access without a time to live does not extend", dataNotExtended},
		{"an extension comes once per interval", dataInterval},
		{"an extension never goes beyond the absolute end", dataEnd},
		{"sessions do not touch each other", dataIndependent},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, factory(t))
		})
	}
}

// TestForget checks the part of the contract of a [session.DataStore] that only
// one with a memory of its own can keep.
func TestForget(t *testing.T, factory func(t *testing.T) session.DataStore) {
	t.Run("a dropped session is gone for good", func(t *testing.T) {
		d := factory(t)
		ref := start(t, d, time.Hour)
		require.NoError(t, d.Drop(t.Context(), ref))
		for _, a := range []session.Access{{}, {Set: map[string]string{"a": "1"}}, {Delete: []string{"a"}}, {TTL: time.Hour}} {
			_, err := d.Access(t.Context(), ref, a)
			require.ErrorIs(t, err, session.ErrRevoked, "access must not create")
		}
		require.NoError(t, d.Drop(t.Context(), ref), "twice is fine")
	})
	t.Run("a canceled context is an error, not an answer", func(t *testing.T) {
		d := factory(t)
		ref := start(t, d, time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := d.Create(ctx, session.Record{ID: "id", EndsAt: time.Now().Add(time.Hour)}, time.Hour)
		require.ErrorIs(t, err, context.Canceled)
		_, err = d.Access(ctx, ref, set("a", "1"))
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, d.Drop(ctx, ref), context.Canceled)
		require.Empty(t, use(t, d, ref, session.Access{Get: []string{"a"}}).Fields, "nothing may have happened")
	})
	t.Run("a reference stays the same", func(t *testing.T) {
		d := factory(t)
		ref := start(t, d, time.Hour)
		r := use(t, d, ref, session.Access{Set: map[string]string{"a": "1"}, TTL: time.Hour})
		require.Equal(t, ref, r.Ref)
	})
	t.Run("references can not be guessed from each other or from the id", func(t *testing.T) {
		d := factory(t)
		a, b := start(t, d, time.Hour), start(t, d, time.Hour)
		require.NotEqual(t, a, b)
		require.GreaterOrEqual(t, len(a), 22, "128 bits at least")
		_, err := d.Access(t.Context(), "id", session.Access{})
		require.ErrorIs(t, err, session.ErrRevoked)
	})
}

func start(t *testing.T, d session.DataStore, ttl time.Duration) string {
	t.Helper()
	end := time.Now().Add(2 * time.Hour).Truncate(time.Millisecond)
	ref, err := d.Create(t.Context(), session.Record{ID: "id", UserID: 7, EndsAt: end}, ttl)
	require.NoError(t, err)
	return ref
}

func use(t *testing.T, d session.DataStore, ref string, a session.Access) session.Record {
	t.Helper()
	r, err := d.Access(t.Context(), ref, a)
	require.NoError(t, err)
	return r
}

func set(pairs ...string) session.Access {
	a := session.Access{Set: map[string]string{}}
	for i := 0; i < len(pairs); i += 2 {
		a.Set[pairs[i]] = pairs[i+1]
	}
	return a
}

func dataCreated(t *testing.T, d session.DataStore) {
	end := time.Now().Add(2 * time.Hour).Truncate(time.Millisecond)
	ref, err := d.Create(t.Context(), session.Record{ID: "id", UserID: 7, EndsAt: end}, time.Hour)
	require.NoError(t, err)
	r := use(t, d, ref, session.Access{Get: []string{"id", "uid", "end"}})
	require.Equal(t, "id", r.ID)
	require.EqualValues(t, 7, r.UserID)
	require.True(t, end.Equal(r.EndsAt), "%v, want %v", r.EndsAt, end)
	require.Equal(t, ref, r.Ref)
	require.Empty(t, r.Fields, "what the store keeps for itself is no field")
	require.False(t, r.Extended)
}

func dataFields(t *testing.T, d session.DataStore) {
	ref := start(t, d, time.Hour)
	ref = use(t, d, ref, set("a", "1", "b", "2")).Ref
	ref = use(t, d, ref, set("b", "3", "id", "mine")).Ref
	r := use(t, d, ref, session.Access{Get: []string{"b", "none", "a", "id"}})
	require.Equal(t, map[string]string{"a": "1", "b": "3", "id": "mine"}, r.Fields)
	require.Equal(t, "id", r.ID)

	r = use(t, d, ref, session.Access{
		Set: map[string]string{"c": "4"}, Delete: []string{"a"}, Get: []string{"a", "b", "c"},
	})
	require.Equal(t, map[string]string{"b": "3", "c": "4"}, r.Fields, "changes come before reading")
}

func dataDeleteField(t *testing.T, d session.DataStore) {
	ref := start(t, d, time.Hour)
	ref = use(t, d, ref, set("a", "1", "b", "2")).Ref
	ref = use(t, d, ref, session.Access{Delete: []string{"a"}}).Ref
	r := use(t, d, ref, session.Access{Get: []string{"a", "b"}})
	require.Equal(t, map[string]string{"b": "2"}, r.Fields)
	require.EqualValues(t, 7, r.UserID)
}

func dataDeleteLast(t *testing.T, d session.DataStore) {
	ref := start(t, d, time.Hour)
	ref = use(t, d, ref, set("a", "1")).Ref
	ref = use(t, d, ref, session.Access{Delete: []string{"a", "none"}}).Ref
	require.EqualValues(t, 7, use(t, d, ref, session.Access{}).UserID)
}

func dataText(t *testing.T, d session.DataStore) {
	ref := start(t, d, time.Hour)
	texts := []string{"", " ", "a:b}", "文字", "\x00\xff\xfe", "1e3"}
	for _, text := range texts {
		ref = use(t, d, ref, set(text, text+"!")).Ref
	}
	r := use(t, d, ref, session.Access{Get: texts})
	require.Len(t, r.Fields, len(texts))
	for _, text := range texts {
		require.Equal(t, text+"!", r.Fields[text])
	}
	require.Equal(t, map[string]string{"e": ""}, use(t, d, ref, session.Access{
		Set: map[string]string{"e": ""}, Get: []string{"e"},
	}).Fields, "an empty value is a value")
}

func dataForeign(t *testing.T, d session.DataStore) {
	ref := start(t, d, time.Hour)
	for _, foreign := range []string{"", "x", "*", ref + "x", ref[1:], ref[:len(ref)-1], "key." + ref} {
		for _, a := range []session.Access{{}, set("a", "1"), {TTL: time.Hour}} {
			_, err := d.Access(t.Context(), foreign, a)
			require.ErrorIs(t, err, session.ErrRevoked, foreign)
		}
		require.NoError(t, d.Drop(t.Context(), foreign))
	}
	use(t, d, ref, session.Access{})
}

func dataExpires(t *testing.T, d session.DataStore) {
	ref := start(t, d, 50*time.Millisecond)
	requireEnds(t, d, ref)
}

func requireEnds(t *testing.T, d session.DataStore, ref string) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, err := d.Access(t.Context(), ref, session.Access{})
		return err != nil
	}, soon, 5*time.Millisecond)
	_, err := d.Access(t.Context(), ref, session.Access{TTL: time.Hour})
	require.ErrorIs(t, err, session.ErrRevoked, "what has ended can not be extended")
}

func dataNotExtended(t *testing.T, d session.DataStore) {
	ref := start(t, d, short)
	r := use(t, d, ref, session.Access{Set: map[string]string{"a": "1"}})
	require.False(t, r.Extended)
	requireEnds(t, d, r.Ref)
}

func dataInterval(t *testing.T, d session.DataStore) {
	ref := start(t, d, short)
	early := use(t, d, ref, session.Access{TTL: time.Hour, After: time.Hour})
	require.False(t, early.Extended)
	require.Equal(t, ref, early.Ref)

	due := use(t, d, ref, session.Access{TTL: time.Hour})
	require.True(t, due.Extended)
	again := use(t, d, due.Ref, session.Access{TTL: time.Hour, After: time.Hour})
	require.False(t, again.Extended)

	other := start(t, d, short)
	requireEnds(t, d, other)
	use(t, d, due.Ref, session.Access{}) // outlives the one that was not extended
}

func dataEnd(t *testing.T, d session.DataStore) {
	end := time.Now().Add(short).Truncate(time.Millisecond)
	ref, err := d.Create(t.Context(), session.Record{ID: "id", UserID: 7, EndsAt: end}, time.Hour)
	require.NoError(t, err)
	r := use(t, d, ref, session.Access{TTL: time.Hour})
	require.True(t, r.Extended)
	require.True(t, end.Equal(r.EndsAt), "extending must not move the absolute end")
	requireEnds(t, d, r.Ref)
}

func dataIndependent(t *testing.T, d session.DataStore) {
	a, b := start(t, d, time.Hour), start(t, d, time.Hour)
	a = use(t, d, a, set("x", "1")).Ref
	b = use(t, d, b, set("x", "2")).Ref
	require.NoError(t, d.Drop(t.Context(), a))
	require.Equal(t, map[string]string{"x": "2"}, use(t, d, b, session.Access{Get: []string{"x"}}).Fields)
}
