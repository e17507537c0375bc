package wire

import (
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	metrics "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logs "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// encryptInput is a usual request: 256 bytes, an encryption context of two pairs.
func encryptInput() *kms.EncryptInput {
	return &kms.EncryptInput{
		KeyId:               aws.String("arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"),
		Plaintext:           make([]byte, 256),
		EncryptionContext:   map[string]string{"Department": "Engineering", "aws:s3:arn": "arn:aws:s3:::bucket/a/long/key/name.json"},
		EncryptionAlgorithm: types.EncryptionAlgorithmSpecSymmetricDefault,
	}
}

func BenchmarkDecodeJSONAndValidateEncrypt(b *testing.B) {
	o := sdkOperations(b, "kms", "http://127.0.0.1:1")["Encrypt"]
	body := []byte(show(o.in, encryptInput()))
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		var in kms.EncryptInput
		if err := o.DecodeJSON(body, &in); err != nil {
			b.Fatal(err)
		}
		if err := o.Validate(&in); err != nil {
			b.Fatal(err)
		}
	}
}

// The same by the standard library, which neither checks the names nor validates, to compare with.
func BenchmarkEncodingJSONEncrypt(b *testing.B) {
	o := sdkOperations(b, "kms", "http://127.0.0.1:1")["Encrypt"]
	body := []byte(show(o.in, encryptInput()))
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		var in kms.EncryptInput
		if err := json.Unmarshal(body, &in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendJSONEncrypt(b *testing.B) {
	o := sdkOperations(b, "kms", "http://127.0.0.1:1")["Encrypt"]
	out := &kms.EncryptOutput{
		CiphertextBlob:      make([]byte, 400),
		EncryptionAlgorithm: types.EncryptionAlgorithmSpecSymmetricDefault,
		KeyId:               encryptInput().KeyId,
	}
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = o.AppendJSON(buf[:0], out)
	}
}

func BenchmarkAppendRequestRecordEncrypt(b *testing.B) {
	o := sdkOperations(b, "kms", "http://127.0.0.1:1")["Encrypt"]
	in := encryptInput()
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = o.AppendRequestRecord(buf[:0], in, []string{"GrantTokens"})
	}
}

// metricData is a request of 100 data with two dimensions each.
func metricData() *cloudwatch.PutMetricDataInput {
	in := &cloudwatch.PutMetricDataInput{Namespace: aws.String("Example/Requests")}
	for i := range 100 {
		in.MetricData = append(in.MetricData, metrics.MetricDatum{
			MetricName: aws.String("Latency"), Unit: metrics.StandardUnitMilliseconds, Value: aws.Float64(float64(i) * 1.1),
			Timestamp: aws.Time(time.UnixMilli(1747806977492 + int64(i)*1000).UTC()),
			Dimensions: []metrics.Dimension{
				{Name: aws.String("Service"), Value: aws.String("checkout")}, {Name: aws.String("Host"), Value: aws.String(fmt.Sprintf("ip-10-0-0-%d", i))}},
		})
	}
	return in
}

// benchmarkPutMetricData measures a request's way from the wire to a handler.
func benchmarkPutMetricData(b *testing.B, write func(*Operation, any) []byte, read func(*Operation, []byte, any) error) {
	o := sdkOperations(b, "cloudwatch", "http://127.0.0.1:1")["PutMetricData"].Operation
	body := write(o, metricData())
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		var in cloudwatch.PutMetricDataInput
		if err := read(o, body, &in); err != nil {
			b.Fatal(err)
		}
		if err := o.Validate(&in); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*100)/b.Elapsed().Seconds(), "data/s")
}

func BenchmarkDecodeCBORAndValidatePutMetricData(b *testing.B) {
	benchmarkPutMetricData(b, func(o *Operation, in any) []byte { return appendCBOR(nil, o.in, reflect.ValueOf(in).Elem()) }, (*Operation).DecodeCBOR)
}

func BenchmarkDecodeJSONAndValidatePutMetricData(b *testing.B) {
	benchmarkPutMetricData(b, func(o *Operation, in any) []byte { return []byte(show(o.in, in)) }, (*Operation).DecodeJSON)
}

func BenchmarkDecodeQueryAndValidatePutMetricData(b *testing.B) {
	form := func(o *Operation, in any) []byte {
		form := url.Values{}
		queryOf(form, o.in, reflect.ValueOf(in).Elem(), "")
		return []byte(form.Encode())
	}
	benchmarkPutMetricData(b, form, func(o *Operation, body []byte, in any) error {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return err
		}
		return o.DecodeQuery(form, in)
	})
}

func BenchmarkDecodeJSONAndValidatePutLogEvents(b *testing.B) {
	o := sdkOperations(b, "logs", "http://127.0.0.1:1")["PutLogEvents"]
	sent := &cloudwatchlogs.PutLogEventsInput{LogGroupName: aws.String("/aws/example"), LogStreamName: aws.String("one")}
	record := show(sdkOperations(b, "kms", "http://127.0.0.1:1")["Encrypt"].in, encryptInput())
	for i := range 100 { // each is a JSON text of about 600 bytes
		sent.LogEvents = append(sent.LogEvents, logs.InputLogEvent{Timestamp: aws.Int64(1747806977492 + int64(i)), Message: &record})
	}
	body := []byte(show(o.in, sent))
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		var in cloudwatchlogs.PutLogEventsInput
		if err := o.DecodeJSON(body, &in); err != nil {
			b.Fatal(err)
		}
		if err := o.Validate(&in); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*100)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkAppendCBORGetMetricData(b *testing.B) {
	o := sdkOperations(b, "cloudwatch", "http://127.0.0.1:1")["GetMetricData"]
	out := &cloudwatch.GetMetricDataOutput{MetricDataResults: []metrics.MetricDataResult{{Id: aws.String("m1"), Label: aws.String("Latency"), StatusCode: "Complete"}}}
	for i := range 1440 { // a day of minutes
		r := &out.MetricDataResults[0]
		r.Timestamps = append(r.Timestamps, time.Unix(1747806960+60*int64(i), 0))
		r.Values = append(r.Values, float64(i)*1.1)
	}
	buf := make([]byte, 0, 64<<10)
	b.ReportAllocs()
	for b.Loop() {
		buf = o.AppendCBOR(buf[:0], out)
	}
}
