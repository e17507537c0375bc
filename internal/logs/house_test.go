package logs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/google/uuid"

	"vigil"
	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/clock"
	"vigil/internal/journal"
	"vigil/internal/store"
	"vigil/internal/store/sqlite"
	"vigil/internal/store/storetest"
)

// house is the service on real databases and a real journal, with a clock that can be moved. What metric filters measure goes into a
// table of the watch database.
type house struct {
	t       testing.TB
	main    store.DB
	watch   *storetest.FaultDB
	clock   *clock.Movable
	journal *journal.Journal
	logs    *Logs
	ops     map[string]call.Operation
	close   func()
}

func open(t testing.TB) *house { return openIn(t, place(t), clock.NewMovable(0)) }

// place is a new place for databases, and openPlace opens one of those that are there: SQLite's, unless TestPostgreSQL is running.
var (
	place     = func(t testing.TB) string { return t.TempDir() }
	openPlace = openSQLite
)

func openSQLite(place, name string) (store.DB, error) {
	return sqlite.Open(filepath.Join(place, name+".db"))
}

func openIn(t testing.TB, place string, clk *clock.Movable) *house {
	t.Helper()
	ctx := context.Background()
	h := &house{t: t, main: openDB(t, place, "vigil"), watch: storetest.NewFaultDB(openDB(t, place, "vigil_watch")), clock: clk, ops: map[string]call.Operation{}}
	if err := h.watch.Migrate(ctx, "measured", `CREATE TABLE measured (text TEXT NOT NULL)`); err != nil {
		t.Fatal(err)
	}
	var err error
	if h.journal, err = journal.Open(ctx, h.main, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if h.logs, err = New(ctx, Config{DB: h.main, Watch: h.watch, Clock: clk, PutMetrics: putMeasured}); err != nil {
		t.Fatal(err)
	}
	for _, op := range h.logs.Service().Operations {
		h.ops[op.Name] = op
	}
	stop := run(t, h.journal.Run)
	h.close = sync.OnceFunc(func() {
		stop()
		for _, db := range []store.DB{h.main, h.watch} {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	t.Cleanup(h.close)
	return h
}

func openDB(t testing.TB, place, name string) store.DB {
	t.Helper()
	db, err := openPlace(place, name)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// run starts a background part, and returns what stops it and waits for its end.
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

func putMeasured(tx store.Tx, account, region string, data []Datum) error {
	for _, d := range data {
		text := fmt.Sprintf("%s %s %s/%s=%g %s", account, region, d.Namespace, d.Name, d.Value, d.Unit)
		for _, dimension := range d.Dimensions {
			text += fmt.Sprintf(" %s=%s", dimension.Name, dimension.Value)
		}
		if _, err := tx.Exec(`INSERT INTO measured (text) VALUES ($1)`, text); err != nil {
			return err
		}
	}
	return nil
}

// measured is what metric filters have measured so far.
func (h *house) measured() (all []string) {
	h.t.Helper()
	err := h.watch.View(context.Background(), func(tx store.Tx) (err error) {
		all, err = store.Column[string](tx, `SELECT text FROM measured ORDER BY text`)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}

// caller is the root user of an account, calling a region.
type caller struct{ account, region string }

var (
	alice = caller{"111122223333", "us-west-2"}
	bob   = caller{"444455556666", "us-west-2"}
)

func (w caller) group(name string) LogGroupID { return LogGroupID{w.account, w.region, name} }

// call does what the door does: it begins a call, runs the handler and, unless the operation is of data, has the journal commit the
// effect with a record.
func (h *house) call(who caller, op string, in any) (any, error) {
	ctx := context.Background()
	root, at := arn.Root(who.region, who.account), h.clock.Now()
	c := &call.Call{
		Principal: call.Principal{Type: "Root", ARN: root, Account: who.account, PrincipalID: who.account},
		Service:   "logs", Operation: op, Region: who.region, Time: at, RequestID: uuid.NewString(), EventID: call.NewEventID(at),
	}
	out, err := h.ops[op].Do(ctx, c, in)
	if h.ops[op].Data {
		if c.PendingEffect() != nil {
			h.t.Errorf("%s is a data operation and has an effect", op)
		}
		return out, err
	}
	if err != nil {
		c.DropEffect()
	}
	committed := h.journal.Commit(ctx, c.PendingEffect(), func(error) []journal.Record {
		r := vigil.Record{EventTime: c.Time, EventName: op, EventID: c.EventID}
		return []journal.Record{{Time: c.Time, Data: r.AppendJSON(nil)}}
	})
	return out, errors.Join(err, committed)
}

// must is call for what succeeds.
func must[Out any](h *house, op string, in any) *Out {
	h.t.Helper()
	out, err := h.call(alice, op, in)
	if err != nil {
		h.t.Fatalf("%s: %v", op, err)
	}
	return out.(*Out)
}

// do is must for who does not look at the answer.
func (h *house) do(op string, in any) {
	h.t.Helper()
	if _, err := h.call(alice, op, in); err != nil {
		h.t.Fatalf("%s: %v", op, err)
	}
}

// refused checks that an operation fails with an error that begins with a text.
func (h *house) refused(op string, in any, want string) {
	h.t.Helper()
	_, err := h.call(alice, op, in)
	var api *call.Error
	if !errors.As(err, &api) || !strings.HasPrefix(api.Error(), want) {
		h.t.Errorf("%s: %v, want %s", op, err, want)
	}
}

// withStream makes a group and streams in it.
func (h *house) withStream(group string, streams ...string) {
	h.t.Helper()
	h.do("CreateLogGroup", &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &group})
	for _, stream := range streams {
		h.do("CreateLogStream", &cloudwatchlogs.CreateLogStreamInput{LogGroupName: &group, LogStreamName: &stream})
	}
}

// ago is a time in milliseconds.
func (h *house) ago(d time.Duration) int64 { return h.clock.Now().Add(-d).UnixMilli() }

// put puts messages of now.
func (h *house) put(group, stream string, messages ...string) *cloudwatchlogs.PutLogEventsOutput {
	h.t.Helper()
	var events []types.InputLogEvent
	for _, m := range messages {
		events = append(events, types.InputLogEvent{Message: &m, Timestamp: new(h.ago(0))})
	}
	return must[cloudwatchlogs.PutLogEventsOutput](h, "PutLogEvents", &cloudwatchlogs.PutLogEventsInput{LogGroupName: &group, LogStreamName: &stream, LogEvents: events})
}

// get are all messages of a stream.
func (h *house) get(group, stream string) (messages []string) {
	h.t.Helper()
	out := must[cloudwatchlogs.GetLogEventsOutput](h, "GetLogEvents", &cloudwatchlogs.GetLogEventsInput{LogGroupName: &group, LogStreamName: &stream, StartFromHead: new(true)})
	for _, e := range out.Events {
		messages = append(messages, *e.Message)
	}
	return messages
}

// count is a number that the watch database knows.
func (h *house) count(query string) (n int) {
	h.t.Helper()
	err := h.watch.View(context.Background(), func(tx store.Tx) error { return tx.QueryRow(query).Scan(&n) })
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}
