package logs

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

// shownEvent is an event as a client sees it.
type shownEvent struct {
	stream  string
	time    int64
	message string
}

// fill puts batches that overlap in time into streams, in small pages, and returns all events in the order in which they are read.
func (h *house) fill(r *rand.Rand, batches int, streams ...string) (all []shownEvent) {
	h.logs.limit.pageSize = 300
	begin := h.ago(24 * time.Hour)
	for b := range batches {
		stream := streams[r.IntN(len(streams))]
		at := begin + r.Int64N(6*time.Hour.Milliseconds())
		var events []types.InputLogEvent
		for i := range 1 + r.IntN(40) {
			at += []int64{0, 0, 1, 1000, 60_000, 20 * 60_000}[r.IntN(6)]
			message := fmt.Sprintf(`{"batch":%d,"n":%d,"name":"%c"}`, b, i, 'a'+r.IntN(3))
			events = append(events, types.InputLogEvent{Message: &message, Timestamp: new(at)})
			all = append(all, shownEvent{stream, at, message})
		}
		h.do("PutLogEvents", &cloudwatchlogs.PutLogEventsInput{LogGroupName: new("g"), LogStreamName: &stream, LogEvents: events})
	}
	slices.SortStableFunc(all, func(a, b shownEvent) int { return cmp.Compare(a.time, b.time) })
	return all
}

func of(stream string, all []shownEvent) []shownEvent {
	return slices.DeleteFunc(slices.Clone(all), func(e shownEvent) bool { return e.stream != stream })
}

// A walk with tokens, in either direction and in steps of any size, sees each event once, and at its end gets its own token back.
func TestGetLogEventsWalks(t *testing.T) {
	h := open(t)
	h.withStream("g", "a", "b", "empty")
	all := h.fill(rand.New(rand.NewPCG(1, 2)), 40, "a", "b")
	first, last := all[0].time, all[len(all)-1].time
	for _, test := range []struct {
		name       string
		start, end *int64
	}{
		{"everything", nil, nil},
		{"from the middle", new((first + last) / 2), nil},
		{"to the middle", nil, new((first + last) / 2)},
		{"a part", new(first + (last-first)/3), new(last - (last-first)/3)},
		{"to an event, which is not included", nil, &of("a", all)[20].time},
		{"from an event, which is", &of("a", all)[20].time, nil},
		{"before everything", nil, new(first - 1)},
		{"after everything", new(last + 1), nil},
		{"nothing", new(last), new(first)},
	} {
		want := slices.DeleteFunc(of("a", all), func(e shownEvent) bool {
			return test.start != nil && e.time < *test.start || test.end != nil && e.time >= *test.end
		})
		for _, limit := range []int32{1, 7, 100, 10000} {
			for _, forward := range []bool{true, false} {
				if limit == 1 && !forward && test.start == nil {
					continue // slow, and like the others
				}
				in := cloudwatchlogs.GetLogEventsInput{
					LogGroupName: new("g"), LogStreamName: new("a"), Limit: &limit, StartFromHead: &forward, StartTime: test.start, EndTime: test.end,
				}
				got := h.walk(t, in, forward, (len(want)+int(limit)-1)/int(limit)+1)
				if !slices.Equal(got, want) {
					t.Errorf("%s, forward %v, by %d: got %d events, want %d", test.name, forward, limit, len(got), len(want))
				}
			}
		}
	}
}

// walk follows tokens until one comes back.
func (h *house) walk(t *testing.T, in cloudwatchlogs.GetLogEventsInput, forward bool, most int) (got []shownEvent) {
	t.Helper()
	for range most + 1 {
		out := must[cloudwatchlogs.GetLogEventsOutput](h, "GetLogEvents", &in)
		var piece []shownEvent
		for _, e := range out.Events {
			piece = append(piece, shownEvent{*in.LogStreamName, *e.Timestamp, *e.Message})
		}
		next := out.NextForwardToken
		if forward {
			got = append(got, piece...)
		} else {
			got, next = append(piece, got...), out.NextBackwardToken
		}
		if in.NextToken != nil && *next == *in.NextToken {
			if len(piece) > 0 {
				t.Errorf("the same token comes back with %d events", len(piece))
			}
			return got
		}
		in.NextToken = next
	}
	t.Errorf("after %d requests there is still another token", most+1)
	return got
}

// Who turns around sees again what was seen last, and who waits at the end sees what comes in.
func TestGetLogEventsTokens(t *testing.T) {
	h := open(t)
	h.withStream("g", "s")
	get := func(token *string, limit int32) *cloudwatchlogs.GetLogEventsOutput {
		t.Helper()
		return must[cloudwatchlogs.GetLogEventsOutput](h, "GetLogEvents", &cloudwatchlogs.GetLogEventsInput{
			LogGroupName: new("g"), LogStreamName: new("s"), NextToken: token, Limit: &limit, StartFromHead: new(true)})
	}
	messages := func(out *cloudwatchlogs.GetLogEventsOutput) string {
		var all []string
		for _, e := range out.Events {
			all = append(all, *e.Message)
		}
		return strings.Join(all, " ")
	}
	empty := get(nil, 10)
	if again := get(empty.NextForwardToken, 10); len(again.Events) != 0 || *again.NextForwardToken != *empty.NextForwardToken {
		t.Errorf("at the end of an empty stream: %v", again)
	}
	h.put("g", "s", "1", "2", "3", "4")
	if got := messages(get(empty.NextForwardToken, 10)); got != "1 2 3 4" {
		t.Errorf("what came into the empty stream: %s", got)
	}
	two := get(nil, 2)
	if got := messages(get(two.NextForwardToken, 10)); got != "3 4" {
		t.Errorf("forward: %s", got)
	}
	end := get(two.NextForwardToken, 10)
	if got := messages(get(end.NextBackwardToken, 10)); got != "1 2" {
		t.Errorf("back: %s", got)
	}
	past := get(end.NextForwardToken, 10)
	if got := messages(get(past.NextBackwardToken, 2)); got != "3 4" {
		t.Errorf("turning around at the end: %s", got)
	}
	h.put("g", "s", "5")
	if got := messages(get(past.NextForwardToken, 10)); got != "5" {
		t.Errorf("what came in at the end: %s", got)
	}
	for _, token := range []string{"x", "f/1/s", "n/" + strings.Repeat("0", 56) + "/s", "f/" + strings.Repeat("9", 56) + "/s", "f/" + strings.Repeat("0", 56), *empty.NextForwardToken + "/"} {
		h.refused("GetLogEvents", &cloudwatchlogs.GetLogEventsInput{LogGroupName: new("g"), LogStreamName: new("s"), NextToken: &token},
			"InvalidParameterException: The specified nextToken is invalid.")
	}
}

// An answer is no larger than 1 MB.
func TestGetLogEventsSize(t *testing.T) {
	h := open(t)
	h.withStream("g", "s")
	for range 5 {
		h.put("g", "s", strings.Repeat("x", 300_000), strings.Repeat("y", 300_000))
	}
	in := cloudwatchlogs.GetLogEventsInput{LogGroupName: new("g"), LogStreamName: new("s"), StartFromHead: new(true)}
	if out := must[cloudwatchlogs.GetLogEventsOutput](h, "GetLogEvents", &in); len(out.Events) != 3 {
		t.Errorf("%d events", len(out.Events))
	}
	if got := h.walk(t, in, true, 5); len(got) != 10 {
		t.Errorf("%d events in all", len(got))
	}
}

func FuzzTokens(f *testing.F) {
	f.Add(*token(position{1, 2, 3}, true))
	f.Add(*token(position{maxTime, 1<<63 - 1, 1<<32 - 1}, false))
	f.Add("f/00000000000000000000000000000000000000000000000000000000/s")
	f.Fuzz(func(t *testing.T, text string) {
		p, forward, err := parseToken(text)
		if err != nil {
			return
		}
		if again := *token(p, forward); again != text {
			t.Errorf("%s is read as %s", text, again)
		}
		if p.time < 0 || p.page < 0 || p.index < 0 {
			t.Errorf("%s is read as %+v", text, p)
		}
	})
}
