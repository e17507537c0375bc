package logs

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

func TestPutLogEventsLimits(t *testing.T) {
	h := open(t)
	h.withStream("g", "s")
	h.do("PutRetentionPolicy", &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: new("g"), RetentionInDays: new(int32(7))})
	const day = 24 * time.Hour
	at := func(ago time.Duration, size int) types.InputLogEvent {
		return types.InputLogEvent{Message: new(strings.Repeat("x", size)), Timestamp: new(h.ago(ago))}
	}
	many := func(n int, e types.InputLogEvent) []types.InputLogEvent {
		return slices.Repeat([]types.InputLogEvent{e}, n)
	}
	const most = 1<<20 - 26
	for _, test := range []struct {
		name     string
		events   []types.InputLogEvent
		want     string // the error, or what is left out: too old before, expired before, too new from
		accepted int
	}{
		{"one", many(1, at(0, 1)), "- - -", 1},
		{"out of order", []types.InputLogEvent{at(0, 1), at(time.Second, 1)},
			"InvalidParameterException: Log events in a single PutLogEvents request must be in chronological order.", 0},
		{"of the same time", many(3, at(0, 1)), "- - -", 3},
		{"24 hours", []types.InputLogEvent{{Message: new("a"), Timestamp: new(int64(1))}, at(day-time.Minute, 1), at(0, 1)}, "1 - -", 2},
		{"more than 24 hours", []types.InputLogEvent{at(day+time.Minute, 1), at(0, 1)},
			"InvalidParameterException: The batch of log events in a single PutLogEvents request cannot span more than 24 hours.", 0},
		{"as large as can be", many(1, at(0, most)), "- - -", 1},
		{"an event too large", many(1, at(0, most+1)), "InvalidParameterException: Log event too large: 1048577 bytes exceeds limit of 1048576", 0},
		{"a batch as large as can be", many(2, at(0, 1<<19-26)), "- - -", 2},
		{"a batch too large", append(many(1, at(0, 1<<19-26)), at(0, 1<<19-25)), "InvalidParameterException: Upload too large: 1048577 bytes exceeds limit of 1048576", 0},
		{"too old", []types.InputLogEvent{at(15*day, 1), at(14*day+time.Minute, 1)}, "2 - -", 0},
		{"expired", []types.InputLogEvent{at(13*day, 1), at(8*day, 1)}, "- 2 -", 0},
		{"too new", []types.InputLogEvent{at(0, 1), at(-time.Hour, 1), at(-3*time.Hour, 1)}, "- - 2", 2},
		{"all at once", []types.InputLogEvent{at(15*day, 1), at(8*day, 1), at(time.Hour, 1), at(0, 1), at(-3*time.Hour, 1)}, "1 2 4", 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := h.count(`SELECT COALESCE(SUM(count), 0) FROM logs_page`)
			out, err := h.call(alice, "PutLogEvents", &cloudwatchlogs.PutLogEventsInput{LogGroupName: new("g"), LogStreamName: new("s"), LogEvents: test.events})
			got := ""
			if err != nil {
				got = err.Error()
			} else {
				r := out.(*cloudwatchlogs.PutLogEventsOutput).RejectedLogEventsInfo
				if (r == nil) != (test.want == "- - -") {
					t.Errorf("rejectedLogEventsInfo is %v", r)
				}
				if r == nil {
					r = &types.RejectedLogEventsInfo{}
				}
				got = index(r.TooOldLogEventEndIndex) + " " + index(r.ExpiredLogEventEndIndex) + " " + index(r.TooNewLogEventStartIndex)
			}
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if n := h.count(`SELECT COALESCE(SUM(count), 0) FROM logs_page`) - before; n != test.accepted {
				t.Errorf("%d events are there, want %d", n, test.accepted)
			}
		})
	}
}

func index(i *int32) string {
	if i == nil {
		return "-"
	}
	return fmt.Sprint(*i)
}

func TestPutLogEventsNeedsTheStream(t *testing.T) {
	h := open(t)
	h.withStream("g", "s")
	event := []types.InputLogEvent{{Message: new("a"), Timestamp: new(h.ago(0))}}
	old := []types.InputLogEvent{{Message: new("a"), Timestamp: new(int64(1))}}
	for _, events := range [][]types.InputLogEvent{event, old} {
		h.refused("PutLogEvents", &cloudwatchlogs.PutLogEventsInput{LogGroupName: new("none"), LogStreamName: new("s"), LogEvents: events},
			"ResourceNotFoundException: The specified log group does not exist.")
		h.refused("PutLogEvents", &cloudwatchlogs.PutLogEventsInput{LogGroupName: new("g"), LogStreamName: new("none"), LogEvents: events},
			"ResourceNotFoundException: The specified log stream does not exist.")
	}
	// Sequence tokens are ignored, and returned.
	for range 2 {
		out := must[cloudwatchlogs.PutLogEventsOutput](h, "PutLogEvents", &cloudwatchlogs.PutLogEventsInput{
			LogGroupName: new("g"), LogStreamName: new("s"), LogEvents: event, SequenceToken: new("wrong")})
		if len(*out.NextSequenceToken) != 56 {
			t.Errorf("the next sequence token is %s", *out.NextSequenceToken)
		}
	}
	if got := h.get("g", "s"); !slices.Equal(got, []string{"a", "a"}) {
		t.Errorf("got %q", got)
	}
}
