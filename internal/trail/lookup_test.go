package trail

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/google/uuid"

	"vigil"
	"vigil/internal/call"
	"vigil/internal/journal"
	"vigil/internal/store"
)

// TestLookUps compares every kind of look-up, walked to its end, with a scan of all records.
func TestLookUps(t *testing.T) {
	const n = 3000
	from := time.Now().Add(-100 * 24 * time.Hour) // ten days more than the history goes back
	records := newTraffic(1).records(n, from)
	for _, test := range []struct {
		name   string
		open   func(t testing.TB, name string) store.DB
		foldAt int
		term   func(scope, kind, string) int64
		mixed  bool // the journal's order says nothing of the events'
	}{
		{"all in the tail", openDB, n + 1, termOf, false},
		{"most in the database", openDB, 400, termOf, false},
		{"all in the database", openDB, 1, termOf, false},
		{"in PostgreSQL", openPostgres, 400, termOf, false},
		{"many values with the same term", openDB, 400, func(s scope, k kind, value string) int64 { return termOf(s, k, value) % 211 }, false},
		{"mixed", openDB, 400, termOf, true},
		{"mixed, all in the tail", openDB, n + 1, termOf, true},
		{"mixed, in PostgreSQL", openPostgres, 170, termOf, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			j := openJournal(t)
			trail := newTrail(t, j, test.open(t, "history"), test.foldAt)
			trail.term = test.term
			records := slices.Clone(records)
			if test.mixed {
				trail.walkPatience = 20
				rand.New(rand.NewPCG(1, 9)).Shuffle(n, func(i, j int) { records[i], records[j] = records[j], records[i] })
			}
			start(t, trail.Run)
			for part := range slices.Chunk(records, 300) { // a few folds, and a few rows of postings
				commit(t, j, part, 23)
				followed(t, j)
			}
			checkLookUps(t, trail, scanAll(t, j), from)
		})
	}
}

// checkLookUps makes look-ups by every attribute, in time ranges and pages of several sizes.
func checkLookUps(t *testing.T, trail *Trail, all []event, from time.Time) {
	t.Helper()
	type attribute struct {
		key    types.LookupAttributeKey
		values []string
	}
	sample := func(value func(event) string) []string {
		values := []string{"no such thing"}
		for i := 0; i < len(all); i += len(all)/8 + 1 {
			if v := value(all[i]); v != "" {
				values = append(values, v)
			}
		}
		slices.Sort(values)
		return slices.Compact(values)
	}
	var odd []string // ids that do not tell the event's time in the usual way
	for _, e := range slices.Backward(all) {
		id, err := uuid.Parse(e.EventID)
		if err == nil && (id.Version() != 7 || id.String() != e.EventID || uuidTime(id) != e.at.UnixMilli()) && len(odd) < 30 {
			odd = append(odd, e.EventID)
		}
	}
	resource := func(e event) vigil.Resource { return append(e.Resources, vigil.Resource{})[0] }
	attributes := []attribute{
		{"", []string{""}},
		{types.LookupAttributeKeyEventId, append(odd, sample(func(e event) string { return e.EventID })...)},
		{types.LookupAttributeKeyEventName, sample(func(e event) string { return e.EventName })},
		{types.LookupAttributeKeyReadOnly, []string{"true", "false"}},
		{types.LookupAttributeKeyUsername, []string{"root", "alice", `O"Brien`, "Zoë", "deploy", "logs.amazonaws.com", "nobody"}},
		{types.LookupAttributeKeyResourceType, []string{"AWS::KMS::Key", "AWS::S3::Bucket"}},
		{types.LookupAttributeKeyResourceName, sample(func(e event) string { return resource(e).ARN })},
		{types.LookupAttributeKeyEventSource, []string{"kms.amazonaws.com", "sts.amazonaws.com"}},
		{types.LookupAttributeKeyAccessKeyId, sample(func(e event) string { return e.UserIdentity.AccessKeyID })},
	}
	now := time.Now()
	ranges := []struct{ start, end *time.Time }{
		{nil, nil},
		{aws.Time(now.Add(-20 * 24 * time.Hour)), aws.Time(now.Add(-10 * 24 * time.Hour))},
		{nil, aws.Time(now.Add(-60 * 24 * time.Hour))},
		{aws.Time(now.Add(-3 * time.Hour)), nil},
		{aws.Time(all[len(all)/2].EventTime), aws.Time(all[len(all)/2].EventTime)},
		{aws.Time(from), aws.Time(from.Add(5 * 24 * time.Hour))}, // more than 90 days ago
		{aws.Time(now.Add(time.Hour)), nil},
		{aws.Time(time.Unix(-1e12, 0)), aws.Time(time.Unix(1e12, 0))},
	}
	answered := 0
	for _, a := range attributes {
		for _, value := range a.values {
			for i, r := range ranges {
				in := cloudtrail.LookupEventsInput{StartTime: r.start, EndTime: r.end}
				if a.key != "" {
					in.LookupAttributes = []types.LookupAttribute{{AttributeKey: a.key, AttributeValue: aws.String(value)}}
				}
				if size := []int32{0, 7, 50, 0, 1, 3, 0, 49}[i]; size > 0 {
					in.MaxResults = aws.Int32(size)
				}
				for _, s := range []scope{home, {accounts[1], regions[0]}, {accounts[0], regions[1]}, {"777788889999", regions[0]}} {
					got, want := lookUp(t, trail, s, in), scan(all, s, in, now)
					if message := difference(got, want); message != "" {
						t.Errorf("%s %q from %v to %v in %v: %s", a.key, value, r.start, r.end, s, message)
					}
					answered += len(got)
				}
			}
		}
	}
	if answered < len(all) {
		t.Errorf("the look-ups found %d events; they should find more to say anything", answered)
	}
}

// uuidTime is the time in milliseconds that a UUID of version 7 has, as RFC 9562 puts it.
func uuidTime(id uuid.UUID) int64 {
	return int64(binary.BigEndian.Uint64(append([]byte{0, 0}, id[:6]...)))
}

// lookUp walks a look-up to its end.
func lookUp(t *testing.T, trail *Trail, s scope, in cloudtrail.LookupEventsInput) []types.Event {
	t.Helper()
	var all []types.Event
	for {
		out, err := trail.LookupEvents(context.Background(), caller(s), &in)
		if err != nil {
			t.Fatalf("LookupEvents: %v", err)
		}
		size := 50
		if in.MaxResults != nil {
			size = int(*in.MaxResults)
		}
		if len(out.Events) > size || out.NextToken != nil && len(out.Events) < size {
			t.Fatalf("a page of %d has %d events, and says %v that there are more", size, len(out.Events), out.NextToken != nil)
		}
		all = append(all, out.Events...)
		if in.NextToken = out.NextToken; in.NextToken == nil {
			return all
		}
	}
}

// event is a record as a scan of the journal sees it.
type event struct {
	*vigil.Record
	seq  int64
	at   time.Time // to the millisecond, if the journal has it
	text string
}

// scanAll reads every record of the journal that is an event.
func scanAll(t *testing.T, j *journal.Journal) []event {
	t.Helper()
	seqs := make([]int64, j.Sequenced())
	for i := range seqs {
		seqs[i] = int64(i)
	}
	entries, err := j.Get(context.Background(), seqs)
	if err != nil {
		t.Fatal(err)
	}
	var all []event
	for _, e := range entries {
		if r, err := vigil.ParseRecord(e.Data); err == nil && !r.EventTime.IsZero() {
			at := e.Time
			if at.Unix() != r.EventTime.Unix() {
				at = r.EventTime
			}
			all = append(all, event{r, e.Seq, at, string(e.Data)})
		}
	}
	return all
}

// scan is what LookupEvents should answer, in the slow way.
func scan(all []event, s scope, in cloudtrail.LookupEventsInput, now time.Time) []event {
	from, to := now.Add(-90*24*time.Hour).Unix(), int64(math.MaxInt64)
	if in.StartTime != nil {
		from = in.StartTime.Unix()
	}
	if in.EndTime != nil {
		to = in.EndTime.Unix()
	}
	var found []event
	for _, e := range all {
		if e.RecipientAccountID == s.account && e.AWSRegion == s.region && e.EventCategory == "Management" &&
			e.EventTime.Unix() >= from && e.EventTime.Unix() <= to && e.has(in.LookupAttributes) {
			found = append(found, e)
		}
	}
	slices.SortFunc(found, func(a, b event) int {
		return cmp.Or(cmp.Compare(b.EventTime.Unix(), a.EventTime.Unix()), cmp.Compare(b.seq, a.seq))
	})
	return found
}

func (e event) has(attributes []types.LookupAttribute) bool {
	for _, a := range attributes {
		var values []string
		switch a.AttributeKey {
		case types.LookupAttributeKeyEventId:
			values = []string{e.EventID}
		case types.LookupAttributeKeyEventName:
			values = []string{e.EventName}
		case types.LookupAttributeKeyReadOnly:
			values = []string{fmt.Sprint(e.ReadOnly)}
		case types.LookupAttributeKeyUsername:
			values = []string{e.username()}
		case types.LookupAttributeKeyEventSource:
			values = []string{e.EventSource}
		case types.LookupAttributeKeyAccessKeyId:
			values = []string{e.UserIdentity.AccessKeyID}
		}
		for _, r := range e.Resources {
			switch a.AttributeKey {
			case types.LookupAttributeKeyResourceName:
				values = append(values, r.ARN)
			case types.LookupAttributeKeyResourceType:
				values = append(values, r.Type)
			}
		}
		if !slices.Contains(values, *a.AttributeValue) {
			return false
		}
	}
	return true
}

// username knows the users of this package's tests.
func (e event) username() string {
	switch u := e.UserIdentity; u.Type {
	case "Root":
		return "root"
	case "IAMUser":
		return u.UserName
	case "AssumedRole":
		return u.PrincipalID[strings.Index(u.PrincipalID, ":")+1:]
	case "AWSService":
		return u.InvokedBy
	}
	return ""
}

// difference says how an answer differs from what it should be.
func difference(got []types.Event, want []event) string {
	if len(got) != len(want) {
		return fmt.Sprintf("%d events, want %d", len(got), len(want))
	}
	for i, e := range got {
		w := want[i]
		if *e.CloudTrailEvent != w.text {
			return fmt.Sprintf("event %d is %s, want %s", i, *e.CloudTrailEvent, w.text)
		}
		told := []string{*e.EventId, *e.EventName, *e.EventSource, *e.ReadOnly, aws.ToString(e.Username), aws.ToString(e.AccessKeyId), e.EventTime.Format(time.RFC3339Nano)}
		should := []string{w.EventID, w.EventName, w.EventSource, fmt.Sprint(w.ReadOnly), w.username(), w.UserIdentity.AccessKeyID, w.EventTime.Format(time.RFC3339Nano)}
		if !slices.Equal(told, should) {
			return fmt.Sprintf("event %d is told as %q, want %q", i, told, should)
		}
		if e.Resources == nil || !slices.EqualFunc(e.Resources, w.Resources, func(a types.Resource, b vigil.Resource) bool {
			return aws.ToString(a.ResourceName) == b.ARN && aws.ToString(a.ResourceType) == b.Type
		}) {
			return fmt.Sprintf("event %d has the resources %v, want %v", i, e.Resources, w.Resources)
		}
	}
	return ""
}

func TestALookUpSeesWhatWasAnsweredBeforeIt(t *testing.T) {
	j := openJournal(t)
	trail := newTrail(t, j, openDB(t, "history.db"), 10)
	start(t, trail.Run)
	tr := newTraffic(2)
	for i := range 25 {
		r := tr.event(time.Now(), home)
		commit(t, j, []journal.Record{r}, 1)
		out, err := trail.LookupEvents(context.Background(), caller(home), &cloudtrail.LookupEventsInput{MaxResults: aws.Int32(1)})
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Events) != 1 || *out.Events[0].CloudTrailEvent != string(r.Data) {
			t.Fatalf("after %d calls the newest event is %v, want %s", i, out.Events, r.Data)
		}
	}
}

// TestPagesDoNotChangeWhileEventsComeIn walks pages while new events come in, and late ones that are older than the
// page that is next.
func TestPagesDoNotChangeWhileEventsComeIn(t *testing.T) {
	j := openJournal(t)
	trail := newTrail(t, j, openDB(t, "history.db"), 40)
	start(t, trail.Run)
	tr := newTraffic(3)
	began := time.Now().Add(-time.Hour)
	commit(t, j, tr.records(200, began), 10)
	followed(t, j)
	want := scan(scanAll(t, j), home, cloudtrail.LookupEventsInput{}, time.Now())

	in := cloudtrail.LookupEventsInput{MaxResults: aws.Int32(9)}
	var got []types.Event
	for {
		out, err := trail.LookupEvents(context.Background(), caller(home), &in)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, out.Events...)
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
		commit(t, j, append(tr.records(5, time.Now().Add(-time.Minute)), tr.event(began.Add(10*time.Minute), home)), 10)
		followed(t, j)
	}
	if message := difference(got, want); message != "" {
		t.Error(message)
	}
}

func TestParametersThatAreRefused(t *testing.T) {
	j := openJournal(t)
	trail := newTrail(t, j, openDB(t, "history.db"), 10)
	start(t, trail.Run)
	by := func(key types.LookupAttributeKey, value string) types.LookupAttribute {
		return types.LookupAttribute{AttributeKey: key, AttributeValue: aws.String(value)}
	}
	now := time.Now()
	for _, test := range []struct {
		name string
		in   cloudtrail.LookupEventsInput
		code string
	}{
		{"no result", cloudtrail.LookupEventsInput{MaxResults: aws.Int32(0)}, "InvalidMaxResultsException"},
		{"too many results", cloudtrail.LookupEventsInput{MaxResults: aws.Int32(51)}, "InvalidMaxResultsException"},
		{"the end before the start", cloudtrail.LookupEventsInput{StartTime: aws.Time(now), EndTime: aws.Time(now.Add(-time.Millisecond))}, "InvalidTimeRangeException"},
		{"another category", cloudtrail.LookupEventsInput{EventCategory: "management"}, "InvalidEventCategoryException"},
		{"two attributes", cloudtrail.LookupEventsInput{LookupAttributes: []types.LookupAttribute{by("EventName", "Encrypt"), by("ReadOnly", "true")}}, "InvalidLookupAttributesException"},
		{"an unknown attribute", cloudtrail.LookupEventsInput{LookupAttributes: []types.LookupAttribute{by("eventName", "Encrypt")}}, "InvalidLookupAttributesException"},
		{"no value", cloudtrail.LookupEventsInput{LookupAttributes: []types.LookupAttribute{{AttributeKey: "EventName"}}}, "InvalidLookupAttributesException"},
		{"an empty value", cloudtrail.LookupEventsInput{LookupAttributes: []types.LookupAttribute{by("EventName", "")}}, "InvalidLookupAttributesException"},
		{"a long value", cloudtrail.LookupEventsInput{LookupAttributes: []types.LookupAttribute{by("EventName", strings.Repeat("ü", 2001))}}, "InvalidLookupAttributesException"},
		{"ReadOnly with another value", cloudtrail.LookupEventsInput{LookupAttributes: []types.LookupAttribute{by("ReadOnly", "True")}}, "InvalidLookupAttributesException"},
		{"insights by user", cloudtrail.LookupEventsInput{EventCategory: "insight", LookupAttributes: []types.LookupAttribute{by("Username", "root")}}, "InvalidLookupAttributesException"},
		{"an empty token", cloudtrail.LookupEventsInput{NextToken: aws.String("")}, "InvalidNextTokenException"},
		{"no token of ours", cloudtrail.LookupEventsInput{NextToken: aws.String("AQIDBAUGBwgJCgsMDQ4PEBESEw")}, "InvalidNextTokenException"},
		{"no token at all", cloudtrail.LookupEventsInput{NextToken: aws.String("not base64!")}, "InvalidNextTokenException"},
		{"insights with a bad token", cloudtrail.LookupEventsInput{EventCategory: "insight", NextToken: aws.String("x")}, "InvalidNextTokenException"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := trail.LookupEvents(context.Background(), caller(home), &test.in)
			if code := codeOf(err); code != test.code {
				t.Errorf("the error is %v, want %s", err, test.code)
			}
		})
	}
	for name, in := range map[string]cloudtrail.LookupEventsInput{
		"the longest value":   {LookupAttributes: []types.LookupAttribute{by("EventName", strings.Repeat("ü", 2000))}},
		"the shortest range":  {StartTime: aws.Time(now), EndTime: aws.Time(now)},
		"insights":            {EventCategory: "insight"},
		"insights by an id":   {EventCategory: "insight", LookupAttributes: []types.LookupAttribute{by("EventId", "x")}},
		"an empty attributes": {LookupAttributes: []types.LookupAttribute{}},
	} {
		out, err := trail.LookupEvents(context.Background(), caller(home), &in)
		if err != nil || out.Events == nil || len(out.Events) > 0 || out.NextToken != nil {
			t.Errorf("%s: %+v, %v; want an empty list", name, out, err)
		}
	}
}

func TestATokenIsGoodForItsRequestOnly(t *testing.T) {
	j := openJournal(t)
	trail := newTrail(t, j, openDB(t, "history.db"), 100)
	start(t, trail.Run)
	commit(t, j, newTraffic(4).records(100, time.Now().Add(-time.Hour)), 20)

	began := time.Now().Add(-2 * time.Hour)
	request := func() cloudtrail.LookupEventsInput {
		return cloudtrail.LookupEventsInput{
			LookupAttributes: []types.LookupAttribute{{AttributeKey: "EventSource", AttributeValue: aws.String("kms.amazonaws.com")}},
			StartTime:        aws.Time(began),
			MaxResults:       aws.Int32(5),
		}
	}
	first := request()
	out, err := trail.LookupEvents(context.Background(), caller(home), &first)
	if err != nil || out.NextToken == nil {
		t.Fatalf("%+v, %v; want a token", out, err)
	}
	token := *out.NextToken
	for _, test := range []struct {
		name  string
		scope scope
		alter func(*cloudtrail.LookupEventsInput)
		good  bool
	}{
		{"the same request", home, func(*cloudtrail.LookupEventsInput) {}, true},
		{"another page size", home, func(in *cloudtrail.LookupEventsInput) { in.MaxResults = aws.Int32(6) }, true},
		{"another account", scope{accounts[1], regions[0]}, func(*cloudtrail.LookupEventsInput) {}, false},
		{"another region", scope{accounts[0], regions[1]}, func(*cloudtrail.LookupEventsInput) {}, false},
		{"another value", home, func(in *cloudtrail.LookupEventsInput) {
			in.LookupAttributes[0].AttributeValue = aws.String("sts.amazonaws.com")
		}, false},
		{"another attribute", home, func(in *cloudtrail.LookupEventsInput) { in.LookupAttributes[0].AttributeKey = "EventName" }, false},
		{"no attribute", home, func(in *cloudtrail.LookupEventsInput) { in.LookupAttributes = nil }, false},
		{"another start", home, func(in *cloudtrail.LookupEventsInput) { in.StartTime = aws.Time(began.Add(time.Second)) }, false},
		{"no start", home, func(in *cloudtrail.LookupEventsInput) { in.StartTime = nil }, false},
		{"the start as the end", home, func(in *cloudtrail.LookupEventsInput) { in.StartTime, in.EndTime = nil, in.StartTime }, false},
		{"another category", home, func(in *cloudtrail.LookupEventsInput) { in.EventCategory = "insight" }, false},
		{"another letter", home, func(in *cloudtrail.LookupEventsInput) {
			*in.NextToken = strings.Map(func(r rune) rune {
				if r == 'A' {
					return 'B'
				}
				return r
			}, token)
		}, false},
		{"a letter less", home, func(in *cloudtrail.LookupEventsInput) { *in.NextToken = token[:len(token)-1] }, false},
		{"a letter more", home, func(in *cloudtrail.LookupEventsInput) { *in.NextToken = token + "A" }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := request()
			in.NextToken = aws.String(token)
			test.alter(&in)
			_, err := trail.LookupEvents(context.Background(), caller(test.scope), &in)
			if code := codeOf(err); test.good && err != nil || !test.good && code != "InvalidNextTokenException" {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

func TestACallerWithoutPermissionIsDenied(t *testing.T) {
	j := openJournal(t)
	trail := newTrail(t, j, openDB(t, "history.db"), 10)
	c := caller(home)
	c.Principal.Type, c.Principal.ARN = "IAMUser", "arn:aws:iam::111122223333:user/alice"
	_, err := trail.LookupEvents(context.Background(), c, &cloudtrail.LookupEventsInput{MaxResults: aws.Int32(99)})
	if code := codeOf(err); code != "AccessDeniedException" {
		t.Errorf("the error is %v, want AccessDeniedException", err)
	}
}

// codeOf is the API's code of an error.
func codeOf(err error) string {
	var e *call.Error
	if !errors.As(err, &e) {
		return ""
	}
	return e.Code
}
