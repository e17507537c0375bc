package front_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/smithy-go/encoding/cbor"

	"vigil/internal/call"
	"vigil/internal/clock"
	"vigil/internal/front"
	"vigil/internal/journal"
	"vigil/internal/store/sqlite"
)

// counter is a door with an API of CloudWatch's that speaks three protocols, and one of CloudWatch Logs's. It counts what it is
// sent, and fails with the error that the name of an alarm asks for.
type counter struct {
	url          string
	data, events int
}

var counterKey = signer{id: "AKIAIOSFODNN7EXAMPLE", secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", region: "us-east-1", service: "monitoring"}

func newCounter(t *testing.T) *counter {
	log := slog.New(slog.DiscardHandler)
	db, err := sqlite.Open(filepath.Join(t.TempDir(), "vigil.db"))
	if err != nil {
		t.Fatal(err)
	}
	j, err := journal.Open(t.Context(), db, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- j.Run(ctx) }()
	c := &counter{}
	door, err := front.New(front.Config{
		Journal: j, Clock: clock.Wall{}, Log: log, Services: []call.Service{c.cloudwatch(), c.logs()},
		Secret: func(id, _ string) (string, call.Principal, error) {
			if id != counterKey.id {
				return "", call.Principal{}, errors.New("there is no such key")
			}
			return counterKey.secret, call.Principal{Type: "Root", Account: "111122223333", AccessKeyID: id}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(door)
	c.url = server.URL
	t.Cleanup(func() {
		server.Close()
		stop()
		<-ended
		db.Close()
	})
	return c
}

func (c *counter) cloudwatch() call.Service {
	put := call.Op("PutMetricData", func(_ context.Context, _ *call.Call, in *cloudwatch.PutMetricDataInput) (*cloudwatch.PutMetricDataOutput, error) {
		c.data += len(in.MetricData)
		return &cloudwatch.PutMetricDataOutput{}, nil
	})
	put.Data = true
	describe := call.Read("DescribeAlarms", func(_ context.Context, _ *call.Call, in *cloudwatch.DescribeAlarmsInput) (*cloudwatch.DescribeAlarmsOutput, error) {
		switch code := aws.ToString(in.AlarmNamePrefix); code {
		case "":
			return &cloudwatch.DescribeAlarmsOutput{MetricAlarms: []types.MetricAlarm{{AlarmName: aws.String("one"), Threshold: aws.Float64(1.5)}}}, nil
		case "broken":
			return nil, errors.New("the disk is on fire")
		default:
			return nil, call.Errorf(code, "no")
		}
	})
	return call.Service{Name: "cloudwatch", EventSource: "monitoring.amazonaws.com", InternalError: "InternalServiceFault", Operations: []call.Operation{put, describe}}
}

func (c *counter) logs() call.Service {
	put := call.Op("PutLogEvents", func(_ context.Context, _ *call.Call, in *cloudwatchlogs.PutLogEventsInput) (*cloudwatchlogs.PutLogEventsOutput, error) {
		c.events += len(in.LogEvents)
		return &cloudwatchlogs.PutLogEventsOutput{}, nil
	})
	put.Data = true
	return call.Service{Name: "logs", EventSource: "logs.amazonaws.com", InternalError: "ServiceUnavailableException", Operations: []call.Operation{put}}
}

// post is a request with headers as name, value, name, value, signed by the client that may make it.
func (c *counter) post(by signer, path, body string, headers ...string) *http.Request {
	r, err := http.NewRequest(http.MethodPost, c.url+path, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return by.sign(r)
}

const describePath = "/service/GraniteServiceVersion20100801/operation/DescribeAlarms"

// The same call in each of CloudWatch's protocols, as a client that knows of the other two makes it and as one that does not.
func (c *counter) inCBOR(by signer, prefix string, headers ...string) *http.Request {
	body := cbor.Encode(cbor.Map{"AlarmNamePrefix": cbor.String(prefix)})
	if prefix == "" {
		body = cbor.Encode(cbor.Map{})
	}
	return c.post(by, describePath, string(body), append([]string{"Smithy-Protocol", "rpc-v2-cbor", "Content-Type", "application/cbor"}, headers...)...)
}

func (c *counter) inJSON(by signer, prefix string, headers ...string) *http.Request {
	body, _ := json.Marshal(map[string]string{"AlarmNamePrefix": prefix})
	if prefix == "" {
		body = []byte("{}")
	}
	return c.post(by, "/", string(body), append([]string{"X-Amz-Target", "GraniteServiceVersion20100801.DescribeAlarms", "Content-Type", "application/x-amz-json-1.0"}, headers...)...)
}

func (c *counter) inQuery(by signer, prefix string) *http.Request {
	form := url.Values{"Action": {"DescribeAlarms"}, "Version": {"2010-08-01"}}
	if prefix != "" {
		form.Set("AlarmNamePrefix", prefix)
	}
	return c.post(by, "/", form.Encode(), "Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
}

func TestOneServiceInThreeProtocols(t *testing.T) {
	c := newCounter(t)
	resp, answer := send(t, c.inCBOR(counterKey, ""))
	v, err := cbor.Decode(answer)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(v.(cbor.Map)["MetricAlarms"].(cbor.List)[0].(cbor.Map)["AlarmName"]); got != "one" || resp.StatusCode != 200 ||
		resp.Header.Get("Smithy-Protocol") != "rpc-v2-cbor" || resp.Header.Get("Content-Type") != "application/cbor" || resp.Header.Get("X-Amzn-Requestid") == "" {
		t.Errorf("CBOR: %s: %q %v", resp.Status, answer, resp.Header)
	}
	resp, answer = send(t, c.inJSON(counterKey, ""))
	if got := string(answer); got != `{"MetricAlarms":[{"AlarmName":"one","Threshold":1.5}]}` || resp.Header.Get("Content-Type") != "application/x-amz-json-1.0" {
		t.Errorf("JSON: %s: %s %v", resp.Status, got, resp.Header)
	}
	resp, answer = send(t, c.inQuery(counterKey, ""))
	if got := string(answer); resp.Header.Get("Content-Type") != "text/xml" || !strings.HasPrefix(got,
		`<DescribeAlarmsResponse xmlns="http://monitoring.amazonaws.com/doc/2010-08-01/"><DescribeAlarmsResult><MetricAlarms><member><AlarmName>one</AlarmName>`) {
		t.Errorf("query: %s: %s %v", resp.Status, got, resp.Header)
	}
	resp, answer = send(t, c.post(counterKey, "/service/com.amazonaws.cloudwatch.GraniteServiceVersion20100801/operation/PutMetricData",
		string(cbor.Encode(cbor.Map{"Namespace": cbor.String("n")})), "Smithy-Protocol", "rpc-v2-cbor", "Content-Type", "application/cbor"))
	if _, typed := resp.Header["Content-Type"]; len(answer) > 0 || resp.StatusCode != 200 || typed || resp.Header.Get("Smithy-Protocol") != "rpc-v2-cbor" {
		t.Errorf("CBOR without an output: %s: %q %v", resp.Status, answer, resp.Header)
	}
}

// A handler names an error once, and each protocol calls it as AWS's does.
func TestOneErrorInThreeProtocols(t *testing.T) {
	c := newCounter(t)
	stranger := counterKey
	stranger.secret = "guessed"
	tests := []struct {
		name, prefix string
		by           signer
		status       int
		typ, code    string // in JSON and CBOR; in query and in the header of the others
		message      string
	}{
		{"an error of the model's", "InvalidParameterValueException", counterKey, 400, "InvalidParameterValueException", "InvalidParameterValue;Sender", "no"},
		{"one with a status of its own", "ResourceNotFound", counterKey, 404, "ResourceNotFound", "ResourceNotFound;Sender", "no"},
		{"one whose message is spelled otherwise", "ConflictException", counterKey, 409, "ConflictException", "ConflictException;Sender", "no"},
		{"one that no model has", "AccessDeniedException", counterKey, 403, "AccessDeniedException", "AccessDenied;Sender", "no"},
		{"the server's own", "broken", counterKey, 500, "InternalServiceFault", "InternalServiceError;Receiver", ""},
		{"what breaks a constraint", strings.Repeat("x", 256), counterKey, 400, "ValidationException", "ValidationError;Sender",
			"1 validation error detected: Value '" + strings.Repeat("x", 256) + "' at 'alarmNamePrefix' failed to satisfy constraint: Member must have length less than or equal to 255"},
		{"a wrong signature", "x", stranger, 403, "InvalidSignatureException", "SignatureDoesNotMatch;Sender", doesNotMatch},
		{"a credential for another service", "x", counterKey.to("cloudwatch"), 403, "InvalidSignatureException", "SignatureDoesNotMatch;Sender",
			"Credential should be scoped to correct service: 'monitoring'."},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			check := func(protocol string, resp *http.Response, typ, message, header string) {
				t.Helper()
				if resp.StatusCode != test.status || typ != test.typ || message != test.message || resp.Header.Get("X-Amzn-Query-Error") != header {
					t.Errorf("%s: %s %s: %s, %q", protocol, resp.Status, typ, message, resp.Header.Get("X-Amzn-Query-Error"))
				}
			}
			for _, knows := range []bool{true, false} {
				var headers []string
				header := ""
				if knows {
					headers, header = []string{"X-Amzn-Query-Mode", "true"}, test.code
				}
				resp, answer := send(t, c.inJSON(test.by, test.prefix, headers...))
				var e struct {
					Type    string `json:"__type"`
					Message string
				}
				if err := json.Unmarshal(answer, &e); err != nil {
					t.Fatal(err)
				}
				check("JSON", resp, e.Type, e.Message, header)

				resp, answer = send(t, c.inCBOR(test.by, test.prefix, headers...))
				v, err := cbor.Decode(answer)
				if err != nil || resp.Header.Get("Content-Type") != "application/cbor" || resp.Header.Get("Smithy-Protocol") != "rpc-v2-cbor" {
					t.Fatal(err, resp.Header)
				}
				typ, message := fmt.Sprint(v.(cbor.Map)["__type"]), ""
				for _, name := range []string{"message", "Message"} {
					if text, ok := v.(cbor.Map)[name].(cbor.String); ok {
						message = string(text)
					}
				}
				check("CBOR", resp, strings.TrimPrefix(typ, "com.amazonaws.cloudwatch#"), message, header)
			}
			resp, answer := send(t, c.inQuery(test.by, test.prefix))
			code, fault, _ := strings.Cut(test.code, ";")
			want := "<Error><Type>" + fault + "</Type><Code>" + code + "</Code>"
			if resp.StatusCode != test.status || !strings.Contains(string(answer), want) {
				t.Errorf("query: %s %s", resp.Status, answer)
			}
		})
	}
}

func TestTheSDKUnderstandsErrorsInCBOR(t *testing.T) {
	c := newCounter(t)
	client := cloudwatch.New(cloudwatch.Options{Region: "us-east-1", BaseEndpoint: &c.url, Credentials: counterKey, RetryMaxAttempts: 1})
	_, err := client.DescribeAlarms(t.Context(), &cloudwatch.DescribeAlarmsInput{AlarmNamePrefix: aws.String("ConflictException")})
	var conflict *types.ConflictException
	if !errors.As(err, &conflict) || conflict.ErrorMessage() != "no" {
		t.Errorf("got %v", err)
	}
	_, err = client.DescribeAlarms(t.Context(), &cloudwatch.DescribeAlarmsInput{AlarmNamePrefix: aws.String("InvalidParameterValueException")})
	var invalid *types.InvalidParameterValueException
	if !errors.As(err, &invalid) || invalid.ErrorCode() != "InvalidParameterValue" || invalid.ErrorMessage() != "no" {
		t.Errorf("got %v", err)
	}
}

func TestRequestsOfRPCV2ThatAreRefused(t *testing.T) {
	c := newCounter(t)
	const unknown = "UnknownOperationException"
	empty := string(cbor.Encode(cbor.Map{}))
	tests := []struct {
		name, path, body string
		headers          []string
		status           int
		typ              string
	}{
		{"another service", "/service/Other/operation/DescribeAlarms", empty, nil, 404, unknown},
		{"another operation", "/service/GraniteServiceVersion20100801/operation/Other", empty, nil, 404, unknown},
		{"an operation within its namespace", "/service/GraniteServiceVersion20100801/operation/com.amazonaws.cloudwatch.DescribeAlarms", empty, nil, 404, unknown},
		{"a longer path", describePath + "/x", empty, nil, 404, unknown},
		{"no path", "/", empty, nil, 404, unknown},
		{"a service of another protocol", "/service/Logs_20140328/operation/PutLogEvents", empty, nil, 404, unknown},
		{"an operation that is not built", "/service/GraniteServiceVersion20100801/operation/ListMetrics", empty, nil, 501, "NotImplementedException"},
		{"a target too", describePath, empty, []string{"X-Amz-Target", "GraniteServiceVersion20100801.DescribeAlarms"}, 400, "SerializationException"},
		{"a target by its other name", describePath, empty, []string{"X-Amzn-Target", "x"}, 400, "SerializationException"},
		{"another type", describePath, empty, []string{"Content-Type", "application/json"}, 415, "UnsupportedMediaTypeException"},
		{"no CBOR", describePath, "{}", nil, 400, "SerializationException"},
	}
	for _, test := range tests {
		headers := append([]string{"Smithy-Protocol", "rpc-v2-cbor", "Content-Type", "application/cbor"}, test.headers...)
		resp, answer := send(t, c.post(counterKey, test.path, test.body, headers...))
		v, err := cbor.Decode(answer)
		if err != nil {
			t.Errorf("%s: %v in %q", test.name, err, answer)
			continue
		}
		if typ := fmt.Sprint(v.(cbor.Map)["__type"]); resp.StatusCode != test.status || typ != test.typ {
			t.Errorf("%s: %s %s", test.name, resp.Status, typ)
		}
	}
	resp, answer := send(t, c.post(counterKey, describePath, "{}", "Smithy-Protocol", "rpc-v2-json"))
	if resp.StatusCode != 400 || !strings.Contains(string(answer), `"UnknownOperationException"`) {
		t.Errorf("another protocol: %s %s", resp.Status, answer)
	}
	resp, answer = send(t, c.post(counterKey, describePath, empty, "Content-Type", "application/cbor"))
	if resp.StatusCode != 404 || !strings.Contains(string(answer), `"UnknownOperationException"`) {
		t.Errorf("no protocol: %s %s", resp.Status, answer)
	}
}

func compressed(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		panic(err)
	}
	z.Close()
	return b.String()
}

// The Go SDK compresses what is longer than 10 KiB, and signs what it sends.
func TestTheSDKSendsManyMetricsCompressed(t *testing.T) {
	c := newCounter(t)
	var encoding string
	client := cloudwatch.New(cloudwatch.Options{Region: "us-east-1", BaseEndpoint: &c.url, Credentials: counterKey, RetryMaxAttempts: 1,
		HTTPClient: doer(func(r *http.Request) (*http.Response, error) {
			encoding = r.Header.Get("Content-Encoding")
			return http.DefaultClient.Do(r)
		})})
	in := &cloudwatch.PutMetricDataInput{Namespace: aws.String("n")}
	for range 1000 {
		in.MetricData = append(in.MetricData, types.MetricDatum{MetricName: aws.String("m"), Value: aws.Float64(1), Timestamp: aws.Time(time.Now())})
	}
	if _, err := client.PutMetricData(t.Context(), in); err != nil || c.data != 1000 || encoding != "gzip" {
		t.Errorf("%d data came as %q, %v", c.data, encoding, err)
	}
}

type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }

func TestCompressedBodies(t *testing.T) {
	c := newCounter(t)
	events := func(n, size int) string {
		one := `{"timestamp":1747806977492,"message":"` + strings.Repeat("x", size) + `"},`
		return `{"logGroupName":"g","logStreamName":"s","logEvents":[` + strings.TrimSuffix(strings.Repeat(one, n), ",") + `]}`
	}
	form := "Action=PutMetricData&Version=2010-08-01&Namespace=n&MetricData.member.1.MetricName=m&MetricData.member.1.Value=1"
	jsonHeaders := []string{"X-Amz-Target", "Logs_20140328.PutLogEvents", "Content-Type", "application/x-amz-json-1.1"}
	formHeaders := []string{"Content-Type", "application/x-www-form-urlencoded"}
	gzipped := []string{"Content-Encoding", "gzip"}
	tests := []struct {
		name, body string
		by         signer
		headers    []string
		status     int
		says       string
	}{
		{"JSON", compressed(events(2, 10)), counterKey.to("logs"), append(gzipped, jsonHeaders...), 200, ""},
		{"in other letters", compressed(events(2, 10)), counterKey.to("logs"), append([]string{"Content-Encoding", "GZIP"}, jsonHeaders...), 200, ""},
		{"another encoding, which changes nothing", events(2, 10), counterKey.to("logs"), append([]string{"Content-Encoding", "amz-1.0"}, jsonHeaders...), 200, ""},
		{"a form", compressed(form), counterKey, append(gzipped, formHeaders...), 200, "PutMetricDataResponse"},
		{"a batch of 1 MiB, which is more when it is written", events(10_000, 150), counterKey.to("logs"), jsonHeaders, 200, ""},
		{"the same, compressed", compressed(events(10_000, 150)), counterKey.to("logs"), append(gzipped, jsonHeaders...), 200, ""},
		{"too large", events(100, 90_000), counterKey.to("logs"), jsonHeaders, 413, "larger than 8388608 bytes"},
		{"too large when it is not compressed", compressed(events(100, 90_000)), counterKey.to("logs"), append(gzipped, jsonHeaders...), 413, "larger than 8388608 bytes"},
		{"a form too large when it is not compressed", compressed(form + "&x=" + strings.Repeat("x", 1<<20)), counterKey, append(gzipped, formHeaders...), 413, "larger than 1048576 bytes"},
		{"not compressed", events(2, 10), counterKey.to("logs"), append(gzipped, jsonHeaders...), 400, "not valid gzip"},
		{"cut off", compressed(events(200, 10))[:60], counterKey.to("logs"), append(gzipped, jsonHeaders...), 400, "not valid gzip"},
		{"more after the end", compressed("{}") + "more", counterKey.to("logs"), append(gzipped, jsonHeaders...), 400, "not valid gzip"},
		{"a form that is not compressed", form, counterKey, append(gzipped, formHeaders...), 400, "not valid gzip"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c.data, c.events = 0, 0
			resp, answer := send(t, c.post(test.by, "/", test.body, test.headers...))
			if resp.StatusCode != test.status || !strings.Contains(string(answer), test.says) {
				t.Errorf("%s: %.300s", resp.Status, answer)
			}
			if came := c.data+c.events > 0; came != (test.status == 200) {
				t.Errorf("%d data and %d events came", c.data, c.events)
			}
		})
	}
	// A signature of what is within is none of what was sent.
	r := c.post(counterKey.to("logs"), "/", events(2, 10), append(gzipped, jsonHeaders...)...)
	sent := compressed(events(2, 10))
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(sent)), int64(len(sent))
	if resp, answer := send(t, r); resp.StatusCode != 400 || !strings.Contains(string(answer), "InvalidSignatureException") {
		t.Errorf("signed before it was compressed: %s: %s", resp.Status, answer)
	}
}
