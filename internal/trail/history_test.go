package trail

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"vigil"
	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/clock"
	"vigil/internal/journal"
	"vigil/internal/store"
	"vigil/internal/store/postgres"
	"vigil/internal/store/sqlite"
	"vigil/internal/store/storetest"
)

// The world that the tests are about: some accounts and regions, in one of which most things happen.
var (
	accounts = []string{"111122223333", "444455556666"}
	regions  = []string{"us-east-1", "eu-central-1"}
	home     = scope{accounts[0], regions[0]}
)

// openDB opens a database of the test's own, in SQLite.
func openDB(t testing.TB, name string) store.DB {
	t.Helper()
	db, err := sqlite.Open(filepath.Join(t.TempDir(), name))
	return closing(t, db, err)
}

// openPostgres opens a database of the test's own, in PostgreSQL.
func openPostgres(t testing.TB, name string) store.DB {
	t.Helper()
	db, err := postgres.Open(context.Background(), storetest.Postgres(t), name)
	return closing(t, db, err)
}

// closing has a database that was opened closed when the test ends.
func closing(t testing.TB, db store.DB, err error) store.DB {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// openJournal opens a journal and runs it until the test ends.
func openJournal(t testing.TB) *journal.Journal {
	t.Helper()
	j, err := journal.Open(context.Background(), openDB(t, "vigil.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	start(t, j.Run)
	return j
}

// newTrail makes a trail that folds as soon as it has so many records. It does not run.
func newTrail(t testing.TB, j *journal.Journal, db store.DB, foldAt int) *Trail {
	t.Helper()
	trail, err := New(context.Background(), Config{Journal: j, DB: db, Clock: clock.Wall{}})
	if err != nil {
		t.Fatal(err)
	}
	trail.foldAt, trail.patience = foldAt, time.Minute // for a disk that is busy with other tests
	return trail
}

// start runs a part until the test ends or the function that it returns is called, and waits for it.
func start(t testing.TB, part func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- part(ctx) }()
	stopped := false
	stop = func() {
		cancel()
		if stopped {
			return
		}
		stopped = true
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// commit makes records durable, a page at a time.
func commit(t testing.TB, j *journal.Journal, records []journal.Record, page int) {
	t.Helper()
	for len(records) > 0 {
		part := records[:min(page, len(records))]
		records = records[len(part):]
		if err := j.Commit(context.Background(), nil, func(error) []journal.Record { return part }); err != nil {
			t.Fatal(err)
		}
	}
}

// followed waits until the history has followed all that was committed.
func followed(t testing.TB, j *journal.Journal) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := j.Wait(ctx, follower); err != nil {
		t.Fatalf("the history does not follow: %v", err)
	}
}

// caller is a call of LookupEvents by an account's root in a region.
func caller(s scope) *call.Call {
	return &call.Call{
		Principal: call.Principal{Type: "Root", ARN: arn.Root(s.region, s.account), Account: s.account},
		Service:   "cloudtrail",
		Operation: "LookupEvents",
		Region:    s.region,
		Time:      time.Now(),
	}
}

// traffic makes records as they come: of several accounts, users and services, sometimes late, some of them odd.
type traffic struct {
	*rand.Rand
	keys []string // ARNs in home
}

func newTraffic(seed uint64) *traffic {
	tr := &traffic{Rand: rand.New(rand.NewPCG(seed, 2))}
	for range 40 {
		tr.keys = append(tr.keys, arn.New("kms", home.region, home.account, "key/"+tr.uuid()).String())
	}
	return tr
}

// uuid is a UUID of version 4 that the seed decides.
func (tr *traffic) uuid() string {
	var id uuid.UUID
	for i := range id {
		id[i] = byte(tr.IntN(256))
	}
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return id.String()
}

func pick[T any](tr *traffic, from ...T) T { return from[tr.IntN(len(from))] }

// records makes n records that begin at a time and end now.
func (tr *traffic) records(n int, from time.Time) []journal.Record {
	step := time.Since(from) / time.Duration(n)
	records := make([]journal.Record, n)
	for i := range records {
		at := from.Add(time.Duration(i) * step).Truncate(time.Millisecond)
		switch tr.IntN(60) {
		case 0: // a call that took long
			at = at.Add(-time.Duration(tr.IntN(5000)) * time.Millisecond)
		case 1: // brought in from elsewhere, long after
			at = at.Add(-time.Duration(tr.IntN(40*24)) * time.Hour)
			records[i] = tr.record(at)
			records[i].Time = at.Add(time.Hour + 300*time.Millisecond)
			continue
		case 2: // a clock that is wrong
			at = at.Add(time.Duration(tr.IntN(5*24)) * time.Hour)
		}
		records[i] = tr.record(at)
	}
	return records
}

func (tr *traffic) record(at time.Time) journal.Record {
	if edge := time.Since(at) - window; edge.Abs() < 5*time.Minute { // it would fall out of the history during the test
		at = at.Add(-10 * time.Minute)
	}
	if tr.IntN(300) == 0 {
		return journal.Record{Time: at, Data: []byte(pick(tr, `{"not":"an event"}`, `[1,2]`, `no JSON`, `{"eventTime":"yesterday"}`))}
	}
	s := home
	if tr.IntN(5) == 0 {
		s = scope{pick(tr, accounts...), pick(tr, regions...)}
	}
	r := &vigil.Record{
		EventVersion:       vigil.RecordVersion,
		UserIdentity:       tr.identity(s.account),
		EventTime:          at,
		EventSource:        "kms.amazonaws.com",
		EventName:          pick(tr, "Encrypt", "Encrypt", "Encrypt", "Decrypt", "Decrypt", "GenerateDataKey", "ReEncrypt", "CreateAlias", "DescribeKey"),
		AWSRegion:          s.region,
		SourceIPAddress:    "192.0.2.1",
		UserAgent:          "aws-cli/2.31.0",
		RequestID:          tr.uuid(),
		EventID:            call.NewEventID(at),
		EventType:          vigil.AwsAPICall,
		ManagementEvent:    true,
		RecipientAccountID: s.account,
		EventCategory:      "Management",
	}
	if tr.IntN(20) == 0 {
		r.EventSource, r.EventName = "sts.amazonaws.com", "GetCallerIdentity"
	}
	r.ReadOnly = r.EventName != "CreateAlias"
	switch tr.IntN(50) {
	case 0:
		r.EventID = tr.uuid() // not from here
	case 1:
		r.EventID = call.NewEventID(at.Add(-time.Hour)) // tells another time
	case 2:
		r.EventID = strings.ToUpper(r.EventID)
	case 3:
		r.EventCategory, r.ManagementEvent = "Data", false
	case 4:
		r.ErrorCode = "DisabledException"
	}
	key := func() vigil.Resource {
		i := min(tr.IntN(len(tr.keys)), tr.IntN(len(tr.keys)), tr.IntN(len(tr.keys))) // some keys are used more than others
		return vigil.Resource{AccountID: s.account, Type: "AWS::KMS::Key", ARN: strings.Replace(tr.keys[i], home.account, s.account, 1)}
	}
	switch r.EventName {
	case "GetCallerIdentity":
	case "ReEncrypt":
		r.Resources = []vigil.Resource{key(), key()} // the same one, at times
	case "CreateAlias":
		r.Resources = []vigil.Resource{key(), {AccountID: s.account, Type: "AWS::KMS::Key", ARN: arn.New("kms", s.region, s.account, "alias/"+tr.uuid()).String()}}
	case "DescribeKey":
		r.Resources = []vigil.Resource{key()}
		r.Resources[0].Type = ""
	default:
		r.Resources = []vigil.Resource{key()}
	}
	return journal.Record{Time: at, Data: r.AppendJSON(nil)}
}

// event makes a record that is an event in a scope.
func (tr *traffic) event(at time.Time, s scope) journal.Record {
	for {
		r := tr.record(at)
		if p, err := vigil.ParseRecord(r.Data); err == nil && p.RecipientAccountID == s.account && p.AWSRegion == s.region && p.EventCategory == "Management" {
			return r
		}
	}
}

func (tr *traffic) identity(account string) vigil.UserIdentity {
	key := fmt.Sprintf("AKIAIOSFODNN%s%04d", account[:4], tr.IntN(6))
	switch tr.IntN(6) {
	case 0:
		name := pick(tr, "alice", "bob", `O"Brien`, "Zoë")
		return vigil.UserIdentity{Type: "IAMUser", PrincipalID: "AIDA" + account, ARN: "arn:aws:iam::" + account + ":user/" + name, AccountID: account, AccessKeyID: key, UserName: name}
	case 1:
		return vigil.UserIdentity{Type: "AssumedRole", PrincipalID: "AROA" + account + ":deploy", ARN: "arn:aws:sts::" + account + ":assumed-role/Deployer/deploy", AccountID: account, AccessKeyID: "ASIA" + key[4:]}
	case 2:
		return vigil.UserIdentity{Type: "AWSService", InvokedBy: "logs.amazonaws.com"}
	case 3:
		return vigil.UserIdentity{AccountID: account, InvokedBy: "AWS Internal"}
	}
	return vigil.UserIdentity{Type: "Root", PrincipalID: account, ARN: "arn:aws:iam::" + account + ":root", AccountID: account, AccessKeyID: key}
}
