package notary

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vigil"
	"vigil/internal/journal"
	"vigil/internal/notary/notarytest"
	"vigil/internal/store"
	"vigil/internal/store/storetest"
)

// TestIndependentReader verifies tiles, bundles, inclusion and consistency over restarts, at sizes around the borders of tiles.
func TestIndependentReader(t *testing.T) {
	engines(t, func(t *testing.T, h *house) {
		var r *notarytest.Reader
		for _, n := range []int{0, 1, 2, 252, 1, 1, 500, 3000} {
			h.start(t)
			if r == nil {
				r = h.reader(t)
				h.stop(t)
				h.start(t)
			}
			h.commit(t, n, 7)
			tree := r.Visit(t)
			all := h.records(t)
			if tree.N != int64(len(all)) {
				t.Fatalf("%d of %d records are sealed", tree.N, len(all))
			}
			for index := int64(0); index < tree.N; index += 1 + tree.N/50 {
				digest := sha256.Sum256(all[index].Data)
				r.Find(t, tree, index, append([]byte{1}, digest[:]...))
			}
			h.stop(t)
		}
		h.start(t)
		h.compareBundles(t)
	})
}

// compareBundles holds the entry bundles against the records.
func (h *house) compareBundles(t *testing.T) {
	t.Helper()
	all := h.records(t)
	for n := 0; n*256 < len(all); n++ {
		part := all[n*256 : min(len(all), (n+1)*256)]
		var want []byte
		for _, e := range part {
			digest := sha256.Sum256(e.Data)
			want = append(append(want, 0, 33, 1), digest[:]...)
		}
		_, got := h.get(t, vigil.Tile{Level: vigil.Entries, N: int64(n), Width: len(part)}.Path(), http.StatusOK)
		if !bytes.Equal(got, want) {
			t.Errorf("bundle %d is not that of the records", n)
		}
	}
}

// TestHeaders holds what C2SP tlog-tiles says of content types, caching and what is not there.
func TestHeaders(t *testing.T) {
	h := newHouse(t)
	h.start(t)
	h.commit(t, 300, 50)
	for resource, want := range map[string]struct {
		status             int
		contentType, cache string
	}{
		"checkpoint":            {200, "text/plain; charset=utf-8", "no-cache"},
		"key":                   {200, "text/plain; charset=utf-8", "no-cache"},
		"tile/0/000":            {200, "application/octet-stream", "public, max-age=31536000, immutable"},
		"tile/0/000.p/12":       {200, "application/octet-stream", "public, max-age=31536000, immutable"},
		"tile/0/001.p/44":       {200, "application/octet-stream", "public, max-age=31536000, immutable"},
		"tile/1/000.p/1":        {200, "application/octet-stream", "public, max-age=31536000, immutable"},
		"tile/entries/000":      {200, "application/octet-stream", "public, max-age=31536000, immutable"},
		"tile/0/001.p/45":       {404, "text/plain; charset=utf-8", "no-cache"},
		"tile/0/001":            {404, "text/plain; charset=utf-8", "no-cache"},
		"tile/1/000.p/2":        {404, "text/plain; charset=utf-8", "no-cache"},
		"tile/2/000.p/1":        {404, "text/plain; charset=utf-8", "no-cache"},
		"tile/entries/002.p/1":  {404, "text/plain; charset=utf-8", "no-cache"},
		"tile/entries/1":        {404, "text/plain; charset=utf-8", "no-cache"},
		"tile/0/000.p/0":        {404, "text/plain; charset=utf-8", "no-cache"},
		"tile/8/0/000":          {404, "text/plain; charset=utf-8", "no-cache"},
		"tile/0/x999/x999/000":  {404, "text/plain; charset=utf-8", "no-cache"},
		"tile/entries/000.p/-1": {404, "text/plain; charset=utf-8", "no-cache"},
	} {
		resp, _ := h.get(t, resource, want.status)
		if got := resp.Header.Get("Content-Type"); got != want.contentType {
			t.Errorf("%s: content type %q, want %q", resource, got, want.contentType)
		}
		if got := resp.Header.Get("Cache-Control"); got != want.cache {
			t.Errorf("%s: cache control %q, want %q", resource, got, want.cache)
		}
	}
	for _, r := range []string{"POST /tlog/checkpoint", "GET /tlog", "GET /tlog/", "GET /tlogs/checkpoint", "GET /", "DELETE /tlog/tile/0/000"} {
		method, path, _ := strings.Cut(r, " ")
		req, _ := http.NewRequest(method, "http://vigil.example"+path, nil)
		if h.n.Open(req) != nil {
			t.Errorf("%s is taken for the log's", r)
		}
	}
}

func TestProveEvent(t *testing.T) {
	h := newHouse(t)
	h.start(t)
	h.commit(t, 700, 9)
	foreign := journal.Record{Time: record(0).Time, Data: []byte(`{"eventVersion":"1.05","eventTime":"2019-02-03T04:05:06Z","eventID":"0c4e3b2a-1d5f-4a6b-8c7d-9e0f1a2b3c4d"}`)}
	if err := h.j.Commit(t.Context(), nil, func(error) []journal.Record { return []journal.Record{foreign} }); err != nil {
		t.Fatal(err)
	}
	log, err := vigil.NewVerifier(h.n.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	all := h.records(t)
	for _, index := range []int{0, 255, 256, 511, 512, 699} {
		record, err := vigil.ParseRecord(all[index].Data)
		if err != nil {
			t.Fatal(err)
		}
		p, err := h.n.ProveEvent(t.Context(), record.EventID)
		if err != nil {
			t.Fatal(err)
		}
		if p, err = vigil.ParseProof(p.Text()); err != nil {
			t.Fatal(err)
		}
		if c, err := p.Verify(log); err != nil || p.Index != int64(index) || !bytes.Equal(p.Record, all[index].Data) || c.Size != 701 {
			t.Errorf("record %d: %v, %v", index, p, err)
		}
	}
	if p, err := h.n.ProveEvent(t.Context(), "0c4e3b2a-1d5f-4a6b-8c7d-9e0f1a2b3c4d"); err != nil || p.Index != 700 {
		t.Errorf("an event from elsewhere: %v, %v", p, err)
	}
	for _, id := range []string{"", "0", "0192f000-0000-7000-8000-000000000000"} {
		if _, err := h.n.ProveEvent(t.Context(), id); !errors.Is(err, ErrNoEvent) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// TestFaults has the sealing transaction fail in each way: nothing that was published is taken back.
func TestFaults(t *testing.T) {
	for name, fault := range map[string]storetest.Fault{"before": storetest.Before, "failed": storetest.Failed,
		"failed in doubt": storetest.FailedInDoubt, "persisted in doubt": storetest.PersistedInDoubt} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			path := filepath.Join(h.dir, "vigil.db")
			open := h.open
			var faulty *storetest.FaultDB
			h.open = func() (store.DB, error) {
				db, err := open()
				faulty = storetest.NewFaultDB(db)
				return faulty, err
			}
			h.start(t)
			h.commit(t, 100, 10)
			r := h.reader(t)
			r.Visit(t)
			for n := 1; n <= 6; n++ {
				faulty.FailUpdate(n, fault) // of the committer, the sequencer or the notary
				for i := range 3 {
					_ = h.j.Commit(context.Background(), nil, func(error) []journal.Record { return []journal.Record{record(i)} })
				}
				h.waitSealed(t)
				if err := h.n.Err(); err != nil {
					t.Fatal(err)
				}
				r.Visit(t)
			}
			h.stop(t)
			h.open = open
			h.start(t)
			h.commit(t, 10, 3)
			r.Visit(t)
			h.stop(t)
			if r := h.check(t); !r.Good() {
				t.Errorf("%s: %q", path, r.Findings)
			}
		})
	}
}

// TestNothingInconsistentIsSigned forges the database under a log, and has it opened again, and written to while it runs.
func TestNothingInconsistentIsSigned(t *testing.T) {
	for name, forge := range map[string]string{
		"a digest":                `UPDATE notary_digest SET digests = CAST(X'00' || substr(digests, 2) AS BLOB) WHERE n = 1`,
		"a digest less":           `UPDATE notary_digest SET digests = substr(digests, 1, length(digests) - 32) WHERE n = 1`,
		"the digests":             `DELETE FROM notary_digest WHERE n = 1`,
		"a hash":                  `UPDATE notary_tile SET hashes = CAST(X'00' || substr(hashes, 2) AS BLOB) WHERE level = 1`,
		"the checkpoint":          `UPDATE notary_checkpoint SET note = X'0a'`,
		"no checkpoint":           `DELETE FROM notary_checkpoint`,
		"digests that are longer": `UPDATE notary_digest SET digests = CAST(digests || digests AS BLOB) WHERE n = 1`,
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.start(t)
			h.commit(t, 300, 10)
			last := h.n.Signed()
			h.forge(t, forge)
			if err := h.j.Commit(t.Context(), nil, func(error) []journal.Record { return []journal.Record{record(1)} }); err != nil {
				t.Fatal(err)
			}
			for h.n.Err() == nil {
				if h.n.Signed() != last {
					t.Fatal("it was signed")
				}
			}
			if err := h.n.Err(); !errors.Is(err, ErrInconsistent) {
				t.Errorf("while it runs: %v", err)
			}
			h.stop(t)
			h.start(t)
			if err := h.n.Err(); !errors.Is(err, ErrInconsistent) {
				t.Errorf("after a start: %v", err)
			}
			h.get(t, "checkpoint", http.StatusServiceUnavailable)
		})
	}
}

// forge changes the database behind the house's back.
func (h *house) forge(t testing.TB, statements ...string) {
	t.Helper()
	err := h.db.Update(context.Background(), func(tx store.Tx) error {
		for _, s := range statements {
			n, err := tx.Exec(s)
			if err != nil {
				return err
			}
			if n == 0 {
				t.Errorf("%s: changes nothing", s)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestDatabasePutBack has a database put back to an earlier state that is good in itself.
func TestDatabasePutBack(t *testing.T) {
	h := newHouse(t)
	h.start(t)
	h.commit(t, 20, 10)
	h.stop(t)
	early := copyDatabase(t, h.dir)
	h.start(t)
	h.commit(t, 20, 10)
	h.stop(t)
	restore(t, early, h.dir)
	h.start(t)
	if err := h.n.Err(); !errors.Is(err, ErrInconsistent) || !strings.Contains(err.Error(), "put back") {
		t.Errorf("the log is said to be: %v", err)
	}
	h.stop(t)

	// Without what the data directory remembers, nothing shows it; the log goes on, and whoever has seen it before finds the fork.
	if err := os.Remove(filepath.Join(h.dir, CheckpointFile)); err != nil {
		t.Fatal(err)
	}
	h.start(t)
	if err := h.n.Err(); err != nil {
		t.Error(err)
	}
}

// copyDatabase copies the files of a database that nobody has open.
func copyDatabase(t testing.TB, dir string) string {
	t.Helper()
	to := t.TempDir()
	restore(t, dir, to)
	return to
}

func restore(t testing.TB, from, to string) {
	t.Helper()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		name := "vigil.db" + suffix
		data, err := os.ReadFile(filepath.Join(from, name))
		if errors.Is(err, os.ErrNotExist) {
			os.Remove(filepath.Join(to, name))
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestOtherLog has the directory's database exchanged for one of another log.
func TestOtherLog(t *testing.T) {
	h, other := newHouse(t), newHouse(t)
	for _, h := range []*house{h, other} {
		h.start(t)
		h.commit(t, 20, 10)
		h.stop(t)
	}
	for _, name := range []string{KeyFile, CheckpointFile} {
		data, err := os.ReadFile(filepath.Join(other.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(h.dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
		h.start(t)
		if err := h.n.Err(); !errors.Is(err, ErrInconsistent) {
			t.Errorf("%s is another log's: %v", name, err)
		}
		h.stop(t)
	}
}

func TestOriginNames(t *testing.T) {
	for name, want := range map[string]bool{"log.example.com/tlog": true, "vigil/0123456789abcdef": true, "": false, "a b": false, "a+b": false,
		"a\nb": false, strings.Repeat("a", 256): false, "größe": false} {
		if got := isOrigin(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

// BenchmarkSeal is what a record costs beyond its place: digest, leaf, nodes, tiles and its share of a signature and a transaction.
func BenchmarkSeal(b *testing.B) {
	for _, size := range []int{64, 1024} {
		b.Run(map[int]string{64: "64 a round", 1024: "1024 a round"}[size], func(b *testing.B) {
			h := newHouse(b)
			h.start(b)
			h.cancel()
			for _, ended := range h.ended {
				<-ended
			}
			h.cancel = nil
			entries := make([]journal.Entry, size)
			data := bytes.Repeat([]byte("a record of fourteen hundred bytes  "), 40)
			next := int64(0)
			for b.Loop() {
				for i := range entries {
					entries[i] = journal.Entry{Seq: next, Data: data}
					next++
				}
				if err := h.n.prepare(entries); err != nil {
					b.Fatal(err)
				}
				if err := h.db.Update(context.Background(), func(tx store.Tx) error { return h.n.seal(tx, entries) }); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/record")
		})
	}
}
