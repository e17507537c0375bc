package journal_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vigil/internal/journal"
	"vigil/internal/store"
	"vigil/internal/store/sqlite"
)

// house is a journal on a real database, running, with a table for effects to write to.
type house struct {
	db   store.DB
	j    *journal.Journal
	stop func() error // ends Run and returns its error
}

// open opens the database in dir and runs its journal until the test ends.
func open(t *testing.T, dir string) *house {
	t.Helper()
	return openOn(t, openDB(t, filepath.Join(dir, "journal.db")))
}

func openDB(t *testing.T, path string) store.DB {
	t.Helper()
	db, err := sqlite.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func openOn(t *testing.T, db store.DB) *house {
	t.Helper()
	ctx := context.Background()
	if err := db.Migrate(ctx, "test", `CREATE TABLE thing (name TEXT NOT NULL PRIMARY KEY)`); err != nil {
		t.Fatal(err)
	}
	j, err := journal.Open(ctx, db, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- j.Run(running) }()
	h := &house{db: db, j: j}
	h.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() { h.stop() })
	return h
}

// do commits a thing with a record that says so, as a call would. The thing's record says "name: error" when the effect fails.
func (h *house) do(name string, fail error) error {
	effect := func(tx store.Tx) error {
		if _, err := tx.Exec(`INSERT INTO thing (name) VALUES ($1)`, name); err != nil {
			return err
		}
		return fail
	}
	return h.j.Commit(context.Background(), effect, func(err error) []journal.Record {
		text := name
		if err != nil {
			text += ": " + err.Error()
		}
		return []journal.Record{{Time: time.Now(), Data: []byte(text)}}
	})
}

// things are the names that the effects have left.
func (h *house) things(t *testing.T) []string {
	t.Helper()
	var names []string
	err := h.db.View(context.Background(), func(tx store.Tx) error {
		rows, err := tx.Query(`SELECT name FROM thing ORDER BY name`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var name string
			if err := rows.Scan(&name); err != nil {
				return err
			}
			names = append(names, name)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// records are all that the journal holds, in its order, once everything that was appended is sequenced.
func (h *house) records(t *testing.T) []string {
	t.Helper()
	h.waitSequenced(t)
	var seqs []int64
	for seq := range h.j.Sequenced() {
		seqs = append(seqs, seq)
	}
	entries, err := h.j.Get(context.Background(), seqs)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(seqs) {
		t.Fatalf("%d of %d records are there", len(entries), len(seqs))
	}
	var all []string
	for i, e := range entries {
		if e.Seq != int64(i) {
			t.Fatalf("record %d says that it is %d", i, e.Seq)
		}
		all = append(all, string(e.Data))
	}
	return all
}

func (h *house) waitSequenced(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); h.j.Sequenced() < h.j.Appended(); {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d records are sequenced", h.j.Sequenced(), h.j.Appended())
		}
		time.Sleep(time.Millisecond)
	}
}

func (h *house) check(t *testing.T) {
	t.Helper()
	if err := h.j.Check(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func TestEffectAndRecordAreOne(t *testing.T) {
	h := open(t, t.TempDir())
	if err := h.do("kept", nil); err != nil {
		t.Fatal(err)
	}
	refused := errors.New("the alias is taken")
	if err := h.do("undone", refused); !errors.Is(err, refused) {
		t.Fatalf("Commit returned %v, not the effect's own error", err)
	}
	if err := h.j.Commit(context.Background(), nil, func(error) []journal.Record {
		return []journal.Record{{Time: time.Now(), Data: []byte("one of two")}, {Time: time.Now(), Data: []byte("two of two")}}
	}); err != nil {
		t.Fatal(err)
	}
	if got, want := h.things(t), []string{"kept"}; !slices.Equal(got, want) {
		t.Errorf("effects: %q, want %q", got, want)
	}
	if got, want := h.records(t), []string{"kept", "undone: the alias is taken", "one of two", "two of two"}; !slices.Equal(got, want) {
		t.Errorf("records: %q, want %q", got, want)
	}
	h.check(t)
}

func TestEffectThatPanicsIsOneCallsFailure(t *testing.T) {
	h := open(t, t.TempDir())
	err := h.j.Commit(context.Background(), func(store.Tx) error { panic("a bug") }, func(err error) []journal.Record {
		return []journal.Record{{Data: []byte(fmt.Sprint("failed: ", err != nil))}}
	})
	if err == nil || !strings.Contains(err.Error(), "a bug") {
		t.Fatalf("Commit returned %v", err)
	}
	if err := h.do("next", nil); err != nil {
		t.Fatal(err)
	}
	if got, want := h.records(t), []string{"failed: true", "next"}; !slices.Equal(got, want) {
		t.Errorf("records: %q, want %q", got, want)
	}
}

func TestManyCallersEachExactlyOnce(t *testing.T) {
	const callers, calls = 32, 20
	h := open(t, t.TempDir())
	var all sync.WaitGroup
	for caller := range callers {
		all.Go(func() {
			for n := range calls {
				var fail error
				if n%5 == 4 {
					fail = errors.New("refused")
				}
				if err := h.do(fmt.Sprintf("%02d-%02d", caller, n), fail); !errors.Is(err, fail) {
					t.Errorf("caller %d, call %d: %v", caller, n, err)
				}
			}
		})
	}
	all.Wait()
	h.check(t)
	seen := map[string]int{}
	order := map[string]string{}
	for _, r := range h.records(t) {
		name, _, _ := strings.Cut(r, ":")
		seen[name]++
		caller, n, _ := strings.Cut(name, "-")
		if order[caller] >= n && order[caller] != "" {
			t.Errorf("caller %s: call %s is recorded before call %s", caller, order[caller], n)
		}
		order[caller] = n
	}
	if len(seen) != callers*calls {
		t.Errorf("%d calls are recorded, want %d", len(seen), callers*calls)
	}
	for name, n := range seen {
		if n != 1 {
			t.Errorf("%s is recorded %d times", name, n)
		}
	}
	if got, want := len(h.things(t)), callers*calls*4/5; got != want {
		t.Errorf("%d effects are there, want %d", got, want)
	}
}

func TestWhatWasAnsweredIsThereAfterARestart(t *testing.T) {
	dir := t.TempDir()
	var want []string
	for life := range 3 {
		db, err := sqlite.Open(filepath.Join(dir, "journal.db"))
		if err != nil {
			t.Fatal(err)
		}
		h := openOn(t, db)
		if got := h.records(t); !slices.Equal(got, want) {
			t.Fatalf("life %d begins with %q, want %q", life, got, want)
		}
		for n := range 3 {
			name := fmt.Sprintf("life %d call %d", life, n)
			if err := h.do(name, nil); err != nil {
				t.Fatal(err)
			}
			want = append(want, name)
		}
		h.check(t)
		if err := h.stop(); err != nil {
			t.Fatal(err)
		}
		if err := h.do("too late", nil); !errors.Is(err, journal.ErrClosed) {
			t.Fatalf("after Run ended, Commit returned %v", err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStoppingAnswersEveryWaiter(t *testing.T) {
	h := open(t, t.TempDir())
	results := make(chan error, 64)
	for n := range cap(results) {
		go func() { results <- h.do(fmt.Sprint("call ", n), nil) }()
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	recorded := 0
	for range cap(results) {
		switch err := <-results; {
		case err == nil:
			recorded++
		case !errors.Is(err, journal.ErrClosed):
			t.Errorf("a waiter was answered with %v", err)
		}
	}
	if got := len(h.things(t)); got != recorded {
		t.Errorf("%d calls were answered, %d effects are there", recorded, got)
	}
}

func TestFollowerAppliesEachEntryOnce(t *testing.T) {
	h := open(t, t.TempDir())
	own := openDB(t, filepath.Join(t.TempDir(), "follower.db"))
	if err := own.Migrate(context.Background(), "test", `CREATE TABLE seen (seq BIGINT NOT NULL PRIMARY KEY, data TEXT NOT NULL)`); err != nil {
		t.Fatal(err)
	}
	fail := true
	f := journal.Follower{Name: "test", DB: own, Apply: func(tx store.Tx, entries []journal.Entry) error {
		for _, e := range entries {
			if _, err := tx.Exec(`INSERT INTO seen (seq, data) VALUES ($1, $2)`, e.Seq, string(e.Data)); err != nil {
				return err
			}
		}
		if fail = !fail; !fail {
			return errors.New("the first try of each round fails, after its work")
		}
		return nil
	}}
	for life := range 3 {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- h.j.Follow(ctx, f) }()
		for n := range 5 {
			if err := h.do(fmt.Sprintf("life %d call %d", life, n), nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := h.j.Wait(t.Context(), "test"); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	err := own.View(context.Background(), func(tx store.Tx) error {
		rows, err := tx.Query(`SELECT data FROM seen ORDER BY seq`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var data string
			if err := rows.Scan(&data); err != nil {
				return err
			}
			got = append(got, data)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := h.records(t); !slices.Equal(got, want) || len(got) != 15 {
		t.Errorf("the follower has %q, the journal %q", got, want)
	}
}

// TestFollowerOverPagesInMemory has a follower begin where others have read some pages, in any order and with gaps.
func TestFollowerOverPagesInMemory(t *testing.T) {
	h := open(t, t.TempDir())
	const pages = 12
	for n := range pages {
		if err := h.do(fmt.Sprint("call ", n), nil); err != nil {
			t.Fatal(err)
		}
	}
	h.waitSequenced(t)
	for _, seq := range []int64{7, 0, 2, 1, 3, 11, 4, 8, 9} {
		if _, err := h.j.Get(context.Background(), []int64{seq}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var got []string
	done := make(chan error, 1)
	go func() {
		done <- h.j.Follow(ctx, journal.Follower{Name: "late", DB: h.db, Apply: func(_ store.Tx, entries []journal.Entry) error {
			for _, e := range entries {
				if e.Seq != int64(len(got)) {
					return fmt.Errorf("record %d comes after %d records", e.Seq, len(got))
				}
				got = append(got, string(e.Data))
			}
			return nil
		}})
	}()
	err := h.j.Wait(t.Context(), "late")
	cancel()
	if err := errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}
	if want := h.records(t); !slices.Equal(got, want) || len(got) != pages {
		t.Errorf("the follower has %q, the journal %q", got, want)
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	h := open(t, t.TempDir())
	if err := h.do("unfollowed", nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := h.j.Wait(ctx, "nobody"); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait returned %v", err)
	}
}

func TestDuringFindsPagesByTime(t *testing.T) {
	h := open(t, t.TempDir())
	day := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for hour := range 24 {
		at := day.Add(time.Duration(hour) * time.Hour)
		if err := h.j.Commit(t.Context(), nil, func(error) []journal.Record {
			return []journal.Record{{Time: at, Data: []byte(at.Format("15"))}}
		}); err != nil {
			t.Fatal(err)
		}
	}
	h.waitSequenced(t)
	ranges, err := h.j.During(t.Context(), day.Add(5*time.Hour), day.Add(7*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if want := []journal.Range{{First: 5, End: 6}, {First: 6, End: 7}, {First: 7, End: 8}}; !slices.Equal(ranges, want) {
		t.Errorf("got %v, want %v", ranges, want)
	}
}

// BenchmarkCommit is what a call pays for being recorded, by how many wait at the same time.
func BenchmarkCommit(b *testing.B) {
	for _, waiters := range []int{1, 64, 256} {
		b.Run(fmt.Sprint(waiters), func(b *testing.B) {
			db, err := sqlite.Open(filepath.Join(b.TempDir(), "journal.db"))
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			j, err := journal.Open(b.Context(), db, slog.New(slog.DiscardHandler))
			if err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(b.Context())
			ended := make(chan error, 1)
			go func() { ended <- j.Run(ctx) }()
			data := []byte(strings.Repeat(`{"eventVersion":"1.11","eventName":"Encrypt"}`, 24))
			b.ResetTimer()
			var all sync.WaitGroup
			for range waiters {
				all.Go(func() {
					for range b.N/waiters + 1 {
						if err := j.Commit(ctx, nil, func(error) []journal.Record {
							return []journal.Record{{Time: time.Now(), Data: data}}
						}); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
			cancel()
			<-ended
		})
	}
}
