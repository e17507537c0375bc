package journal_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vigil/internal/journal"
	"vigil/internal/store"
	"vigil/internal/store/storetest"
)

// faults are the ways in which a transaction fails. The last two are the pair that a commit point has to tell apart.
var faults = map[string]storetest.Fault{
	"before":              storetest.Before,
	"failed":              storetest.Failed,
	"failed, in doubt":    storetest.FailedInDoubt,
	"persisted, in doubt": storetest.PersistedInDoubt,
}

// TestFaultAtEachCommitPoint fails each transaction of a story in each way. The journal's transactions come from its committer
// (batches, and the void pages of settle) and from its sequencer, so failing the first ones, one at a time, fails every commit point.
func TestFaultAtEachCommitPoint(t *testing.T) {
	const transactions = 10
	for name, fault := range faults {
		for n := 1; n <= transactions; n++ {
			t.Run(fmt.Sprintf("%s/%d", name, n), func(t *testing.T) {
				db := storetest.NewFaultDB(openDB(t, filepath.Join(t.TempDir(), "journal.db")))
				h := openOn(t, db)
				db.FailUpdate(n, fault)
				story(t, h)
			})
		}
	}
}

// TestFaultWhileSettling fails a commit in doubt and then the attempts to find out what became of it.
func TestFaultWhileSettling(t *testing.T) {
	for first, commit := range map[string]storetest.Fault{"failed": storetest.FailedInDoubt, "persisted": storetest.PersistedInDoubt} {
		for second, settle := range faults {
			t.Run(first+"/"+second, func(t *testing.T) {
				db := storetest.NewFaultDB(openDB(t, filepath.Join(t.TempDir(), "journal.db")))
				h := openOn(t, db)
				db.FailUpdate(1, commit)
				db.FailUpdate(2, settle)
				story(t, h)
			})
		}
	}
}

// story makes calls one after the other, and after each holds what was answered against what is there.
func story(t *testing.T, h *house) {
	t.Helper()
	refused := errors.New("refused")
	var recorded, done []string
	for n := range 5 {
		name := fmt.Sprint("call ", n)
		var fail error
		if n == 2 {
			fail = refused
		}
		switch err := h.do(name, fail); {
		case err == nil:
			recorded, done = append(recorded, name), append(done, name)
		case errors.Is(err, refused):
			recorded = append(recorded, name+": refused")
		case errors.Is(err, journal.ErrNotRecorded):
		default:
			t.Fatalf("%s: %v", name, err)
		}
		h.check(t)
		if got := h.things(t); !slices.Equal(got, done) {
			t.Fatalf("after %s the effects are %q, want %q", name, got, done)
		}
	}
	if len(recorded) < 4 {
		t.Errorf("one fault cost %d calls", 5-len(recorded))
	}
	if got := h.records(t); !slices.Equal(got, recorded) {
		t.Errorf("the records are %q, want %q", got, recorded)
	}
	h.check(t)
}

// TestCachesFollowACommitInDoubt: what an effect registered with OnCommit runs exactly when the effect is there.
func TestCachesFollowACommitInDoubt(t *testing.T) {
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			db := storetest.NewFaultDB(openDB(t, filepath.Join(t.TempDir(), "journal.db")))
			h := openOn(t, db)
			db.FailUpdate(1, fault)
			hooks := 0
			err := h.j.Commit(t.Context(), func(tx store.Tx) error {
				tx.OnCommit(func() { hooks++ })
				_, err := tx.Exec(`INSERT INTO thing (name) VALUES ('cached')`)
				return err
			}, func(error) []journal.Record { return []journal.Record{{Data: []byte("cached")}} })
			if there := len(h.things(t)); there != hooks || (err == nil) != (there == 1) {
				t.Errorf("Commit returned %v, the effect is there %d times, and its hook ran %d times", err, there, hooks)
			}
		})
	}
}

// TestFollowerSurvivesFaults fails a follower's transactions in every way: it still has each entry once.
func TestFollowerSurvivesFaults(t *testing.T) {
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			h := open(t, t.TempDir())
			own := storetest.NewFaultDB(openDB(t, filepath.Join(t.TempDir(), "follower.db")))
			if err := own.Migrate(t.Context(), "test", `CREATE TABLE seen (n BIGINT NOT NULL)`); err != nil {
				t.Fatal(err)
			}
			for n := range 4 {
				own.FailUpdate(2*n+1, fault) // every other one
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() {
				done <- h.j.Follow(ctx, journal.Follower{Name: "test", DB: own, Apply: func(tx store.Tx, entries []journal.Entry) error {
					for _, e := range entries {
						if _, err := tx.Exec(`INSERT INTO seen (n) VALUES ($1)`, e.Seq); err != nil {
							return err
						}
					}
					return nil
				}})
			}()
			for n := range 4 {
				if err := h.do(fmt.Sprint("call ", n), nil); err != nil {
					t.Fatal(err)
				}
				if err := h.j.Wait(t.Context(), "test"); err != nil {
					t.Fatal(err)
				}
			}
			cancel()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			var seen, different int
			if err := own.View(context.Background(), func(tx store.Tx) error {
				return tx.QueryRow(`SELECT COUNT(*), COUNT(DISTINCT n) FROM seen`).Scan(&seen, &different)
			}); err != nil {
				t.Fatal(err)
			}
			if seen != 4 || different != 4 {
				t.Errorf("the follower has %d entries, %d different; want 4", seen, different)
			}
		})
	}
}

// TestUnknownFateEndsTheJournal: when even the void page cannot be written the calls are in doubt, and nobody is told otherwise.
func TestUnknownFateEndsTheJournal(t *testing.T) {
	if testing.Short() {
		t.Skip("the journal asks for ten seconds before it gives up")
	}
	db := storetest.NewFaultDB(openDB(t, filepath.Join(t.TempDir(), "journal.db")))
	h := openOn(t, db)
	db.FailUpdate(1, storetest.PersistedInDoubt)
	for n := 2; n < 100; n++ {
		db.FailUpdate(n, storetest.Before)
	}
	if err := h.do("lost sight of", nil); !errors.Is(err, journal.ErrInDoubt) {
		t.Fatalf("Commit returned %v", err)
	}
	if err := h.do("next", nil); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("after that, Commit returned %v", err)
	}
	if err := h.stop(); err == nil || !strings.Contains(err.Error(), "in doubt") {
		t.Errorf("Run returned %v", err)
	}
}
