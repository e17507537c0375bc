package trail

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"

	"vigil"
	"vigil/internal/journal"
	"vigil/internal/store"
	"vigil/internal/store/storetest"
)

// TestNoRecordIsLostOrDoubledByAFault has folds fail in every way, and looks at what is in the history after each.
func TestNoRecordIsLostOrDoubledByAFault(t *testing.T) {
	for _, test := range []struct {
		name  string
		fault storetest.Fault
		view  bool // what became of the transaction cannot be found out at once either
	}{
		{"nothing fails", storetest.None, false},
		{"before the transaction", storetest.Before, false},
		{"the transaction", storetest.Failed, false},
		{"the commit, and it did not happen", storetest.FailedInDoubt, false},
		{"the commit, but it happened", storetest.PersistedInDoubt, false},
		{"the commit, which did not happen, and the look at it", storetest.FailedInDoubt, true},
		{"the commit, which happened, and the look at it", storetest.PersistedInDoubt, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			j := openJournal(t)
			db := storetest.NewFaultDB(openDB(t, "history.db"))
			trail := newTrail(t, j, db, 60)
			tr := newTraffic(5)
			start(t, trail.Run)
			for range 3 {
				commit(t, j, tr.records(100, time.Now().Add(-time.Hour)), 100)
				followed(t, j)
				db.FailUpdate(1, test.fault)
				if test.view {
					db.FailView(1)
				}
			}
			commit(t, j, tr.records(10, time.Now().Add(-time.Minute)), 10)
			checkHistory(t, trail)
		})
	}
}

// TestNoRecordIsLostOrDoubledByACrash ends the follower many times, at any moment and in the middle of failures, and
// begins anew with what is in the database.
func TestNoRecordIsLostOrDoubledByACrash(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { testCrashes(t, openDB(t, "history.db")) })
	t.Run("PostgreSQL", func(t *testing.T) { testCrashes(t, openPostgres(t, "history")) })
}

func testCrashes(t *testing.T, db store.DB) {
	const lives = 25
	j := openJournal(t)
	tr := newTraffic(6)
	r := rand.New(rand.NewPCG(7, 8))
	for life := range lives {
		faulty := storetest.NewFaultDB(db)
		trail := newTrail(t, j, faulty, 1+r.IntN(150))
		for n := range 30 {
			if r.IntN(8) == 0 {
				faulty.FailUpdate(n+1, storetest.Fault(r.IntN(5)))
			}
		}
		ctx, crash := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- trail.Run(ctx) }()
		for range r.IntN(5) {
			commit(t, j, tr.records(1+r.IntN(60), time.Now().Add(-time.Hour)), 1+r.IntN(60))
			if r.IntN(2) == 0 {
				followed(t, j)
			}
		}
		if r.IntN(3) > 0 { // a crash, and not an orderly end: nothing can be written any more
			for n := range 1000 {
				faulty.FailUpdate(n+1, storetest.Before)
			}
		}
		crash()
		<-ended // with an error, if what was in memory could not be folded

		if life%8 == 7 || life == lives-1 {
			trail := newTrail(t, j, db, 100)
			stop := start(t, trail.Run)
			checkHistory(t, trail)
			stop()
			trail = newTrail(t, j, db, 100)
			stop = start(t, trail.Run)
			checkHistory(t, trail)
			stop()
		}
	}
}

// TestWhatWasNotFoldedIsReadAgain ends the follower before it has folded anything, and begins anew when nothing more
// happens.
func TestWhatWasNotFoldedIsReadAgain(t *testing.T) {
	j := openJournal(t)
	db := openDB(t, "history.db")
	faulty := storetest.NewFaultDB(db)
	trail := newTrail(t, j, faulty, 1000)
	ctx, crash := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- trail.Run(ctx) }()
	commit(t, j, newTraffic(12).records(500, time.Now().Add(-time.Hour)), 10)
	followed(t, j)
	faulty.FailUpdate(1, storetest.Before)
	crash()
	if err := <-ended; !errors.Is(err, storetest.ErrInjected) {
		t.Errorf("the follower ended with %v", err)
	}

	trail = newTrail(t, j, db, 1000)
	start(t, trail.Run)
	checkHistory(t, trail)
}

// TestAHistoryThatIsLostIsMadeAgain gives a journal that has records a new database.
func TestAHistoryThatIsLostIsMadeAgain(t *testing.T) {
	j := openJournal(t)
	commit(t, j, newTraffic(9).records(500, time.Now().Add(-time.Hour)), 10)
	trail := newTrail(t, j, openDB(t, "history.db"), 100)
	start(t, trail.Run)
	checkHistory(t, trail)
}

// TestAHistoryOfAnotherJournalIsRefused gives the database of a history to a journal that has fewer records.
func TestAHistoryOfAnotherJournalIsRefused(t *testing.T) {
	db := openDB(t, "history.db")
	j := openJournal(t)
	commit(t, j, newTraffic(13).records(20, time.Now().Add(-time.Hour)), 10)
	stop := start(t, newTrail(t, j, db, 10).Run)
	followed(t, j)
	stop()
	err := newTrail(t, openJournal(t), db, 10).Run(context.Background())
	if err == nil || !strings.Contains(err.Error(), "another journal") {
		t.Errorf("the follower ended with %v", err)
	}
}

// checkHistory compares the history with a scan of the journal, and looks into its database.
func checkHistory(t *testing.T, trail *Trail) {
	t.Helper()
	followed(t, trail.journal)
	all := scanAll(t, trail.journal)
	for _, s := range []scope{home, {accounts[0], regions[1]}, {accounts[1], regions[0]}, {accounts[1], regions[1]}} {
		in := cloudtrail.LookupEventsInput{}
		want := scan(all, s, in, time.Now())
		if message := difference(lookUp(t, trail, s, in), want); message != "" {
			t.Errorf("in %v: %s", s, message)
		}
		if err := checkIndex(trail, s, len(want)); err != nil {
			t.Errorf("in %v: %v", s, err)
		}
	}
	checkLastUses(t, trail, all)
	checkLastCalls(t, trail, all)
}

// checkIndex looks at what must be so in the database: each record has its time once, rows of a term do not overlap, and
// a scope's events are in its rows and its tail once each.
func checkIndex(trail *Trail, s scope, events int) error {
	return trail.db.View(context.Background(), func(tx store.Tx) error {
		trail.mu.RLock()
		tail := trail.tail.view(s, everything, "")
		trail.mu.RUnlock()
		next, _, err := indexed(tx)
		if err != nil {
			return err
		}
		if next != tail.span.first {
			return fmt.Errorf("the database ends at %d and the tail begins at %d", next, tail.span.first)
		}
		at := int64(0)
		for times := (&timeline{tx: tx, end: next}); at < next; {
			span, err := times.span(at)
			if err != nil {
				return err
			}
			if span == nil || span.first != at {
				return fmt.Errorf("record %d has no time", at)
			}
			at = span.end()
		}
		if at != next {
			return fmt.Errorf("times end at %d, not %d", at, next)
		}

		found := len(tail.postings)
		end := int64(0)
		rows, err := tx.Query(`SELECT first, last, runs FROM history_posting WHERE term = $1 ORDER BY first`, trail.term(s, everything, ""))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var first, last int64
			var data []byte
			if err := rows.Scan(&first, &last, &data); err != nil {
				return err
			}
			runs, err := decodeRuns(first, last, data)
			if err != nil {
				return err
			}
			if first < end || last >= next {
				return fmt.Errorf("a row from %d to %d is not within %d and %d", first, last, end, next)
			}
			for _, r := range runs {
				found += int(r.last - r.first + 1)
			}
			end = last + 1
		}
		if found != events {
			return fmt.Errorf("the index has %d records, want %d", found, events)
		}
		return rows.Err()
	})
}

// TestLookUpsWhileTheTailIsFolded looks for everything, over and over, while records come in and are folded all the time.
func TestLookUpsWhileTheTailIsFolded(t *testing.T) {
	j := openJournal(t)
	trail := newTrail(t, j, openDB(t, "history.db"), 40)
	start(t, trail.Run)
	tr := newTraffic(11)
	ended := make(chan struct{})
	start(t, func(context.Context) error {
		defer close(ended)
		for range 60 {
			records := make([]journal.Record, 25)
			for i := range records {
				records[i] = tr.event(time.Now(), home)
			}
			if err := j.Commit(context.Background(), nil, func(error) []journal.Record { return records }); err != nil {
				return err
			}
			if err := j.Wait(context.Background(), follower); err != nil {
				return err
			}
		}
		return nil
	})
	for going := true; going; {
		select {
		case <-ended:
			going = false // and once more
		default:
		}
		trail.mu.RLock()
		least := trail.tail.next()
		trail.mu.RUnlock()
		events, _, err := trail.find(context.Background(), query{scope: home, to: maxSecond}, beginning, math.MaxInt32)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[int64]bool{}
		for _, e := range events {
			seen[e.hit.seq] = true
		}
		if len(seen) != len(events) || int64(len(events)) < least {
			t.Fatalf("%d events, %d of them different, when there were %d", len(events), len(seen), least)
		}
	}
}

// TestRecordsThatAreGoneArePassedOver has records missing from the journal's middle, as when old ones have been dropped.
func TestRecordsThatAreGoneArePassedOver(t *testing.T) {
	j := openJournal(t)
	trail := newTrail(t, j, openDB(t, "history.db"), 1000)
	tr := newTraffic(10)
	now := time.Now()
	var r vigil.OutlineReader
	entry := func(seq int64) journal.Entry {
		record := tr.event(now.Add(time.Duration(seq)*time.Second), home)
		return journal.Entry{Seq: seq, Time: record.Time, Data: record.Data}
	}
	trail.add(&r, []journal.Entry{entry(0), entry(1)})
	trail.add(&r, []journal.Entry{entry(1), entry(5)}) // one again, and three that are gone
	if next := trail.tail.next(); next != 6 {
		t.Errorf("the next record is %d, want 6", next)
	}
	err := trail.db.Update(context.Background(), trail.fold)
	if err != nil {
		t.Fatal(err)
	}
	if err := checkIndex(trail, home, 3); err != nil {
		t.Error(err)
	}
}
