package notary

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"vigil"
	"vigil/internal/call"
	"vigil/internal/journal"
	"vigil/internal/store"
	"vigil/internal/store/storetest"
)

// statementRecord is the entry that has a statement, as the server makes it.
func statementRecord(statement string) journal.Record {
	return call.ServiceEvent{Source: vigil.RetentionSource, Name: vigil.RetentionEvent, Account: "111122223333", Region: "us-east-1", Time: time.Now(),
		Details: []call.Detail{{Name: vigil.RetentionDetail, Value: statement}}}.Record()
}

// state states that the records before an index are dropped.
func (h *house) state(t testing.TB, before int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := h.n.State(ctx, before, time.Now().Add(-time.Hour), time.Now(), statementRecord); err != nil {
		t.Fatal(err)
	}
}

// TestRetention drops what was stated, some of it and all of it, and begins again: the tree still proves the rest, to whoever has seen it before, too.
func TestRetention(t *testing.T) {
	engines(t, func(t *testing.T, h *house) {
		h.start(t)
		h.commit(t, 600, 10)
		r := h.reader(t)
		r.Visit(t)
		first := h.records(t)[0]
		id, err := vigil.ParseRecord(first.Data)
		if err != nil {
			t.Fatal(err)
		}
		early, err := h.n.Prove(t.Context(), first)
		if err != nil {
			t.Fatal(err)
		}

		expect := func(dropped, sealed, statement int64) {
			t.Helper()
			h.stop(t)
			report := h.check(t)
			if !report.Good() || report.Dropped != dropped || report.Sealed != sealed || report.Retention == nil || report.Statement != statement {
				t.Errorf("%d records are said to be dropped of %d, by the statement %d; found is %q", report.Dropped, report.Sealed, report.Statement, report.Findings)
			}
			h.start(t)
			r.Visit(t)
		}
		h.state(t, 305) // within a page, which stays
		expect(0, 601, 600)
		if err := h.j.Drop(t.Context(), 305); err != nil {
			t.Fatal(err)
		}
		expect(300, 601, 600)
		h.commit(t, 30, 10)
		h.state(t, 601)
		if before, err := h.n.Stated(t.Context()); before != 601 || err != nil {
			t.Errorf("records before %d are stated to be dropped: %v", before, err)
		}
		if err := h.j.Drop(t.Context(), 601); err != nil {
			t.Fatal(err)
		}
		expect(601, 632, 631)
		h.commit(t, 300, 10)
		expect(601, 932, 631)

		entries, err := h.j.Get(t.Context(), []int64{600, 601, 931})
		if err != nil || len(entries) != 2 {
			t.Fatalf("%d entries, %v", len(entries), err)
		}
		for _, e := range entries {
			if _, err := h.n.Prove(t.Context(), e); err != nil {
				t.Error(err)
			}
		}
		if _, err := h.n.ProveEvent(t.Context(), id.EventID); !errors.Is(err, ErrNoEvent) {
			t.Errorf("the first event, which was dropped: %v", err)
		}
		h.get(t, "tile/entries/000", http.StatusOK)
		if _, err := early.Verify(h.n.verifier); err != nil { // who has it kept can still show it
			t.Error(err)
		}
	})
}

// TestForgedRetention removes records and passes it off as retention, in each way that there is without the log's key.
func TestForgedRetention(t *testing.T) {
	original := newHouse(t)
	original.start(t)
	original.commit(t, 300, 10)
	original.state(t, 100)
	if err := original.j.Drop(t.Context(), 100); err != nil {
		t.Fatal(err)
	}
	secret, _, err := note.GenerateKey(rand.Reader, original.n.origin)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := note.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	state := func(signer note.Signer, before, size int64) []byte {
		r := vigil.Retention{Origin: original.n.origin, Before: before, Older: time.Now(), Time: time.Now(), Tree: original.n.Signed().Checkpoint}
		if size > 0 {
			r.Tree.Size = size
		}
		signed, err := r.Sign(signer)
		if err != nil {
			t.Fatal(err)
		}
		return statementRecord(string(signed)).Data
	}
	other, rewritten, ahead := state(foreign, 200, 0), state(original.n.signer, 200, 299), state(original.n.signer, 200, 400)
	original.commit(t, 10, 10) // records 301 to 310
	if err := original.j.Commit(t.Context(), nil, func(error) []journal.Record {
		return []journal.Record{{Time: time.Now(), Data: other}, {Time: time.Now(), Data: rewritten}, {Time: time.Now(), Data: ahead}} // 311, 312, 313
	}); err != nil {
		t.Fatal(err)
	}
	original.waitSealed(t)
	original.stop(t)
	if r := original.check(t); !r.Good() || r.Dropped != 100 || r.Retention.Before != 100 || r.Statement != 300 {
		t.Fatalf("as it was, %d records are dropped by record %d, and found is %q", r.Dropped, r.Statement, r.Findings)
	}

	drop := []string{`DELETE FROM journal_page WHERE EXISTS (SELECT 1 FROM journal_order o WHERE o.node = journal_page.node AND o.number = journal_page.number AND o.first < 200)`,
		`DELETE FROM journal_order WHERE first < 200`, `UPDATE journal_dropped SET next = 200`}
	with := func(more ...string) func(testing.TB, store.Tx) { return execute(append(drop, more...)...) }
	for _, test := range []struct {
		name   string
		change func(testing.TB, store.Tx)
		want   []string
	}{
		{"more than was stated", with(), []string{"records 100 to 199 are missing"}},
		{"more than was stated, and the table says it", with(`UPDATE notary_retention SET before = 200`),
			[]string{"the records before 200 are said to be dropped by record 300, which states it of those before 100", "records 0 to 199 are missing"}},
		{"from the middle", execute(`DELETE FROM journal_order WHERE first = 150`), []string{"records 150 to 159 are missing"}},
		{"by a record that says something else", with(`UPDATE notary_retention SET before = 200, record = 220`), []string{"record 220, which does not state it", "records 0 to 199 are missing"}},
		{"by a record that is not there", with(`UPDATE notary_retention SET before = 200, record = 1000`), []string{"record 1000, which is missing", "records 0 to 199 are missing"}},
		{"by a statement that another key signed", with(`UPDATE notary_retention SET before = 200, record = 311`),
			[]string{"record 311, which does not state it", "records 0 to 199 are missing"}},
		{"by a statement about another tree", with(`UPDATE notary_retention SET before = 200, record = 312`),
			[]string{"the statement of record 312 says that the tree of the first 299 records has another root"}},
		{"by a statement of a later state", with(`UPDATE notary_retention SET before = 200, record = 313`), []string{"record 313 states what was so when there were 400 records"}},
		{"by an altered statement", func(t testing.TB, tx store.Tx) {
			with(`UPDATE notary_retention SET before = 200`)(t, tx)
			rewritePage(300, func(p []vigil.PageRecord) []vigil.PageRecord {
				p[0].Data = []byte(strings.Replace(string(p[0].Data), `\n100\n`, `\n200\n`, 1))
				return p
			})(t, tx)
		}, []string{"record 300, which does not state it", "record 300 was altered", "records 0 to 199 are missing"}},
		{"and the statement is removed", execute(`DELETE FROM notary_retention`), []string{"records 0 to 99 are missing"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t)
			restore(t, original.dir, h.dir)
			for _, name := range []string{KeyFile, CheckpointFile} {
				data, err := os.ReadFile(filepath.Join(original.dir, name))
				if err == nil {
					err = os.WriteFile(filepath.Join(h.dir, name), data, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			h.change(t, test.change)
			all := strings.Join(h.check(t).Findings, "\n")
			for _, want := range test.want {
				if !strings.Contains(all, want) {
					t.Errorf("%q is not found, but\n%s", want, all)
				}
			}
		})
	}
}

// TestRetentionFaults has each transaction of a statement and a drop fail in each way. What is then there is always explained.
func TestRetentionFaults(t *testing.T) {
	for name, fault := range map[string]storetest.Fault{"before": storetest.Before, "failed": storetest.Failed,
		"failed in doubt": storetest.FailedInDoubt, "persisted in doubt": storetest.PersistedInDoubt} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			open := h.open
			var faulty *storetest.FaultDB
			h.open = func() (store.DB, error) {
				db, err := open()
				faulty = storetest.NewFaultDB(db)
				return faulty, err
			}
			h.start(t)
			h.commit(t, 100, 10)
			for n := 1; n <= 6; n++ { // of the committer, the sequencer, the notary's two, and the journal's
				faulty.FailUpdate(n, fault)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				before := int64(n * 10)
				if h.n.State(ctx, before, time.Now(), time.Now(), statementRecord) == nil {
					_ = h.j.Drop(ctx, before)
				}
				cancel()
				h.stop(t)
				if r := h.check(t); !r.Good() || r.Unsealed > 0 {
					t.Fatalf("transaction %d: %d are not sealed, and found is %q", n, r.Unsealed, r.Findings)
				}
				h.start(t)
			}
		})
	}
}

// The statement in a record is JSON that any reader of trails can read.
func TestStatementIsReadable(t *testing.T) {
	h := newHouse(t)
	h.start(t)
	h.commit(t, 20, 10)
	h.state(t, 10)
	r, err := vigil.ParseRecord(h.records(t)[20].Data)
	if err != nil {
		t.Fatal(err)
	}
	var details struct{ Statement string }
	if err := json.Unmarshal(r.ServiceEventDetails, &details); err != nil || !strings.HasPrefix(details.Statement, "vigil-retention/v1\nlog.example.com/tlog\n10\n") {
		t.Errorf("%s: %v", r.ServiceEventDetails, err)
	}
	if err := h.n.State(t.Context(), 22, time.Now(), time.Now(), statementRecord); err == nil {
		t.Error("what is not there is stated to be dropped")
	}
}
