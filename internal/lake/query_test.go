package lake

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vigil"
	"vigil/internal/journal"
	"vigil/internal/lake/presto"
	"vigil/internal/store/sqlite"
)

// The stores of the tests of SQL: one has the events of two users of a key, the other those of one of them.
const (
	storeA = "0a0a0a0a-1111-4222-8333-444455556666"
	storeB = "0b0b0b0b-1111-4222-8333-444455556666"
)

// queryNow is when the queries of the tests are started.
var queryNow = time.Date(2026, 3, 15, 12, 0, 0, 0, time.UTC)

// events are a small life of a key.
func events() []vigil.Record {
	const key = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	at := func(day, hour, minute int) time.Time { return time.Date(2026, 3, day, hour, minute, 7, 0, time.UTC) }
	user := func(name string) vigil.UserIdentity {
		return vigil.UserIdentity{Type: "IAMUser", PrincipalID: "AIDA" + strings.ToUpper(name), ARN: "arn:aws:iam::111122223333:user/" + name, AccountID: "111122223333", AccessKeyID: "AKIA" + strings.ToUpper(name), UserName: name}
	}
	role := vigil.UserIdentity{Type: "AssumedRole", PrincipalID: "AROA:deploy", ARN: "arn:aws:sts::111122223333:assumed-role/ops/deploy", AccountID: "111122223333", AccessKeyID: "ASIA1",
		SessionContext: &vigil.SessionContext{SessionIssuer: &vigil.SessionIssuer{Type: "Role", PrincipalID: "AROA", ARN: "arn:aws:iam::111122223333:role/ops", AccountID: "111122223333", UserName: "ops"},
			Attributes: &vigil.SessionAttributes{CreationDate: "2026-03-12T08:00:00Z", MFAAuthenticated: "true"}}}
	n := 0
	event := func(who vigil.UserIdentity, when time.Time, name, region string, change func(*vigil.Record)) vigil.Record {
		n++
		r := vigil.Record{EventVersion: vigil.RecordVersion, UserIdentity: who, EventTime: when, EventSource: "kms.amazonaws.com", EventName: name, AWSRegion: region,
			SourceIPAddress: fmt.Sprint("192.0.2.", n), UserAgent: "aws-cli/2.0", RequestID: fmt.Sprintf("r-%02d", n), EventID: fmt.Sprintf("e-%02d", n), EventType: vigil.AwsAPICall, ManagementEvent: true,
			RecipientAccountID: "111122223333", EventCategory: "Management", ReadOnly: name != "CreateKey" && name != "ScheduleKeyDeletion" && name != "DisableKey"}
		if strings.HasPrefix(name, "Cre") || strings.Contains(name, "crypt") || strings.HasSuffix(name, "Key") {
			r.Resources = []vigil.Resource{{AccountID: "111122223333", Type: "AWS::KMS::Key", ARN: key}}
		}
		if change != nil {
			change(&r)
		}
		return r
	}
	request := func(text string) func(*vigil.Record) {
		return func(r *vigil.Record) { r.RequestParameters = []byte(text) }
	}
	encrypt := request(`{"keyId":"` + key + `","encryptionAlgorithm":"SYMMETRIC_DEFAULT","encryptionContext":{"tenant":"acme","tags":["a","b"],"n":3}}`)
	alice, bob := user("alice"), user("bob")
	return []vigil.Record{
		event(alice, at(10, 9, 0), "CreateKey", "us-east-1", func(r *vigil.Record) {
			r.RequestParameters = []byte(`{"keySpec":"SYMMETRIC_DEFAULT","multiRegion":false}`)
			r.ResponseElements = []byte(`{"keyMetadata":{"keyId":"1234abcd-12ab-34cd-56ef-1234567890ab","enabled":true}}`)
		}),
		event(alice, at(10, 9, 5), "Encrypt", "us-east-1", encrypt),
		event(bob, at(10, 10, 0), "Encrypt", "us-east-1", encrypt),
		event(bob, at(11, 10, 0), "Decrypt", "us-east-1", request(`{"keyId":"`+key+`"}`)),
		event(bob, at(11, 10, 1), "Decrypt", "us-east-1", func(r *vigil.Record) {
			r.ErrorCode, r.ErrorMessage = "AccessDenied", "User: bob is not authorized to perform: kms:Decrypt 100%_sure"
		}),
		event(role, at(12, 8, 30), "ListKeys", "us-east-1", request(`{"limit":10}`)),
		event(role, at(12, 8, 31), "ListKeys", "eu-west-1", nil),
		event(alice, at(13, 0, 0), "ScheduleKeyDeletion", "us-east-1", func(r *vigil.Record) {
			r.RequestParameters = []byte(`{"keyId":"` + key + `","pendingWindowInDays":7}`)
			r.TLSDetails = &vigil.TLSDetails{TLSVersion: "TLSv1.3", CipherSuite: "TLS_AES_128_GCM_SHA256", ClientProvidedHostHeader: "kms.us-east-1.amazonaws.com"}
			r.Resources = append(r.Resources, vigil.Resource{AccountID: "111122223333", Type: "AWS::KMS::Key", ARN: key})
		}),
		event(bob, at(13, 1, 0), "ConsoleLogin", "eu-west-1", func(r *vigil.Record) {
			r.EventSource, r.UserAgent, r.ReadOnly = "signin.amazonaws.com", "it's a browser", false
		}),
		event(alice, at(14, 23, 59), "StartQuery", "us-east-1", func(r *vigil.Record) {
			r.EventSource = "cloudtrail.amazonaws.com"
			r.RequestParameters, r.ResponseElements = []byte(`{"queryStatement":"SELECT 1"}`), []byte(`{"queryId":"q-1"}`)
		}),
	}
}

func testJournal(t testing.TB) *journal.Journal {
	t.Helper()
	db, err := sqlite.Open(filepath.Join(t.TempDir(), "vigil.db"))
	if err != nil {
		t.Fatal(err)
	}
	j, err := journal.Open(context.Background(), db, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- j.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, db.Close()); err != nil {
			t.Error(err)
		}
	})
	return j
}

func write(t testing.TB, j *journal.Journal, records ...vigil.Record) {
	t.Helper()
	for batch := range slices.Chunk(records, 500) {
		err := j.Commit(context.Background(), nil, func(error) (all []journal.Record) {
			for _, r := range batch {
				all = append(all, journal.Record{Time: r.EventTime, Data: r.AppendJSON(nil)})
			}
			return all
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// lab runs statements over the two stores.
type lab struct {
	journal *journal.Journal
	views   map[string]*view
}

func newLab(t testing.TB) *lab {
	j := testJournal(t)
	write(t, j, events()...)
	if err := j.WaitSequenced(context.Background()); err != nil {
		t.Fatal(err)
	}
	all := func(*vigil.Outline) bool { return true }
	bobs := func(f *vigil.Outline) bool { return string(f.Username) == "bob" }
	see := func(takes func(*vigil.Outline) bool) *view {
		return &view{account: "111122223333", from: math.MinInt64, end: j.Sequenced(), periods: []period{{takes: takes}}}
	}
	return &lab{j, map[string]*view{storeA: see(all), storeB: see(bobs)}}
}

func (l *lab) compile(statement string) (*presto.Query, error) {
	return presto.Compile(statement, queryNow, func(store string) (presto.Schema, error) {
		if l.views[store] == nil {
			return nil, fmt.Errorf("no store %s", store)
		}
		return columns, nil
	})
}

func (l *lab) run(ctx context.Context, statement string) (lines []string, err error) {
	q, err := l.compile(statement)
	if err != nil {
		return nil, err
	}
	x := &execution{ctx: ctx, journal: l.journal, query: q, views: l.views}
	if err := x.check(); err != nil {
		return nil, fmt.Errorf("SQLite refuses %s: %w", q.SQL, err)
	}
	var names []string
	for _, c := range q.Columns {
		names = append(names, c.Name)
	}
	lines = append(lines, strings.Join(names, " | "))
	err = x.run(func(row []string) error {
		lines = append(lines, strings.Join(row, " | "))
		return nil
	})
	if err != nil {
		return nil, errors.New("failed: " + message(err))
	}
	return lines, nil
}

// fill puts the stores into a statement.
func fill(statement string) string {
	return strings.NewReplacer("{A}", storeA, "{B}", storeB).Replace(statement)
}

// testQuery is a statement of testdata/queries.txt with what becomes of it.
type testQuery struct {
	line      int
	statement string
	want      []string
}

// readQueries reads statements. Behind each are a line of --- and the lines of its result, up to an empty one.
func readQueries(t testing.TB) (all []testQuery) {
	t.Helper()
	f, err := os.Open("testdata/queries.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var q testQuery
	inResult := false
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		switch {
		case line == "" && inResult:
			all = append(all, q)
			q, inResult = testQuery{}, false
		case line == "---":
			inResult = true
		case inResult:
			q.want = append(q.want, line)
		case line == "" || strings.HasPrefix(line, "#"):
		default:
			if q.statement == "" {
				q.line = n
			} else {
				q.statement += "\n"
			}
			q.statement += fill(line)
		}
	}
	if inResult {
		all = append(all, q)
	}
	return all
}

// Statements have the results that are written beside them.
func TestQueries(t *testing.T) {
	l := newLab(t)
	all := readQueries(t)
	if len(all) < 80 {
		t.Errorf("%d statements, want 80 at least", len(all))
	}
	var out strings.Builder
	for _, q := range all {
		got, err := l.run(context.Background(), q.statement)
		if err != nil {
			got = []string{"error: " + err.Error()}
		}
		fmt.Fprintf(&out, "%s\n---\n%s\n\n", q.statement, strings.Join(got, "\n"))
		if !slices.Equal(got, q.want) {
			t.Errorf("line %d: %s\ngot\n\t%s\nwant\n\t%s", q.line, q.statement, strings.Join(got, "\n\t"), strings.Join(q.want, "\n\t"))
		}
	}
	if path := os.Getenv("LAKE_OUT"); path != "" {
		text := strings.NewReplacer(storeA, "{A}", storeB, "{B}").Replace(out.String())
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
