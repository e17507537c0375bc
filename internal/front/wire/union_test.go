package wire

import (
	"net/url"
	"reflect"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

func TestUnions(t *testing.T) {
	o := sdkOperations(t, "cloudwatch", "http://127.0.0.1:1")["PutMetricAlarm"]
	want := &cloudwatch.PutMetricAlarmInput{EvaluationCriteria: &types.EvaluationCriteriaMemberPromQLCriteria{
		Value: types.AlarmPromQLCriteria{Query: aws.String("up"), PendingPeriod: aws.Int32(60)}}}
	var fromJSON, fromQuery cloudwatch.PutMetricAlarmInput
	if err := o.DecodeJSON([]byte(`{"EvaluationCriteria":{"__type":"x","PromQLCriteria":{"Query":"up","PendingPeriod":60}},"EvaluationWindow":null}`), &fromJSON); err != nil {
		t.Error(err)
	}
	form, _ := url.ParseQuery("EvaluationCriteria.PromQLCriteria.Query=up&EvaluationCriteria.PromQLCriteria.PendingPeriod=60")
	if err := o.DecodeQuery(form, &fromQuery); err != nil {
		t.Error(err)
	}
	if !reflect.DeepEqual(&fromJSON, want) || !reflect.DeepEqual(&fromQuery, want) {
		t.Errorf("got %s and %s", show(o.in, &fromJSON), show(o.in, &fromQuery))
	}
	if got := string(o.AppendRequestRecord(nil, want, nil)); got != `{"evaluationCriteria":{"promQLCriteria":{"pendingPeriod":60,"query":"up"}}}` {
		t.Errorf("the record is %s", got)
	}

	const invalid = "2 validation errors detected: Value null at 'alarmName' failed to satisfy constraint: Member must not be null; " +
		"Value null at 'evaluationCriteria.promQLCriteria.query' failed to satisfy constraint: Member must not be null"
	in := &cloudwatch.PutMetricAlarmInput{ComparisonOperator: "GreaterThanThreshold", EvaluationCriteria: &types.EvaluationCriteriaMemberPromQLCriteria{}}
	if err := o.Validate(in); err == nil || err.(*ValidationError).Message != invalid {
		t.Errorf("got %v", err)
	}
}

func TestUnionsThatAreNone(t *testing.T) {
	o := sdkOperations(t, "cloudwatch", "http://127.0.0.1:1")["PutMetricAlarm"]
	for request, message := range map[string]string{
		`{"EvaluationWindow":{}}`:                                            noneChosen.Message,
		`{"EvaluationWindow":{"Other":{},"SlidingWindow":null}}`:             noneChosen.Message,
		`{"EvaluationWindow":{"SlidingWindow":{},"WallClockWindow":{}}}`:     twoChosen.Message,
		`{"EvaluationWindow":[]}`:                                            "Start of list found where not expected",
		`{"EvaluationWindow":{"WallClockWindow":{"Timezone":{"secret":1}}}}`: "Start of structure or map found where not expected.",
	} {
		var in cloudwatch.PutMetricAlarmInput
		if err := o.DecodeJSON([]byte(request), &in); err == nil || err.(*SerializationError).Message != message {
			t.Errorf("%s: got %v, want %s", request, err, message)
		}
	}
	for request, message := range map[string]string{
		"EvaluationWindow=":       noneChosen.Message,
		"EvaluationWindow.Other=": noneChosen.Message,
		"EvaluationWindow.SlidingWindow=&EvaluationWindow.WallClockWindow.Timezone=UTC": twoChosen.Message,
	} {
		var in cloudwatch.PutMetricAlarmInput
		form, _ := url.ParseQuery(request)
		if err := o.DecodeQuery(form, &in); err == nil || err.(*SerializationError).Message != message {
			t.Errorf("%s: got %v, want %s", request, err, message)
		}
	}
}
