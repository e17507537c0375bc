package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"vigil/internal/server"
	"vigil/internal/store/storetest"
)

// TestCrashWatch kills the server at random moments while logs, metrics, events, notifications and an alarm flow, again and again. What was
// answered is there once, what was not is there once or not at all; what follows from records and events followed once;
// what goes to endpoints outside arrives at least once.
func TestCrashWatch(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { crashWatch(t, 12) })
	t.Run("postgres", func(t *testing.T) { crashWatch(t, 4, "--database", storetest.Postgres(t)) })
}

const (
	arnPrefix = "us-east-1:000000000000:"
	function  = "arn:aws:lambda:" + arnPrefix + "function:take"
)

func crashWatch(t *testing.T, rounds int, flags ...string) {
	outside := newReceiver(t)
	w := &watched{answers: map[string]bool{}, asked: map[string]bool{}, puts: map[string]int{}, outside: outside}
	dir := t.TempDir()
	flags = append(flags, "--test-clock", "--allow-local-targets", "--function", function+"="+outside.URL+"/function")
	s := startVigil(t, dir, flags...)
	w.setUp(t, s)
	s.kill(t) // what was set up is there all the same

	start := func() *process {
		s := startVigil(t, dir, flags...)
		s.advance(t, 6*time.Minute) // the alarm fires and calms down by what was put in the last round, while this one goes on
		return s
	}
	killAgainAndAgain(t, rounds, start, func(ctx context.Context, s *process, round int) (clients []func()) {
		for client := range 2 {
			name := fmt.Sprintf("r%d-c%d", round, client)
			clients = append(clients,
				func() { w.putLogEvents(ctx, s, name) },
				func() { w.putMetricData(ctx, s, name) },
				func() { w.putEvents(ctx, s, name) },
				func() { w.useKey(ctx, s) })
		}
		return append(clients, func() { w.pulse(ctx, s) })
	})
	t.Logf("%d calls were answered over %d crashes", len(w.answers)+w.used, rounds)

	s = start()
	w.checkLogEvents(t, s)
	w.checkMetricData(t, s)
	w.checkEvents(t, s)
	w.checkRecords(t, s)
	w.checkAlarm(t, s)
	s.stop(t)
}

// advance moves the server's clock.
func (p *process) advance(t *testing.T, by time.Duration) {
	t.Helper()
	if out, err := exec.Command("vigil", "clock", "advance", by.String(), "--data", p.dir).CombinedOutput(); err != nil {
		t.Fatalf("vigil clock advance: %v\n%s", err, out)
	}
}

// watched is what clients have asked of the services that watch and what they were told.
type watched struct {
	key     string
	topic   string
	outside *receiver

	mu      sync.Mutex
	asked   map[string]bool // names of log batches and events that were put, answered or not
	answers map[string]bool // and of those that were answered
	puts    map[string]int  // how many PutMetricData each client was answered
	used    int             // how many uses of the key were answered
	pulsed  int             // in how many rounds the alarm was given a reason to fire
}

// ask notes that something is put before it is.
func (w *watched) ask(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked[name] = true
}

func (w *watched) answered(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers[name] = true
}

// setUp makes a trail to a log group, log groups with metric filters, rules with targets of each kind, a topic with a subscriber, and an alarm.
func (w *watched) setUp(t *testing.T, s *process) {
	t.Helper()
	ctx, cfg := t.Context(), s.config()
	ok := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	logs, trails, events := cloudwatchlogs.NewFromConfig(cfg), cloudtrail.NewFromConfig(cfg), eventbridge.NewFromConfig(cfg)
	for _, name := range []string{"trail", "app", "events/own", "events/calls", "events/alarms"} {
		ok(logs.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &name}))
	}
	for client := range 2 {
		ok(logs.CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: aws.String("app"), LogStreamName: aws.String(fmt.Sprintf("c%d", client))}))
	}
	for _, f := range []struct{ group, pattern, metric, value string }{
		{"trail", `{ $.eventSource = "kms.amazonaws.com" }`, "Calls", "1"},
		{"app", `{ $.value = * }`, "Value", "$.value"},
	} {
		ok(logs.PutMetricFilter(ctx, &cloudwatchlogs.PutMetricFilterInput{LogGroupName: &f.group, FilterName: &f.metric, FilterPattern: &f.pattern,
			MetricTransformations: []logtypes.MetricTransformation{{MetricNamespace: aws.String("Filtered"), MetricName: &f.metric, MetricValue: &f.value}}}))
	}
	ok(nil, server.CreateBucket(ctx, http.DefaultClient, s.profile, "audit"))
	ok(trails.CreateTrail(ctx, &cloudtrail.CreateTrailInput{Name: aws.String("all"), S3BucketName: aws.String("audit"),
		CloudWatchLogsLogGroupArn: aws.String("arn:aws:logs:" + arnPrefix + "log-group:trail:*"), CloudWatchLogsRoleArn: aws.String("arn:aws:iam::000000000000:role/trail")}))
	ok(trails.StartLogging(ctx, &cloudtrail.StartLoggingInput{Name: aws.String("all")}))

	notify := sns.NewFromConfig(cfg)
	topic, err := notify.CreateTopic(ctx, &sns.CreateTopicInput{Name: aws.String("alerts")})
	ok(topic, err)
	w.topic = *topic.TopicArn
	ok(notify.Subscribe(ctx, &sns.SubscribeInput{TopicArn: &w.topic, Protocol: aws.String("http"), Endpoint: aws.String(w.outside.URL + "/topic")}))
	eventually(t, s, "the subscription is confirmed", func() string {
		list, err := notify.ListSubscriptionsByTopic(ctx, &sns.ListSubscriptionsByTopicInput{TopicArn: &w.topic})
		ok(list, err)
		if arn := *list.Subscriptions[0].SubscriptionArn; !strings.HasPrefix(arn, w.topic) {
			return arn
		}
		return ""
	})

	ok(events.CreateEventBus(ctx, &eventbridge.CreateEventBusInput{Name: aws.String("own")}))
	group := "arn:aws:logs:" + arnPrefix + "log-group:events/"
	for _, r := range []struct {
		name, bus, pattern string
		targets            []string
	}{
		{"own-log", "own", `{"source":["app"]}`, []string{group + "own"}},
		{"own-outside", "own", `{"detail":{"name":[{"prefix":"r"}]}}`, []string{w.topic, function}},
		{"calls", "default", `{"source":["aws.kms"]}`, []string{group + "calls"}},
		{"alarms", "default", `{"source":["aws.cloudwatch"]}`, []string{group + "alarms"}},
	} {
		ok(events.PutRule(ctx, &eventbridge.PutRuleInput{Name: &r.name, EventBusName: &r.bus, EventPattern: &r.pattern}))
		for i, target := range r.targets {
			put, err := events.PutTargets(ctx, &eventbridge.PutTargetsInput{Rule: &r.name, EventBusName: &r.bus,
				Targets: []eventtypes.Target{{Id: aws.String(fmt.Sprint(i)), Arn: &target}}})
			if ok(put, err); put.FailedEntryCount > 0 {
				t.Fatalf("%s: %s", target, *put.FailedEntries[0].ErrorMessage)
			}
		}
	}

	ok(cloudwatch.NewFromConfig(cfg).PutMetricAlarm(ctx, &cloudwatch.PutMetricAlarmInput{
		AlarmName: aws.String("pulse"), Namespace: aws.String("App"), MetricName: aws.String("Pulse"), Statistic: cwtypes.StatisticSum,
		Period: aws.Int32(60), EvaluationPeriods: aws.Int32(1), Threshold: aws.Float64(1), ComparisonOperator: cwtypes.ComparisonOperatorGreaterThanOrEqualToThreshold,
		TreatMissingData: aws.String("notBreaching"), AlarmActions: []string{w.topic}, OKActions: []string{w.topic}}))
	key, err := s.kms().CreateKey(ctx, &kms.CreateKeyInput{})
	ok(key, err)
	w.key = *key.KeyMetadata.KeyId
}

// batch is how many events each PutLogEvents has.
const batch = 3

func (w *watched) putLogEvents(ctx context.Context, s *process, client string) {
	logs := cloudwatchlogs.NewFromConfig(s.config())
	_, stream, _ := strings.Cut(client, "-")
	for n := 0; ; n++ {
		name := fmt.Sprintf("%s-log%d", client, n)
		in := &cloudwatchlogs.PutLogEventsInput{LogGroupName: aws.String("app"), LogStreamName: &stream}
		for i := range batch {
			in.LogEvents = append(in.LogEvents, logtypes.InputLogEvent{Timestamp: aws.Int64(time.Now().UnixMilli()),
				Message: aws.String(fmt.Sprintf(`{"name":%q,"value":%d}`, name, i+1))})
		}
		w.ask(name)
		if _, err := logs.PutLogEvents(ctx, in); err != nil {
			return
		}
		w.answered(name)
	}
}

// putMetricData puts 1, 2, 3 and so on: sum and count then say which of them are there.
func (w *watched) putMetricData(ctx context.Context, s *process, client string) {
	metrics := cloudwatch.NewFromConfig(s.config())
	for n := 0; ; n++ {
		w.mu.Lock()
		w.puts[client] = n
		w.mu.Unlock()
		_, err := metrics.PutMetricData(ctx, &cloudwatch.PutMetricDataInput{Namespace: aws.String("App"), MetricData: []cwtypes.MetricDatum{{
			MetricName: aws.String("Put"), Value: aws.Float64(float64(n + 1)), Dimensions: []cwtypes.Dimension{{Name: aws.String("client"), Value: &client}}}}})
		if err != nil {
			return
		}
	}
}

func (w *watched) putEvents(ctx context.Context, s *process, client string) {
	events := eventbridge.NewFromConfig(s.config())
	for n := 0; ; n++ {
		name := fmt.Sprintf("%s-event%d", client, n)
		w.ask(name)
		out, err := events.PutEvents(ctx, &eventbridge.PutEventsInput{Entries: []eventtypes.PutEventsRequestEntry{{EventBusName: aws.String("own"),
			Source: aws.String("app"), DetailType: aws.String("test"), Detail: aws.String(fmt.Sprintf(`{"name":%q}`, name))}}})
		if err != nil || out.FailedEntryCount > 0 {
			return
		}
		w.answered(name)
	}
}

// useKey makes records.
func (w *watched) useKey(ctx context.Context, s *process) {
	client := s.kms()
	for {
		if _, err := client.Encrypt(ctx, &kms.EncryptInput{KeyId: &w.key, Plaintext: []byte("x")}); err != nil {
			return
		}
		w.mu.Lock()
		w.used++
		w.mu.Unlock()
	}
}

// pulse puts what the alarm watches.
func (w *watched) pulse(ctx context.Context, s *process) {
	metrics := cloudwatch.NewFromConfig(s.config())
	for n := 0; ; n++ {
		_, err := metrics.PutMetricData(ctx, &cloudwatch.PutMetricDataInput{Namespace: aws.String("App"),
			MetricData: []cwtypes.MetricDatum{{MetricName: aws.String("Pulse"), Value: aws.Float64(1)}}})
		if err != nil {
			return
		}
		if n == 0 {
			w.mu.Lock()
			w.pulsed++
			w.mu.Unlock()
		}
	}
}

// checkLogEvents wants each answered batch once, each other one once or not at all, none in part; and each event measured once.
func (w *watched) checkLogEvents(t *testing.T, s *process) {
	t.Helper()
	there, sum, events := map[string]int{}, 0, 0
	for _, message := range s.messages(t, "app") {
		var e struct {
			Name  string
			Value int
		}
		decode(t, message, &e)
		there[e.Name]++
		sum += e.Value
		events++
	}
	got := 0
	for client := range 2 {
		got += s.countStream(t, "app", fmt.Sprintf("c%d", client))
	}
	if got != events {
		t.Errorf("GetLogEvents has %d events, and FilterLogEvents %d", got, events)
	}
	w.compare(t, "batch", "-log", there, batch)
	if gotSum, gotCount := s.statistics(t, "Filtered", "Value"); gotSum != float64(sum) || gotCount != float64(events) {
		t.Errorf("the metric filter measured %v events of %v in all, and there are %d of %d", gotCount, gotSum, events, sum)
	}
}

// compare holds how often something that was put is there against the answers. Each is there as often as each says, once it is.
func (w *watched) compare(t *testing.T, what, kind string, there map[string]int, each int) {
	t.Helper()
	for name := range w.answers {
		if strings.Contains(name, kind) && there[name] != each {
			t.Errorf("%s %s was answered, and of it are there %d, not %d", what, name, there[name], each)
		}
	}
	for name, n := range there {
		if !w.asked[name] {
			t.Errorf("%s %s is there, and nobody has put it", what, name)
		}
		if n != each {
			t.Errorf("of %s %s are there %d, not %d", what, name, n, each)
		}
	}
}

// checkMetricData wants of each client the values that it was answered, and perhaps the one that it was not.
func (w *watched) checkMetricData(t *testing.T, s *process) {
	t.Helper()
	for _, client := range slices.Sorted(maps.Keys(w.puts)) {
		n := float64(w.puts[client])
		sum, count := s.statistics(t, "App", "Put", cwtypes.Dimension{Name: aws.String("client"), Value: &client})
		if count != n && count != n+1 || sum != count*(count+1)/2 {
			t.Errorf("%s was answered the values 1 to %v, and there are %v of %v in all", client, n, count, sum)
		}
	}
}

// checkEvents wants each answered event once in the log group, and just what is there at each endpoint, sooner or later.
func (w *watched) checkEvents(t *testing.T, s *process) {
	t.Helper()
	there := map[string]int{}
	for _, message := range s.messages(t, "events/own") {
		there[eventName(t, message)]++
	}
	w.compare(t, "event", "-event", there, 1)
	want := slices.Sorted(maps.Keys(there))
	for _, path := range []string{"/function", "/topic"} {
		eventually(t, s, path+" has all events", func() string { return difference(want, w.outside.events(t, path)) })
	}
}

// checkRecords wants each record of a use of KMS once in the trail's log group and as an event, and measured once.
func (w *watched) checkRecords(t *testing.T, s *process) {
	t.Helper()
	var want []string
	for _, r := range s.history(t) {
		if r.EventSource == "kms.amazonaws.com" {
			want = append(want, r.EventID)
		}
	}
	slices.Sort(want)
	if len(want) < w.used {
		t.Errorf("%d uses were answered, and %d are in the history", w.used, len(want))
	}
	type record struct{ EventID, EventSource string }
	eventually(t, s, "the trail has brought each record once", func() string {
		var got []string
		for _, message := range s.messages(t, "trail") {
			var r record
			if decode(t, message, &r); r.EventSource == "kms.amazonaws.com" {
				got = append(got, r.EventID)
			}
		}
		return difference(want, got)
	})
	eventually(t, s, "each record has become one event", func() string {
		var got []string
		for _, message := range s.messages(t, "events/calls") {
			var e struct{ Detail record }
			decode(t, message, &e)
			got = append(got, e.Detail.EventID)
		}
		return difference(want, got)
	})
	if sum, count := s.statistics(t, "Filtered", "Calls"); sum != float64(len(want)) || count != sum {
		t.Errorf("the metric filter measured %v records of %v in all, and there are %d", count, sum, len(want))
	}
}

// checkAlarm wants the alarm to have fired as often as it had reason to, each of its transitions to begin where the last one ended, and
// each once as an event and at the subscriber.
func (w *watched) checkAlarm(t *testing.T, s *process) {
	t.Helper()
	eventually(t, s, "the alarm has fired in each round and is calm", func() string {
		fired := 0
		for _, change := range s.alarmChanges(t) {
			if strings.HasSuffix(change, " to ALARM") {
				fired++
			}
		}
		if state := s.alarmState(t); fired < w.pulsed || state != "OK" {
			return fmt.Sprintf("it fired %d times of %d and is in state %s", fired, w.pulsed, state)
		}
		return ""
	})
	eventually(t, s, "each change of the alarm is one event", func() string {
		var events []string
		for _, message := range s.messages(t, "events/alarms") {
			var e struct {
				Detail struct{ State, PreviousState struct{ Value string } }
			}
			if decode(t, message, &e); e.Detail.PreviousState.Value != "" {
				events = append(events, e.Detail.PreviousState.Value+" to "+e.Detail.State.Value)
			}
		}
		return difference(s.alarmChanges(t), events)
	})
	eventually(t, s, "the subscriber was told of each change", func() string { return difference(s.alarmChanges(t), w.outside.alarmChanges(t)) })

	changes := s.alarmChanges(t)
	t.Logf("the alarm changed %d times", len(changes))
	last := "INSUFFICIENT_DATA"
	for _, change := range changes {
		from, to, _ := strings.Cut(change, " to ")
		if from != last {
			t.Errorf("the alarm was %s when it changed from %s", last, change)
		}
		last = to
	}
}
