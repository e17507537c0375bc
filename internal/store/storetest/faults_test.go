package storetest_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"vigil/internal/store"
	"vigil/internal/store/sqlite"
	"vigil/internal/store/storetest"
)

func openFaultDB(t *testing.T) *storetest.FaultDB {
	t.Helper()
	db, err := sqlite.Open(filepath.Join(t.TempDir(), "vigil.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := db.Migrate(context.Background(), "test", `CREATE TABLE item (name TEXT PRIMARY KEY)`); err != nil {
		t.Fatal(err)
	}
	return storetest.NewFaultDB(db)
}

func items(t *testing.T, db store.DB) int {
	t.Helper()
	var n int
	err := db.View(context.Background(), func(tx store.Tx) error { return tx.QueryRow(`SELECT COUNT(*) FROM item`).Scan(&n) })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestFaults(t *testing.T) {
	for _, test := range []struct {
		name                      string
		fault                     storetest.Fault
		called, persists, inDoubt bool
	}{
		{"Before", storetest.Before, false, false, false},
		{"Failed", storetest.Failed, true, false, false},
		{"FailedInDoubt", storetest.FailedInDoubt, true, false, true},
		{"PersistedInDoubt", storetest.PersistedInDoubt, true, true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			db := openFaultDB(t)
			db.FailUpdate(2, test.fault)
			var called bool
			var ran []string
			update := func(name string) error {
				called = false
				return db.Update(context.Background(), func(tx store.Tx) error {
					called = true
					tx.OnCommit(func() { ran = append(ran, name) })
					tx.Savepoint(func(tx store.Tx) error {
						tx.OnCommit(func() { ran = append(ran, "undone") })
						return errors.New("undo")
					})
					return tx.Savepoint(func(tx store.Tx) error {
						tx.OnCommit(func() { ran = append(ran, name+" too") })
						_, err := tx.Exec(`INSERT INTO item (name) VALUES ($1)`, name)
						return err
					})
				})
			}
			if err := update("first"); err != nil {
				t.Fatal(err)
			}
			before, wanted := items(t, db), []string{"first", "first too"}

			err := update("second")
			if !errors.Is(err, storetest.ErrInjected) {
				t.Errorf("got error %v", err)
			}
			if called != test.called {
				t.Errorf("the function was called: %v", called)
			}
			if persisted := items(t, db) > before; persisted != test.persists {
				t.Errorf("it persisted: %v", persisted)
			}
			if !slices.Equal(ran, wanted) {
				t.Errorf("ran %q", ran)
			}
			var commit *store.CommitError
			if inDoubt := errors.As(err, &commit); inDoubt != test.inDoubt {
				t.Errorf("it is a CommitError: %v", inDoubt)
			}
			if commit != nil {
				commit.Happened()
				commit.Happened() // only once
				wanted = append(wanted, "second", "second too")
			}

			if err := update("third"); err != nil {
				t.Fatal(err)
			}
			if wanted = append(wanted, "third", "third too"); !slices.Equal(ran, wanted) {
				t.Errorf("ran %q, want %q", ran, wanted)
			}
			if n := db.Updates(); n != 3 {
				t.Errorf("there were %d Updates", n)
			}
		})
	}
}

// An Update that fails by itself does so in its own way, whatever was planned for its commit.
func TestFaultsLeaveOtherErrors(t *testing.T) {
	own := errors.New("its own")
	for _, fault := range []storetest.Fault{storetest.Failed, storetest.FailedInDoubt, storetest.PersistedInDoubt} {
		db := openFaultDB(t)
		db.FailUpdate(1, fault)
		err := db.Update(context.Background(), func(tx store.Tx) error { return own })
		if err != own {
			t.Errorf("fault %d: got error %v", fault, err)
		}
	}
}

func TestFailView(t *testing.T) {
	db := openFaultDB(t)
	db.FailView(2)
	items(t, db)
	err := db.View(context.Background(), func(store.Tx) error { t.Error("the function ran"); return nil })
	if !errors.Is(err, storetest.ErrInjected) {
		t.Errorf("got error %v", err)
	}
	items(t, db)
}
