package alarms_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"vigil"
	"vigil/internal/alarms"
	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/clock"
	"vigil/internal/journal"
	"vigil/internal/metrics"
	"vigil/internal/store"
	"vigil/internal/store/sqlite"
	"vigil/internal/store/storetest"
)

const (
	account = "111122223333"
	region  = "us-east-1"
	topic   = "arn:aws:sns:us-east-1:111122223333:ops"
)

// house is alarms on real metrics, databases and a journal, with a clock that can be moved. What alarms do is told to done.
type house struct {
	t       testing.TB
	place   string
	clock   *clock.Movable
	watch   *storetest.FaultDB
	journal *journal.Journal
	metrics *metrics.Metrics
	alarms  *alarms.Alarms
	done    chan string  // messages and events of durable transitions
	room    atomic.Int64 // how many more events there is room for, after which a transition fails
	close   func()
}

// place is a new place for databases, and openPlace opens one of those that are there: SQLite's, unless TestPostgreSQL is running.
var (
	place     = func(t testing.TB) string { return t.TempDir() }
	openPlace = openSQLite
)

func openSQLite(place, name string) (store.DB, error) {
	return sqlite.Open(filepath.Join(place, name+".db"))
}

func open(t testing.TB, place string, clk *clock.Movable) *house {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	h := &house{t: t, place: place, clock: clk, watch: storetest.NewFaultDB(openDB(t, place, "watch")), done: make(chan string, 100000)}
	h.room.Store(math.MaxInt64)
	main := openDB(t, place, "main")
	var err error
	if h.journal, err = journal.Open(ctx, main, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if h.metrics, err = metrics.New(ctx, metrics.Config{Watch: h.watch, Clock: clk}); err != nil {
		t.Fatal(err)
	}
	h.alarms, err = alarms.New(ctx, alarms.Config{DB: main, Watch: h.watch, Clock: clk, Query: h.query,
		Act: func(tx store.Tx, _, action, subject, message string) error {
			if strings.HasSuffix(action, ":gone") {
				return errors.New("no such topic")
			}
			tx.OnCommit(func() { h.done <- action + "\n" + subject + "\n" + message })
			return nil
		},
		Emit: func(tx store.Tx, _, _ string, event []byte) error {
			if h.room.Add(-1) < 0 {
				return errors.New("disk full")
			}
			tx.OnCommit(func() { h.done <- string(event) })
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 2)
	go func() { ended <- h.journal.Run(ctx) }()
	go func() { ended <- h.alarms.Run(ctx) }()
	closed := false
	h.close = func() {
		if closed {
			return
		}
		closed = true
		stop()
		for range cap(ended) {
			if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		for _, db := range []store.DB{main, h.watch} {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(h.close)
	return h
}

func openDB(t testing.TB, place, name string) store.DB {
	t.Helper()
	db, err := openPlace(place, name)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func (h *house) query(ctx context.Context, account, region string, q alarms.Query) ([]alarms.Point, error) {
	mq := metrics.Query{Namespace: q.Namespace, Name: q.Name, Unit: q.Unit, Stat: q.Stat, Period: q.Period, Start: q.Start, End: q.End}
	for _, d := range q.Dimensions {
		mq.Dimensions = append(mq.Dimensions, metrics.Dimension(d))
	}
	points, err := h.metrics.Statistics(ctx, account, region, mq)
	all := make([]alarms.Point, len(points))
	for i, p := range points {
		all[i] = alarms.Point(p)
	}
	return all, err
}

// do calls an operation as the door does, with its effect journaled.
func do[Out any](h *house, name string, in any) (*Out, error) {
	for _, op := range h.alarms.Operations() {
		if op.Name != name {
			continue
		}
		ctx, at := context.Background(), h.clock.Now()
		c := &call.Call{Principal: call.Principal{Type: "Root", ARN: arn.Root(region, account), Account: account, PrincipalID: account},
			Service: "cloudwatch", Operation: name, Region: region, Time: at, EventID: call.NewEventID(at)}
		out, err := op.Do(ctx, c, in)
		if err != nil {
			return nil, err
		}
		err = h.journal.Commit(ctx, c.PendingEffect(), func(error) []journal.Record {
			r := vigil.Record{EventTime: at, EventName: name, EventID: c.EventID}
			return []journal.Record{{Time: at, Data: r.AppendJSON(nil)}}
		})
		return out.(*Out), err
	}
	return nil, errors.New("no operation " + name)
}

func must[Out any](h *house, name string, in any) *Out {
	h.t.Helper()
	out, err := do[Out](h, name, in)
	if err != nil {
		h.t.Fatalf("%s: %v", name, err)
	}
	return out
}

func plain(name string) *cloudwatch.PutMetricAlarmInput {
	return &cloudwatch.PutMetricAlarmInput{AlarmName: &name, Namespace: aws.String("Test"), MetricName: aws.String("errors"), Statistic: types.StatisticSum,
		Period: aws.Int32(60), EvaluationPeriods: aws.Int32(1), Threshold: aws.Float64(1), AlarmActions: []string{topic},
		ComparisonOperator: types.ComparisonOperatorGreaterThanOrEqualToThreshold, TreatMissingData: aws.String("notBreaching")}
}

func (h *house) put(value float64) {
	h.t.Helper()
	err := h.watch.Update(context.Background(), func(tx store.Tx) error {
		return h.metrics.Put(tx, account, region, []metrics.Datum{{Namespace: "Test", Name: "errors", Value: value, Time: h.clock.Now()}})
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// wait is the next thing that alarms did.
func (h *house) wait() string {
	h.t.Helper()
	select {
	case did := <-h.done:
		return did
	case <-time.After(30 * time.Second):
		h.t.Fatal("alarms did nothing")
		return ""
	}
}

// change checks that something is an event of a change between states.
func (h *house) change(event, from, to string) {
	h.t.Helper()
	var e struct {
		Type      string `json:"detail-type"`
		Resources []string
		Detail    struct {
			State, PreviousState struct{ Value, ReasonData string }
		}
	}
	if err := json.Unmarshal([]byte(event), &e); err != nil || e.Type != "CloudWatch Alarm State Change" || len(e.Resources) != 1 ||
		e.Detail.PreviousState.Value != from || e.Detail.State.Value != to || !json.Valid([]byte(e.Detail.State.ReasonData)) {
		h.t.Fatalf("%v: %s\nwant a change from %s to %s", err, event, from, to)
	}
}

func TestAnAlarmFires(t *testing.T) {
	h := open(t, place(t), clock.NewMovable(0))
	must[cloudwatch.PutMetricAlarmOutput](h, "PutMetricAlarm", plain("fires"))
	h.change(h.wait(), "INSUFFICIENT_DATA", "OK") // evaluated at once
	h.put(1)
	h.clock.Advance(time.Minute)
	message := strings.SplitN(h.wait(), "\n", 3)
	if message[0] != topic || message[1] != `ALARM: "fires" in US East (N. Virginia)` {
		t.Errorf("%q", message)
	}
	var m struct {
		AlarmName, NewStateValue, OldStateValue, AWSAccountId, NewStateReason string
		Trigger                                                               struct{ Statistic, MetricName string }
	}
	if err := json.Unmarshal([]byte(message[2]), &m); err != nil || m.AlarmName != "fires" || m.NewStateValue != "ALARM" || m.OldStateValue != "OK" ||
		m.AWSAccountId != account || m.Trigger.Statistic != "SUM" || !strings.HasPrefix(m.NewStateReason, "Threshold Crossed: 1 out of the last 1 datapoints [1.0 (") {
		t.Errorf("%v: %s", err, message[2])
	}
	h.change(h.wait(), "OK", "ALARM")
	h.clock.Advance(8 * 24 * time.Hour)
	h.change(h.wait(), "ALARM", "OK")

	var got []string
	in := &cloudwatch.DescribeAlarmHistoryInput{ScanBy: types.ScanByTimestampAscending, MaxRecords: aws.Int32(2)}
	for {
		out := must[cloudwatch.DescribeAlarmHistoryOutput](h, "DescribeAlarmHistory", in)
		for _, i := range out.AlarmHistoryItems {
			got = append(got, *i.HistorySummary)
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
	}
	want := []string{`Alarm "fires" created`, "Alarm updated from INSUFFICIENT_DATA to OK", "Alarm updated from OK to ALARM",
		"Successfully executed action " + topic, "Alarm updated from ALARM to OK"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
}

func TestWhatHappenedDuringAPauseIsMadeUpFor(t *testing.T) {
	dir, clk := place(t), clock.NewMovable(0)
	h := open(t, dir, clk)
	must[cloudwatch.PutMetricAlarmOutput](h, "PutMetricAlarm", plain("paused"))
	h.change(h.wait(), "INSUFFICIENT_DATA", "OK")
	h.put(1)
	h.close()
	clk.Advance(8 * 24 * time.Hour) // while no server runs
	h = open(t, dir, clk)
	h.wait() // the message
	h.change(h.wait(), "OK", "ALARM")
	h.change(h.wait(), "ALARM", "OK")
}

// TestARestartInTheMiddleOfAnEvaluation has 150 alarms fire at one slot, which is more than one transaction has. The first succeeds, and the process
// ends while the second fails. The rest is made up for by the next: each alarm fires once, with one message.
func TestARestartInTheMiddleOfAnEvaluation(t *testing.T) {
	const many = 150
	dir, clk := place(t), clock.NewMovable(0)
	h := open(t, dir, clk)
	for i := range many {
		must[cloudwatch.PutMetricAlarmOutput](h, "PutMetricAlarm", plain(fmt.Sprint("alarm-", i)))
	}
	for range many {
		h.change(h.wait(), "INSUFFICIENT_DATA", "OK")
	}
	h.close()

	h = open(t, dir, clk)
	h.put(1)
	h.room.Store(many - 1)
	clk.Advance(time.Minute)
	fired := map[string]int{}
	count := func() {
		t.Helper()
		message := strings.SplitN(h.wait(), "\n", 3)
		if len(message) != 3 {
			t.Fatalf("%q is no message", message)
		}
		fired[message[1]]++
		h.change(h.wait(), "OK", "ALARM")
	}
	count()
	h.close()
	for len(h.done) > 0 {
		count()
	}
	if len(fired) == many {
		t.Fatal("no transaction failed")
	}
	before := len(fired)

	h = open(t, dir, clk)
	for len(fired) < many {
		count()
	}
	h.close()
	if len(h.done) > 0 {
		t.Errorf("alarms did %d things more", len(h.done))
	}
	for name, n := range fired {
		if n != 1 {
			t.Errorf("%s: %d messages", name, n)
		}
	}
	t.Logf("%d alarms fired before the restart", before)
}

func TestSetAlarmState(t *testing.T) {
	h := open(t, place(t), clock.NewMovable(0))
	in := plain("set")
	in.AlarmActions = append(in.AlarmActions, topic+":gone")
	must[cloudwatch.PutMetricAlarmOutput](h, "PutMetricAlarm", in)
	h.change(h.wait(), "INSUFFICIENT_DATA", "OK")
	set := &cloudwatch.SetAlarmStateInput{AlarmName: aws.String("set"), StateValue: types.StateValueAlarm, StateReason: aws.String("testing"), StateReasonData: aws.String("{}")}
	must[cloudwatch.SetAlarmStateOutput](h, "SetAlarmState", set)
	h.wait()
	h.change(h.wait(), "OK", "ALARM")
	items := must[cloudwatch.DescribeAlarmHistoryOutput](h, "DescribeAlarmHistory", &cloudwatch.DescribeAlarmHistoryInput{HistoryItemType: types.HistoryItemTypeAction}).AlarmHistoryItems
	if len(items) != 2 || *items[0].HistorySummary != "Failed to execute action "+topic+":gone" {
		t.Errorf("%d items", len(items))
	}
	h.clock.Advance(time.Minute)
	h.change(h.wait(), "ALARM", "OK")
}

func TestActionsThatAreDisabledAreNotDone(t *testing.T) {
	h := open(t, place(t), clock.NewMovable(0))
	must[cloudwatch.PutMetricAlarmOutput](h, "PutMetricAlarm", plain("quiet"))
	h.change(h.wait(), "INSUFFICIENT_DATA", "OK")
	must[cloudwatch.DisableAlarmActionsOutput](h, "DisableAlarmActions", &cloudwatch.DisableAlarmActionsInput{AlarmNames: []string{"quiet", "none"}})
	must[cloudwatch.SetAlarmStateOutput](h, "SetAlarmState", &cloudwatch.SetAlarmStateInput{AlarmName: aws.String("quiet"), StateValue: types.StateValueAlarm, StateReason: aws.String("")})
	var event map[string]any
	if err := json.Unmarshal([]byte(h.wait()), &event); err != nil || event["source"] != "aws.cloudwatch" {
		t.Errorf("an action was done: %v", err)
	}
}

func TestDescribeAndDelete(t *testing.T) {
	h := open(t, place(t), clock.NewMovable(0))
	for _, name := range []string{"b", "a", "c"} {
		must[cloudwatch.PutMetricAlarmOutput](h, "PutMetricAlarm", plain(name))
	}
	names := func(in *cloudwatch.DescribeAlarmsInput) (names string) {
		for {
			out := must[cloudwatch.DescribeAlarmsOutput](h, "DescribeAlarms", in)
			for _, one := range out.MetricAlarms {
				names += *one.AlarmName
			}
			if in.NextToken = out.NextToken; in.NextToken == nil {
				return names
			}
		}
	}
	for want, in := range map[string]*cloudwatch.DescribeAlarmsInput{
		"abc": {MaxRecords: aws.Int32(2), ActionPrefix: aws.String("arn:aws:sns")},
		"b":   {AlarmNamePrefix: aws.String("b")},
		"ac":  {AlarmNames: []string{"c", "a", "z"}},
		"":    {AlarmTypes: []types.AlarmType{types.AlarmTypeCompositeAlarm}},
	} {
		if got := names(in); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	metric := must[cloudwatch.DescribeAlarmsForMetricOutput](h, "DescribeAlarmsForMetric",
		&cloudwatch.DescribeAlarmsForMetricInput{Namespace: aws.String("Test"), MetricName: aws.String("errors")})
	if len(metric.MetricAlarms) != 3 {
		t.Errorf("%d alarms for the metric", len(metric.MetricAlarms))
	}
	_, err := do[cloudwatch.DeleteAlarmsOutput](h, "DeleteAlarms", &cloudwatch.DeleteAlarmsInput{AlarmNames: []string{"a", "z"}})
	var api *call.Error
	if !errors.As(err, &api) || api.Code != "ResourceNotFound" || api.Status != 404 || names(&cloudwatch.DescribeAlarmsInput{}) != "abc" {
		t.Errorf("%v", err)
	}
	must[cloudwatch.DeleteAlarmsOutput](h, "DeleteAlarms", &cloudwatch.DeleteAlarmsInput{AlarmNames: []string{"a", "b"}})
	if got := names(&cloudwatch.DescribeAlarmsInput{}); got != "c" {
		t.Errorf("%q is left", got)
	}
}

func TestWhatIsNotBuiltIsRefused(t *testing.T) {
	h := open(t, place(t), clock.NewMovable(0))
	for name, change := range map[string]func(*cloudwatch.PutMetricAlarmInput){
		"expressions":       func(in *cloudwatch.PutMetricAlarmInput) { in.Metrics = []types.MetricDataQuery{{Id: aws.String("m1")}} },
		"anomaly":           func(in *cloudwatch.PutMetricAlarmInput) { in.ThresholdMetricId = aws.String("ad1") },
		"period":            func(in *cloudwatch.PutMetricAlarmInput) { in.Period = aws.Int32(61) },
		"more than a day":   func(in *cloudwatch.PutMetricAlarmInput) { in.EvaluationPeriods = aws.Int32(1441) },
		"both statistics":   func(in *cloudwatch.PutMetricAlarmInput) { in.ExtendedStatistic = aws.String("p99") },
		"M greater than N":  func(in *cloudwatch.PutMetricAlarmInput) { in.DatapointsToAlarm = aws.Int32(2) },
		"treatment":         func(in *cloudwatch.PutMetricAlarmInput) { in.TreatMissingData = aws.String("x") },
		"an action, no arn": func(in *cloudwatch.PutMetricAlarmInput) { in.AlarmActions = []string{"x"} },
	} {
		in := plain(name)
		change(in)
		_, err := do[cloudwatch.PutMetricAlarmOutput](h, "PutMetricAlarm", in)
		var api *call.Error
		if !errors.As(err, &api) || api.Code != "ValidationError" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// BenchmarkEvaluate is all of 10,000 alarms, each on a metric of its own, evaluated at one slot.
func BenchmarkEvaluate(b *testing.B) {
	const many = 10000
	h := open(b, place(b), clock.NewMovable(0))
	var data []metrics.Datum
	for i := range many {
		d := metrics.Datum{Namespace: "Bench", Name: fmt.Sprint("m", i), Value: 1}
		for minute := range 5 {
			d.Time = h.clock.Now().Add(-time.Duration(minute) * time.Minute)
			data = append(data, d)
		}
	}
	if err := h.watch.Update(context.Background(), func(tx store.Tx) error { return h.metrics.Put(tx, account, region, data) }); err != nil {
		b.Fatal(err)
	}
	for i := range many {
		in := plain(fmt.Sprint("alarm-", i))
		in.Namespace, in.MetricName, in.EvaluationPeriods, in.Threshold = aws.String("Bench"), aws.String(fmt.Sprint("m", i)), aws.Int32(3), aws.Float64(2)
		must[cloudwatch.PutMetricAlarmOutput](h, "PutMetricAlarm", in)
	}
	for range many { // each has gone to OK
		h.wait()
	}
	h.close()
	h = open(b, h.place, h.clock)
	b.ResetTimer()
	for b.Loop() {
		if err := h.alarms.EvaluateAt(context.Background(), h.clock.Now().Truncate(time.Minute)); err != nil {
			b.Fatal(err)
		}
	}
}
