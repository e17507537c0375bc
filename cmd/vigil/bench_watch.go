package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"vigil/internal/server"
)

// watchName is the name of all that a benchmark's watch is made of.
const watchName = "vigil-bench"

// watch is what a server's calls are watched by: a trail to a log group and a bucket, a metric filter on it that counts refused uses of keys pending
// deletion, an alarm on that metric, and ten rules of which none matches. It is there only while it is measured, and gone after
// that; the bucket stays, with the files that come into it some minutes later.
type watch struct {
	b    *benchmark
	undo []func(context.Context) error
}

// rules is how many rules there are.
const rules = 10

// newWatch makes a watch that has not begun.
func (b *benchmark) newWatch(ctx context.Context) (*watch, error) {
	w := &watch{b: b}
	var who struct{ KeyMetadata struct{ AWSAccountId string } }
	if err := b.once(ctx, "DescribeKey", map[string]any{"KeyId": b.keyID}, &who); err != nil {
		return w, err
	}
	if err := server.CreateBucket(ctx, w.b.http, w.b.profile, watchName); err != nil {
		return w, err
	}
	group := fmt.Sprintf("arn:aws:logs:%s:%s:log-group:%s:*", b.profile.Region, who.KeyMetadata.AWSAccountId, watchName)
	for _, part := range []struct{ make, unmake request }{
		{request{"logs", "CreateLogGroup", fields{"logGroupName": watchName}}, request{"logs", "DeleteLogGroup", fields{"logGroupName": watchName}}},
		{request{"logs", "PutMetricFilter", fields{
			"logGroupName": watchName, "filterName": watchName, "filterPattern": `{ $.eventSource = kms* && $.errorMessage = "* is pending deletion."}`,
			"metricTransformations": []fields{{"metricName": watchName, "metricNamespace": watchName, "metricValue": "1"}},
		}}, request{}},
		{request{"monitoring", "PutMetricAlarm", fields{
			"AlarmName": watchName, "Namespace": watchName, "MetricName": watchName, "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1, "Threshold": 1,
			"ComparisonOperator": "GreaterThanOrEqualToThreshold", "TreatMissingData": "notBreaching",
		}}, request{"monitoring", "DeleteAlarms", fields{"AlarmNames": []string{watchName}}}},
		{request{"cloudtrail", "CreateTrail", fields{
			"Name": watchName, "S3BucketName": watchName, "CloudWatchLogsLogGroupArn": group, "CloudWatchLogsRoleArn": "arn:aws:iam::" + who.KeyMetadata.AWSAccountId + ":role/" + watchName,
		}}, request{"cloudtrail", "DeleteTrail", fields{"Name": watchName}}},
	} {
		if err := w.ask(ctx, part.make); err != nil {
			return w, err
		}
		if part.unmake.operation != "" {
			w.undo = append(w.undo, func(ctx context.Context) error { return w.ask(ctx, part.unmake) })
		}
	}
	for i := range rules {
		rule := fmt.Sprintf("%s-%d", watchName, i)
		pattern := fmt.Sprintf(`{"source":["aws.kms"],"detail":{"eventName":["ScheduleKeyDeletion","DisableKey"],"requestParameters":{"keyId":["%d"]}}}`, i)
		if err := w.ask(ctx, request{"events", "PutRule", fields{"Name": rule, "EventPattern": pattern, "State": "DISABLED"}}); err != nil {
			return w, err
		}
		w.undo = append(w.undo, func(ctx context.Context) error {
			return w.ask(ctx, request{"events", "DeleteRule", fields{"Name": rule}})
		})
	}
	return w, nil
}

// begin has the calls that follow watched.
func (w *watch) begin(ctx context.Context) error { return w.turn(ctx, "StartLogging", "EnableRule") }

// end has the calls that follow not watched, and waits until all that were have been.
func (w *watch) end(ctx context.Context) error {
	if err := w.turn(ctx, "StopLogging", "DisableRule"); err != nil {
		return err
	}
	for {
		lag, err := w.lag(ctx)
		if err != nil || lag == 0 {
			return err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (w *watch) turn(ctx context.Context, trail, rule string) error {
	if err := w.ask(ctx, request{"cloudtrail", trail, fields{"Name": watchName}}); err != nil {
		return err
	}
	for i := range rules {
		if err := w.ask(ctx, request{"events", rule, fields{"Name": fmt.Sprintf("%s-%d", watchName, i)}}); err != nil {
			return err
		}
	}
	return nil
}

// remove removes what there is of the watch.
func (w *watch) remove() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for i := len(w.undo) - 1; i >= 0; i-- {
		_ = w.undo[i](ctx)
	}
}

// lag is how many records the slowest follower has before it, as GET /metrics tells.
func (w *watch) lag(ctx context.Context) (slowest float64, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.b.profile.Endpoint+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := w.b.http.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	found := false
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "vigil_follower_lag_records{"); ok {
			n, err := strconv.ParseFloat(value[strings.LastIndexByte(value, ' ')+1:], 64)
			if err != nil {
				return 0, err
			}
			slowest, found = max(slowest, n), true
		}
	}
	if !found {
		return 0, errors.New("GET /metrics does not tell how far the followers are")
	}
	return slowest, nil
}

// request is a call of one of the services that watch.
type request struct {
	service, operation string
	in                 fields
}

type fields map[string]any

// targetPrefixes are the services' names in X-Amz-Target.
var targetPrefixes = map[string]string{
	"cloudtrail": "CloudTrail_20131101", "events": "AWSEvents", "logs": "Logs_20140328", "monitoring": "GraniteServiceVersion20100801",
}

func (w *watch) ask(ctx context.Context, r request) error {
	body, err := json.Marshal(r.in)
	if err != nil {
		return err
	}
	if _, err := server.Send(ctx, w.b.http, w.b.profile, r.service, targetPrefixes[r.service]+"."+r.operation, body); err != nil {
		return fmt.Errorf("%s: %w", r.operation, err)
	}
	return nil
}
