package outbox_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/saramax/outbox"
)

// cursor is what must not be: a reader that remembers up to which number it has read.
type cursor struct{ after int64 }

func (c *cursor) read(t *testing.T, db *gorm.DB) (payloads []string) {
	t.Helper()
	var rows []struct {
		Seq     int64
		Payload []byte
	}
	require.NoError(t, db.Raw("SELECT seq, payload FROM outbox_events WHERE seq > ? ORDER BY seq", c.after).Scan(&rows).Error)
	for _, r := range rows {
		payloads, c.after = append(payloads, string(r.Payload)), r.Seq
	}
	return payloads
}

// outOfOrder commits two transactions of which the one that drew its number first
// commits last, and calls between in between. SQLite has one writer at a time, so there
// it is written what two would leave behind.
func outOfOrder(t *testing.T, db *gorm.DB, between func()) {
	t.Helper()
	if db.Name() == "sqlite" {
		add(t, db, "paid", "early", 1)
		add(t, db, "paid", "late", 2)
		move := "INSERT INTO %s SELECT * FROM %s WHERE aggregateid = 'early'"
		require.NoError(t, db.Exec("CREATE TABLE aside AS SELECT * FROM outbox_events WHERE aggregateid = 'early'").Error)
		require.NoError(t, db.Exec("DELETE FROM outbox_events WHERE aggregateid = 'early'").Error)
		between()
		require.NoError(t, db.Exec(fmt.Sprintf(move, "outbox_events", "aside")).Error)
		return
	}
	first := db.Begin()
	require.NoError(t, outbox.Add(first, "paid", "early", Paid{1}))
	add(t, db, "paid", "late", 2)
	between()
	require.NoError(t, first.Commit().Error)
}

// A relay that has been idle for long, so that its marks are high, finds a row that
// was committed late. A cursor reads past it for ever.
func TestLateCommitsAreNotLost(t *testing.T) {
	eachDB(t, func(t *testing.T, db *gorm.DB) {
		naive := &cursor{}
		var read []string
		outOfOrder(t, db, func() { read = append(read, naive.read(t, db)...) })
		read = append(read, naive.read(t, db)...)
		require.Equal(t, []string{`{"n":2}`}, read, "a cursor loses the late one: this test can fail")
		require.NoError(t, db.Exec("DELETE FROM outbox_events").Error)
		require.NoError(t, db.Exec("DROP TABLE IF EXISTS aside").Error)

		b := &broker{}
		start(t, db, b, quick())
		for n := range 5 { // other rows move the marks
			add(t, db, "paid", "late", 100+n)
			empties(t, db)
		}
		outOfOrder(t, db, func() { require.Eventually(t, func() bool { return len(b.all()) == 6 }, long, soon) })
		empties(t, db)
		require.Equal(t, []string{`paid/late:{"n":2}`, `paid/early:{"n":1}`}, b.all()[5:])
	})
}

// Transactions of one aggregate that lock it before they add are published in the order
// of their locks. The order of transaction ids is another one: the second began first.
func TestOrderIsThatOfTheLocksNotOfTransactionIDs(t *testing.T) {
	db := testenv.Postgres(t)
	install(t, db, outbox.Settings{})
	require.NoError(t, db.Exec("CREATE TABLE payments (id INT PRIMARY KEY, paid INT)").Error)
	require.NoError(t, db.Exec("INSERT INTO payments VALUES (1, 0)").Error)
	require.NoError(t, db.Exec("CREATE TABLE other (id INT)").Error)
	second := db.Begin()
	require.NoError(t, second.Exec("INSERT INTO other VALUES (1)").Error) // draws a transaction id
	xid := func(tx *gorm.DB) (n int64) {
		require.NoError(t, tx.Raw("SELECT CAST(CAST(pg_current_xact_id() AS TEXT) AS BIGINT)").Scan(&n).Error)
		return n
	}
	var ids [2]int64
	require.NoError(t, db.Transaction(func(first *gorm.DB) error {
		ids[0] = xid(first)
		if err := first.Exec("UPDATE payments SET paid = paid + 1 WHERE id = 1").Error; err != nil {
			return err
		}
		return outbox.Add(first, "paid", "1", Paid{1})
	}))
	ids[1] = xid(second)
	require.NoError(t, second.Exec("UPDATE payments SET paid = paid + 1 WHERE id = 1").Error)
	require.NoError(t, outbox.Add(second, "paid", "1", Paid{2}))
	require.NoError(t, second.Commit().Error)
	require.Greater(t, ids[0], ids[1], "by transaction id the second would come first")
	b := &broker{}
	start(t, db, b, quick())
	empties(t, db)
	require.Equal(t, []string{`paid/1:{"n":1}`, `paid/1:{"n":2}`}, b.all())
}

// A transaction that writes and does not end holds up nobody else. MariaDB may choose to
// read a small table whole when it deletes, and then waits for that transaction's row.
func TestALongTransactionHoldsUpNobody(t *testing.T) {
	db := testenv.Postgres(t)
	install(t, db, outbox.Settings{})
	lasting := db.Begin()
	t.Cleanup(func() { lasting.Rollback() }) // the database can't be dropped before
	require.NoError(t, outbox.Add(lasting, "paid", "k", Paid{0}))
	b := &broker{}
	start(t, db, b, quick())
	for n := 1; n <= 10; n++ {
		add(t, db, "paid", "k", n)
	}
	require.Eventually(t, func() bool { return len(b.all()) == 10 }, long, soon)
	require.NoError(t, lasting.Commit().Error)
	require.Eventually(t, func() bool { return len(b.all()) == 11 }, long, soon)
}
