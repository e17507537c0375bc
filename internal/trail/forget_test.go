package trail

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"

	"vigil/internal/store"
	"vigil/internal/store/storetest"
)

// TestForget drops the older half of the records, and has the history forget it; it is broken off in its middle, too. Look-ups then find the rest.
func TestForget(t *testing.T) {
	for name, open := range map[string]func(testing.TB, string) store.DB{"sqlite": openDB, "postgres": openPostgres} {
		t.Run(name, func(t *testing.T) {
			const n = 1200
			from := time.Now().Add(-40 * 24 * time.Hour)
			records := newTraffic(31).records(n, from)
			j := openJournal(t)
			faulty := storetest.NewFaultDB(open(t, "history"))
			trail := newTrail(t, j, faulty, 2*n)
			stop := start(t, trail.Run)
			for part := range slices.Chunk(records[:n-1], 300) { // a few folds, and the rest in the tail
				commit(t, j, part, 23)
				followed(t, j)
				trail.Settle()
			}
			trail.foldNow.Store(false)
			uses := rowsOf(t, trail, `SELECT COUNT(*) FROM history_last_use`)
			before := rowsOf(t, trail, `SELECT COUNT(*) FROM history_posting`)

			if err := trail.Forget(t.Context(), n); err == nil {
				t.Error("what is not in the database was forgotten")
			}
			trail.Settle()
			commit(t, j, records[n-1:], 1)
			followed(t, j)
			if next, err := trail.Settled(t.Context()); next < 920 || err != nil {
				t.Fatalf("the database ends at %d: %v", next, err)
			}
			if err := j.Drop(t.Context(), 920); err != nil {
				t.Fatal(err)
			}
			dropped, err := j.Dropped(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			check := func() {
				t.Helper()
				checkLookUps(t, trail, scanAll(t, j), from)
			}
			faulty.FailUpdate(2, storetest.Before)
			if err := trail.Forget(t.Context(), dropped); err == nil {
				t.Error("it was not broken off")
			}
			if got, want := lookUp(t, trail, home, cloudtrail.LookupEventsInput{}), scan(scanAll(t, j), home, cloudtrail.LookupEventsInput{}, time.Now()); difference(got, want) != "" {
				t.Error(difference(got, want))
			}
			if err := trail.Forget(t.Context(), dropped); err != nil {
				t.Fatal(err)
			}
			check()
			if after := rowsOf(t, trail, `SELECT COUNT(*) FROM history_posting`); after >= before {
				t.Errorf("%d of %d rows of postings are left", after, before)
			}
			if left := rowsOf(t, trail, `SELECT COUNT(*) FROM history_span WHERE first + count <= 600`); left > 0 {
				t.Errorf("%d rows of times are left", left)
			}
			if spans, times := rowsOf(t, trail, `SELECT COUNT(*) FROM history_span`), rowsOf(t, trail, `SELECT COUNT(*) FROM history_time`); spans != times {
				t.Errorf("%d spans and %d times are left", spans, times)
			}
			if left := rowsOf(t, trail, `SELECT COUNT(*) FROM history_last_use`); left < uses || uses == 0 {
				t.Errorf("of %d last uses %d are left", uses, left)
			}

			// A new process goes on with what there is.
			stop()
			trail = newTrail(t, j, faulty, 500)
			start(t, trail.Run)
			commit(t, j, newTraffic(32).records(300, time.Now().Add(-time.Hour)), 23)
			followed(t, j)
			check()
		})
	}
}

func rowsOf(t *testing.T, trail *Trail, query string) (n int64) {
	t.Helper()
	if err := trail.db.View(context.Background(), func(tx store.Tx) error { return tx.QueryRow(query).Scan(&n) }); err != nil {
		t.Fatal(err)
	}
	return n
}
