package journal_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vigil"
	"vigil/internal/journal"
	"vigil/internal/store"
	"vigil/internal/store/storetest"
)

// handed is a page that is handed over with its records, as who has decoded it does.
func handed(texts ...string) journal.Page {
	p := pageOf(texts...)
	p.Records, _ = vigil.DecodePage(p.Body)
	for _, r := range p.Records {
		p.Digests = append(p.Digests, vigil.Digest(r.Data))
	}
	return p
}

// reader is a follower that keeps what it is given.
type reader struct {
	db   store.DB
	got  []journal.Entry
	gate chan struct{} // it goes on when this is closed
	fail func() bool
	idle *atomic.Bool
}

// follow has the reader follow until the function it returns is called.
func (r *reader) follow(t *testing.T, j *journal.Journal, name string) (stop func()) {
	f := journal.Follower{Name: name, DB: r.db, Apply: func(tx store.Tx, entries []journal.Entry) error {
		<-r.gate
		if r.fail() {
			return errors.New("on purpose")
		}
		tx.OnCommit(func() {
			for _, e := range entries {
				if e.Digest() != vigil.Digest(e.Data) {
					t.Errorf("the digest of record %d is another's", e.Seq)
				}
				r.got = append(r.got, journal.Entry{Seq: e.Seq, Time: e.Time, Data: bytes.Clone(e.Data), Imported: e.Imported})
			}
		})
		return nil
	}}
	if r.idle != nil {
		f.Idle = r.idle.Load
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- j.Follow(ctx, f) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// opened is a channel that is closed.
func opened() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// stored is what the journal's pages say, decoded one by one.
func stored(t *testing.T, j *journal.Journal) map[int64]journal.Entry {
	t.Helper()
	if err := j.WaitSequenced(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := map[int64]journal.Entry{}
	for from := int64(0); ; {
		pages, err := j.Pages(t.Context(), from, time.UnixMilli(0), time.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if len(pages) == 0 {
			return all
		}
		for _, p := range pages {
			entries, err := p.Entries()
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				all[e.Seq] = e
			}
			from = p.End
		}
	}
}

// same says whether two entries are alike, byte for byte.
func same(a, b journal.Entry) bool {
	return a.Seq == b.Seq && a.Time == b.Time && a.Imported == b.Imported && bytes.Equal(a.Data, b.Data)
}

// viewsDB counts the Views of a database.
type viewsDB struct {
	store.DB
	views atomic.Int64
}

func (d *viewsDB) View(ctx context.Context, fn func(store.Tx) error) error {
	d.views.Add(1)
	return d.DB.View(ctx, fn)
}

// TestFollowersNeedNotReadWhatWasJustAppended: while followers keep up, records come to them as they are stored, but not from the database.
func TestFollowersNeedNotReadWhatWasJustAppended(t *testing.T) {
	db := &viewsDB{DB: openDB(t, filepath.Join(t.TempDir(), "journal.db"))}
	h := openOn(t, db)
	readers := map[string]*reader{}
	for _, name := range []string{"one", "two", "three"} {
		r := &reader{db: openDB(t, filepath.Join(t.TempDir(), "follower.db")), gate: opened(), fail: func() bool { return false }}
		readers[name] = r
		stop := r.follow(t, h.j, name)
		t.Cleanup(stop)
	}
	for len(h.j.Followed()) < len(readers) {
		time.Sleep(time.Millisecond)
	}
	before := db.views.Load()
	for n := range 20 {
		if err := h.do(fmt.Sprint("call ", n), nil); err != nil {
			t.Fatal(err)
		}
		if err := h.j.Commit(t.Context(), func(tx store.Tx) error {
			return h.j.Append(tx, []journal.Page{handed(fmt.Sprint("old ", n), "old too"), handed(fmt.Sprint("older ", n))})
		}, func(error) []journal.Record { return []journal.Record{{Time: time.Now(), Data: []byte("import")}} }); err != nil {
			t.Fatal(err)
		}
		if n%4 == 0 {
			for name := range readers {
				if err := h.j.Wait(t.Context(), name); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for name := range readers {
		if err := h.j.Wait(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if views := db.views.Load() - before; views != 0 {
		t.Errorf("the database was read %d times", views)
	}
	want := stored(t, h.j)
	for name, r := range readers {
		if len(r.got) != 100 || len(want) != 100 {
			t.Fatalf("%s has %d of %d records", name, len(r.got), len(want))
		}
		for _, e := range r.got {
			if !same(e, want[e.Seq]) {
				t.Errorf("%s was given %v, stored is %v", name, e, want[e.Seq])
			}
		}
	}
}

// TestFollowersHaveTheJournalInOrder tells stories at random, of commits that fail in every way, effects that are undone, pages from elsewhere, more than
// memory keeps, records that are dropped, and restarts, to followers that are quick, slow, fail, or are idle at times.
func TestFollowersHaveTheJournalInOrder(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			newStory(t, seed).run()
		})
	}
}

type followStory struct {
	*testing.T
	random  *rand.Rand
	path    string
	readers map[string]*reader
	idle    atomic.Bool
	truth   map[int64]journal.Entry
	calls   int
}

func newStory(t *testing.T, seed uint64) *followStory {
	s := &followStory{T: t, random: rand.New(rand.NewPCG(seed, 1)), path: filepath.Join(t.TempDir(), "journal.db"),
		readers: map[string]*reader{}, truth: map[int64]journal.Entry{}}
	var failures atomic.Int64
	for name, fail := range map[string]func() bool{
		"quick":   func() bool { return false },
		"slow":    func() bool { return false },
		"failing": func() bool { return failures.Add(1)%3 == 0 },
		"idle":    func() bool { return false },
	} {
		s.readers[name] = &reader{db: openDB(t, filepath.Join(t.TempDir(), name+".db")), fail: fail}
	}
	s.readers["idle"].idle = &s.idle
	return s
}

func (s *followStory) run() {
	for range 3 {
		s.life()
	}
	for name, r := range s.readers {
		for i, e := range r.got {
			if !same(e, s.truth[e.Seq]) {
				s.Fatalf("%s was given record %d as %.80q, stored is %.80q", name, e.Seq, e.Data, s.truth[e.Seq].Data)
			}
			if gap := i > 0 && e.Seq != r.got[i-1].Seq+1; i > 0 && e.Seq <= r.got[i-1].Seq || gap && name != "idle" {
				s.Fatalf("%s was given record %d after %d", name, e.Seq, r.got[i-1].Seq)
			}
		}
		if name != "idle" && len(r.got) != len(s.truth) {
			s.Errorf("%s was given %d of %d records", name, len(r.got), len(s.truth))
		}
	}
}

// life is that of one process.
func (s *followStory) life() {
	db := storetest.NewFaultDB(openDB(s.T, s.path))
	if err := db.Migrate(s.Context(), "test", `CREATE TABLE thing (name TEXT NOT NULL PRIMARY KEY)`); err != nil {
		s.Fatal(err)
	}
	j, err := journal.Open(s.Context(), db, slog.New(slog.DiscardHandler))
	if err != nil {
		s.Fatal(err)
	}
	running, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- j.Run(running) }()

	s.calls += 3 // before anybody follows
	s.commit(j, 3, 10)
	s.idle.Store(false)
	gate := make(chan struct{}) // the slow one begins when half is there
	var stops []func()
	for name, r := range s.readers {
		if r.gate = opened(); name == "slow" {
			r.gate = gate
		}
		stops = append(stops, r.follow(s.T, j, name))
	}
	const steps = 40
	for step := range steps {
		switch s.random.IntN(12) {
		case 0, 1:
			faults := slices.Sorted(maps.Values(faults))
			db.FailUpdate(1+s.random.IntN(3), faults[s.random.IntN(len(faults))])
		case 2:
			maps.Copy(s.truth, stored(s.T, j))
			_ = j.Drop(s.Context(), s.passed(j)) // it may be failed
		case 3:
			s.commit(j, 2, 900_000)
		case 4:
			s.idle.Store(!s.idle.Load())
		case 5:
			_ = j.Wait(s.Context(), "quick")
		default:
			s.commit(j, 1+s.random.IntN(6), 1+s.random.IntN(20_000))
		}
		if step == steps/2 {
			close(gate)
		}
	}
	s.idle.Store(false)
	for name := range s.readers {
		if err := j.Wait(s.Context(), name); err != nil {
			s.Fatal(err)
		}
	}
	maps.Copy(s.truth, stored(s.T, j))
	if err := j.Check(s.Context()); err != nil {
		s.Error(err)
	}
	for _, stop := range stops {
		stop()
	}
	cancel()
	if err := <-ended; err != nil {
		s.Fatal(err)
	}
	if err := db.Close(); err != nil {
		s.Fatal(err)
	}
}

// passed is where the slowest follower is.
func (s *followStory) passed(j *journal.Journal) int64 {
	followed := j.Followed()
	if len(followed) < len(s.readers) {
		return 0
	}
	return slices.Min(slices.Collect(maps.Values(followed)))
}

// commit makes calls at the same time, with records of about a size. Pages from elsewhere are larger.
func (s *followStory) commit(j *journal.Journal, calls, size int) {
	var all sync.WaitGroup
	for range calls {
		s.calls++
		name := fmt.Sprintf("call %d ", s.calls)
		text := func(what string) string { return name + what + strings.Repeat(" "+name, size/len(name)) }
		way := s.random.IntN(6)
		effect := func(tx store.Tx) error {
			if way < 2 {
				return nil
			}
			first := handed(text("old"), text("older"))
			if way == 5 {
				first = pageOf(text("not handed over"))
			}
			if err := j.Append(tx, []journal.Page{first, handed(text("oldest"))}); err != nil {
				return err
			}
			return cmp.Or(map[int]error{3: errors.New("undone")}[way], nil)
		}
		record := func(err error) []journal.Record {
			if way == 1 {
				return nil
			}
			return []journal.Record{{Time: time.Now(), Data: []byte(text(fmt.Sprint(err)))}}
		}
		if way == 0 {
			effect = nil
		}
		all.Go(func() {
			err := j.Commit(context.Background(), effect, record)
			if err != nil && !errors.Is(err, journal.ErrNotRecorded) && way != 3 {
				s.Error(err)
			}
		})
	}
	all.Wait()
}
