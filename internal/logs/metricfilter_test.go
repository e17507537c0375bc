package logs

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"vigil/internal/store"
	"vigil/internal/store/storetest"
)

func errorFilter(group string, defaultValue *float64) *cloudwatchlogs.PutMetricFilterInput {
	return metricFilterOf(group, "errors", "ERROR", types.MetricTransformation{MetricValue: new("1"), DefaultValue: defaultValue})
}

func metricFilterOf(group, name, pattern string, t types.MetricTransformation) *cloudwatchlogs.PutMetricFilterInput {
	if t.MetricName == nil {
		t.MetricName, t.MetricNamespace = &name, new("App")
	}
	return &cloudwatchlogs.PutMetricFilterInput{LogGroupName: &group, FilterName: &name, FilterPattern: &pattern, MetricTransformations: []types.MetricTransformation{t}}
}

func TestPutMetricFilterRefuses(t *testing.T) {
	h := open(t)
	h.withStream("g")
	one := new("1")
	for _, test := range []struct {
		pattern string
		t       types.MetricTransformation
		want    string
	}{
		{`{ $.a = }`, types.MetricTransformation{MetricValue: one}, "InvalidParameterException: Invalid metric filter pattern"},
		{`ERROR`, types.MetricTransformation{MetricValue: new("one")}, "InvalidParameterException: Invalid metric transformation"},
		{`ERROR`, types.MetricTransformation{MetricValue: new("NaN")}, "InvalidParameterException: Invalid metric transformation"},
		{`ERROR`, types.MetricTransformation{MetricValue: new("$.a")}, "InvalidParameterException: Invalid metric transformation"},
		{`[a, b]`, types.MetricTransformation{MetricValue: new("$c")}, "InvalidParameterException: Invalid metric transformation"},
		{`ERROR`, types.MetricTransformation{MetricValue: one, Dimensions: map[string]string{"d": "$.a"}}, "InvalidParameterException: Invalid metric transformation"},
		{`{ $.a = 1 }`, types.MetricTransformation{MetricValue: one, DefaultValue: new(0.0), Dimensions: map[string]string{"d": "$.a"}},
			"InvalidParameterException: Invalid metric transformation: dimensions and default value are mutually exclusive properties."},
		{`{ $.a = 1 }`, types.MetricTransformation{MetricValue: one, Dimensions: map[string]string{"a": "$.a", "b": "$.a", "c": "$.a", "d": "$.a"}}, "InvalidParameterException"},
		{`ERROR`, types.MetricTransformation{MetricValue: one, DefaultValue: new(math.NaN())}, "InvalidParameterException"},
		{`ERROR`, types.MetricTransformation{MetricValue: one, MetricName: new("x"), MetricNamespace: new("AWS/KMS")}, "InvalidParameterException"},
	} {
		h.refused("PutMetricFilter", metricFilterOf("g", "f", test.pattern, test.t), test.want)
	}
	h.refused("PutMetricFilter", errorFilter("none", nil), "ResourceNotFoundException: The specified log group does not exist.")
	h.refused("DeleteMetricFilter", &cloudwatchlogs.DeleteMetricFilterInput{LogGroupName: new("g"), FilterName: new("none")}, "ResourceNotFoundException: The specified metric filter does not exist.")
	for i := range 100 {
		pattern := "ERROR"
		if i < 5 {
			pattern = "%ERR%"
		}
		h.do("PutMetricFilter", metricFilterOf("g", fmt.Sprint("f", i), pattern, types.MetricTransformation{MetricValue: one}))
	}
	h.refused("PutMetricFilter", metricFilterOf("g", "one more", "ERROR", types.MetricTransformation{MetricValue: one}), "LimitExceededException: Resource limit exceeded.")
	h.refused("PutMetricFilter", metricFilterOf("g", "f50", "%ERR%", types.MetricTransformation{MetricValue: one}), "LimitExceededException: Resource limit exceeded.")
	h.do("PutMetricFilter", metricFilterOf("g", "f50", "WARN", types.MetricTransformation{MetricValue: one})) // replacing one is not one more
}

func TestDescribeMetricFilters(t *testing.T) {
	h := open(t)
	h.withStream("g")
	h.withStream("g2")
	h.do("PutMetricFilter", metricFilterOf("g", "b", "B", types.MetricTransformation{MetricValue: new("1"), Unit: types.StandardUnitCount}))
	h.do("PutMetricFilter", metricFilterOf("g", "a", "A", types.MetricTransformation{MetricValue: new("1")}))
	h.do("PutMetricFilter", metricFilterOf("g2", "a", "A", types.MetricTransformation{MetricValue: new("1"), DefaultValue: new(0.0)}))
	for _, test := range []struct {
		in   cloudwatchlogs.DescribeMetricFiltersInput
		want string
	}{
		{cloudwatchlogs.DescribeMetricFiltersInput{}, "g:a g2:a g:b"},
		{cloudwatchlogs.DescribeMetricFiltersInput{LogGroupName: new("g")}, "g:a g:b"},
		{cloudwatchlogs.DescribeMetricFiltersInput{FilterNamePrefix: new("b")}, "g:b"},
		{cloudwatchlogs.DescribeMetricFiltersInput{MetricName: new("a"), MetricNamespace: new("App")}, "g:a g2:a"},
		{cloudwatchlogs.DescribeMetricFiltersInput{MetricName: new("a"), MetricNamespace: new("Other")}, ""},
	} {
		for _, limit := range []int32{1, 2, 50} {
			var got []string
			in := test.in
			in.Limit = &limit
			for {
				out := must[cloudwatchlogs.DescribeMetricFiltersOutput](h, "DescribeMetricFilters", &in)
				for _, f := range out.MetricFilters {
					got = append(got, *f.LogGroupName+":"+*f.FilterName)
				}
				if in.NextToken = out.NextToken; in.NextToken == nil {
					break
				}
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("%+v by %d: got %q, want %q", test.in, limit, got, test.want)
			}
		}
	}
	h.do("DeleteMetricFilter", &cloudwatchlogs.DeleteMetricFilterInput{LogGroupName: new("g"), FilterName: new("a")})
	out := must[cloudwatchlogs.DescribeMetricFiltersOutput](h, "DescribeMetricFilters", &cloudwatchlogs.DescribeMetricFiltersInput{LogGroupName: new("g")})
	if len(out.MetricFilters) != 1 || out.MetricFilters[0].MetricTransformations[0].Unit != types.StandardUnitCount || *out.MetricFilters[0].FilterPattern != "B" {
		t.Errorf("got %+v", out.MetricFilters)
	}
}

func TestMetricFilterMeasures(t *testing.T) {
	const of = "111122223333 us-west-2 App/f="
	for _, test := range []struct {
		name, pattern string
		t             types.MetricTransformation
		messages      []string
		want          []string
	}{
		{"counts", "ERROR", types.MetricTransformation{MetricValue: new("1"), Unit: types.StandardUnitCount},
			[]string{"ERROR", "fine", "an ERROR"}, []string{of + "1 Count", of + "1 Count"}},
		{"a field", "{ $.latency = * }", types.MetricTransformation{MetricValue: new("$.latency")},
			[]string{`{"latency":50,"requestType":"GET"}`, `{"latency":"7.5"}`, `{"latency":"fast"}`, `{}`}, []string{of + "50 None", of + "7.5 None"}},
		{"a named field", "[ip, status = 4*, bytes]", types.MetricTransformation{MetricValue: new("$bytes")},
			[]string{"127.0.0.1 404 1534", "127.0.0.1 200 99", "127.0.0.1 400 -"}, []string{of + "1534 None"}},
		{"dimensions", `{ $.op = * }`, types.MetricTransformation{MetricValue: new("1"), Dimensions: map[string]string{"Op": "$.op", "Key": "$.key.id"}},
			[]string{`{"op":"Encrypt","key":{"id":"k1"}}`, `{"op":"Encrypt"}`, `{"op":"Decrypt","key":{"id":7}}`},
			[]string{of + "1 None Key=7 Op=Decrypt", of + "1 None Key=k1 Op=Encrypt"}},
		{"pending deletion", `{ $.eventSource = kms* && $.errorMessage = "* is pending deletion."}`, types.MetricTransformation{MetricValue: new("1")},
			[]string{`{"eventSource":"kms.amazonaws.com","errorMessage":"arn:aws:kms:us-west-2:111122223333:key/1 is pending deletion."}`, `{"eventSource":"kms.amazonaws.com"}`},
			[]string{of + "1 None"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := open(t)
			h.withStream("g", "s")
			h.put("g", "s", test.messages...) // before the filter was made, so it does not see them
			h.do("PutMetricFilter", metricFilterOf("g", "f", test.pattern, test.t))
			h.put("g", "s", test.messages...)
			if got := h.measured(); !slices.Equal(got, test.want) {
				t.Errorf("measured %q, want %q", got, test.want)
			}
		})
	}
}

// Whatever becomes of a transaction, an event that is there was counted once, and one that is not was not.
func TestMetricFilterCountsOnce(t *testing.T) {
	h := open(t)
	h.withStream("g", "s")
	h.do("PutMetricFilter", errorFilter("g", nil))
	faults := []storetest.Fault{storetest.None, storetest.Before, storetest.Failed, storetest.FailedInDoubt, storetest.PersistedInDoubt}
	answered := 0
	for i := range 50 {
		h.watch.FailUpdate(1, faults[i%len(faults)])
		event := types.InputLogEvent{Message: new(fmt.Sprint("ERROR ", i)), Timestamp: new(h.ago(0))}
		_, err := h.call(alice, "PutLogEvents", &cloudwatchlogs.PutLogEventsInput{LogGroupName: new("g"), LogStreamName: new("s"), LogEvents: []types.InputLogEvent{event}})
		if err == nil {
			answered++
		}
		there := h.get("g", "s")
		if slices.Contains(there, *event.Message) != (i%len(faults) == 0 || i%len(faults) == 4) {
			t.Errorf("event %d: %v", i, err)
		}
		if n := len(h.measured()); n != len(there) {
			t.Fatalf("%d events are there, and %d were counted", len(there), n)
		}
	}
	if answered != 10 {
		t.Errorf("%d calls were answered", answered)
	}
	// A caller's own failure undoes its events and what they measured.
	err := h.watch.Update(context.Background(), func(tx store.Tx) error {
		if err := h.logs.Ingest(tx, alice.group("g"), "s", []Event{{h.clock.Now(), []byte("ERROR")}}); err != nil {
			return err
		}
		return storetest.ErrInjected
	})
	if err == nil || len(h.get("g", "s")) != 20 || len(h.measured()) != 20 {
		t.Errorf("%v, %d events, %d counted", err, len(h.get("g", "s")), len(h.measured()))
	}
}

// The default value is published for each minute in which events came in and none matched, once, when the minute is over.
func TestDefaultValue(t *testing.T) {
	h := open(t)
	h.withStream("g", "s")
	h.do("PutMetricFilter", errorFilter("g", new(-1.0)))
	h.clock.Advance(time.Minute - time.Duration(h.clock.Now().UnixNano()%int64(time.Minute)) + time.Second)
	stop := run(t, h.logs.Run)
	const found, none = "111122223333 us-west-2 App/errors=1 None", "111122223333 us-west-2 App/errors=-1 None"
	h.put("g", "s", "fine")
	h.put("g", "s", "fine")
	if got := h.measured(); len(got) != 0 {
		t.Errorf("within the minute: %q", got)
	}
	h.clock.Advance(time.Minute)
	waitFor(t, func() bool { return slices.Equal(h.measured(), []string{none}) })
	h.put("g", "s", "fine")
	h.put("g", "s", "ERROR")
	h.put("g", "s", "fine")
	h.clock.Advance(time.Minute) // in which a match was found
	h.clock.Advance(time.Minute) // in which nothing came in
	waitFor(t, func() bool { return h.count(`SELECT COUNT(*) FROM logs_minute`) == 0 })
	h.put("g", "s", "fine")
	h.clock.Advance(time.Minute)
	waitFor(t, func() bool { return slices.Equal(h.measured(), []string{none, none, found}) })
	stop()
}

func TestTestMetricFilter(t *testing.T) {
	h := open(t)
	line := `127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534`
	out := must[cloudwatchlogs.TestMetricFilterOutput](h, "TestMetricFilter", &cloudwatchlogs.TestMetricFilterInput{
		FilterPattern: new("[ip, user, username, timestamp, request = *.html*, status_code = 4*, bytes]"), LogEventMessages: []string{"other", line}})
	if len(out.Matches) != 1 {
		t.Fatalf("got %d matches", len(out.Matches))
	}
	m := out.Matches[0]
	if m.EventNumber != 2 || *m.EventMessage != line || len(m.ExtractedValues) != 7 || m.ExtractedValues["$bytes"] != "1534" || m.ExtractedValues["$request"] != "GET /index.html HTTP/1.0" {
		t.Errorf("got %d %q", m.EventNumber, m.ExtractedValues)
	}
	h.refused("TestMetricFilter", &cloudwatchlogs.TestMetricFilterInput{FilterPattern: new("{ $.a"), LogEventMessages: []string{"x"}}, "InvalidParameterException")
}
