package deliver_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/clock"
	"vigil/internal/deliver"
	"vigil/internal/store"
	"vigil/internal/store/sqlite"
)

const (
	account  = "111122223333"
	other    = "444455556666"
	operator = "000000000000"
)

// house is an outbox on a real database, with a clock that can be moved. Its log is kept.
type house struct {
	path   string
	db     store.DB
	clock  *clock.Movable
	outbox *deliver.Outbox
	log    *lockedBuffer
	dead   []deliver.DeadLetter // what Config.Dead was told; it is called by one goroutine at a time
	deadMu sync.Mutex
	stop   func()
}

func open(t testing.TB, configure ...func(*deliver.Config)) *house {
	return openAt(t, place(t), clock.NewMovable(0), configure...)
}

// place is a new place for a database, and openPlace opens the one that is there: SQLite's, unless TestPostgreSQL is running.
var (
	place     = func(t testing.TB) string { return filepath.Join(t.TempDir(), "watch.db") }
	openPlace = sqlite.Open
)

// openAt opens the outbox that is at path. It does not run.
func openAt(t testing.TB, path string, clk *clock.Movable, configure ...func(*deliver.Config)) *house {
	t.Helper()
	db, err := openPlace(path)
	if err != nil {
		t.Fatal(err)
	}
	h := &house{path: path, db: db, clock: clk, log: &lockedBuffer{}}
	config := deliver.Config{
		DB: db, Clock: clk, Secrets: newWrapper(t), AllowLocal: true,
		Log:      slog.New(slog.NewTextHandler(h.log, nil)),
		Operator: func() string { return operator },
		Dead: func(_ store.Tx, l deliver.DeadLetter) error {
			h.deadMu.Lock()
			defer h.deadMu.Unlock()
			h.dead = append(h.dead, l)
			return nil
		},
	}
	for _, c := range configure {
		c(&config)
	}
	if h.outbox, err = deliver.New(context.Background(), config); err != nil {
		t.Fatal(err)
	}
	h.stop = sync.OnceFunc(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { h.stop() })
	return h
}

// run starts the outbox; stop ends it and closes the database.
func (h *house) run(t testing.TB) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.outbox.Run(ctx) }()
	closeDB := h.stop
	h.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		closeDB()
	})
}

func (h *house) enqueue(t testing.TB, deliveries ...deliver.Delivery) {
	t.Helper()
	err := h.db.Update(context.Background(), func(tx store.Tx) error {
		for _, d := range deliveries {
			if err := h.outbox.Enqueue(tx, d); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (h *house) stats(t testing.TB) deliver.Stats {
	t.Helper()
	s, err := h.outbox.Stats(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// emptied waits until nothing is queued, and moves the clock meanwhile, so that retries come.
func (h *house) emptied(t testing.TB) deliver.Stats {
	t.Helper()
	eventually(t, "the outbox is empty", func() bool {
		h.clock.Advance(time.Minute)
		s := h.stats(t)
		return s.Queued == 0 && s.InFlight == 0 // the last are counted when they are settled, a moment after they are gone
	})
	return h.stats(t)
}

// call calls an operation as the root user of an account.
func (h *house) call(who, name string, in any) (any, error) {
	for _, op := range h.outbox.Operations() {
		if op.Name == name {
			c := &call.Call{
				Principal: call.Principal{Type: "Root", ARN: arn.Root("", who), Account: who},
				Service:   "vigil", Operation: name, Region: "us-east-1", Time: h.clock.Now(),
			}
			return op.Do(context.Background(), c, in)
		}
	}
	return nil, errors.New("there is no such operation")
}

// endpoint is a web server that notes what it is sent. What it answers can be changed.
type endpoint struct {
	*httptest.Server
	mu       sync.Mutex
	requests []received
	answer   http.HandlerFunc // nil for 200
}

type received struct {
	method, url, body string
	header            http.Header
}

func newEndpoint(t testing.TB, answer http.HandlerFunc) *endpoint {
	e := &endpoint{answer: answer}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		e.mu.Lock()
		e.requests = append(e.requests, received{r.Method, r.URL.String(), string(body), r.Header})
		e.mu.Unlock()
		if e.answer != nil {
			e.answer(w, r)
		}
	}))
	t.Cleanup(e.Close)
	return e
}

func (e *endpoint) received() []received {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]received(nil), e.requests...)
}

// bodies counts what came, by body.
func (e *endpoint) bodies() map[string]int {
	n := make(map[string]int)
	for _, r := range e.received() {
		n[r.body]++
	}
	return n
}

func answering(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// wrapper is AES-256-GCM under a fixed key, so that one opened later unwraps what an earlier one wrapped.
type wrapper struct{ cipher.AEAD }

func newWrapper(t testing.TB) wrapper {
	block, err := aes.NewCipher([]byte("the key of the outbox's tests..."))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	return wrapper{aead}
}

func (w wrapper) Wrap(plaintext, context []byte) ([]byte, error) {
	return w.Seal(nil, nil, plaintext, context), nil
}

func (w wrapper) Unwrap(wrapped, context []byte) ([]byte, error) {
	return w.Open(nil, nil, wrapped, context)
}

// eventually polls until something holds that other goroutines bring about.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("it never came about that %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
