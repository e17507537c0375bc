package journal_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"vigil/internal/journal"
	"vigil/internal/store"
	"vigil/internal/store/postgres"
	"vigil/internal/store/storetest"
)

// TestDrop drops the oldest pages, at some of which it is broken off: indexes stay, and the journal goes on where it was, even when all is dropped.
func TestDrop(t *testing.T) {
	engines := map[string]func(t *testing.T) func() store.DB{
		"sqlite": func(t *testing.T) func() store.DB {
			path := filepath.Join(t.TempDir(), "journal.db")
			return func() store.DB { return openDB(t, path) }
		},
		"postgres": func(t *testing.T) func() store.DB {
			url := storetest.Postgres(t)
			return func() store.DB {
				db, err := postgres.Open(context.Background(), url, "journal")
				if err != nil {
					t.Fatal(err)
				}
				return db
			}
		},
	}
	for engine, engineOf := range engines {
		t.Run(engine, func(t *testing.T) {
			open := engineOf(t)
			db := open()
			begun := time.Now().Add(-time.Hour)
			expect := func(h *house, from, to int64) {
				t.Helper()
				h.waitSequenced(t)
				h.check(t)
				var seqs []int64
				for seq := range to {
					seqs = append(seqs, seq)
				}
				entries, err := h.j.Get(t.Context(), seqs)
				if err != nil || int64(len(entries)) != to-from || h.j.Sequenced() != to {
					t.Fatalf("%d records are there, of %d: %v", len(entries), h.j.Sequenced(), err)
				}
				for i, e := range entries {
					if want := fmt.Sprint("call ", from+int64(i)); string(e.Data) != want || e.Seq != from+int64(i) {
						t.Fatalf("record %d is %q, want %q", e.Seq, e.Data, want)
					}
				}
				if next, err := h.j.Dropped(t.Context()); next != from || err != nil {
					t.Errorf("%d records are said to be dropped: %v", next, err)
				}
			}
			calls := func(h *house, from, to int) {
				t.Helper()
				for i := from; i < to; i++ {
					if err := h.do(fmt.Sprint("call ", i), nil); err != nil {
						t.Fatal(err)
					}
				}
			}

			h := openOn(t, db)
			if end, oldest, err := h.j.Older(t.Context(), time.Now()); end != 0 || !oldest.IsZero() || err != nil {
				t.Errorf("of an empty journal, records before %d of %v are old: %v", end, oldest, err)
			}
			calls(h, 0, 600)
			expect(h, 0, 600)
			if end, oldest, err := h.j.Older(t.Context(), begun); end != 0 || oldest.Before(begun) || err != nil {
				t.Errorf("records before %d are older than all: %v, %v", end, oldest, err)
			}
			if end, _, err := h.j.Older(t.Context(), time.Now().Add(time.Hour)); end != 600 || err != nil {
				t.Errorf("records before %d are older than what is to come: %v", end, err)
			}
			if err := h.j.Drop(t.Context(), 300); err != nil {
				t.Fatal(err)
			}
			var faulty *storetest.FaultDB
			h = newlyOpened(t, h, func() store.DB {
				faulty = storetest.NewFaultDB(open())
				return faulty
			})
			expect(h, 300, 600)
			faulty.FailUpdate(2, storetest.Before)
			if err := h.j.Drop(t.Context(), 700); err == nil {
				t.Error("a drop was not broken off")
			}
			h.check(t)
			if err := h.j.Drop(t.Context(), 700); err != nil {
				t.Fatal(err)
			}
			h = newlyOpened(t, h, open)
			expect(h, 600, 600)
			calls(h, 600, 610)
			expect(h, 600, 610)

			// A follower that begins now is given what there is.
			var got []int64
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() {
				done <- h.j.Follow(ctx, journal.Follower{Name: "late", DB: h.db, Apply: func(_ store.Tx, entries []journal.Entry) error {
					for _, e := range entries {
						got = append(got, e.Seq)
					}
					return nil
				}})
			}()
			if err := h.j.Wait(t.Context(), "late"); err != nil {
				t.Fatal(err)
			}
			cancel()
			if err := <-done; err != nil || len(got) != 10 || got[0] != 600 {
				t.Errorf("a late follower is given %v: %v", got, err)
			}
			if at, err := journal.Cursors(t.Context(), h.db); err != nil || at["late"] != 610 {
				t.Errorf("the cursors are %v: %v", at, err)
			}
		})
	}
}

// newlyOpened ends a journal and opens it again, as another process would.
func newlyOpened(t *testing.T, h *house, open func() store.DB) *house {
	t.Helper()
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	if err := h.db.Close(); err != nil {
		t.Fatal(err)
	}
	again := openOn(t, open())
	t.Cleanup(func() { again.stop(); again.db.Close() })
	return again
}
