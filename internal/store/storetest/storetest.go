// Package storetest holds every engine to what package store promises, has a database that fails where a test wants it to,
// and has PostgreSQL for tests.
package storetest

import (
	"context"
	"errors"
	"testing"

	"vigil/internal/store"
)

// Run is the suite. fresh makes a new, empty database and returns the function that opens it; each subtest opens its own
// as often as it likes, though not while it is open already.
func Run(t *testing.T, fresh func(t *testing.T) (open func() (store.DB, error))) {
	for _, part := range []struct {
		name string
		run  func(t *testing.T, d *database)
	}{
		{"what is committed is there after reopening", testReopen},
		{"a closed database refuses", testClosed},
		{"Close waits for transactions", testCloseWaits},

		{"an Update reads what it wrote", testReadYourWrites},
		{"an error undoes an Update", testErrorUndoes},
		{"a panic undoes an Update and goes on", testPanicUndoes},
		{"the end of a goroutine undoes its Update", testGoexitUndoes},
		{"an ended context undoes an Update", testContext},
		{"a context ends the wait for another Update", testContextWaiting},
		{"Updates happen one at a time", testCounter},
		{"a transaction is over when its function has returned", testOver},
		{"rows are closed before the next statement", testRowsOpen},
		{"a failed statement fails its Update", testFailedStatement},
		{"a late constraint fails the commit without doubt", testDeferredConstraint},

		{"a View sees what was committed before it", testViewSeesUpdates},
		{"a View sees one state and does not wait", testSnapshot},
		{"a View cannot write", testViewReadOnly},
		{"a context ends a View", testViewContext},

		{"savepoints undo and keep", testSavepoints},
		{"a panic undoes a savepoint", testSavepointPanic},
		{"a violated constraint in a savepoint leaves the transaction usable", testSavepointViolation},
		{"a failed statement fails its savepoint", testSavepointFailedStatement},

		{"OnCommit functions run in order before the next Update", testOnCommit},
		{"OnCommit functions of what is undone never run", testOnCommitUndone},

		{"values come back as they were", testValues},
		{"text is ordered by its bytes", testTextOrder},
		{"columns hold their own type only", testColumnTypes},
		{"parameters are of the common types", testParameterTypes},
		{"Exec counts rows", testRowsAffected},
		{"INSERT ON CONFLICT and RETURNING", testUpsert},
		{"many different statements", testManyStatements},

		{"each migration step runs once", testMigrateOnce},
		{"each migration step runs once whoever migrates at the same time", testMigrateAtOnce},
		{"components are independent", testMigrateComponents},
		{"a failed step leaves nothing and can be repeated", testMigrateFails},
		{"a newer database is refused", testMigrateNewer},
		{"a step has several statements", testMigrateStatements},
	} {
		t.Run(part.name, func(t *testing.T) {
			d := &database{t: t, open: fresh(t)}
			d.reopen()
			t.Cleanup(func() {
				if err := d.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
					t.Errorf("Close: %v", err)
				}
			})
			part.run(t, d)
		})
	}
}

var errWanted = errors.New("wanted by the test")

// database is the database of a subtest, with what the subtests say again and again.
type database struct {
	store.DB
	t    *testing.T
	open func() (store.DB, error)
}

// reopen opens the database, which must be closed.
func (d *database) reopen() {
	d.t.Helper()
	db, err := d.open()
	if err != nil {
		d.t.Fatalf("Open: %v", err)
	}
	d.DB = db
}

// table makes the table that most subtests use.
func (d *database) table() {
	d.t.Helper()
	if err := d.Migrate(context.Background(), "test", `CREATE TABLE item (name TEXT PRIMARY KEY, number BIGINT NOT NULL)`); err != nil {
		d.t.Fatal(err)
	}
}

// update is an Update that must succeed.
func (d *database) update(fn func(store.Tx)) {
	d.t.Helper()
	if err := d.Update(context.Background(), func(tx store.Tx) error { fn(tx); return nil }); err != nil {
		d.t.Fatalf("Update: %v", err)
	}
}

// put inserts or changes an item.
func put(tx store.Tx, name string, number int64) error {
	_, err := tx.Exec(`INSERT INTO item (name, number) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET number = excluded.number`, name, number)
	return err
}

// insert inserts an item, which must be new.
func insert(tx store.Tx, name string, number int64) error {
	_, err := tx.Exec(`INSERT INTO item (name, number) VALUES ($1, $2)`, name, number)
	return err
}

// number is an item's number, or missing.
func number(tx store.Tx, name string) (number int64, err error) {
	err = tx.QueryRow(`SELECT number FROM item WHERE name = $1`, name).Scan(&number)
	if errors.Is(err, store.ErrNoRows) {
		return missing, nil
	}
	return number, err
}

const missing = -1

// wantIn fails the test unless the transaction sees item name with this number.
func wantIn(t *testing.T, tx store.Tx, name string, want int64) {
	t.Helper()
	got, err := number(tx, name)
	if err != nil {
		t.Errorf("item %s: %v", name, err)
	} else if got != want {
		t.Errorf("item %s is %d, want %d", name, got, want)
	}
}

// want fails the test unless the database has item name with this number.
func (d *database) want(name string, want int64) {
	d.t.Helper()
	err := d.View(context.Background(), func(tx store.Tx) error {
		wantIn(d.t, tx, name, want)
		return nil
	})
	if err != nil {
		d.t.Errorf("View: %v", err)
	}
}

// wantError fails the test unless err is what is wanted and the database goes on.
func (d *database) wantError(err, want error) {
	d.t.Helper()
	if !errors.Is(err, want) {
		d.t.Errorf("got error %v, want %v", err, want)
	}
	d.wantUsable()
}

// wantUsable fails the test unless the database can be changed.
func (d *database) wantUsable() {
	d.t.Helper()
	if err := d.Update(context.Background(), func(tx store.Tx) error { return put(tx, "usable", 1) }); err != nil {
		d.t.Errorf("the next Update: %v", err)
	}
}
