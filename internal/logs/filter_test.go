package logs

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"vigil/internal/query"
)

// FilterLogEvents finds what looking at every event finds, whatever the pattern, streams, range, direction and size of its answers.
func TestFilterLogEventsAgainstReference(t *testing.T) {
	h := open(t)
	streams := []string{"a", "ab", "c"}
	h.withStream("g", streams...)
	r := rand.New(rand.NewPCG(3, 4))
	all := h.fill(r, 60, streams...)
	first, last := all[0].time, all[len(all)-1].time
	patterns := []string{"", `" "`, `{ $.name = "a" }`, `{ $.batch = 7 && $.name != "b" }`, `{ $.n >= 30 || $.batch = 3 }`, `-name`, `"batch" -"\"n\":1"`, `{ $.none = "x" }`, `%n..1[0-9]%`}
	for i := range 300 {
		in := cloudwatchlogs.FilterLogEventsInput{LogGroupName: new("g"), FilterPattern: &patterns[r.IntN(len(patterns))]}
		wanted := func(string) bool { return true }
		switch r.IntN(4) {
		case 0:
			in.LogStreamNames = []string{"c", "a"}
			wanted = func(s string) bool { return s == "a" || s == "c" }
		case 1:
			in.LogStreamNamePrefix = new("a")
			wanted = func(s string) bool { return s != "c" }
		}
		if r.IntN(2) == 0 {
			in.StartTime = new(first + r.Int64N(last-first))
		}
		if r.IntN(2) == 0 {
			in.EndTime = new(all[r.IntN(len(all))].time)
		}
		back := in.StartTime != nil && r.IntN(2) == 0
		in.StartFromHead = new(!back)
		if r.IntN(4) > 0 {
			in.Limit = new(int32(1 + r.IntN(200)))
		}
		h.logs.limit.scan = []int{1, 2000, 1 << 30}[r.IntN(3)]

		filter, err := query.ParseFilter(*in.FilterPattern)
		if err != nil {
			t.Fatalf("%s: %v", *in.FilterPattern, err)
		}
		var want []shownEvent
		for _, e := range all {
			if wanted(e.stream) && (in.StartTime == nil || e.time >= *in.StartTime) && (in.EndTime == nil || e.time <= *in.EndTime) && filter.Match([]byte(e.message)) {
				want = append(want, e)
			}
		}
		if back {
			slices.Reverse(want)
		}
		got := h.search(t, in)
		if !slices.Equal(got, want) {
			t.Errorf("%d: %s back %v: got %d events, want %d", i, *in.FilterPattern, back, len(got), len(want))
		}
	}
}

// search follows the tokens of a search to its end.
func (h *house) search(t *testing.T, in cloudwatchlogs.FilterLogEventsInput) (got []shownEvent) {
	t.Helper()
	ids := map[string]bool{}
	for {
		out := must[cloudwatchlogs.FilterLogEventsOutput](h, "FilterLogEvents", &in)
		for _, e := range out.Events {
			got = append(got, shownEvent{*e.LogStreamName, *e.Timestamp, *e.Message})
			ids[*e.EventId] = true
		}
		if len(ids) != len(got) {
			t.Fatalf("%d events have %d ids", len(got), len(ids))
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			return got
		}
	}
}

func TestFilterLogEventsRefuses(t *testing.T) {
	h := open(t)
	h.withStream("g", "s")
	h.put("g", "s", "1", "2")
	token := must[cloudwatchlogs.FilterLogEventsOutput](h, "FilterLogEvents", &cloudwatchlogs.FilterLogEventsInput{LogGroupName: new("g"), Limit: new(int32(1))}).NextToken
	decoded, _ := base64.RawURLEncoding.DecodeString(*token)
	for want, in := range map[string]*cloudwatchlogs.FilterLogEventsInput{
		"ResourceNotFoundException: The specified log group does not exist.":                                     {LogGroupName: new("none")},
		"ResourceNotFoundException: The specified log stream does not exist.":                                    {LogGroupName: new("g"), LogStreamNames: []string{"s", "none"}},
		"ValidationException: LogGroup name and LogGroup ARN are mutually exclusive parameters.":                 {LogGroupName: new("g"), LogGroupIdentifier: new("g")},
		"ValidationException: LogGroup name or":                                                                  {},
		"InvalidParameterException: logStreamNames and logStreamNamePrefix":                                      {LogGroupName: new("g"), LogStreamNames: []string{"s"}, LogStreamNamePrefix: new("s")},
		"InvalidParameterException: The specified nextToken is invalid.":                                         {LogGroupName: new("g"), NextToken: new("AAAA")},
		"InvalidParameterException: The specified nextToken":                                                     {LogGroupName: new("g"), NextToken: token, FilterPattern: new("x")},
		"InvalidParameterException: The specified next":                                                          {LogGroupName: new("g"), NextToken: new(base64.RawURLEncoding.EncodeToString(decoded[:12]))},
		"InvalidParameterException: If a filter pattern starts with '{' it must end with '}'":                    {LogGroupName: new("g"), FilterPattern: new("{ $.a")},
		"InvalidParameterException: startFromHead can only be false if startTime is on or after 2024-01-01T00:0": {LogGroupName: new("g"), StartFromHead: new(false)},
		"InvalidParameterException: Invalid ARN":                                                                 {LogGroupIdentifier: new("arn:aws:kms:us-west-2:111122223333:key/1")},
	} {
		h.refused("FilterLogEvents", in, want)
	}
}

// A pattern that names a value finds it however the event spells it, and reads only the pages that have it.
func TestFilterLogEventsReadsOnlyPagesThatMatter(t *testing.T) {
	h := open(t)
	h.withStream("g", "s")
	h.logs.limit.pageSize = 1
	key := "arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	for i := range 100 {
		h.put("g", "s", fmt.Sprintf(`{"key":"arn:aws:kms:us-west-2:111122223333:key/%08d-12ab-34cd-56ef-1234567890ab"}`, i))
	}
	h.put("g", "s", `{"key":"`+key+`"}`, `{"key":"`+strings.ReplaceAll(key, "/", `\/`)+`"}`, `{"key":"`+strings.ReplaceAll(key, "1234", `\u0031234`)+`"}`,
		`{"text":"\n`+key+`"}`, `{"key":"`+key+`x"}`)
	filter, err := query.ParseFilter(`{ $.key = "` + key + `" }`)
	if err != nil {
		t.Fatal(err)
	}
	s := &scan{logs: h.logs, column: "group_id", id: h.logs.groups[alice.group("g")].id, forward: true, high: maxTime, filter: filter}
	events, _, end, err := s.run(t.Context(), 100, 1<<20)
	if err != nil || !end || len(events) != 3 {
		t.Errorf("%d events, %v", len(events), err)
	}
	if s.scanned > 10*200 {
		t.Errorf("%d bytes were looked at", s.scanned)
	}
}

func TestRetention(t *testing.T) {
	h := open(t)
	h.withStream("g", "s")
	h.withStream("forever", "s")
	for _, group := range []string{"g", "forever"} {
		h.put(group, "s", "1")
	}
	h.refused("PutRetentionPolicy", &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: new("g"), RetentionInDays: new(int32(2))},
		"InvalidParameterException: 1 validation error detected: Value '2' at 'retentionInDays' failed to satisfy constraint: Member must satisfy enum value set: [1, 3, 5, 7, ")
	h.do("PutRetentionPolicy", &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: new("g"), RetentionInDays: new(int32(3))})
	h.clock.Advance(2 * 24 * time.Hour)
	h.put("g", "s", "2")
	if got := h.get("g", "s"); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("within the retention: %q", got)
	}
	h.clock.Advance(25 * time.Hour)
	if got := h.get("g", "s"); !slices.Equal(got, []string{"2"}) {
		t.Errorf("past the retention: %q", got)
	}
	if n := h.count(`SELECT COUNT(*) FROM logs_page`); n != 3 {
		t.Errorf("%d pages", n)
	}
	stop := run(t, h.logs.Run)
	waitFor(t, func() bool { return h.count(`SELECT COUNT(*) FROM logs_body`) == 2 })
	h.do("DeleteRetentionPolicy", &cloudwatchlogs.DeleteRetentionPolicyInput{LogGroupName: new("g")})
	h.clock.Advance(365 * 24 * time.Hour)
	stop()
	if err := h.logs.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := h.get("g", "s"); !slices.Equal(got, []string{"2"}) {
		t.Errorf("kept for ever: %q", got)
	}
	if n := h.count(`SELECT bytes FROM logs_data_group ORDER BY group_id LIMIT 1`); n != 1 {
		t.Errorf("%d bytes are stored", n)
	}
}

// Whatever a pattern matches, the page's words do not hide.
func FuzzWords(f *testing.F) {
	f.Add(`{ $.a = "arn:aws:kms:key/1234-5678" }`, `{"a":"arn:aws:kms:key/1234-5678"}`)
	f.Add(`{ $.a = "x y-z abc" || $.b = 7 }`, `{"a":"x y-z \u0061bc","b":7e0}`)
	f.Add(`"an error in abc.def"`, `[an error in abc.defg]`)
	f.Add(`?one.two.three ?four`, `zone.two.threes`)
	f.Add(`[a, b = *error*, c]`, `one "an error" two`)
	f.Add(`{ $.a = "tab\tbed" }`, `{"a":"tab\tbed"}`)
	f.Fuzz(func(t *testing.T, pattern, message string) {
		filter, err := query.ParseFilter(pattern)
		if err != nil || !filter.Match([]byte(message)) {
			return
		}
		var w wordSet
		w.add([]byte("others"))
		w.add([]byte(message))
		if !needleOf(filter).mayMatch(w.encode()) {
			t.Errorf("%s matches %q, and the words say it cannot", pattern, message)
		}
	})
}
