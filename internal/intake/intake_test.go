package intake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"vigil"
	"vigil/internal/call"
	"vigil/internal/clock"
	"vigil/internal/journal"
	"vigil/internal/store"
	"vigil/internal/store/sqlite"
	"vigil/internal/trail"
)

// house is an intake with a journal and a history.
type house struct {
	*Intake
	t *testing.T
	j *journal.Journal
}

func openHouse(t *testing.T) *house {
	t.Helper()
	db := func(name string) store.DB {
		db, err := sqlite.Open(filepath.Join(t.TempDir(), name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		return db
	}
	ctx, cancel := context.WithCancel(context.Background())
	main := db("main.db")
	j, err := journal.Open(ctx, main, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	history, err := trail.New(ctx, trail.Config{Journal: j, DB: db("history.db"), Clock: clock.Wall{}})
	if err != nil {
		t.Fatal(err)
	}
	i, err := New(ctx, Config{DB: main, Clock: clock.Wall{}, Journal: j, Find: history.FindEvents,
		Allow:      func(*call.Call) error { return nil },
		HasAccount: func(account string) bool { return account == "111122223333" },
	})
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { _ = j.Run(ctx) })
	running.Go(func() { _ = history.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return &house{i, t, j}
}

// bring imports records, as the door would have it done.
func (h *house) bring(in *ImportRecordsInput) (*ImportRecordsOutput, error) {
	c := &call.Call{Time: time.Now()}
	out, err := h.importRecords(context.Background(), c, in)
	if err != nil {
		return nil, err
	}
	err = h.j.Commit(context.Background(), c.PendingEffect(), func(error) []journal.Record {
		return []journal.Record{{Time: c.Time, Data: []byte(`{"eventName":"ImportRecords"}`)}}
	})
	return out, err
}

// page is a page of records, each with its eventTime.
func page(records ...string) []byte {
	w := vigil.PageWriter{Imported: time.Unix(0, 0)}
	var r vigil.OutlineReader
	var o vigil.Outline
	for _, record := range records {
		_ = r.Read([]byte(record), &o) // what cannot be read has no time
		w.Add(time.Unix(o.Second, 0), []byte(record))
	}
	return bytes.Clone(w.Encode())
}

// event is a record.
func event(account, id, name string) string {
	return fmt.Sprintf(`{"eventVersion":"1.08","eventTime":"2024-05-06T07:08:09Z","eventSource":"kms.amazonaws.com","eventName":%q,"awsRegion":"us-east-1","eventID":%q,"recipientAccountId":%q}`, name, id, account)
}

const (
	one = "111122223333"
	two = "444455556666"
)

func TestEachEventOnce(t *testing.T) {
	h := openHouse(t)
	for _, step := range []struct {
		what                       string
		records                    []string
		imported, known, differing int64
	}{
		{"new", []string{event(one, "a", "Encrypt"), event(one, "b", "Encrypt")}, 2, 0, 0},
		{"known, and one that is new", []string{event(one, "b", "Encrypt"), event(one, "c", "Encrypt")}, 1, 1, 0},
		{"known, with other white space and members that say nothing", []string{strings.Replace(event(one, "a", "Encrypt"), `,`, ` , "errorCode":null,"resources":[], `, 1)}, 0, 1, 0},
		{"of another account", []string{event(two, "a", "Encrypt")}, 1, 0, 0},
		{"that says something else", []string{event(one, "a", "Decrypt")}, 1, 0, 1},
		{"that said something else", []string{event(one, "a", "Decrypt"), event(one, "a", "Encrypt")}, 0, 2, 0},
		{"twice in a batch", []string{event(one, "d", "Encrypt"), event(one, "d", "Encrypt"), event(one, "d", "Decrypt")}, 2, 1, 1},
		{"without an id", []string{strings.Replace(event(one, "", "Encrypt"), `"eventID":"",`, ``, 1)}, 1, 0, 0},
		{"without an id again", []string{strings.Replace(event(one, "", "Encrypt"), `"eventID":"",`, ``, 1)}, 0, 1, 0},
		{"nothing", nil, 0, 0, 0},
	} {
		in := &ImportRecordsInput{}
		if len(step.records) > 0 {
			in.Pages = [][]byte{page(step.records...)}
		}
		out, err := h.bring(in)
		if err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		if *out.Imported != step.imported || *out.Known != step.known || *out.Differing != step.differing || (out.RecordsDigest != nil) != (step.imported > 0) {
			t.Errorf("%s: %d imported, %d known, %d differing; want %d, %d, %d", step.what, *out.Imported, *out.Known, *out.Differing, step.imported, step.known, step.differing)
		}
	}
	var imported int
	if err := h.j.Wait(t.Context(), "history"); err != nil {
		t.Fatal(err)
	}
	entries, err := h.j.Get(t.Context(), []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !e.Imported.IsZero() {
			imported++
			if e.Time.Unix() != 1714979289 || time.Since(e.Imported) > time.Hour {
				t.Errorf("%s has the time %v and was imported %v", e.Data, e.Time, e.Imported)
			}
		}
	}
	if imported != 8 {
		t.Errorf("%d records are marked as imported, want 8", imported)
	}
}

func TestWrongBatchesAreRefused(t *testing.T) {
	h := openHouse(t)
	own := vigil.PageWriter{}
	own.Add(time.Unix(1714979289, 0), []byte(event(one, "a", "Encrypt")))
	elsewhen := vigil.PageWriter{Imported: time.Unix(0, 0)}
	elsewhen.Add(time.Unix(1, 0), []byte(event(one, "a", "Encrypt")))
	good := event(one, "a", "Encrypt")
	for name, pages := range map[string][][]byte{
		"no page":               {[]byte("page")},
		"a page cut short":      {page(good)[:40]},
		"a page of our own":     {bytes.Clone(own.Encode())},
		"another time":          {bytes.Clone(elsewhen.Encode())},
		"no JSON":               {page(good), page(good, "{")},
		"several lines":         {page("{\n}")},
		"an array":              {page("[]")},
		"no time":               {page(`{"eventID":"a","recipientAccountId":"111122223333"}`)},
		"no account":            {page(event("", "a", "Encrypt"))},
		"an account of letters": {page(event("11112222333a", "a", "Encrypt"))},
		"no event":              {page(`{"eventTime":"2024-05-06T07:08:09Z","recipientAccountId":"111122223333"}`)},
		"a name twice":          {page(`{"eventID":"a","eventID":"b","eventTime":"2024-05-06T07:08:09Z","recipientAccountId":"111122223333"}`)},
	} {
		_, err := h.bring(&ImportRecordsInput{Pages: pages})
		var refused *call.Error
		if !errors.As(err, &refused) || refused.Code != "ValidationException" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := h.j.Appended(); n != 0 {
		t.Errorf("%d records are there", n)
	}
}

// TestImportsAtOnce has many bring the same events at the same time.
func TestImportsAtOnce(t *testing.T) {
	h := openHouse(t)
	var all sync.WaitGroup
	for range 12 {
		all.Go(func() {
			for n := range 15 {
				in := &ImportRecordsInput{Pages: [][]byte{page(event(one, fmt.Sprint(n), "Encrypt"), event(one, fmt.Sprint(n+1), "Encrypt"))}}
				for {
					_, err := h.bring(in)
					var refused *call.Error
					if errors.As(err, &refused) && refused.Code == "ConflictException" {
						continue
					}
					if err != nil {
						t.Error(err)
					}
					break
				}
			}
		})
	}
	all.Wait()
	if err := h.j.Wait(t.Context(), "history"); err != nil {
		t.Fatal(err)
	}
	seqs := make([]int64, h.j.Appended())
	for i := range seqs {
		seqs[i] = int64(i)
	}
	entries, err := h.j.Get(t.Context(), seqs)
	if err != nil {
		t.Fatal(err)
	}
	times := map[string]int{}
	for _, e := range entries {
		if !e.Imported.IsZero() {
			times[string(e.Data)]++
		}
	}
	for record, n := range times {
		if n != 1 {
			t.Errorf("%s is there %d times", record, n)
		}
	}
	if len(times) != 16 {
		t.Errorf("%d events are there, want 16", len(times))
	}
}

func TestKnownSources(t *testing.T) {
	h := openHouse(t)
	source := func(name, version string) Source { return Source{Name: &name, Version: &version, Records: new(int64)} }
	if _, err := h.bring(&ImportRecordsInput{Done: []Source{source("/a", "1"), source("/b", "1")}}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.bring(&ImportRecordsInput{Done: []Source{source("/b", "2")}}); err != nil {
		t.Fatal(err)
	}
	out, err := h.listKnownSources(t.Context(), new(call.Call), &ListKnownSourcesInput{Sources: []Source{source("/a", "1"), source("/b", "1"), source("/b", "2"), source("/c", "1")}})
	if err != nil || fmt.Sprint(out.Names) != "[/a /b]" {
		t.Errorf("%v, %v", out, err)
	}
	accounts, err := h.listUnknownAccounts(t.Context(), new(call.Call), &ListUnknownAccountsInput{AccountIds: []string{one, two}})
	if err != nil || fmt.Sprint(accounts.AccountIds) != "["+two+"]" {
		t.Errorf("%v, %v", accounts, err)
	}
}
