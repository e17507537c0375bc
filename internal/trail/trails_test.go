package trail_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/google/uuid"

	"vigil"
	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/clock"
	"vigil/internal/journal"
	"vigil/internal/logs"
	"vigil/internal/objects"
	"vigil/internal/store"
	"vigil/internal/store/postgres"
	"vigil/internal/store/sqlite"
	"vigil/internal/store/storetest"
	"vigil/internal/trail"
)

// house is CloudTrail and CloudWatch Logs on real databases and a real journal, with a clock that can be moved.
type house struct {
	testing.TB
	main, history store.DB
	watch         *storetest.FaultDB
	clock         *clock.Movable
	journal       *journal.Journal
	trail         *trail.Trail
	objects       *objects.Objects
	buckets       *faultyBuckets
	secrets       trail.Secrets
	topics        *topics
	ops           map[string]call.Operation
	stopTrails    func()
}

// openDB opens a new database: SQLite's, unless TestTrailsInPostgreSQL is running.
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
	h := &house{TB: t, main: db("vigil"), history: db("history"), watch: storetest.NewFaultDB(db("watch")), clock: clock.NewMovable(0)}
	var err error
	if h.journal, err = journal.Open(context.Background(), h.main, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.run(h.journal.Run))
	h.openBuckets()
	h.begin()
	t.Cleanup(func() { h.stopTrails() })
	return h
}

// begin makes the services of what is in the databases, as a new process does, and has the trails deliver.
func (h *house) begin() {
	h.Helper()
	ctx := context.Background()
	l, err := logs.New(ctx, logs.Config{DB: h.main, Watch: h.watch, Clock: h.clock})
	if err != nil {
		h.Fatal(err)
	}
	put := func(tx store.Tx, account, region, group, stream string, events []trail.LogEvent) error {
		in := make([]logs.Event, len(events))
		for i, e := range events {
			in[i] = logs.Event(e)
		}
		return l.Ingest(tx, logs.LogGroupID{Account: account, Region: region, Name: group}, stream, in)
	}
	h.trail, err = trail.New(ctx, trail.Config{Journal: h.journal, DB: h.history, Clock: h.clock, Main: h.main, Watch: h.watch, PutLogs: put,
		Buckets: h.buckets, Secrets: h.secrets, Publish: h.topics.publish, HasTopic: h.topics.has})
	if err != nil {
		h.Fatal(err)
	}
	h.ops = map[string]call.Operation{}
	for _, s := range []call.Service{h.trail.Service(), l.Service()} {
		for _, op := range s.Operations {
			h.ops[op.Name] = op
		}
	}
	stopTrails, stopFiles := h.run(h.trail.RunTrails), h.run(h.trail.RunFiles)
	h.stopTrails = func() {
		stopFiles()
		stopTrails()
	}
}

// run runs a part until the function that it returns is called.
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

// caller is the root user of an account, calling a region.
type caller struct{ account, region string }

var (
	alice = caller{"111122223333", "us-east-1"}
	bob   = caller{"444455556666", "us-east-1"}
)

func (w caller) in(region string) caller { return caller{w.account, region} }

func (w caller) trail(name string) *string {
	return new("arn:aws:cloudtrail:" + w.region + ":" + w.account + ":trail/" + name)
}

func (w caller) group(name string) *string {
	return new("arn:aws:logs:" + w.region + ":" + w.account + ":log-group:" + name + ":*")
}

func (w caller) role() *string { return new("arn:aws:iam::" + w.account + ":role/CloudTrail") }

// record is an event of the caller's account and region.
func (w caller) record(at time.Time, name string) vigil.Record {
	return vigil.Record{EventVersion: vigil.RecordVersion, EventTime: at, EventName: name, EventSource: "kms.amazonaws.com", AWSRegion: w.region, EventID: call.NewEventID(at),
		EventType: vigil.AwsAPICall, ManagementEvent: true, EventCategory: "Management", RecipientAccountID: w.account}
}

// call does what the door does. It records what changes something.
func (h *house) call(who caller, op string, in any) (any, error) {
	ctx, at := context.Background(), h.clock.Now()
	c := &call.Call{
		Principal: call.Principal{Type: "Root", ARN: arn.Root(who.region, who.account), Account: who.account, PrincipalID: who.account},
		Service:   "cloudtrail", Operation: op, Region: who.region, Time: at, RequestID: uuid.NewString(), EventID: call.NewEventID(at),
	}
	out, err := h.ops[op].Do(ctx, c, in)
	if h.ops[op].ReadOnly {
		return out, err
	}
	if err != nil {
		c.DropEffect()
	}
	committed := h.journal.Commit(ctx, c.PendingEffect(), func(error) []journal.Record {
		r := who.record(at, op)
		return []journal.Record{{Time: at, Data: r.AppendJSON(nil)}}
	})
	return out, errors.Join(err, committed)
}

// do is call for what succeeds.
func do[Out any](h *house, who caller, op string, in any) *Out {
	h.Helper()
	out, err := h.call(who, op, in)
	if err != nil {
		h.Fatalf("%s: %v", op, err)
	}
	return out.(*Out)
}

// refused checks the code of an operation's error.
func (h *house) refused(who caller, op string, in any, code string) {
	h.Helper()
	_, err := h.call(who, op, in)
	var api *call.Error
	if !errors.As(err, &api) || api.Code != code {
		h.Errorf("%s: %v, want %s", op, err, code)
	}
}

func (h *house) createGroup(who caller, name string) {
	h.Helper()
	do[cloudwatchlogs.CreateLogGroupOutput](h, who, "CreateLogGroup", &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &name})
}

// createTrail makes a trail that delivers to a group, of all regions if it is to be, and starts it.
func (h *house) createTrail(who caller, name, group string, everywhere bool) {
	h.Helper()
	do[cloudtrail.CreateTrailOutput](h, who, "CreateTrail", &cloudtrail.CreateTrailInput{Name: &name, S3BucketName: who.bucket(),
		CloudWatchLogsLogGroupArn: who.group(group), CloudWatchLogsRoleArn: who.role(), IsMultiRegionTrail: &everywhere})
	do[cloudtrail.StartLoggingOutput](h, who, "StartLogging", &cloudtrail.StartLoggingInput{Name: &name})
}

// commit records events.
func (h *house) commit(records ...vigil.Record) {
	h.Helper()
	var all []journal.Record
	for _, r := range records {
		all = append(all, journal.Record{Time: r.EventTime, Data: r.AppendJSON(nil)})
	}
	if err := h.journal.Commit(context.Background(), nil, func(error) []journal.Record { return all }); err != nil {
		h.Fatal(err)
	}
}

// happen records events of names that begin with a second of their own.
func (h *house) happen(who caller, names ...string) {
	h.Helper()
	h.clock.Advance(time.Second)
	for _, name := range names {
		h.commit(who.record(h.clock.Now(), name))
	}
	h.clock.Advance(time.Second)
}

// delivered waits until all is delivered, and says what events, by name, are in a stream, in order.
func (h *house) delivered(who caller, group, stream string) (names []string) {
	h.Helper()
	h.followed()
	out, err := h.call(who, "GetLogEvents", &cloudwatchlogs.GetLogEventsInput{LogGroupName: &group, LogStreamName: &stream, StartFromHead: new(true)})
	if err != nil {
		return []string{err.Error()}
	}
	for _, e := range out.(*cloudwatchlogs.GetLogEventsOutput).Events {
		r, err := vigil.ParseRecord([]byte(*e.Message))
		if err != nil {
			h.Fatal(err)
		}
		names = append(names, r.EventName)
	}
	return names
}

func (h *house) followed() {
	h.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := h.journal.Wait(ctx, "trails"); err != nil {
		h.Fatal(err)
	}
}

func (h *house) status(who caller, name *string) *cloudtrail.GetTrailStatusOutput {
	h.Helper()
	h.followed()
	return do[cloudtrail.GetTrailStatusOutput](h, who, "GetTrailStatus", &cloudtrail.GetTrailStatusInput{Name: name})
}

func (h *house) is(what string, got []string, want ...string) {
	h.Helper()
	if !slices.Equal(got, want) {
		h.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestATrailDeliversWhileItLogs(t *testing.T) {
	h := open(t)
	h.createGroup(alice, "events")
	h.happen(alice, "Before")
	h.createTrail(alice, "mine", "events", false)
	h.happen(alice, "One")
	h.happen(bob, "OfAnotherAccount")
	h.happen(alice.in("eu-central-1"), "OfAnotherRegion")
	data := alice.record(h.clock.Now(), "OfData")
	data.EventCategory, data.ManagementEvent = "Data", false
	large := alice.record(h.clock.Now(), "Large")
	large.RequestParameters = []byte(`"` + strings.Repeat("x", 256<<10) + `"`)
	h.commit(data, large)
	h.happen(alice, "Two")
	do[cloudtrail.StopLoggingOutput](h, alice, "StopLogging", &cloudtrail.StopLoggingInput{Name: new("mine")})
	h.happen(alice, "Between")
	do[cloudtrail.StartLoggingOutput](h, alice, "StartLogging", &cloudtrail.StartLoggingInput{Name: new("mine")})
	h.happen(alice, "Three")
	do[cloudtrail.DeleteTrailOutput](h, alice, "DeleteTrail", &cloudtrail.DeleteTrailInput{Name: new("mine")})
	h.happen(alice, "After")
	// CreateTrail happens in the moment of StartLogging at times, and is then the trail's too.
	got := h.delivered(alice, "events", "111122223333_CloudTrail_us-east-1")
	got = slices.DeleteFunc(got, func(name string) bool { return name == "CreateTrail" })
	h.is("stream", got, "StartLogging", "One", "Two", "StopLogging", "StartLogging", "Three", "DeleteTrail")
}

func TestWhatIsNotYetDeliveredWhenATrailEndsIsDelivered(t *testing.T) {
	h := open(t)
	h.createGroup(alice, "events")
	h.createTrail(alice, "mine", "events", false)
	h.followed()
	h.stopTrails()
	h.happen(alice, "One")
	do[cloudtrail.DeleteTrailOutput](h, alice, "DeleteTrail", &cloudtrail.DeleteTrailInput{Name: new("mine")})
	h.happen(alice, "After")
	h.begin()
	got := h.delivered(alice, "events", "111122223333_CloudTrail_us-east-1")
	h.is("stream", got[len(got)-2:], "One", "DeleteTrail")
}

func TestATrailOfAllRegions(t *testing.T) {
	h := open(t)
	away := alice.in("eu-central-1")
	h.createGroup(alice, "events")
	h.createTrail(alice, "wide", "events", true)
	h.happen(away, "Away")
	h.is("stream", h.delivered(alice, "events", "111122223333_CloudTrail_eu-central-1"), "Away")

	name := alice.trail("wide")
	if s := h.status(away, name); s.LatestCloudWatchLogsDeliveryTime == nil || !*s.IsLogging {
		t.Errorf("status of the shadow trail: %+v", s)
	}
	if s := h.status(alice.in("us-west-2"), name); s.LatestCloudWatchLogsDeliveryTime != nil || !*s.IsLogging {
		t.Errorf("status in a region without events: %+v", s)
	}
	h.refused(away, "GetTrailStatus", &cloudtrail.GetTrailStatusInput{Name: new("wide")}, "TrailNotFoundException")
	h.refused(away, "StopLogging", &cloudtrail.StopLoggingInput{Name: name}, "InvalidHomeRegionException")
	h.refused(away, "UpdateTrail", &cloudtrail.UpdateTrailInput{Name: name}, "InvalidHomeRegionException")
	h.refused(away, "DeleteTrail", &cloudtrail.DeleteTrailInput{Name: name}, "InvalidHomeRegionException")

	described := func(in cloudtrail.DescribeTrailsInput) (names []string) {
		for _, one := range do[cloudtrail.DescribeTrailsOutput](h, away, "DescribeTrails", &in).TrailList {
			names = append(names, *one.Name+" "+*one.HomeRegion)
		}
		return names
	}
	h.is("shadows", described(cloudtrail.DescribeTrailsInput{}), "wide us-east-1")
	h.is("no shadows", described(cloudtrail.DescribeTrailsInput{IncludeShadowTrails: new(false)}))
	h.is("by ARN", described(cloudtrail.DescribeTrailsInput{TrailNameList: []string{*name, "unknown"}}), "wide us-east-1")

	do[cloudtrail.UpdateTrailOutput](h, alice, "UpdateTrail", &cloudtrail.UpdateTrailInput{Name: name, IsMultiRegionTrail: new(false)})
	h.is("the shadow of a trail that is of its region only", described(cloudtrail.DescribeTrailsInput{}))
	if list := do[cloudtrail.ListTrailsOutput](h, away, "ListTrails", &cloudtrail.ListTrailsInput{}); len(list.Trails) != 1 || *list.Trails[0].TrailARN != *name {
		t.Errorf("list %+v", list.Trails)
	}
}

func TestAMissingGroupHoldsUpNobody(t *testing.T) {
	h := open(t)
	h.createGroup(alice, "there")
	h.createTrail(alice, "a-lost", "missing", false)
	h.createTrail(alice, "b-well", "there", false)
	h.happen(alice, "One")
	if got := h.delivered(alice, "there", "111122223333_CloudTrail_us-east-1"); got[len(got)-1] != "One" {
		t.Errorf("the other trail has %q", got)
	}
	s := h.status(alice, new("a-lost"))
	if s.LatestCloudWatchLogsDeliveryError == nil || !strings.Contains(*s.LatestCloudWatchLogsDeliveryError, "ResourceNotFoundException") || s.LatestCloudWatchLogsDeliveryTime != nil {
		t.Errorf("status without a group: %+v", s)
	}
	h.createGroup(alice, "missing")
	h.happen(alice, "Two")
	h.is("stream", h.delivered(alice, "missing", "111122223333_CloudTrail_us-east-1"), "CreateLogGroup", "Two")
	if s := h.status(alice, new("a-lost")); s.LatestCloudWatchLogsDeliveryError != nil || s.LatestCloudWatchLogsDeliveryTime == nil {
		t.Errorf("status with a group: %+v", s)
	}
}

// TestEachRecordIsDeliveredOnce has transactions of the follower fail in every way, and the process begin anew.
func TestEachRecordIsDeliveredOnce(t *testing.T) {
	h := open(t)
	h.createGroup(alice, "events")
	h.createTrail(alice, "mine", "events", false)
	before := len(h.delivered(alice, "events", "111122223333_CloudTrail_us-east-1"))
	var want []string
	for i := range 40 {
		h.watch.FailUpdate(1, storetest.Fault(i%5))
		if i%10 == 9 {
			h.stopTrails()
		}
		want = append(want, fmt.Sprintf("Event%d", i))
		h.happen(alice, want[i])
		if i%10 == 9 {
			h.begin()
		}
		if i%3 == 0 {
			h.followed()
		}
	}
	h.is("stream", h.delivered(alice, "events", "111122223333_CloudTrail_us-east-1")[before:], want...)
}

func TestATrailsLife(t *testing.T) {
	h := open(t)
	name := new("mine")
	made := do[cloudtrail.CreateTrailOutput](h, alice, "CreateTrail", &cloudtrail.CreateTrailInput{Name: name, S3BucketName: alice.bucket(), S3KeyPrefix: new("p")})
	if *made.TrailARN != *alice.trail("mine") || !*made.IncludeGlobalServiceEvents || *made.IsMultiRegionTrail || *made.LogFileValidationEnabled {
		t.Errorf("made %+v", made)
	}
	s := h.status(alice, name)
	if *s.IsLogging || s.StartLoggingTime != nil || *s.TimeLoggingStarted != "" || s.LatestDeliveryError != nil || s.LatestDeliveryTime != nil {
		t.Errorf("status before StartLogging: %+v", s)
	}
	do[cloudtrail.StartLoggingOutput](h, alice, "StartLogging", &cloudtrail.StartLoggingInput{Name: made.TrailARN})
	started := h.clock.Now()
	h.clock.Advance(time.Hour)
	do[cloudtrail.StopLoggingOutput](h, alice, "StopLogging", &cloudtrail.StopLoggingInput{Name: name})
	h.stopTrails()
	h.begin()
	s = h.status(alice, name)
	if *s.IsLogging || s.StartLoggingTime == nil || s.StartLoggingTime.After(started) || !s.StopLoggingTime.After(started) || *s.TimeLoggingStarted != s.StartLoggingTime.Format(time.RFC3339) {
		t.Errorf("status after StopLogging: %+v", s)
	}
	updated := do[cloudtrail.UpdateTrailOutput](h, alice, "UpdateTrail", &cloudtrail.UpdateTrailInput{Name: name, CloudWatchLogsLogGroupArn: alice.group("g"), CloudWatchLogsRoleArn: alice.role(), S3KeyPrefix: new("")})
	got := do[cloudtrail.GetTrailOutput](h, alice, "GetTrail", &cloudtrail.GetTrailInput{Name: name}).Trail
	if *got.CloudWatchLogsLogGroupArn != *alice.group("g") || *updated.CloudWatchLogsRoleArn != *alice.role() || got.S3KeyPrefix != nil || *got.S3BucketName != *alice.bucket() || *got.HomeRegion != alice.region {
		t.Errorf("updated %+v", got)
	}
	h.refused(alice, "CreateTrail", &cloudtrail.CreateTrailInput{Name: name, S3BucketName: alice.bucket()}, "TrailAlreadyExistsException")
	do[cloudtrail.DeleteTrailOutput](h, alice, "DeleteTrail", &cloudtrail.DeleteTrailInput{Name: name})
	h.refused(alice, "GetTrail", &cloudtrail.GetTrailInput{Name: name}, "TrailNotFoundException")
	do[cloudtrail.CreateTrailOutput](h, alice, "CreateTrail", &cloudtrail.CreateTrailInput{Name: name, S3BucketName: alice.bucket()})
	if s := h.status(alice, name); s.StartLoggingTime != nil {
		t.Error("a trail has the past of another one of its name")
	}
}

func TestTrailsPerRegion(t *testing.T) {
	h := open(t)
	create := func(who caller, name string, everywhere bool) (any, error) {
		return h.call(who, "CreateTrail", &cloudtrail.CreateTrailInput{Name: &name, S3BucketName: who.bucket(), IsMultiRegionTrail: &everywhere})
	}
	for i := range 5 {
		if _, err := create(alice.in("eu-central-1"), fmt.Sprintf("trail%d", i), false); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := create(alice, "wide", true); err == nil || !strings.Contains(err.Error(), "MaximumNumberOfTrailsExceededException") {
		t.Errorf("a shadow trail is one too many in its region: %v", err)
	}
	if _, err := create(alice, "narrow", false); err != nil {
		t.Error(err)
	}
}

func TestWhatATrailMayNotBe(t *testing.T) {
	h := open(t)
	valid := func(change func(*cloudtrail.CreateTrailInput)) *cloudtrail.CreateTrailInput {
		in := &cloudtrail.CreateTrailInput{Name: new("mine"), S3BucketName: alice.bucket()}
		change(in)
		return in
	}
	for _, test := range []struct {
		code   string
		change func(*cloudtrail.CreateTrailInput)
	}{
		{"InvalidTrailNameException", func(in *cloudtrail.CreateTrailInput) { in.Name = new("ab") }},
		{"InvalidTrailNameException", func(in *cloudtrail.CreateTrailInput) { in.Name = new(strings.Repeat("a", 129)) }},
		{"InvalidTrailNameException", func(in *cloudtrail.CreateTrailInput) { in.Name = new("-abc") }},
		{"InvalidTrailNameException", func(in *cloudtrail.CreateTrailInput) { in.Name = new("abc.") }},
		{"InvalidTrailNameException", func(in *cloudtrail.CreateTrailInput) { in.Name = new("my-_name") }},
		{"InvalidTrailNameException", func(in *cloudtrail.CreateTrailInput) { in.Name = new("my name") }},
		{"InvalidTrailNameException", func(in *cloudtrail.CreateTrailInput) { in.Name = new("192.168.5.4") }},
		{"InvalidS3BucketNameException", func(in *cloudtrail.CreateTrailInput) { in.S3BucketName = new("Bucket") }},
		{"InvalidS3PrefixException", func(in *cloudtrail.CreateTrailInput) { in.S3KeyPrefix = new(strings.Repeat("a", 201)) }},
		{"InvalidS3PrefixException", func(in *cloudtrail.CreateTrailInput) { in.S3KeyPrefix = new("audit/../logs") }},
		{"InvalidS3PrefixException", func(in *cloudtrail.CreateTrailInput) { in.S3KeyPrefix = new("logs/") }},
		{"InvalidS3PrefixException", func(in *cloudtrail.CreateTrailInput) { in.S3KeyPrefix = new("/logs") }},
		{"InvalidS3PrefixException", func(in *cloudtrail.CreateTrailInput) { in.S3KeyPrefix = new("audit//logs") }},
		{"InvalidS3PrefixException", func(in *cloudtrail.CreateTrailInput) { in.S3KeyPrefix = new("lo\x00gs") }},
		{"InvalidParameterCombinationException", func(in *cloudtrail.CreateTrailInput) {
			in.IsMultiRegionTrail, in.IncludeGlobalServiceEvents = new(true), new(false)
		}},
		{"InvalidCloudWatchLogsRoleArnException", func(in *cloudtrail.CreateTrailInput) { in.CloudWatchLogsLogGroupArn = alice.group("g") }},
		{"InvalidCloudWatchLogsLogGroupArnException", func(in *cloudtrail.CreateTrailInput) { in.CloudWatchLogsRoleArn = alice.role() }},
		{"InvalidCloudWatchLogsLogGroupArnException", func(in *cloudtrail.CreateTrailInput) {
			in.CloudWatchLogsLogGroupArn, in.CloudWatchLogsRoleArn = bob.group("g"), alice.role()
		}},
		{"TagsLimitExceededException", func(in *cloudtrail.CreateTrailInput) { in.TagsList = make([]types.Tag, 51) }},
		{"InvalidTagParameterException", func(in *cloudtrail.CreateTrailInput) {
			in.TagsList = []types.Tag{{Key: new("a")}, {Key: new("a")}}
		}},
		{"InvalidTagParameterException", func(in *cloudtrail.CreateTrailInput) { in.TagsList = []types.Tag{{Key: new("aws:owner")}} }},
		{"UnsupportedOperationException", func(in *cloudtrail.CreateTrailInput) { in.KmsKeyId = new("alias/a") }},
		{"S3BucketDoesNotExistException", func(in *cloudtrail.CreateTrailInput) { in.S3BucketName = new("no-bucket") }},
		{"InsufficientS3BucketPolicyException", func(in *cloudtrail.CreateTrailInput) { in.S3BucketName = bob.bucket() }},
		{"InvalidSnsTopicNameException", func(in *cloudtrail.CreateTrailInput) { in.SnsTopicName = new("not a name") }},
		{"InvalidSnsTopicNameException", func(in *cloudtrail.CreateTrailInput) { in.SnsTopicName = alice.role() }},
		{"InsufficientSnsTopicPolicyException", func(in *cloudtrail.CreateTrailInput) { in.SnsTopicName = new("no-topic") }},
		{"InsufficientSnsTopicPolicyException", func(in *cloudtrail.CreateTrailInput) {
			in.SnsTopicName = new("arn:aws:sns:us-east-1:" + bob.account + ":topic")
		}},
		{"OrganizationsNotInUseException", func(in *cloudtrail.CreateTrailInput) { in.IsOrganizationTrail = new(true) }},
	} {
		h.refused(alice, "CreateTrail", valid(test.change), test.code)
	}
	h.refused(alice, "GetTrail", &cloudtrail.GetTrailInput{Name: new("arn:aws:kms:us-east-1:111122223333:key/1")}, "CloudTrailARNInvalidException")
	h.refused(alice, "GetTrail", &cloudtrail.GetTrailInput{Name: new("unknown")}, "TrailNotFoundException")
	h.refused(alice, "GetTrail", &cloudtrail.GetTrailInput{Name: bob.trail("theirs")}, "AccessDeniedException")
	h.refused(alice, "RegisterOrganizationDelegatedAdmin", &cloudtrail.RegisterOrganizationDelegatedAdminInput{MemberAccountId: &bob.account}, "OrganizationsNotInUseException")
	h.refused(alice, "DeregisterOrganizationDelegatedAdmin", &cloudtrail.DeregisterOrganizationDelegatedAdminInput{DelegatedAdminAccountId: &bob.account}, "OrganizationsNotInUseException")
}

func TestTrailsInPostgreSQL(t *testing.T) {
	sqlite := openDB
	defer func() { openDB = sqlite }()
	for name, test := range map[string]func(*testing.T){
		"TestATrailDeliversWhileItLogs":  TestATrailDeliversWhileItLogs,
		"TestAMissingGroupHoldsUpNobody": TestAMissingGroupHoldsUpNobody,
		"TestEachRecordIsDeliveredOnce":  TestEachRecordIsDeliveredOnce,
		"TestATrailsLife":                TestATrailsLife,
		"TestSelectors":                  TestSelectorsSayWhatATrailTakes,
		"TestTagsOfTrails":               TestTagsOfTrails,
		"TestAnInsightIsOnRecordOnce":    TestAnInsightIsOnRecordOnce,
		"TestFilesHaveEachRecordOnce":    TestFilesHaveEachRecordOnce,
		"TestDigestsOfDays":              TestDigestsOfDays,
		"TestReach":                      TestWhatHappenedBeforeATrailIsOfItsRegionOnlyIsDelivered,
		"TestAllRegionsSay":              TestAllRegionsSayThatTheBucketIsAway,
	} {
		t.Run(name, func(t *testing.T) {
			server := storetest.Postgres(t)
			openDB = func(_ testing.TB, name string) (store.DB, error) {
				return postgres.Open(context.Background(), server, name)
			}
			test(t)
		})
	}
}
