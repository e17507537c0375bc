package storetest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"vigil/internal/store"
)

func testSavepoints(t *testing.T, d *database) {
	d.table()
	d.update(func(tx store.Tx) {
		put(tx, "outside", 1)
		err := tx.Savepoint(func(tx store.Tx) error {
			put(tx, "kept", 1)
			err := tx.Savepoint(func(tx store.Tx) error {
				put(tx, "kept", 2)
				put(tx, "undone", 1)
				if err := tx.Savepoint(func(tx store.Tx) error { return put(tx, "undone deeper", 1) }); err != nil {
					t.Error(err)
				}
				wantIn(t, tx, "undone deeper", 1)
				return errWanted
			})
			if err != errWanted {
				t.Errorf("got error %v", err)
			}
			wantIn(t, tx, "kept", 1)
			wantIn(t, tx, "undone", missing)
			wantIn(t, tx, "undone deeper", missing)
			return tx.Savepoint(func(tx store.Tx) error { return put(tx, "kept deeper", 1) })
		})
		if err != nil {
			t.Error(err)
		}
		for range 3 { // one after the other
			if err := tx.Savepoint(func(tx store.Tx) error { put(tx, "outside", 2); return errWanted }); err != errWanted {
				t.Errorf("got error %v", err)
			}
		}
		wantIn(t, tx, "outside", 1)
	})
	d.want("outside", 1)
	d.want("kept", 1)
	d.want("kept deeper", 1)
	d.want("undone", missing)
	d.want("undone deeper", missing)

	err := d.Update(context.Background(), func(tx store.Tx) error {
		if err := tx.Savepoint(func(tx store.Tx) error { return put(tx, "kept", 3) }); err != nil {
			t.Error(err)
		}
		return errWanted
	})
	d.wantError(err, errWanted)
	d.want("kept", 1)
}

func testSavepointPanic(t *testing.T, d *database) {
	d.table()
	d.update(func(tx store.Tx) {
		put(tx, "a", 1)
		func() {
			defer func() {
				if p := recover(); p != errWanted {
					t.Errorf("recovered %v", p)
				}
			}()
			tx.Savepoint(func(tx store.Tx) error {
				put(tx, "a", 2)
				tx.OnCommit(func() { t.Error("OnCommit ran") })
				rows, err := tx.Query(`SELECT name FROM item`)
				if err != nil {
					t.Error(err)
				}
				rows.Next()
				panic(errWanted)
			})
		}()
		wantIn(t, tx, "a", 1)
		put(tx, "b", 1)
	})
	d.want("a", 1)
	d.want("b", 1)
}

func testSavepointViolation(t *testing.T, d *database) {
	d.table()
	d.update(func(tx store.Tx) {
		put(tx, "a", 1)
		var failure error
		err := tx.Savepoint(func(tx store.Tx) error {
			put(tx, "b", 1)
			failure = insert(tx, "a", 2)
			return failure
		})
		if err == nil || err != failure {
			t.Errorf("got error %v, want %v", err, failure)
		}
		wantIn(t, tx, "a", 1)
		wantIn(t, tx, "b", missing)
		if err := insert(tx, "c", 1); err != nil {
			t.Error(err)
		}
	})
	d.want("a", 1)
	d.want("b", missing)
	d.want("c", 1)
}

func testSavepointFailedStatement(t *testing.T, d *database) {
	d.table()
	d.update(func(tx store.Tx) {
		put(tx, "a", 1)
		var failure error
		err := tx.Savepoint(func(tx store.Tx) error {
			put(tx, "b", 1)
			failure = insert(tx, "a", 2)
			return nil
		})
		if err == nil || !errors.Is(err, failure) {
			t.Errorf("got error %v, want %v", err, failure)
		}
		wantIn(t, tx, "b", missing)
	})
	d.want("a", 1)
}

func testOnCommit(t *testing.T, d *database) {
	d.table()
	var order []int // guarded by there being one Update at a time
	done := make(chan error)
	d.update(func(tx store.Tx) {
		tx.OnCommit(func() { order = append(order, 1) })
		tx.OnCommit(func() {
			began := make(chan struct{})
			go func() {
				close(began)
				done <- d.Update(context.Background(), func(tx store.Tx) error {
					order = append(order, 4)
					tx.OnCommit(func() { order = append(order, 5) })
					return put(tx, "a", 2)
				})
			}()
			<-began
			order = append(order, 2)
		})
		tx.OnCommit(func() { order = append(order, 3) })
		put(tx, "a", 1)
		if len(order) > 0 {
			t.Error("an OnCommit function ran before the commit")
		}
	})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if want := []int{1, 2, 3, 4, 5}; !slices.Equal(order, want) {
		t.Errorf("the order was %v", order)
	}
}

func testOnCommitUndone(t *testing.T, d *database) {
	d.table()
	var ran []string
	note := func(tx store.Tx, name string) { tx.OnCommit(func() { ran = append(ran, name) }) }
	d.update(func(tx store.Tx) {
		note(tx, "first")
		tx.Savepoint(func(tx store.Tx) error {
			note(tx, "undone")
			return tx.Savepoint(func(tx store.Tx) error { note(tx, "undone deeper"); return errWanted })
		})
		tx.Savepoint(func(tx store.Tx) error {
			note(tx, "second")
			tx.Savepoint(func(tx store.Tx) error { note(tx, "undone too"); return errWanted })
			note(tx, "third")
			return nil
		})
	})
	d.Update(context.Background(), func(tx store.Tx) error { note(tx, "of a failed Update"); return errWanted })
	if want := []string{"first", "second", "third"}; !slices.Equal(ran, want) {
		t.Errorf("ran %q, want %q", ran, want)
	}
}
