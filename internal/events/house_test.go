package events_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/google/uuid"

	"vigil"
	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/clock"
	"vigil/internal/events"
	"vigil/internal/journal"
	"vigil/internal/logs"
	"vigil/internal/store"
	"vigil/internal/store/sqlite"
	"vigil/internal/store/storetest"
)

const (
	account  = "111122223333"
	region   = "us-west-2"
	function = "arn:aws:lambda:us-west-2:111122223333:function:watch"
	topic    = "arn:aws:sns:us-west-2:111122223333:topic"
)

// house is the service and the logs on real databases and a real journal. What goes outside is kept in a table of the watch database.
type house struct {
	t       testing.TB
	place   string
	watch   *storetest.FaultDB
	clock   *clock.Movable
	journal *journal.Journal
	events  *events.Events
	ops     map[string]call.Operation
	stops   []func() // what stop does, from the last to the first
}

// place is a new place for databases, and openPlace opens one that is there: SQLite's, unless TestPostgreSQL is running.
var (
	place     = func(t testing.TB) string { return t.TempDir() }
	openPlace = openSQLite
)

func openSQLite(place, name string) (store.DB, error) {
	return sqlite.Open(filepath.Join(place, name+".db"))
}

func open(t testing.TB, configure ...func(*events.Config)) *house {
	t.Helper()
	return openAt(t, place(t), clock.NewMovable(0), configure...)
}

// openAt opens the house that is at place.
func openAt(t testing.TB, place string, clk *clock.Movable, configure ...func(*events.Config)) *house {
	t.Helper()
	ctx := context.Background()
	h := &house{t: t, place: place, clock: clk, ops: map[string]call.Operation{}}
	t.Cleanup(h.stop)
	db := func(name string) store.DB {
		db, err := openPlace(place, name)
		if err != nil {
			t.Fatal(err)
		}
		h.stops = append(h.stops, func() { db.Close() })
		return db
	}
	main := db("vigil")
	h.watch = storetest.NewFaultDB(db("watch"))
	if err := h.watch.Migrate(ctx, "sent", `CREATE TABLE sent (n BIGINT NOT NULL, text TEXT NOT NULL)`); err != nil {
		t.Fatal(err)
	}
	var err error
	if h.journal, err = journal.Open(ctx, main, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	l, err := logs.New(ctx, logs.Config{DB: main, Watch: h.watch, Clock: h.clock})
	if err != nil {
		t.Fatal(err)
	}
	send := func(tx store.Tx, text string) error {
		_, err := tx.Exec(`INSERT INTO sent (n, text) SELECT COALESCE(MAX(n), 0) + 1, CAST($1 AS TEXT) FROM sent`, text)
		return err
	}
	config := events.Config{
		DB: main, Watch: h.watch, Clock: h.clock, Journal: h.journal, Secrets: newWrapper(t),
		Functions: map[string]string{function: "http://127.0.0.1:9/watch"},
		PutLogs: func(tx store.Tx, group arn.ARN, stream string, all []events.LogEvent) error {
			var list []logs.Event
			for _, e := range all {
				list = append(list, logs.Event{Time: e.Time, Message: e.Message})
			}
			return l.Ingest(tx, logs.LogGroupID{Account: group.Account, Region: group.Region, Name: strings.TrimPrefix(group.Resource, "log-group:")}, stream, list)
		},
		Publish: func(tx store.Tx, _, topic arn.ARN, message string, _ events.Cause) error { return send(tx, message) },
		Enqueue: func(tx store.Tx, d events.Delivery) error {
			return send(tx, fmt.Sprintf("%s retries=%d age=%s %s", d.URL, d.MaxRetries, d.MaxAge, d.Body))
		},
	}
	for _, change := range configure {
		change(&config)
	}
	if h.events, err = events.New(ctx, config); err != nil {
		t.Fatal(err)
	}
	for _, s := range []call.Service{h.events.Service(), l.Service()} {
		for _, op := range s.Operations {
			if l.Service().Name == s.Name && h.ops[op.Name].Do != nil {
				continue // both have it: TagResource …
			}
			h.ops[op.Name] = op
		}
	}
	h.run(h.journal.Run)
	return h
}

// run has a part run until the house stops.
func (h *house) run(part func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- part(ctx) }()
	h.stops = append(h.stops, func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			h.t.Error(err)
		}
	})
}

// stop stops all that runs and closes the databases.
func (h *house) stop() {
	for _, stop := range slices.Backward(h.stops) {
		stop()
	}
	h.stops = nil
}

// reopened is the house after a restart of the server.
func (h *house) reopened() *house {
	h.t.Helper()
	h.stop()
	return openAt(h.t, h.place, h.clock)
}

// wrapper is AES-256-GCM under a fixed key, so that one opened later unwraps what an earlier one wrapped.
type wrapper struct{ cipher.AEAD }

func newWrapper(t testing.TB) wrapper {
	block, err := aes.NewCipher([]byte("the key of the tests of events.."))
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

// call does what the door does.
func (h *house) call(op string, in any) (any, error) {
	ctx, at := context.Background(), h.clock.Now()
	c := &call.Call{
		Principal: call.Principal{Type: "Root", ARN: arn.Root(region, account), Account: account, PrincipalID: account},
		Service:   "events", Operation: op, Region: region, Time: at, RequestID: uuid.NewString(), EventID: call.NewEventID(at),
	}
	out, err := h.ops[op].Do(ctx, c, in)
	if h.ops[op].Data {
		return out, err
	}
	if err != nil {
		c.DropEffect()
	}
	committed := h.journal.Commit(ctx, c.PendingEffect(), func(error) []journal.Record {
		return []journal.Record{record(at, op, h.ops[op].ReadOnly)}
	})
	return out, errors.Join(err, committed)
}

func record(at time.Time, name string, readOnly bool) journal.Record {
	r := vigil.Record{EventTime: at, EventName: name, EventSource: "kms.amazonaws.com", AWSRegion: region, RecipientAccountID: account,
		EventType: vigil.AwsAPICall, EventID: call.NewEventID(at), ReadOnly: readOnly}
	return journal.Record{Time: at, Data: r.AppendJSON(nil)}
}

func must[Out any](h *house, op string, in any) *Out {
	h.t.Helper()
	out, err := h.call(op, in)
	if err != nil {
		h.t.Fatalf("%s: %v", op, err)
	}
	return out.(*Out)
}

// commit puts records into the journal, and waits until they were followed.
func (h *house) commit(records ...journal.Record) {
	h.t.Helper()
	if err := h.journal.Commit(context.Background(), nil, func(error) []journal.Record { return records }); err != nil {
		h.t.Fatal(err)
	}
	if err := h.journal.Wait(context.Background(), events.Follower); err != nil {
		h.t.Fatal(err)
	}
}

// sent is what has gone outside, in order.
func (h *house) sent() (all []string) {
	h.t.Helper()
	err := h.watch.View(context.Background(), func(tx store.Tx) error {
		rows, err := tx.Query(`SELECT text FROM sent ORDER BY n`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var s string
			if err := rows.Scan(&s); err != nil {
				return err
			}
			all = append(all, s)
		}
		return rows.Err()
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}

// logged is what a log group has.
func (h *house) logged(group string) (all []string) {
	h.t.Helper()
	for _, e := range must[cloudwatchlogs.FilterLogEventsOutput](h, "FilterLogEvents", &cloudwatchlogs.FilterLogEventsInput{LogGroupName: &group}).Events {
		all = append(all, *e.Message)
	}
	return all
}
