package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"vigil/internal/store"
)

func openWith(t *testing.T, limits limits) (db store.DB, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "vigil.db")
	e, err := open(path, limits)
	if err != nil {
		t.Fatal(err)
	}
	db = store.New(e)
	t.Cleanup(func() { db.Close() })
	migrate(t, db)
	return db, path
}

func walPages(t *testing.T, path string) int {
	t.Helper()
	info, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Size() / 4096)
}

func TestWALStaysSmall(t *testing.T) {
	db, path := openWith(t, limits{checkpoint: 50, wait: 1 << 30, end: 1 << 30})
	fill(t, db, "a", 1000) // some 4000 pages
	if pages := walPages(t, path); pages > 1000 {
		t.Errorf("FILE-wal has %d pages", pages)
	}
}

// Views that always overlap leave no moment at which FILE-wal could be begun anew, unless an Update waits for it.
func TestWALStaysSmallWithViews(t *testing.T) {
	db, path := openWith(t, limits{checkpoint: 50, wait: 400, end: 1 << 30})
	stop, turn := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for stopped := false; !stopped; {
				err := db.View(context.Background(), func(tx store.Tx) error {
					if err := tx.QueryRow(`SELECT COUNT(*) FROM item WHERE name = 'a'`).Scan(new(int)); err != nil {
						return err
					}
					select { // ends when the other's has begun, and a little later than some Updates
					case turn <- struct{}{}:
					case <-turn:
					case <-stop:
						stopped = true
					}
					<-time.After(3 * time.Millisecond)
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	fill(t, db, "a", 2000) // some 8000 pages
	close(stop)
	wg.Wait()
	if pages := walPages(t, path); pages > 4000 {
		t.Errorf("FILE-wal has %d pages", pages)
	}
}

func TestSlowViewIsEnded(t *testing.T) {
	db, path := openWith(t, limits{checkpoint: 50, wait: 100, end: 400})
	put(t, db, "before")

	// One is in the middle of reading rows, one between two statements, one has not asked anything yet.
	for name, fn := range map[string]func(tx store.Tx) error{
		"between statements": func(tx store.Tx) error {
			if err := tx.QueryRow(`SELECT COUNT(*) FROM item`).Scan(new(int)); err != nil {
				return err
			}
			fill(t, db, "between", 400)
			return tx.QueryRow(`SELECT COUNT(*) FROM item`).Scan(new(int))
		},
		"reading": func(tx store.Tx) error {
			rows, err := tx.Query(`SELECT name FROM item`)
			if err != nil {
				return err
			}
			defer rows.Close()
			rows.Next()
			fill(t, db, "reading", 400)
			for rows.Next() {
			}
			return rows.Err()
		},
		"reading, and passing over errors": func(tx store.Tx) error {
			tx.QueryRow(`SELECT COUNT(*) FROM item`).Scan(new(int))
			fill(t, db, "passing", 400)
			tx.QueryRow(`SELECT COUNT(*) FROM item`).Scan(new(int))
			return nil
		},
	} {
		err := db.View(context.Background(), fn)
		if !errors.Is(err, store.ErrViewTooLong) {
			t.Errorf("%s: got error %v", name, err)
		}
		if has(t, db, "before") != true {
			t.Errorf("%s: a later View is wrong", name)
		}
	}
	fill(t, db, "after", 100)
	if pages := walPages(t, path); pages > 2000 {
		t.Errorf("FILE-wal has %d pages", pages)
	}
	for i := range 2 * maxViews { // no connection was lost, or left in a transaction
		put(t, db, fmt.Sprint("last", i))
		want(t, db, fmt.Sprint("last", i), true)
	}
}
