package journal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"vigil"
	"vigil/internal/journal"
	"vigil/internal/store"
)

// pageOf is an imported page of records with these texts.
func pageOf(texts ...string) journal.Page {
	var w vigil.PageWriter
	w.Imported = time.UnixMilli(1767225600000)
	for _, text := range texts {
		w.Add(time.UnixMilli(1500000000000), []byte(text))
	}
	first, last := w.Times()
	return journal.Page{Count: w.Len(), First: first, Last: last, Body: bytes.Clone(w.Encode())}
}

// Pages that an effect appends stand behind its own record, in order, and are undone with the effect.
func TestAppend(t *testing.T) {
	h := open(t, t.TempDir())
	bring := func(name string, fail error) error {
		return h.j.Commit(context.Background(), func(tx store.Tx) error {
			if err := h.j.Append(tx, []journal.Page{pageOf(name+" 1", name+" 2"), pageOf(name + " 3")}); err != nil {
				return err
			}
			return fail
		}, func(err error) []journal.Record {
			return []journal.Record{{Time: time.Now(), Data: fmt.Appendf(nil, "%s: %v", name, err)}}
		})
	}
	if err := bring("a", nil); err != nil {
		t.Fatal(err)
	}
	if err := bring("b", errors.New("refused")); err == nil {
		t.Fatal("an effect that failed was told to be done")
	}
	if err := bring("c", nil); err != nil {
		t.Fatal(err)
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	var got []string
	entries, err := h.j.Get(context.Background(), []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		got = append(got, string(e.Data))
		if imported := !e.Imported.IsZero(); imported != !bytes.Contains(e.Data, []byte(":")) {
			t.Errorf("%s is marked as imported: %v", e.Data, imported)
		}
	}
	want := []string{"a: <nil>", "a 1", "a 2", "a 3", "b: refused", "c: <nil>", "c 1", "c 2", "c 3"}
	if fmt.Sprint(got) != fmt.Sprint(want) || h.j.Appended() != int64(len(want)) {
		t.Errorf("the journal has %q, %d appended", got, h.j.Appended())
	}
	if err := h.j.Check(context.Background()); err != nil {
		t.Error(err)
	}
}

// A follower that has nothing to do passes over what is there, and gets what comes when it has.
func TestIdleFollower(t *testing.T) {
	h := open(t, t.TempDir())
	var idle atomic.Bool
	idle.Store(true)
	var got []string
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- h.j.Follow(ctx, journal.Follower{Name: "idler", DB: h.db, Idle: idle.Load, Apply: func(_ store.Tx, entries []journal.Entry) error {
			for _, e := range entries {
				got = append(got, string(e.Data))
			}
			return nil
		}})
	}()
	for n := range 20 {
		if err := h.do(fmt.Sprint("idle ", n), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.j.Wait(ctx, "idler"); err != nil {
		t.Fatal(err)
	}
	idle.Store(false)
	if err := h.do("busy", nil); err != nil {
		t.Fatal(err)
	}
	if err := h.j.Wait(ctx, "idler"); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != "[busy]" {
		t.Errorf("it was given %q", got)
	}
}
