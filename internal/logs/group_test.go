package logs

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"vigil/internal/clock"
	"vigil/internal/store"
)

func TestLogGroups(t *testing.T) {
	h := open(t)
	for _, name := range []string{"b", "a/1", "a/2", "/aws/a"} {
		h.do("CreateLogGroup", &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &name})
	}
	if _, err := h.call(bob, "CreateLogGroup", &cloudwatchlogs.CreateLogGroupInput{LogGroupName: new("a/1")}); err != nil {
		t.Errorf("another account's group: %v", err)
	}
	h.refused("CreateLogGroup", &cloudwatchlogs.CreateLogGroupInput{LogGroupName: new("b")}, "ResourceAlreadyExistsException: The specified log group already exists")
	h.refused("CreateLogGroup", &cloudwatchlogs.CreateLogGroupInput{LogGroupName: new("k"), KmsKeyId: new("arn:aws:kms:us-west-2:111122223333:key/1")}, "UnsupportedOperationException")
	h.refused("CreateLogGroup", &cloudwatchlogs.CreateLogGroupInput{LogGroupName: new("k"), LogGroupClass: types.LogGroupClassInfrequentAccess}, "UnsupportedOperationException")
	h.refused("DeleteLogGroup", &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: new("none")}, "ResourceNotFoundException: The specified log group does not exist.")
	h.refused("DescribeLogGroups", &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: new("a"), LogGroupNamePattern: new("a")},
		"InvalidParameterException: LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
	h.refused("DescribeLogGroups", &cloudwatchlogs.DescribeLogGroupsInput{NextToken: new("nonsense")}, "InvalidParameterException: The specified nextToken is invalid.")

	for _, test := range []struct {
		in   cloudwatchlogs.DescribeLogGroupsInput
		want []string
	}{
		{cloudwatchlogs.DescribeLogGroupsInput{}, []string{"/aws/a", "a/1", "a/2", "b"}},
		{cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: new("a")}, []string{"a/1", "a/2"}},
		{cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePattern: new("a")}, []string{"/aws/a", "a/1", "a/2"}},
		{cloudwatchlogs.DescribeLogGroupsInput{LogGroupIdentifiers: []string{"b", "none"}}, []string{"b"}},
		{cloudwatchlogs.DescribeLogGroupsInput{LogGroupClass: types.LogGroupClassDelivery}, nil},
	} {
		for _, limit := range []int32{1, 3, 50} { // every way to cut the list into pages shows the same
			var got []string
			in := test.in
			in.Limit = &limit
			for {
				out := must[cloudwatchlogs.DescribeLogGroupsOutput](h, "DescribeLogGroups", &in)
				for _, g := range out.LogGroups {
					got = append(got, *g.LogGroupName)
				}
				if in.NextToken = out.NextToken; in.NextToken == nil {
					break
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("%+v by %d: got %q, want %q", test.in, limit, got, test.want)
			}
		}
	}

	h.do("CreateLogStream", &cloudwatchlogs.CreateLogStreamInput{LogGroupName: new("b"), LogStreamName: new("s")})
	h.put("b", "s", "12345", "678")
	h.do("PutRetentionPolicy", &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: new("b"), RetentionInDays: new(int32(30))})
	got := must[cloudwatchlogs.DescribeLogGroupsOutput](h, "DescribeLogGroups", &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: new("b")}).LogGroups[0]
	got.CreationTime = nil
	want := types.LogGroup{
		Arn: new("arn:aws:logs:us-west-2:111122223333:log-group:b:*"), LogGroupArn: new("arn:aws:logs:us-west-2:111122223333:log-group:b"),
		LogGroupName: new("b"), LogGroupClass: types.LogGroupClassStandard, MetricFilterCount: new(int32(0)), RetentionInDays: new(int32(30)), StoredBytes: new(int64(8)),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
}

func TestDeletedGroupIsGone(t *testing.T) {
	h := open(t)
	h.withStream("g", "s")
	h.put("g", "s", "old")
	h.do("DeleteLogGroup", &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: new("g")})
	h.refused("GetLogEvents", &cloudwatchlogs.GetLogEventsInput{LogGroupName: new("g"), LogStreamName: new("s")}, "ResourceNotFoundException: The specified log group")

	h.withStream("g")
	h.refused("GetLogEvents", &cloudwatchlogs.GetLogEventsInput{LogGroupName: new("g"), LogStreamName: new("s")}, "ResourceNotFoundException: The specified log stream")
	h.do("CreateLogStream", &cloudwatchlogs.CreateLogStreamInput{LogGroupName: new("g"), LogStreamName: new("s")})
	h.put("g", "s", "new")
	if err := h.logs.sweep(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := h.get("g", "s"); !slices.Equal(got, []string{"new"}) {
		t.Errorf("got %q", got)
	}
	if pages, bodies := h.count(`SELECT COUNT(*) FROM logs_page`), h.count(`SELECT COUNT(*) FROM logs_body`); pages != 1 || bodies != 1 {
		t.Errorf("%d pages and %d bodies are left", pages, bodies)
	}
}

func TestLogStreams(t *testing.T) {
	h := open(t)
	h.withStream("g", "a", "b", "c")
	h.refused("CreateLogStream", &cloudwatchlogs.CreateLogStreamInput{LogGroupName: new("g"), LogStreamName: new("a")}, "ResourceAlreadyExistsException: The specified log stream already exists")
	h.refused("CreateLogStream", &cloudwatchlogs.CreateLogStreamInput{LogGroupName: new("none"), LogStreamName: new("a")}, "ResourceNotFoundException: The specified log group does not exist.")
	h.refused("DeleteLogStream", &cloudwatchlogs.DeleteLogStreamInput{LogGroupName: new("g"), LogStreamName: new("none")}, "ResourceNotFoundException: The specified log stream does not exist.")
	h.refused("DescribeLogStreams", &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: new("g"), LogGroupIdentifier: new("g")},
		"ValidationException: LogGroup name and LogGroup ARN are mutually exclusive parameters.")
	h.refused("DescribeLogStreams", &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: new("g"), OrderBy: types.OrderByLastEventTime, LogStreamNamePrefix: new("a")}, "InvalidParameterException")

	// A stream also comes to be with what another part of Vigil puts into it.
	err := h.watch.Update(context.Background(), func(tx store.Tx) error {
		return h.logs.Ingest(tx, alice.group("g"), "made", []Event{{h.clock.Now().Add(-time.Minute), []byte("x")}, {h.clock.Now().Add(-time.Hour), []byte("y")}})
	})
	if err != nil {
		t.Fatal(err)
	}
	h.put("g", "b", "x")
	h.refused("CreateLogStream", &cloudwatchlogs.CreateLogStreamInput{LogGroupName: new("g"), LogStreamName: new("made")}, "ResourceAlreadyExistsException")

	for _, test := range []struct {
		in   cloudwatchlogs.DescribeLogStreamsInput
		want []string
	}{
		{cloudwatchlogs.DescribeLogStreamsInput{}, []string{"a", "b", "c", "made"}},
		{cloudwatchlogs.DescribeLogStreamsInput{Descending: new(true)}, []string{"made", "c", "b", "a"}},
		{cloudwatchlogs.DescribeLogStreamsInput{LogStreamNamePrefix: new("m")}, []string{"made"}},
		{cloudwatchlogs.DescribeLogStreamsInput{OrderBy: types.OrderByLastEventTime}, []string{"a", "c", "made", "b"}},
		{cloudwatchlogs.DescribeLogStreamsInput{OrderBy: types.OrderByLastEventTime, Descending: new(true)}, []string{"b", "made", "c", "a"}},
	} {
		for _, limit := range []int32{1, 3, 50} {
			var got []string
			in := test.in
			in.LogGroupIdentifier, in.Limit = new("arn:aws:logs:us-west-2:111122223333:log-group:g"), &limit
			for {
				out := must[cloudwatchlogs.DescribeLogStreamsOutput](h, "DescribeLogStreams", &in)
				for _, s := range out.LogStreams {
					got = append(got, *s.LogStreamName)
				}
				if in.NextToken = out.NextToken; in.NextToken == nil {
					break
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("%+v by %d: got %q, want %q", test.in, limit, got, test.want)
			}
		}
	}
	made := must[cloudwatchlogs.DescribeLogStreamsOutput](h, "DescribeLogStreams", &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: new("g"), LogStreamNamePrefix: new("made")}).LogStreams[0]
	if *made.LastEventTimestamp-*made.FirstEventTimestamp != 59*time.Minute.Milliseconds() || *made.LastIngestionTime < *made.LastEventTimestamp ||
		*made.Arn != "arn:aws:logs:us-west-2:111122223333:log-group:g:log-stream:made" {
		t.Errorf("got %+v", made)
	}

	for _, name := range []string{"made", "b"} { // the name can be used again at once, for a stream without the old one's events
		h.do("DeleteLogStream", &cloudwatchlogs.DeleteLogStreamInput{LogGroupName: new("g"), LogStreamName: &name})
		h.refused("GetLogEvents", &cloudwatchlogs.GetLogEventsInput{LogGroupName: new("g"), LogStreamName: &name}, "ResourceNotFoundException: The specified log stream does not exist.")
		h.do("CreateLogStream", &cloudwatchlogs.CreateLogStreamInput{LogGroupName: new("g"), LogStreamName: &name})
		if got := h.get("g", name); len(got) != 0 {
			t.Errorf("%s has %q", name, got)
		}
		h.put("g", name, "again")
	}
	for range 2 {
		if got := must[cloudwatchlogs.FilterLogEventsOutput](h, "FilterLogEvents", &cloudwatchlogs.FilterLogEventsInput{LogGroupName: new("g")}).Events; len(got) != 2 {
			t.Errorf("%d events are found", len(got))
		}
		if err := h.logs.sweep(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if n := h.count(`SELECT COUNT(*) FROM logs_page`); n != 2 {
		t.Errorf("%d pages are left", n)
	}
}

func TestIngestNeedsTheGroup(t *testing.T) {
	h := open(t)
	err := h.watch.Update(context.Background(), func(tx store.Tx) error {
		return h.logs.Ingest(tx, alice.group("none"), "s", []Event{{h.clock.Now(), []byte("x")}})
	})
	if err == nil || err.Error() != "ResourceNotFoundException: The specified log group does not exist." {
		t.Errorf("got %v", err)
	}
}

func TestTags(t *testing.T) {
	h := open(t)
	h.do("CreateLogGroup", &cloudwatchlogs.CreateLogGroupInput{LogGroupName: new("g"), Tags: map[string]string{"a": "1", "b": "2"}})
	group := "arn:aws:logs:us-west-2:111122223333:log-group:g"
	h.do("TagResource", &cloudwatchlogs.TagResourceInput{ResourceArn: &group, Tags: map[string]string{"b": "3", "c": "4"}})
	h.do("UntagResource", &cloudwatchlogs.UntagResourceInput{ResourceArn: &group, TagKeys: []string{"a", "none"}})
	want := map[string]string{"b": "3", "c": "4"}
	if got := must[cloudwatchlogs.ListTagsForResourceOutput](h, "ListTagsForResource", &cloudwatchlogs.ListTagsForResourceInput{ResourceArn: &group}).Tags; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
	many := map[string]string{}
	for i := range 49 {
		many[fmt.Sprint(i)] = "x"
	}
	h.refused("TagResource", &cloudwatchlogs.TagResourceInput{ResourceArn: &group, Tags: many}, "TooManyTagsException")
	h.refused("TagResource", &cloudwatchlogs.TagResourceInput{ResourceArn: &group, Tags: map[string]string{"aws:x": "1"}}, "InvalidParameterException")
	h.refused("ListTagsForResource", &cloudwatchlogs.ListTagsForResourceInput{ResourceArn: new(group + "2")}, "ResourceNotFoundException")
	if _, err := h.call(bob, "ListTagsForResource", &cloudwatchlogs.ListTagsForResourceInput{ResourceArn: &group}); err == nil {
		t.Error("another account sees the tags")
	}
}

// What was configured, written and deleted is so for the next process too.
func TestRestart(t *testing.T) {
	where, clk := place(t), clock.NewMovable(0)
	h := openIn(t, where, clk)
	h.withStream("g", "s", "gone")
	h.put("g", "s", "ERROR 1")
	h.put("g", "gone", "x")
	h.do("PutMetricFilter", errorFilter("g", nil))
	h.do("DeleteLogStream", &cloudwatchlogs.DeleteLogStreamInput{LogGroupName: new("g"), LogStreamName: new("gone")})
	h.close()

	h = openIn(t, where, clk)
	h.put("g", "s", "ERROR 2")
	if got := h.get("g", "s"); !slices.Equal(got, []string{"ERROR 1", "ERROR 2"}) {
		t.Errorf("got %q", got)
	}
	if got := h.measured(); len(got) != 1 {
		t.Errorf("measured %q", got)
	}
	if got := must[cloudwatchlogs.FilterLogEventsOutput](h, "FilterLogEvents", &cloudwatchlogs.FilterLogEventsInput{LogGroupName: new("g")}).Events; len(got) != 2 {
		t.Errorf("%d events are found", len(got))
	}
	stop := run(t, h.logs.Run)
	waitFor(t, func() bool { return h.count(`SELECT COUNT(*) FROM logs_page`) == 2 })
	stop()
}

// waitFor polls a condition that another goroutine brings about.
func waitFor(t testing.TB, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for !condition() {
		if err := (clock.Wall{}).Sleep(ctx, time.Now().Add(5*time.Millisecond)); errors.Is(err, context.DeadlineExceeded) {
			t.Fatal("it did not come about")
		}
	}
}
