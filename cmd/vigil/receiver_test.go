package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
)

// receiver is an endpoint outside the server: a function at /function, a topic's subscriber at /topic. It refuses each fifth delivery
// when it comes first.
type receiver struct {
	*httptest.Server

	mu    sync.Mutex
	tried map[string]bool
	got   map[string]map[string]string // by path and what tells a delivery from others: what came
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{tried: map[string]bool{}, got: map[string]map[string]string{"/function": {}, "/topic": {}}}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // the server was killed
	}
	var m struct{ Type, MessageId, Message, SubscribeURL string }
	if err := json.Unmarshal(body, &m); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if m.Type == "SubscriptionConfirmation" {
		if resp, err := http.Get(m.SubscribeURL); err == nil {
			resp.Body.Close()
		}
		return
	}
	name := cmp.Or(m.MessageId, string(body))
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.tried[name] {
		r.tried[name] = true
		if len(r.tried)%5 == 0 {
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
	}
	r.got[req.URL.Path][name] = cmp.Or(m.Message, string(body))
}

// events are the names of the events that came to a path.
func (r *receiver) events(t *testing.T, path string) (names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, message := range r.got[path] {
		if name := eventName(t, message); name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// alarmChanges are the transitions that alarms have told the topic's subscriber.
func (r *receiver) alarmChanges(t *testing.T) (changes []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, message := range r.got["/topic"] {
		var m struct{ OldStateValue, NewStateValue string }
		if decode(t, message, &m); m.NewStateValue != "" {
			changes = append(changes, m.OldStateValue+" to "+m.NewStateValue)
		}
	}
	slices.Sort(changes)
	return changes
}

// eventName is what an event of putEvents is told apart by.
func eventName(t *testing.T, event string) string {
	t.Helper()
	var e struct{ Detail struct{ Name string } }
	decode(t, event, &e)
	return e.Detail.Name
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Errorf("%s: %v", text, err)
	}
}

// difference says how a list differs from the one that is wanted, both in any order.
func difference(want, got []string) string {
	count := map[string]int{}
	for _, s := range want {
		count[s]++
	}
	for _, s := range got {
		count[s]--
	}
	missing, surplus, example := 0, 0, ""
	for s, n := range count {
		if n != 0 {
			example = s
		}
		missing += max(n, 0)
		surplus += max(-n, 0)
	}
	if example == "" {
		return ""
	}
	return fmt.Sprintf("of %d there are %d missing and %d too many, such as %s", len(want), missing, surplus, example)
}

// eventually waits until nothing is amiss. The server's clock goes on by a minute now and then, for what is tried again.
func eventually(t *testing.T, s *process, what string, amiss func() string) {
	t.Helper()
	for n, deadline := 1, time.Now().Add(30*time.Second); ; n++ {
		problem := amiss()
		if problem == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("it never comes that %s: %s", what, problem)
			return
		}
		time.Sleep(20 * time.Millisecond)
		if n%20 == 0 {
			s.advance(t, time.Minute)
		}
	}
}

// messages are all of a log group.
func (p *process) messages(t *testing.T, group string) (messages []string) {
	t.Helper()
	pages := cloudwatchlogs.NewFilterLogEventsPaginator(cloudwatchlogs.NewFromConfig(p.reading()), &cloudwatchlogs.FilterLogEventsInput{LogGroupName: &group})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Events {
			messages = append(messages, *e.Message)
		}
	}
	return messages
}

// countStream counts the events that GetLogEvents has of a stream.
func (p *process) countStream(t *testing.T, group, stream string) (n int) {
	t.Helper()
	pages := cloudwatchlogs.NewGetLogEventsPaginator(cloudwatchlogs.NewFromConfig(p.reading()),
		&cloudwatchlogs.GetLogEventsInput{LogGroupName: &group, LogStreamName: &stream, StartFromHead: aws.Bool(true)},
		func(o *cloudwatchlogs.GetLogEventsPaginatorOptions) { o.StopOnDuplicateToken = true })
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n += len(page.Events)
	}
	return n
}

// statistics are the sum and the number of all values of a metric.
func (p *process) statistics(t *testing.T, namespace, name string, dimensions ...cwtypes.Dimension) (sum, count float64) {
	t.Helper()
	const day = 24 * time.Hour
	out, err := cloudwatch.NewFromConfig(p.reading()).GetMetricStatistics(t.Context(), &cloudwatch.GetMetricStatisticsInput{
		Namespace: &namespace, MetricName: &name, Dimensions: dimensions, Period: aws.Int32(int32(day.Seconds())),
		StartTime: aws.Time(time.Now().Add(-day).Truncate(day)), EndTime: aws.Time(time.Now().Add(2 * day).Truncate(day)),
		Statistics: []cwtypes.Statistic{cwtypes.StatisticSum, cwtypes.StatisticSampleCount}})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range out.Datapoints {
		sum += *d.Sum
		count += *d.SampleCount
	}
	return sum, count
}

// alarmState is the state of the only alarm.
func (p *process) alarmState(t *testing.T) string {
	t.Helper()
	out, err := cloudwatch.NewFromConfig(p.reading()).DescribeAlarms(t.Context(), &cloudwatch.DescribeAlarmsInput{})
	if err != nil {
		t.Fatal(err)
	}
	return string(out.MetricAlarms[0].StateValue)
}

// alarmChanges are all transitions of the only alarm, oldest first.
func (p *process) alarmChanges(t *testing.T) (changes []string) {
	t.Helper()
	pages := cloudwatch.NewDescribeAlarmHistoryPaginator(cloudwatch.NewFromConfig(p.reading()), &cloudwatch.DescribeAlarmHistoryInput{
		HistoryItemType: cwtypes.HistoryItemTypeStateUpdate, ScanBy: cwtypes.ScanByTimestampAscending})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.AlarmHistoryItems {
			changes = append(changes, strings.TrimPrefix(*item.HistorySummary, "Alarm updated from "))
		}
	}
	return changes
}
