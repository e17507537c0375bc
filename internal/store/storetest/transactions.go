package storetest

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"

	"vigil/internal/store"
)

func testReopen(t *testing.T, d *database) {
	d.table()
	d.update(func(tx store.Tx) { put(tx, "a", 1); put(tx, "b", 2) })
	d.update(func(tx store.Tx) { put(tx, "a", 3) })
	for range 2 {
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		d.reopen()
		d.want("a", 3)
		d.want("b", 2)
		d.wantUsable()
	}
}

func testClosed(t *testing.T, d *database) {
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	nothing := func(store.Tx) error { t.Error("the function ran"); return nil }
	for name, err := range map[string]error{
		"View":    d.View(ctx, nothing),
		"Update":  d.Update(ctx, nothing),
		"Migrate": d.Migrate(ctx, "test", `CREATE TABLE a (b TEXT)`),
		"Close":   d.Close(),
	} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s returned %v", name, err)
		}
	}
}

func testCloseWaits(t *testing.T, d *database) {
	d.table()
	began, proceed, closed := make(chan struct{}, 2), make(chan struct{}), make(chan error, 1)
	results := make(chan error, 2)
	go func() {
		results <- d.View(context.Background(), func(tx store.Tx) error {
			began <- struct{}{}
			<-proceed
			_, err := number(tx, "a")
			return err
		})
	}()
	go func() {
		results <- d.Update(context.Background(), func(tx store.Tx) error {
			began <- struct{}{}
			<-proceed
			return put(tx, "a", 1)
		})
	}()
	<-began
	<-began
	go func() { closed <- d.Close() }()
	for { // until Close has begun
		err := d.View(context.Background(), func(store.Tx) error { return nil })
		if errors.Is(err, store.ErrClosed) {
			break
		}
		runtime.Gosched()
	}
	select {
	case <-closed:
		t.Error("Close did not wait")
	default:
	}
	close(proceed)
	for range 2 {
		if err := <-results; err != nil {
			t.Errorf("a transaction that Close waited for: %v", err)
		}
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	d.reopen()
	d.want("a", 1)
}

func testReadYourWrites(t *testing.T, d *database) {
	d.table()
	d.update(func(tx store.Tx) {
		wantIn(t, tx, "a", missing)
		put(tx, "a", 1)
		wantIn(t, tx, "a", 1)
		tx.Exec(`DELETE FROM item WHERE name = $1`, "a")
		wantIn(t, tx, "a", missing)
	})
}

func testErrorUndoes(t *testing.T, d *database) {
	d.table()
	err := d.Update(context.Background(), func(tx store.Tx) error {
		put(tx, "a", 1)
		return errWanted
	})
	d.wantError(err, errWanted)
	d.want("a", missing)
}

func testPanicUndoes(t *testing.T, d *database) {
	d.table()
	func() {
		defer func() {
			if p := recover(); p != errWanted {
				t.Errorf("recovered %v", p)
			}
		}()
		d.Update(context.Background(), func(tx store.Tx) error {
			put(tx, "a", 1)
			panic(errWanted)
		})
	}()
	func() {
		defer func() {
			if p := recover(); p != errWanted {
				t.Errorf("recovered %v", p)
			}
		}()
		d.View(context.Background(), func(tx store.Tx) error { panic(errWanted) })
	}()
	d.wantUsable()
	d.want("a", missing)
}

func testGoexitUndoes(t *testing.T, d *database) {
	d.table()
	var wg sync.WaitGroup
	wg.Go(func() {
		d.Update(context.Background(), func(tx store.Tx) error {
			put(tx, "a", 1)
			runtime.Goexit()
			return nil
		})
	})
	wg.Wait()
	d.wantUsable()
	d.want("a", missing)
}

func testContext(t *testing.T, d *database) {
	d.table()
	for _, test := range []struct {
		name string
		fn   func(tx store.Tx, cancel func()) error
	}{
		{"before it begins", nil},
		{"before a statement", func(tx store.Tx, cancel func()) error {
			put(tx, "a", 1)
			cancel()
			return put(tx, "a", 2)
		}},
		{"before a statement whose error is passed over", func(tx store.Tx, cancel func()) error {
			put(tx, "a", 1)
			cancel()
			put(tx, "a", 2)
			return nil
		}},
		{"before the commit", func(tx store.Tx, cancel func()) error {
			put(tx, "a", 1)
			cancel()
			return nil
		}},
		{"in a savepoint", func(tx store.Tx, cancel func()) error {
			put(tx, "a", 1)
			return tx.Savepoint(func(tx store.Tx) error {
				cancel()
				return nil
			})
		}},
		{"before a row is asked for", func(tx store.Tx, cancel func()) error {
			put(tx, "a", 1)
			cancel()
			_, err := number(tx, "a")
			return err
		}},
	} {
		ctx, cancel := context.WithCancel(context.Background())
		if test.fn == nil {
			cancel()
		}
		err := d.Update(ctx, func(tx store.Tx) error {
			if test.fn == nil {
				t.Error("the function ran")
				return nil
			}
			tx.OnCommit(func() { t.Errorf("%s: OnCommit ran", test.name) })
			return test.fn(tx, cancel)
		})
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got error %v", test.name, err)
		}
		d.wantUsable()
		d.want("a", missing)
	}
}

func testContextWaiting(t *testing.T, d *database) {
	d.table()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	result := make(chan error)
	d.update(func(store.Tx) {
		go func() {
			result <- d.Update(ctx, func(store.Tx) error { t.Error("the function ran"); return nil })
		}()
		cancel()
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Errorf("got error %v", err)
		}
	})
	d.wantUsable()
}

func testCounter(t *testing.T, d *database) {
	d.table()
	const goroutines, rounds = 16, 10
	d.update(func(tx store.Tx) { put(tx, "counter", 0) })
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for range rounds {
				var before int64
				err := d.Update(context.Background(), func(tx store.Tx) (err error) {
					if before, err = number(tx, "counter"); err != nil {
						return err
					}
					return put(tx, "counter", before+1)
				})
				if err != nil {
					t.Error(err)
				}
				err = d.View(context.Background(), func(tx store.Tx) error {
					now, err := number(tx, "counter")
					if now <= before {
						t.Errorf("the counter is %d after it was changed to %d", now, before+1)
					}
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	d.want("counter", goroutines*rounds)
}

func testOver(t *testing.T, d *database) {
	d.table()
	var kept []store.Tx
	d.update(func(tx store.Tx) {
		kept = append(kept, tx)
		put(tx, "a", 1)
	})
	d.View(context.Background(), func(tx store.Tx) error { kept = append(kept, tx); return nil })
	for _, tx := range kept {
		if err := put(tx, "a", 2); err == nil {
			t.Error("Exec worked")
		}
		if rows, err := tx.Query(`SELECT name FROM item`); err == nil {
			rows.Close()
			t.Error("Query worked")
		}
		var n int64
		if err := tx.QueryRow(`SELECT number FROM item`).Scan(&n); err == nil || errors.Is(err, store.ErrNoRows) {
			t.Errorf("QueryRow returned %v", err)
		}
		if err := tx.Savepoint(func(store.Tx) error { t.Error("the function ran"); return nil }); err == nil {
			t.Error("Savepoint worked")
		}
	}
	d.want("a", 1)
}

func testRowsOpen(t *testing.T, d *database) {
	d.table()
	d.update(func(tx store.Tx) { put(tx, "a", 1); put(tx, "b", 2) })

	d.update(func(tx store.Tx) { // rows end by being read, or closed
		rows, err := tx.Query(`SELECT name FROM item`)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
		}
		wantIn(t, tx, "a", 1)
		if rows, err = tx.Query(`SELECT name FROM item`); err != nil {
			t.Fatal(err)
		}
		rows.Next()
		rows.Close()
		wantIn(t, tx, "a", 1)
	})

	err := d.Update(context.Background(), func(tx store.Tx) error {
		rows, err := tx.Query(`SELECT name FROM item`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			if err := put(tx, "c", 1); err == nil {
				t.Error("a statement ran while rows were open")
			}
		}
		return rows.Err()
	})
	if err == nil {
		t.Error("the Update succeeded")
	}
	d.want("c", missing)

	d.update(func(tx store.Tx) { // rows that nobody has closed
		if _, err := tx.Query(`SELECT name FROM item`); err != nil {
			t.Fatal(err)
		}
	})
	d.wantUsable()
}

func testFailedStatement(t *testing.T, d *database) {
	d.table()
	d.update(func(tx store.Tx) { put(tx, "a", 1) })
	for name, fail := range map[string]func(tx store.Tx) error{
		"Exec":     func(tx store.Tx) error { return insert(tx, "a", 2) },
		"Query":    func(tx store.Tx) error { _, err := tx.Query(`SELECT nothing FROM nowhere`); return err },
		"QueryRow": func(tx store.Tx) error { return tx.QueryRow(`SELECT nothing FROM nowhere`).Scan(new(int64)) },
		"QueryRow of a change": func(tx store.Tx) error {
			return tx.QueryRow(`INSERT INTO item (name, number) VALUES ($1, $2) RETURNING number`, "a", 2).Scan(new(int64))
		},
	} {
		var failure error
		err := d.Update(context.Background(), func(tx store.Tx) error {
			put(tx, "b", 1)
			if failure = fail(tx); failure == nil {
				t.Errorf("%s did not fail", name)
			}
			if err := put(tx, "c", 1); err == nil {
				t.Errorf("%s: the transaction goes on", name)
			}
			return nil
		})
		if err == nil || !errors.Is(err, failure) {
			t.Errorf("%s: got error %v, want %v", name, err, failure)
		}
		var commit *store.CommitError
		if errors.As(err, &commit) {
			t.Errorf("%s: there is no doubt", name)
		}
		d.wantUsable()
		d.want("b", missing)
		d.want("c", missing)
	}
}

func testDeferredConstraint(t *testing.T, d *database) {
	err := d.Migrate(context.Background(), "test",
		`CREATE TABLE parent (id BIGINT PRIMARY KEY); CREATE TABLE child (parent BIGINT REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED);
		CREATE TABLE item (name TEXT PRIMARY KEY, number BIGINT NOT NULL)`)
	if err != nil {
		t.Fatal(err)
	}
	err = d.Update(context.Background(), func(tx store.Tx) error {
		tx.OnCommit(func() { t.Error("OnCommit ran") })
		_, err := tx.Exec(`INSERT INTO child (parent) VALUES ($1)`, 1)
		if err != nil {
			t.Error("the constraint did not wait")
		}
		return err
	})
	var commit *store.CommitError
	if err == nil || errors.As(err, &commit) {
		t.Errorf("got error %v", err)
	}
	d.wantUsable()
	d.update(func(tx store.Tx) {
		tx.Exec(`INSERT INTO child (parent) VALUES ($1)`, 1)
		tx.Exec(`INSERT INTO parent (id) VALUES ($1)`, 1)
	})
}
