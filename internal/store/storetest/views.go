package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"vigil/internal/store"
)

func testViewSeesUpdates(t *testing.T, d *database) {
	d.table()
	for i := range int64(50) { // more than there are connections
		d.update(func(tx store.Tx) { put(tx, "a", i) })
		d.want("a", i)
	}
}

func testSnapshot(t *testing.T, d *database) {
	d.table()
	d.update(func(tx store.Tx) { put(tx, "a", 1); put(tx, "b", 1) })

	// A View that began before an Update sees nothing of it, before or after its commit.
	err := d.View(context.Background(), func(tx store.Tx) error {
		wantIn(t, tx, "a", 1)
		d.update(func(update store.Tx) {
			put(update, "a", 2)
			wantIn(t, tx, "a", 1)
			put(update, "b", 2)
			d.want("b", 1) // nor does one that begins while the Update is under way
		})
		wantIn(t, tx, "a", 1)
		wantIn(t, tx, "b", 1)
		d.want("b", 2)
		return nil
	})
	if err != nil {
		t.Error(err)
	}

	// Under load, a View sees both of two changes or none.
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				err := d.View(context.Background(), func(tx store.Tx) error {
					a, err := number(tx, "a")
					if err != nil {
						return err
					}
					b, err := number(tx, "b")
					if a != b {
						t.Errorf("a is %d and b is %d", a, b)
					}
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range int64(100) {
		d.update(func(tx store.Tx) { put(tx, "a", i); put(tx, "b", i) })
	}
	close(stop)
	wg.Wait()
}

func testViewReadOnly(t *testing.T, d *database) {
	d.table()
	err := d.View(context.Background(), func(tx store.Tx) error {
		tx.OnCommit(func() { t.Error("OnCommit ran") })
		return put(tx, "a", 1)
	})
	if err == nil {
		t.Error("a View has written")
	}
	d.want("a", missing)
	err = d.View(context.Background(), func(tx store.Tx) error {
		put(tx, "a", 1)
		return nil
	})
	if err == nil {
		t.Error("a View has passed over a failed statement")
	}
	d.wantError(d.View(context.Background(), func(store.Tx) error { return errWanted }), errWanted)
}

func testViewContext(t *testing.T, d *database) {
	d.table()
	d.update(func(tx store.Tx) {
		for i := range int64(3) {
			put(tx, fmt.Sprint(i), i)
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	err := d.View(ctx, func(tx store.Tx) error {
		wantIn(t, tx, "1", 1)
		cancel()
		_, err := number(tx, "1")
		return err
	})
	d.wantError(err, context.Canceled)
	d.wantError(d.View(ctx, func(store.Tx) error { t.Error("the function ran"); return nil }), context.Canceled)

	// The database has more Views than this wants, but a View must not be lost each time that one is ended.
	for range 20 {
		ctx, cancel := context.WithCancel(context.Background())
		d.View(ctx, func(tx store.Tx) error {
			rows, err := tx.Query(`SELECT name FROM item`)
			if err != nil {
				return err
			}
			cancel()
			for rows.Next() {
			}
			return rows.Err()
		})
	}
	d.want("2", 2)
}
