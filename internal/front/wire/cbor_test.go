package wire

import (
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

// encoded makes an item of CBOR of its hexadecimal form, in which texts may stand in quotes: a1 'a' 01. Such a text is shorter
// than 24 bytes.
func encoded(t testing.TB, text string) (b []byte) {
	for i, part := range strings.Split(text, "'") {
		if i%2 == 1 {
			b = append(append(b, 0x60|byte(len(part))), part...)
			continue
		}
		digits, err := hex.DecodeString(strings.ReplaceAll(part, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, digits...)
	}
	return b
}

func TestDecodeCBOR(t *testing.T) {
	value := func(f float64) *cloudwatch.PutMetricDataInput {
		return &cloudwatch.PutMetricDataInput{MetricData: []types.MetricDatum{{Value: &f}}}
	}
	at := func(t time.Time) *cloudwatch.PutMetricDataInput {
		return &cloudwatch.PutMetricDataInput{MetricData: []types.MetricDatum{{Timestamp: aws.Time(t.UTC())}}}
	}
	const datum = "a1 'MetricData' 81 a1 "
	tests := []struct {
		name, operation, request string
		want                     any
	}{
		{"an empty body is an empty map", "ListMetrics", "", &cloudwatch.ListMetricsInput{}},
		{"an empty map", "ListMetrics", "a0", &cloudwatch.ListMetricsInput{}},
		{"a map without a length", "ListMetrics", "bf 'Namespace' 'n' ff", &cloudwatch.ListMetricsInput{Namespace: aws.String("n")}},
		{"a length in a wider form than it needs", "ListMetrics", "b9 0001 7a 00000009 4e616d657370616365 'n'", &cloudwatch.ListMetricsInput{Namespace: aws.String("n")}},
		{"null and undefined are not set", "ListMetrics", "a2 'Namespace' f6 'MetricName' f7", &cloudwatch.ListMetricsInput{}},
		{"unknown members are ignored", "ListMetrics", "a9 'a' 01 'b' 20 'c' 43010203 'd' 5f 4101 42 0203 ff 'e' 9f 01 82 f5 f6 ff 'f' bf 'g' c1 fb 0000000000000000 ff " +
			"'h' f0 'i' f8 20 'Namespace' 'n'", &cloudwatch.ListMetricsInput{Namespace: aws.String("n")}},
		{"a text in pieces", "ListMetrics", "a1 7f 'Name' 'space' ff 7f 'a' 60 'bc' ff", &cloudwatch.ListMetricsInput{Namespace: aws.String("abc")}},
		{"an empty text is set", "ListMetrics", "a1 'Namespace' 60", &cloudwatch.ListMetricsInput{Namespace: aws.String("")}},
		{"an empty enumeration is kept for validation", "ListMetrics", "a1 'RecentlyActive' 60", &cloudwatch.ListMetricsInput{RecentlyActive: emptyEnum}},
		{"an enumeration is not judged here", "ListMetrics", "a1 'RecentlyActive' 'NEW'", &cloudwatch.ListMetricsInput{RecentlyActive: "NEW"}},
		{"empty lists are set", "PutMetricData", "a1 'MetricData' 80", &cloudwatch.PutMetricDataInput{MetricData: []types.MetricDatum{}}},
		{"a list without a length", "PutMetricData", "a1 'MetricData' 9f a0 bf ff ff", &cloudwatch.PutMetricDataInput{MetricData: []types.MetricDatum{{}, {}}}},
		{"reals of each width, and whole numbers for them", "PutMetricData",
			datum + "'Values' 8a f93c00 f97c00 f9fc00 f90001 f9bfff fa3fc00000 fb3ff8000000000000 18 ff 38 ff 1b ffffffffffffffff",
			&cloudwatch.PutMetricDataInput{MetricData: []types.MetricDatum{{Values: []float64{1, math.Inf(1), math.Inf(-1), math.Ldexp(1, -24), -1.9990234375,
				1.5, 1.5, 255, -256, math.MaxUint64}}}}},
		{"a real in few bits", "PutMetricData", datum + "'Value' f9fbff", value(-65504)},
		{"a whole number of 32 bits", "PutMetricData", datum + "'StorageResolution' 3a 7fffffff", &cloudwatch.PutMetricDataInput{
			MetricData: []types.MetricDatum{{StorageResolution: aws.Int32(math.MinInt32)}}}},
		{"a time in whole seconds", "PutMetricData", datum + "'Timestamp' c1 1a 682d6b01", at(time.Unix(1747806977, 0))},
		{"a time with milliseconds", "PutMetricData", datum + "'Timestamp' c1 fb 41da0b5ac05f7ced", at(time.UnixMilli(1747806977492))},
		{"a time before 1970", "PutMetricData", datum + "'Timestamp' c1 20", at(time.Unix(-1, 0))},
		{"a time whose tag is in a wider form than it needs", "PutMetricData", datum + "'Timestamp' d801 00", at(time.Unix(0, 0))},
		{"a map of texts", "PutMetricData", "a1 'EntityMetricData' 81 a1 'Entity' a1 'Attributes' a2 'b' '2' 'a' 60", &cloudwatch.PutMetricDataInput{
			EntityMetricData: []types.EntityMetricData{{Entity: &types.Entity{Attributes: map[string]string{"a": "", "b": "2"}}}}}},
		{"a bool", "PutMetricAlarm", "a1 'ActionsEnabled' f4", &cloudwatch.PutMetricAlarmInput{ActionsEnabled: aws.Bool(false)}},
		{"a union", "PutMetricAlarm", "a1 'EvaluationCriteria' a1 'PromQLCriteria' a1 'Query' 'up'", &cloudwatch.PutMetricAlarmInput{
			EvaluationCriteria: &types.EvaluationCriteriaMemberPromQLCriteria{Value: types.AlarmPromQLCriteria{Query: aws.String("up")}}}},
		{"a union, of which a member is null and another is not known", "PutMetricAlarm",
			"a1 'EvaluationWindow' a3 'WallClockWindow' f6 '__type' 'x' 'SlidingWindow' a0", &cloudwatch.PutMetricAlarmInput{
				EvaluationWindow: &types.EvaluationWindowMemberSlidingWindow{}}},
	}
	operations := sdkOperations(t, "cloudwatch", "http://127.0.0.1:1")
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := operations[test.operation]
			in := o.newInput()
			request := encoded(t, test.request)
			if err := o.DecodeCBOR(request, in); err != nil {
				t.Fatal(err)
			}
			for i := range request {
				request[i] = 0 // the caller may use its buffer again
			}
			if !reflect.DeepEqual(in, test.want) {
				t.Errorf("got %s, want %s", show(o.in, in), show(o.in, test.want))
			}
		})
	}
}

func TestDecodeCBORRefuses(t *testing.T) {
	const (
		datum   = "a1 'MetricData' 81 a1 "
		isEnd   = "Unexpected end of input"
		invalid = "The request is not valid CBOR"
		isList  = "Start of list found where not expected"
		isMap   = "Start of structure or map found where not expected."
	)
	tests := []struct{ operation, request, message string }{
		{"ListMetrics", "01", "The request is not a CBOR map"},
		{"ListMetrics", "80", "The request is not a CBOR map"},
		{"ListMetrics", "f6", "The request is not a CBOR map"},
		{"ListMetrics", "'secret'", "The request is not a CBOR map"},
		{"ListMetrics", "a0 'secret'", "Unexpected data after the end of the request"},
		{"ListMetrics", "a0 a0", "Unexpected data after the end of the request"},
		{"ListMetrics", "a1", isEnd},
		{"ListMetrics", "bf", isEnd},
		{"ListMetrics", "b8", isEnd},
		{"ListMetrics", "a1 'Namespace'", isEnd},
		{"ListMetrics", "a1 'Namespace' 66 736563", isEnd},
		{"ListMetrics", "a1 'Namespace' 7b ffffffffffffffff 73", isEnd},
		{"ListMetrics", "a1 'Namespace' 7f 'secret'", isEnd},
		{"ListMetrics", "a1 'other' 9b ffffffffffffffff 01", isEnd},
		{"ListMetrics", "a1 'other' bb ffffffffffffffff 01", isEnd},
		{"ListMetrics", "a1 'other' d9", isEnd},
		{"ListMetrics", "a1 'other' c1", isEnd},
		{"ListMetrics", "ff", invalid},
		{"ListMetrics", "a1 'Namespace' ff", invalid},
		{"ListMetrics", "a1 'other' 1c", invalid},
		{"ListMetrics", "a1 'other' 1f", invalid},
		{"ListMetrics", "a1 'other' df", invalid},
		{"ListMetrics", "a1 'other' f8 14", invalid}, // the same as f4
		{"ListMetrics", "bf 'other' ff", invalid},    // a member without a value
		{"ListMetrics", "a1 'Namespace' 7f 4173 ff", invalid},
		{"ListMetrics", "a1 'Namespace' 7f 7f 'secret' ff ff", invalid},
		{"ListMetrics", "a1 'Namespace' 62 c328", "A text is not valid UTF-8"},
		{"ListMetrics", "a1 'Namespace' 7f 61 c3 61 a9 ff", "A text is not valid UTF-8"}, // a character over two pieces
		{"ListMetrics", "a1 61 ff 01", "A text is not valid UTF-8"},
		{"ListMetrics", "a1 01 01", "A member's name is not a text"},
		{"ListMetrics", "a1 f6 01", "A member's name is not a text"},
		{"ListMetrics", "a2 'Namespace' 'secret' 'Namespace' 'b'", "Duplicate member name in an object"},
		{"ListMetrics", "a2 'Namespace' f6 'Namespace' 'secret'", "Duplicate member name in an object"},
		{"ListMetrics", "a1 'Namespace' 01", "NUMBER_VALUE can not be converted to a String"},
		{"ListMetrics", "a1 'Namespace' f93c00", "NUMBER_VALUE can not be converted to a String"},
		{"ListMetrics", "a1 'Namespace' 46 736563726574", "BLOB_VALUE can not be converted to a String"},
		{"ListMetrics", "a1 'Namespace' f5", "TRUE_VALUE can not be converted to a String"},
		{"ListMetrics", "a1 'Namespace' c0 'secret'", "TAG_VALUE can not be converted to a String"},
		{"ListMetrics", "a1 'Namespace' e1", "SIMPLE_VALUE can not be converted to a String"},
		{"ListMetrics", "a1 'Namespace' 81 'secret'", isList},
		{"ListMetrics", "a1 'Namespace' a1 'secret' 01", isMap},
		{"ListMetrics", "a1 'Dimensions' 'secret'", "Expected list or null"},
		{"ListMetrics", "a1 'Dimensions' a0", isMap},
		{"ListMetrics", "a1 'Dimensions' 81 f6", "Null found in a list where not expected"},
		{"ListMetrics", "a1 'Dimensions' 81 'secret'", "Expected null"},
		{"ListMetrics", "a1 'Dimensions' 81 80", isList},
		{"PutMetricData", datum + "'Value' 'secret'", "STRING_VALUE can not be converted to a Double"},
		{"PutMetricData", datum + "'Values' 81 'secret'", "STRING_VALUE can not be converted to a Double"},
		{"PutMetricData", datum + "'Values' 81 f6", "Null found in a list where not expected"},
		{"PutMetricData", datum + "'StorageResolution' 1a 80000000", "NUMBER_VALUE can not be converted to an Integer"},
		{"PutMetricData", datum + "'StorageResolution' 1b ffffffffffffffff", "NUMBER_VALUE can not be converted to an Integer"},
		{"PutMetricData", datum + "'StorageResolution' f93c00", "NUMBER_VALUE can not be converted to an Integer"},
		{"PutMetricData", datum + "'Timestamp' 01", "NUMBER_VALUE can not be converted to milliseconds since epoch"},
		{"PutMetricData", datum + "'Timestamp' c0 'secret'", "TAG_VALUE can not be converted to milliseconds since epoch"},
		{"PutMetricData", datum + "'Timestamp' c1 'secret'", "STRING_VALUE can not be converted to milliseconds since epoch"},
		{"PutMetricData", datum + "'Timestamp' c1 f97e00", "NUMBER_VALUE can not be converted to milliseconds since epoch"},
		{"PutMetricData", datum + "'Timestamp' c1 1b 0100000000000000", "NUMBER_VALUE can not be converted to milliseconds since epoch"},
		{"PutMetricData", datum + "'Timestamp' c1 f6", "NULL_VALUE can not be converted to milliseconds since epoch"},
		{"PutMetricData", "a1 'EntityMetricData' 81 a1 'Entity' a1 'Attributes' 'secret'", "Expected map or null"},
		{"PutMetricData", "a1 'EntityMetricData' 81 a1 'Entity' a1 'Attributes' a1 'a' f6", "Null found in a map where not expected"},
		{"PutMetricData", "a1 'EntityMetricData' 81 a1 'Entity' a1 'Attributes' a2 'a' '1' 'a' '2'", "Duplicate member name in an object"},
		{"PutMetricAlarm", "a1 'EvaluationWindow' a0", "A union has no member set that is known"},
		{"PutMetricAlarm", "a1 'EvaluationWindow' a1 'secret' a0", "A union has no member set that is known"},
		{"PutMetricAlarm", "a1 'EvaluationWindow' a2 'SlidingWindow' a0 'WallClockWindow' a0", "A union has more than one member set"},
		{"ListMetrics", "a1 'other' " + strings.Repeat("81", 200) + "80", "The request is nested too deep"},
		{"ListMetrics", "a1 'other' " + strings.Repeat("c1", 200) + "00", "The request is nested too deep"},
		{"ListMetrics", "a1 'other' " + strings.Repeat("bf 'a'", 200), "The request is nested too deep"},
	}
	operations := sdkOperations(t, "cloudwatch", "http://127.0.0.1:1")
	for _, test := range tests {
		o := operations[test.operation]
		var malformed *SerializationError
		if err := o.DecodeCBOR(encoded(t, test.request), o.newInput()); !errors.As(err, &malformed) {
			t.Errorf("%.60s: got %v", test.request, err)
		} else if malformed.Message != test.message {
			t.Errorf("%.60s: got %q, want %q", test.request, malformed.Message, test.message)
		}
	}
}

func TestAppendCBOR(t *testing.T) {
	at := time.UnixMilli(1747806977500)
	tests := []struct {
		name, operation string
		out             any
		want            string
	}{
		{"no output in the model", "DeleteAlarms", &cloudwatch.DeleteAlarmsOutput{}, ""},
		{"no output in the model and none given", "DeleteAlarms", nil, ""},
		{"an output without members", "TagResource", &cloudwatch.TagResourceOutput{}, "bf ff"},
		{"an output and none given", "ListMetrics", nil, "bf ff"},
		{"an output and a nil pointer given", "ListMetrics", (*cloudwatch.ListMetricsOutput)(nil), "bf ff"},
		{"unset members are left out, an empty list is not", "ListMetrics", &cloudwatch.ListMetricsOutput{Metrics: []types.Metric{}}, "bf 'Metrics' 80 ff"},
		{"reals, which are always of 64 bits", "GetMetricData", &cloudwatch.GetMetricDataOutput{MetricDataResults: []types.MetricDataResult{{
			Values: []float64{1, -0.5, math.Inf(1)}}}},
			"bf 'MetricDataResults' 81 bf 'Values' 83 fb3ff0000000000000 fbbfe0000000000000 fb7ff0000000000000 ff ff"},
		{"times, to the millisecond", "GetMetricData", &cloudwatch.GetMetricDataOutput{MetricDataResults: []types.MetricDataResult{{
			Timestamps: []time.Time{at, at.Add(time.Nanosecond)}}}},
			"bf 'MetricDataResults' 81 bf 'Timestamps' 82 c1 fb41da0b5ac0600000 c1 fb41da0b5ac0600000 ff ff"},
		{"whole numbers, which are as short as they can be", "DescribeAlarms", &cloudwatch.DescribeAlarmsOutput{MetricAlarms: []types.MetricAlarm{
			{Period: aws.Int32(23)}, {Period: aws.Int32(24)}, {Period: aws.Int32(256)}, {Period: aws.Int32(65536)}, {Period: aws.Int32(-1)}, {Period: aws.Int32(math.MinInt32)}}},
			"bf 'MetricAlarms' 86 bf 'Period' 17 ff bf 'Period' 1818 ff bf 'Period' 190100 ff bf 'Period' 1a00010000 ff bf 'Period' 20 ff bf 'Period' 3a7fffffff ff ff"},
		{"a blob and bools", "GetMetricWidgetImage", &cloudwatch.GetMetricWidgetImageOutput{MetricWidgetImage: []byte{0xFB, 0xFF}}, "bf 'MetricWidgetImage' 42fbff ff"},
		{"text that is not UTF-8", "ListMetrics", &cloudwatch.ListMetricsOutput{NextToken: aws.String("a\xFFb")}, "bf 'NextToken' 65 61efbfbd62 ff"},
		{"a map in order of its keys", "GetMetricStatistics", &cloudwatch.GetMetricStatisticsOutput{Datapoints: []types.Datapoint{{
			ExtendedStatistics: map[string]float64{"p99": 2, "p50": 1}}}},
			"bf 'Datapoints' 81 bf 'ExtendedStatistics' a2 'p50' fb3ff0000000000000 'p99' fb4000000000000000 ff ff"},
		{"a union", "DescribeAlarms", &cloudwatch.DescribeAlarmsOutput{MetricAlarms: []types.MetricAlarm{{EvaluationWindow: &types.EvaluationWindowMemberSlidingWindow{}}}},
			"bf 'MetricAlarms' 81 bf 'EvaluationWindow' bf 'SlidingWindow' bf ff ff ff ff"},
	}
	operations := sdkOperations(t, "cloudwatch", "http://127.0.0.1:1")
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := operations[test.operation].AppendCBOR([]byte(">"), test.out)
			if want := encoded(t, test.want); string(got) != ">"+string(want) {
				t.Errorf("got %x, want %x", got, want)
			}
		})
	}
}
