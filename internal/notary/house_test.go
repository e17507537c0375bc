package notary

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"vigil"
	"vigil/internal/call"
	"vigil/internal/journal"
	"vigil/internal/notary/notarytest"
	"vigil/internal/seal"
	"vigil/internal/store"
	"vigil/internal/store/postgres"
	"vigil/internal/store/sqlite"
	"vigil/internal/store/storetest"
)

// house is a data directory with a database, and what runs on them.
type house struct {
	dir  string
	open func() (store.DB, error)

	db     store.DB
	j      *journal.Journal
	n      *Notary
	cancel context.CancelFunc
	ended  []chan error
}

// engines runs a test on each database.
func engines(t *testing.T, test func(t *testing.T, h *house)) {
	t.Run("sqlite", func(t *testing.T) { test(t, newHouse(t)) })
	t.Run("postgres", func(t *testing.T) {
		url := storetest.Postgres(t)
		test(t, &house{dir: t.TempDir(), open: func() (store.DB, error) { return postgres.Open(context.Background(), url, "vigil") }})
	})
}

func newHouse(t testing.TB) *house {
	dir := t.TempDir()
	return &house{dir: dir, open: func() (store.DB, error) { return sqlite.Open(filepath.Join(dir, "vigil.db")) }}
}

// openDB opens the database, which is closed by stop.
func (h *house) openDB(t testing.TB) {
	t.Helper()
	var err error
	if h.db, err = h.open(); err != nil {
		t.Fatal(err)
	}
}

// start opens the journal and the log and runs them.
func (h *house) start(t testing.TB, witnesses ...Witness) {
	t.Helper()
	ctx := context.Background()
	h.openDB(t)
	guard, err := seal.File(filepath.Join(h.dir, "root.key"), true)
	if err != nil {
		t.Fatal(err)
	}
	root, err := seal.Unseal(ctx, h.db, guard)
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	if h.j, err = journal.Open(ctx, h.db, quiet); err != nil {
		t.Fatal(err)
	}
	h.n, err = New(ctx, Config{Journal: h.j, DB: h.db, Secrets: root.For("log"), Dir: h.dir, Origin: "log.example.com/tlog", Witnesses: witnesses, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	running, cancel := context.WithCancel(ctx)
	h.cancel, h.ended = cancel, nil
	for _, part := range []func(context.Context) error{h.j.Run, h.n.Run} {
		ended := make(chan error, 1)
		h.ended = append(h.ended, ended)
		go func() { ended <- part(running) }()
	}
	t.Cleanup(func() { h.stop(t) })
}

// stop stops all and closes the database.
func (h *house) stop(t testing.TB) {
	t.Helper()
	if h.cancel != nil {
		h.cancel()
		for _, ended := range h.ended {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		h.cancel = nil
	}
	if h.db != nil {
		if err := h.db.Close(); err != nil {
			t.Error(err)
		}
		h.db = nil
	}
}

// record is an event, which number tells from others.
func record(number int) journal.Record {
	at := time.Now()
	r := &vigil.Record{EventVersion: vigil.RecordVersion, EventTime: at, EventSource: "kms.amazonaws.com", EventName: "Encrypt",
		UserAgent: fmt.Sprint("number ", number), EventID: call.NewEventID(at), EventType: vigil.AwsAPICall, EventCategory: "Management"}
	return journal.Record{Time: at, Data: r.AppendJSON(nil)}
}

// commit makes n records durable, some in each page, and waits until they are sealed.
func (h *house) commit(t testing.TB, n, page int) {
	t.Helper()
	for done := 0; done < n; {
		var records []journal.Record
		for ; len(records) < page && done < n; done++ {
			records = append(records, record(done))
		}
		if err := h.j.Commit(context.Background(), nil, func(error) []journal.Record { return records }); err != nil {
			t.Fatal(err)
		}
	}
	h.waitSealed(t)
}

func (h *house) waitSealed(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := h.j.Wait(ctx, Follower); err != nil {
		t.Fatalf("what was recorded is not sealed: %v (%v)", err, h.n.Err())
	}
}

// records are all that the journal has.
func (h *house) records(t testing.TB) []journal.Entry {
	t.Helper()
	var seqs []int64
	for seq := range h.j.Sequenced() {
		seqs = append(seqs, seq)
	}
	entries, err := h.j.Get(context.Background(), seqs)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// get asks for a resource of the log and returns the answer, which must have the status.
func (h *house) get(t testing.TB, resource string, status int) (*http.Response, []byte) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, Prefix+resource, nil)
	handler := h.n.Open(r)
	if handler == nil {
		t.Fatalf("GET %s%s is not the log's", Prefix, resource)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	if w.Code != status {
		t.Fatalf("GET %s%s: %d %s, want %d", Prefix, resource, w.Code, w.Body, status)
	}
	return w.Result(), w.Body.Bytes()
}

func (h *house) reader(t testing.TB) *notarytest.Reader {
	t.Helper()
	_, vkey := h.get(t, "key", http.StatusOK)
	return notarytest.NewReader(t, string(vkey), func(resource string) []byte {
		_, body := h.get(t, resource, http.StatusOK)
		return body
	})
}
