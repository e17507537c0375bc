package notify_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/google/uuid"

	"vigil"
	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/clock"
	"vigil/internal/deliver"
	"vigil/internal/journal"
	"vigil/internal/notify"
	"vigil/internal/store"
	"vigil/internal/store/sqlite"
)

const region = "us-west-2"

var (
	alice = "111122223333"
	bob   = "444455556666"
)

// house is the service with a real journal, real databases and the real outbox, reachable at an endpoint of its own as far as that
// needs no signature.
type house struct {
	main, watch store.DB
	clock       *clock.Movable
	journal     *journal.Journal
	outbox      *deliver.Outbox
	notify      *notify.Notify
	endpoint    *httptest.Server
	mu          sync.Mutex
	mails       []notify.Delivery // what would have gone to the relay
	close       func()
}

func open(t testing.TB) *house { return openIn(t, place(t), clock.NewMovable(0)) }

// place is a new place for databases, and openPlace opens the one of a name that is there: SQLite's, unless TestPostgreSQL is
// running.
var (
	place     = func(t testing.TB) string { return t.TempDir() }
	openPlace = openSQLite
)

func openSQLite(place, name string) (store.DB, error) { return sqlite.Open(filepath.Join(place, name)) }

func openIn(t testing.TB, dir string, clk *clock.Movable) *house {
	t.Helper()
	ctx := context.Background()
	h := &house{clock: clk}
	var err error
	open := func(name string) store.DB {
		db, err := openPlace(dir, name)
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	h.main, h.watch = open("vigil"), open("vigil_watch")
	log := slog.New(slog.DiscardHandler)
	if h.journal, err = journal.Open(ctx, h.main, log); err != nil {
		t.Fatal(err)
	}
	if h.outbox, err = deliver.New(ctx, deliver.Config{DB: h.watch, Clock: clk, Secrets: newWrapper(t), AllowLocal: true, Log: log}); err != nil {
		t.Fatal(err)
	}
	h.endpoint = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if public := h.notify.Open(r); public != nil {
			public.ServeHTTP(w, r)
			return
		}
		w.WriteHeader(http.StatusForbidden) // the door's to answer
	}))
	h.notify, err = notify.New(ctx, notify.Config{
		DB: h.main, Watch: h.watch, Clock: clk, Secrets: newWrapper(t), Journal: h.journal, Log: log,
		Enqueue: h.enqueue, Endpoint: func() string { return h.endpoint.URL }, Mail: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	stopJournal, stopOutbox, stopNotify := run(t, h.journal.Run), run(t, h.outbox.Run), run(t, h.notify.Run)
	h.close = sync.OnceFunc(func() {
		h.endpoint.Close()
		stopNotify()
		stopOutbox()
		stopJournal()
		if err := errors.Join(h.main.Close(), h.watch.Close()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(h.close)
	return h
}

// enqueue is the wiring: HTTP goes to the outbox; mail is kept here, as the relay is the outbox's affair.
func (h *house) enqueue(tx store.Tx, d notify.Delivery) error {
	if d.Protocol != "http" && d.Protocol != "https" {
		tx.OnCommit(func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.mails = append(h.mails, d)
		})
		return nil
	}
	return h.outbox.Enqueue(tx, deliver.Delivery{
		ID: d.ID, Kind: deliver.HTTP, URL: d.Endpoint, Header: d.Header, Body: d.Body, Secret: d.Secret,
		Policy:  deliver.Policy{RetryOn: []int{429}, Schedule: d.Schedule},
		Account: d.Account, Region: d.Region, Source: d.Topic, Target: d.Subscription,
	})
}

func run(t testing.TB, part func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- part(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}

// wrapper is AES-256-GCM under a fixed key.
type wrapper struct{ cipher.AEAD }

func newWrapper(t testing.TB) wrapper {
	block, err := aes.NewCipher([]byte("the key of notification's tests."))
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

// call does what the door does, as the root user of an account: it begins a call, runs the handler, and has the journal commit the
// effect with a record that has what the tests look at. Data calls are not journaled.
func (h *house) call(who, name string, in any) (any, error) {
	ctx := context.Background()
	now := h.clock.Now()
	c := &call.Call{
		Principal: call.Principal{Type: "Root", ARN: arn.Root(region, who), Account: who},
		Service:   "sns", Operation: name, Region: region, Time: now, RequestID: uuid.NewString(), EventID: call.NewEventID(now),
	}
	for _, op := range h.notify.Service().Operations {
		if op.Name != name {
			continue
		}
		out, err := op.Do(ctx, c, in)
		if op.Data || err != nil {
			return out, err
		}
		err = h.journal.Commit(ctx, c.PendingEffect(), func(error) []journal.Record {
			r := vigil.Record{EventTime: c.Time, EventName: name, EventID: c.EventID, Resources: c.Resources(), RecipientAccountID: who}
			return []journal.Record{{Time: c.Time, Data: r.AppendJSON(nil)}}
		})
		return out, err
	}
	return nil, errors.New("there is no such operation: " + name)
}

// do is call for one that must succeed.
func do[Out any](t testing.TB, h *house, who, name string, in any) *Out {
	t.Helper()
	out, err := h.call(who, name, in)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return out.(*Out)
}

func (h *house) topic(t testing.TB, name string, attributes map[string]string) string {
	t.Helper()
	return *do[sns.CreateTopicOutput](t, h, alice, "CreateTopic", &sns.CreateTopicInput{Name: &name, Attributes: attributes}).TopicArn
}

// subscriber is a web server that is sent messages.
type subscriber struct {
	*httptest.Server
	mu       sync.Mutex
	messages []received
	seen     int
	status   int
}

type received struct {
	header http.Header
	body   string
}

func newSubscriber(t testing.TB) *subscriber {
	s := &subscriber{status: 200}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.messages = append(s.messages, received{r.Header, string(body)})
		w.WriteHeader(s.status)
	}))
	t.Cleanup(s.Close)
	return s
}

// next waits for the next message.
func (s *subscriber) next(t testing.TB) received {
	t.Helper()
	var m received
	eventually(t, "the subscriber gets a message", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.seen == len(s.messages) {
			return false
		}
		m = s.messages[s.seen]
		s.seen++
		return true
	})
	return m
}

func (s *subscriber) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.messages)
}

// members are those of a message in JSON.
func (r received) members(t testing.TB) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(r.body), &m); err != nil {
		t.Fatalf("%v: %s", err, r.body)
	}
	return m
}

// subscribe subscribes an endpoint and confirms it by the link, as its owner would. It returns the subscription's ARN.
func (h *house) subscribe(t testing.TB, topic string, s *subscriber, attributes map[string]string) string {
	t.Helper()
	do[sns.SubscribeOutput](t, h, alice, "Subscribe", &sns.SubscribeInput{
		TopicArn: &topic, Protocol: new("http"), Endpoint: &s.URL, Attributes: attributes})
	status, body := get(t, s.next(t).members(t)["SubscribeURL"].(string))
	if status != 200 {
		t.Fatal(body)
	}
	_, rest, _ := strings.Cut(body, "<SubscriptionArn>")
	name, _, _ := strings.Cut(rest, "</SubscriptionArn>")
	return name
}

func (h *house) publish(t testing.TB, topic, text string) string {
	t.Helper()
	return *do[sns.PublishOutput](t, h, alice, "Publish", &sns.PublishInput{TopicArn: &topic, Message: &text}).MessageId
}

func get(t testing.TB, url string) (status int, body string) {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(data)
}

// records are the journal's records of that name, once it has followed all.
func (h *house) records(t testing.TB, name string) (found []*vigil.Record) {
	t.Helper()
	eventually(t, "the journal is sequenced", func() bool { return h.journal.Sequenced() == h.journal.Appended() })
	var seqs []int64
	for seq := range h.journal.Sequenced() {
		seqs = append(seqs, seq)
	}
	entries, err := h.journal.Get(context.Background(), seqs)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		r, err := vigil.ParseRecord(e.Data)
		if err != nil {
			t.Fatal(err)
		}
		if r.EventName == name {
			found = append(found, r)
		}
	}
	return found
}

// settled waits until the outbox has nothing left that is due.
func (h *house) settled(t testing.TB) {
	t.Helper()
	eventually(t, "the outbox is empty", func() bool {
		s, err := h.outbox.Stats(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return s.Queued == 0
	})
}

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
