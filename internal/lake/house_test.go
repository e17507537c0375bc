package lake

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/google/uuid"

	"vigil"
	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/clock"
	"vigil/internal/journal"
	"vigil/internal/policy"
	"vigil/internal/store"
	"vigil/internal/store/postgres"
	"vigil/internal/store/sqlite"
	"vigil/internal/store/storetest"
)

// house is Lake on real databases and a real journal, with a clock that can be moved.
type house struct {
	testing.TB
	main, watch store.DB
	clock       *clock.Movable
	journal     *journal.Journal
	timeout     time.Duration
	buckets     Buckets
	lake        *Lake
	people      map[string]string // unique ids of users and roles, by ARN
	ops         map[string]call.Operation
	stop        func() // of the queries
}

// openDB opens a new database: SQLite's, unless TestPostgreSQL is running.
var openDB = func(t testing.TB, name string) (store.DB, error) {
	return sqlite.Open(filepath.Join(t.TempDir(), name+".db"))
}

func open(t testing.TB) *house {
	t.Helper()
	db := func(name string) store.DB {
		db, err := openDB(t, name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		return db
	}
	h := &house{TB: t, main: db("vigil"), watch: db("watch"), clock: clock.NewMovable(0), people: map[string]string{}}
	var err error
	if h.journal, err = journal.Open(context.Background(), h.main, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.run(h.journal.Run))
	h.begin()
	t.Cleanup(func() { h.stop() })
	return h
}

// begin makes the service of what is in the databases, as a new process does, without running queries.
func (h *house) begin() {
	h.Helper()
	var err error
	h.lake, err = New(context.Background(), Config{DB: h.main, Watch: h.watch, Journal: h.journal, Clock: h.clock, Log: slog.New(slog.DiscardHandler), Timeout: h.timeout, Buckets: h.buckets,
		Principals: Principals{UniqueID: func(arn string) (string, bool) { id, ok := h.people[arn]; return id, ok }, ARN: func(string) (string, bool) { return "", false }}})
	if err != nil {
		h.Fatal(err)
	}
	h.ops = map[string]call.Operation{}
	for _, op := range h.lake.Operations() {
		h.ops[op.Name] = op
	}
	h.stop = func() {}
}

// start has queries run.
func (h *house) start() *house {
	h.stop = h.run(h.lake.Run)
	return h
}

func (h *house) run(part func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- part(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			h.Error(err)
		}
	}
}

// caller is who calls: the root user of an account, or a user with a policy.
type caller struct{ account, region, policy string }

var (
	alice = caller{account: "111122223333", region: "us-east-1"}
	bob   = caller{account: "444455556666", region: "us-east-1"}
)

func (w caller) in(region string) caller { return caller{w.account, region, w.policy} }

// call does what the door does. Each call is on record.
func (h *house) call(who caller, op string, in any) (any, error) {
	h.Helper()
	ctx, at := context.Background(), h.clock.Now()
	p := call.Principal{Type: "Root", ARN: arn.Root(who.region, who.account), Account: who.account, PrincipalID: who.account}
	if who.policy != "" {
		document, err := policy.ParseIdentityPolicy(who.policy)
		if err != nil {
			h.Fatal(err)
		}
		p.Type, p.ARN, p.UserName = "IAMUser", "arn:aws:iam::"+who.account+":user/carol", "carol"
		p.UniqueID = h.people[p.ARN]
		p.Permissions = &policy.Permissions{Identity: []policy.Source{{Document: document}}}
	}
	c := &call.Call{Principal: p, Service: "cloudtrail", Operation: op, Region: who.region, Time: at, RequestID: uuid.NewString(), EventID: call.NewEventID(at)}
	out, err := h.ops[op].Do(ctx, c, in)
	if err != nil {
		c.DropEffect()
	}
	var refused error
	committed := h.journal.Commit(ctx, c.PendingEffect(), func(effect error) []journal.Record {
		refused = effect
		r := who.record(at, op, "cloudtrail.amazonaws.com")
		return []journal.Record{{Time: at, Data: r.AppendJSON(nil)}}
	})
	return out, errors.Join(err, refused, committed)
}

func (w caller) record(at time.Time, name, source string) vigil.Record {
	return vigil.Record{EventVersion: vigil.RecordVersion, EventTime: at, EventName: name, EventSource: source, AWSRegion: w.region, EventID: call.NewEventID(at),
		EventType: vigil.AwsAPICall, ManagementEvent: true, EventCategory: "Management", RecipientAccountID: w.account, ReadOnly: true}
}

// use is a call of KMS that is on record.
func (h *house) use(who caller, names ...string) {
	h.Helper()
	for _, name := range names {
		r := who.record(h.clock.Now(), name, "kms.amazonaws.com")
		if err := h.journal.Commit(context.Background(), nil, func(error) []journal.Record {
			return []journal.Record{{Time: r.EventTime, Data: r.AppendJSON(nil)}}
		}); err != nil {
			h.Fatal(err)
		}
	}
}

func do[Out any](h *house, who caller, op string, in any) *Out {
	h.Helper()
	out, err := h.call(who, op, in)
	if err != nil {
		h.Fatalf("%s: %v", op, err)
	}
	return out.(*Out)
}

// refused is do for what fails, with a code.
func (h *house) refused(code string, who caller, op string, in any) {
	h.Helper()
	_, err := h.call(who, op, in)
	var e *call.Error
	if !errors.As(err, &e) || e.Code != code {
		h.Errorf("%s: %v, want %s", op, err, code)
	}
}

// store makes a store and returns its id.
func (h *house) store(who caller, name string, change func(*cloudtrail.CreateEventDataStoreInput)) string {
	h.Helper()
	in := &cloudtrail.CreateEventDataStoreInput{Name: &name, TerminationProtectionEnabled: new(false)}
	if change != nil {
		change(in)
	}
	made := do[cloudtrail.CreateEventDataStoreOutput](h, who, "CreateEventDataStore", in)
	return (*made.EventDataStoreArn)[strings.LastIndex(*made.EventDataStoreArn, "/")+1:]
}

func (h *house) startQuery(who caller, statement string) *string {
	h.Helper()
	return do[cloudtrail.StartQueryOutput](h, who, "StartQuery", &cloudtrail.StartQueryInput{QueryStatement: &statement}).QueryId
}

// result waits for the end of a query, and returns its status and its rows.
func (h *house) result(who caller, id *string) (status string, rows []string) {
	h.Helper()
	return h.resultOf(who, &cloudtrail.GetQueryResultsInput{QueryId: id, MaxQueryResults: new(int32(700))})
}

func (h *house) resultOf(who caller, in *cloudtrail.GetQueryResultsInput) (status string, rows []string) {
	h.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		out := do[cloudtrail.GetQueryResultsOutput](h, who, "GetQueryResults", in)
		if status = string(out.QueryStatus); status == "QUEUED" || status == "RUNNING" {
			if time.Now().After(deadline) {
				h.Fatalf("the query is still %s", status)
			}
			time.Sleep(2 * time.Millisecond)
			continue
		}
		for _, row := range out.QueryResultRows {
			var cells []string
			for _, cell := range row {
				for name, value := range cell {
					cells = append(cells, name+"="+value)
				}
			}
			rows = append(rows, strings.Join(cells, " "))
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			return status, rows
		}
	}
}

// kms is the names of the calls of KMS that a store has.
func (h *house) kms(who caller, store string) string {
	h.Helper()
	_, rows := h.result(who, h.startQuery(who, "SELECT eventName AS n FROM "+store+" WHERE eventSource = 'kms.amazonaws.com'"))
	return strings.ReplaceAll(strings.Join(rows, " "), "n=", "")
}

// No statement of the service is SQLite's alone: the tests that run each of them pass on PostgreSQL too.
func TestPostgreSQL(t *testing.T) {
	sqliteDB := openDB
	openDB = func(t testing.TB, name string) (store.DB, error) {
		return postgres.Open(context.Background(), storetest.Postgres(t), name)
	}
	defer func() { openDB = sqliteDB }()
	for _, test := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"StoreIsAView", TestStoreIsAView}, {"StoreLife", TestStoreLife}, {"Queries", TestQueryLife}, {"Restart", TestRestart}, {"Cancel", TestCancel},
		{"Deliveries", TestDeliveriesThatFail}, {"Policies", TestAnotherAccountQueries}, {"Policy", TestStorePolicyDenies},
	} {
		t.Run(test.name, test.run)
	}
}
