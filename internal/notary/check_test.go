package notary

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vigil"
	"vigil/internal/store"
)

// check opens the database and checks it against what the data directory knows.
func (h *house) check(t testing.TB) *Report {
	t.Helper()
	key, err := os.ReadFile(filepath.Join(h.dir, KeyFile))
	if err != nil {
		t.Fatal(err)
	}
	known, err := os.ReadFile(filepath.Join(h.dir, CheckpointFile))
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := vigil.NewVerifier(strings.TrimSpace(string(key)))
	if err != nil {
		t.Fatal(err)
	}
	return h.checkWith(t, CheckOptions{Key: verifier, Known: []Known{{CheckpointFile, known}}})
}

func (h *house) checkWith(t testing.TB, options CheckOptions) *Report {
	t.Helper()
	h.openDB(t)
	defer h.stop(t)
	report, err := Check(t.Context(), h.db, options)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// change does something to the stopped database.
func (h *house) change(t testing.TB, change func(t testing.TB, tx store.Tx)) {
	t.Helper()
	h.openDB(t)
	defer h.stop(t)
	if err := h.db.Update(t.Context(), func(tx store.Tx) error { change(t, tx); return nil }); err != nil {
		t.Fatal(err)
	}
}

// execute is a change by statements, each of which must change something.
func execute(statements ...string) func(testing.TB, store.Tx) {
	return func(t testing.TB, tx store.Tx) {
		t.Helper()
		for _, s := range statements {
			if n, err := tx.Exec(s); err != nil || n == 0 {
				t.Fatalf("%s: %d rows, %v", s, n, err)
			}
		}
	}
}

// rewritePage changes the records of the page that begins with a record.
func rewritePage(first int64, change func([]vigil.PageRecord) []vigil.PageRecord) func(testing.TB, store.Tx) {
	return func(t testing.TB, tx store.Tx) {
		t.Helper()
		var node, number int64
		var body []byte
		if err := tx.QueryRow(`SELECT p.node, p.number, p.body FROM journal_page p JOIN journal_order o ON o.node = p.node AND o.number = p.number
			WHERE o.first = $1`, first).Scan(&node, &number, &body); err != nil {
			t.Fatal(err)
		}
		records, err := vigil.DecodePage(body)
		if err != nil {
			t.Fatal(err)
		}
		var w vigil.PageWriter
		for _, r := range change(records) {
			w.Add(r.Time, r.Data)
		}
		if _, err := tx.Exec(`UPDATE journal_page SET body = $1, count = $2 WHERE node = $3 AND number = $4`, w.Encode(), w.Len(), node, number); err != nil {
			t.Fatal(err)
		}
	}
}

// exchange puts another event in place of a record.
func exchange(i int, number int) func([]vigil.PageRecord) []vigil.PageRecord {
	return func(records []vigil.PageRecord) []vigil.PageRecord {
		records[i].Data = record(number).Data
		return records
	}
}

// TestForgedDatabase forges a database of 600 records in pages of ten, in every way that there is, and has it checked.
func TestForgedDatabase(t *testing.T) {
	original := newHouse(t)
	original.start(t)
	original.commit(t, 290, 10)
	original.stop(t)
	early := copyDatabase(t, original.dir)
	original.start(t)
	original.commit(t, 310, 10)
	original.stop(t)
	if r := original.check(t); !r.Good() || r.Sealed != 600 || r.Unsealed != 0 {
		t.Fatalf("as it was, %d records are sealed, %d are not, and found is %q", r.Sealed, r.Unsealed, r.Findings)
	}

	forgery := func(t testing.TB, tx store.Tx) { // of all that can be forged without the key
		rewritePage(20, exchange(3, 9999))(t, tx)
		writeTree(t, tx)
	}
	for _, test := range []struct {
		name   string
		change func(testing.TB, store.Tx)
		want   []string // each in a finding
	}{
		{"record altered", rewritePage(20, func(p []vigil.PageRecord) []vigil.PageRecord {
			p[3].Data = []byte(strings.Replace(string(p[3].Data), "Encrypt", "Decrypt", 1))
			return p
		}), []string{`record 23 was altered or exchanged: it now is event "`, `"Decrypt"`}},
		{"record exchanged", rewritePage(590, exchange(9, 1)), []string{"record 599 was altered or exchanged"}},
		{"record removed from its page", rewritePage(20, func(p []vigil.PageRecord) []vigil.PageRecord { return append(p[:3], p[4:]...) }),
			[]string{"the page of records 20 to 29 has 9 records", "record 23 was altered", "record 24 was moved: it stands at place 23", "record 29 was moved: it stands at place 28"}},
		{"records reordered", rewritePage(20, func(p []vigil.PageRecord) []vigil.PageRecord { p[2], p[7] = p[7], p[2]; return p }),
			[]string{"record 22 was moved: it stands at place 27", "record 27 was moved: it stands at place 22"}},
		{"pages reordered", execute(`UPDATE journal_order SET first = 100000 WHERE first = 20`, `UPDATE journal_order SET first = 20 WHERE first = 50`,
			`UPDATE journal_order SET first = 50 WHERE first = 100000`), []string{"record 20 was moved: it stands at place 50", "record 59 was moved: it stands at place 29"}},
		{"page removed", execute(`DELETE FROM journal_page WHERE number = (SELECT number FROM journal_order WHERE first = 20) AND node = (SELECT node FROM journal_order WHERE first = 20)`),
			[]string{"the page of records 20 to 29 (page ", "records 20 to 29 are missing"}},
		{"page removed with its place", execute(`DELETE FROM journal_page WHERE number = (SELECT number FROM journal_order WHERE first = 20) AND node = (SELECT node FROM journal_order WHERE first = 20)`,
			`DELETE FROM journal_order WHERE first = 20`), []string{"records 20 to 29 are missing"}},
		{"newest page removed", execute(`DELETE FROM journal_order WHERE first = 590`), []string{"records 590 to 599 are missing"}},
		{"all removed", execute(`DELETE FROM journal_order`), []string{"records 0 to 599 are missing"}},
		{"page damaged", execute(`UPDATE journal_page SET body = substr(body, 1, length(body) - 1) WHERE number = (SELECT number FROM journal_order WHERE first = 20) AND node = (SELECT node FROM journal_order WHERE first = 20)`),
			[]string{"the page of records 20 to 29 (page ", "is damaged", "records 20 to 29 are missing"}},
		{"page's times altered", execute(`UPDATE journal_order SET last_time = last_time - 3600000 WHERE first = 20`),
			[]string{"the times of the page of records 20 to 29, by which it is found and dropped, were altered"}},
		{"record's time altered", rewritePage(20, func(p []vigil.PageRecord) []vigil.PageRecord { p[3].Time = p[3].Time.Add(-time.Hour); return p }),
			[]string{"the times of the page of records 20 to 29", "record 23 is kept as one of "}},
		{"place given twice", execute(`UPDATE journal_order SET first = 25 WHERE first = 30`), []string{"two pages claim the place of record 25"}},
		{"digest altered", execute(`UPDATE notary_digest SET digests = CAST(X'00112233' || substr(digests, 5) AS BLOB) WHERE n = 1`),
			[]string{"the digest of record 256 was altered; the record itself is the one that was sealed"}},
		{"digests removed", execute(`DELETE FROM notary_digest WHERE n = 1`), []string{"the digests of records 256 to 511 are missing"}},
		{"record and digest altered", func(t testing.TB, tx store.Tx) {
			rewritePage(0, func(p []vigil.PageRecord) []vigil.PageRecord {
				p[0].Data = []byte(`{"eventTime":"2026-01-02T03:04:05Z"}`)
				return p
			})(t, tx)
			digest := vigil.Digest([]byte(`{"eventTime":"2026-01-02T03:04:05Z"}`))
			if _, err := tx.Exec(`UPDATE notary_digest SET digests = CAST($1 || substr(digests, 33) AS BLOB) WHERE n = 0`, digest[:]); err != nil {
				t.Fatal(err)
			}
		}, []string{"the database's records are not those of its checkpoint", "records 0 to 255, or their digests, are not those that the tree was made of"}},
		{"tile altered", execute(`UPDATE notary_tile SET hashes = CAST(X'00112233' || substr(hashes, 5) AS BLOB) WHERE level = 1`),
			[]string{"the tree's hash over records 0 to 255 was altered; the records are those that were sealed"}},
		{"everything but the signature", forgery, []string{"the database's records are not those of its checkpoint"}},
		{"checkpoint's root altered", execute(`UPDATE notary_checkpoint SET note = CAST(replace(CAST(note AS TEXT), char(10) || '600' || char(10), char(10) || '590' || char(10)) AS BLOB)`),
			[]string{"the database's checkpoint: "}},
		{"checkpoint removed", execute(`DELETE FROM notary_checkpoint`), []string{"the checkpoint is missing"}},
		{"key exchanged", execute(`UPDATE notary_log SET public = X'8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c'`), []string{"its key was exchanged"}},
		{"cursor moved", execute(`UPDATE journal_cursor SET next = 590 WHERE name = 'notary'`), []string{"the next record to be sealed is said to be 590"}},
		{"checkpoint rolled back", nil, []string{"the checkpoint was rolled back: checkpoint is of 600 records, and the database's is of 290"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t)
			from := original.dir
			if test.change == nil {
				from = early
			}
			restore(t, from, h.dir)
			for _, name := range []string{KeyFile, CheckpointFile} {
				data, err := os.ReadFile(filepath.Join(original.dir, name))
				if err == nil {
					err = os.WriteFile(filepath.Join(h.dir, name), data, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if test.change != nil {
				h.change(t, test.change)
			}
			report := h.check(t)
			all := strings.Join(report.Findings, "\n")
			for _, want := range test.want {
				if !strings.Contains(all, want) {
					t.Errorf("%q is not found, but\n%s", want, all)
				}
			}
		})
	}
}

// writeTree makes the digests and tiles of the database those of its records.
func writeTree(t testing.TB, tx store.Tx) {
	t.Helper()
	walk := recordWalk{tx: tx, report: &Report{}}
	var digests [][digestSize]byte
	for seq := int64(0); ; seq++ {
		record, there, err := walk.at(seq)
		if err != nil {
			t.Fatal(err)
		}
		if !there {
			break
		}
		digests = append(digests, vigil.Digest(record.Data))
	}
	grown := emptyTree()
	grown.growIn(tx)
	for _, d := range digests {
		if err := grown.add(d); err != nil {
			t.Fatal(err)
		}
	}
	if err := grown.store(tx); err != nil {
		t.Fatal(err)
	}
}

// TestDroppedPages drops the oldest pages, as retention does: the tree still proves the rest.
func TestDroppedPages(t *testing.T) {
	engines(t, func(t *testing.T, h *house) {
		h.start(t)
		h.commit(t, 600, 10)
		r := h.reader(t)
		r.Visit(t)
		h.stop(t)
		h.change(t, execute(`DELETE FROM journal_page WHERE EXISTS (SELECT 1 FROM journal_order o WHERE o.node = journal_page.node AND o.number = journal_page.number AND o.first < 300)`,
			`DELETE FROM journal_order WHERE first < 300`))
		h.start(t)
		h.commit(t, 30, 10)
		r.Visit(t)
		entries, err := h.j.Get(t.Context(), []int64{300, 629})
		if err != nil || len(entries) != 2 {
			t.Fatalf("%d entries, %v", len(entries), err)
		}
		for _, e := range entries {
			if _, err := h.n.Prove(t.Context(), e); err != nil {
				t.Error(err)
			}
		}
		h.stop(t)
		if report := h.checkWith(t, CheckOptions{DroppedBefore: 300}); !report.Good() || report.Dropped != 300 {
			t.Errorf("%d records are said to be dropped, and found is %q", report.Dropped, report.Findings)
		}
		if report := h.checkWith(t, CheckOptions{DroppedBefore: 299}); len(report.Findings) != 1 || report.Findings[0] != "record 299 is missing" {
			t.Errorf("one more than was to be dropped, and found is %q", report.Findings)
		}
	})
}

// TestCheckUnsealed has a database checked that stopped before the newest records were sealed.
func TestCheckUnsealed(t *testing.T) {
	h := newHouse(t)
	h.start(t)
	h.commit(t, 20, 10)
	h.stop(t)
	h.change(t, execute(`INSERT INTO journal_page (node, number, count, first_time, last_time, body) VALUES (77, 0, 3, 0, 0, X'00')`))
	if r := h.check(t); !r.Good() || r.Sealed != 20 || r.Unsealed != 3 {
		t.Errorf("%d sealed, %d not, and found is %q", r.Sealed, r.Unsealed, r.Findings)
	}
}
