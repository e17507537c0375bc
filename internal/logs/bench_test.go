package logs

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/google/uuid"

	"vigil"
	"vigil/internal/call"
	"vigil/internal/store"
)

// load makes CloudTrail records of 1.2 KB, as a client of KMS that encrypts much and now and then fails causes them.
type load struct {
	*rand.Rand
	keys []string
	at   time.Time
}

func newLoad(at time.Time) *load {
	l := &load{Rand: rand.New(rand.NewPCG(5, 6)), at: at}
	for range 1000 {
		l.keys = append(l.keys, "arn:aws:kms:us-west-2:111122223333:key/"+uuid.NewString())
	}
	return l
}

// record is the next record. Key 0 is used for nothing else.
func (l *load) record(key int) Event {
	l.at = l.at.Add(time.Millisecond)
	arn, name := l.keys[key], []string{"Encrypt", "Decrypt", "GenerateDataKey"}[l.IntN(3)]
	user := fmt.Sprint("service-", l.IntN(20))
	r := vigil.Record{
		EventVersion:        vigil.RecordVersion,
		UserIdentity:        vigil.UserIdentity{Type: "IAMUser", PrincipalID: "AIDAIOSFODNN7EXAMPLE", ARN: "arn:aws:iam::111122223333:user/" + user, AccountID: "111122223333", AccessKeyID: "AKIAIOSFODNN7EXAMPLE", UserName: user},
		EventTime:           l.at,
		EventSource:         "kms.amazonaws.com",
		EventName:           name,
		AWSRegion:           "us-west-2",
		SourceIPAddress:     fmt.Sprint("192.0.2.", l.IntN(256)),
		UserAgent:           "aws-sdk-go-v2/1.47.7 ua/2.1 os/linux lang/go#1.26.8 md/GOOS#linux md/GOARCH#amd64 api/kms#1.62.4",
		RequestParameters:   []byte(`{"encryptionContext":{"tenant":"acme","purpose":"invoices"},"keyId":"` + arn + `","encryptionAlgorithm":"SYMMETRIC_DEFAULT"}`),
		AdditionalEventData: []byte(`{"keyMaterialId":"96083e4fb6dbc41d77578c213a6b6669c044dd4c143e96755396d2bf11fd6068"}`),
		RequestID:           uuid.NewString(),
		EventID:             call.NewEventID(l.at),
		ReadOnly:            true,
		Resources:           []vigil.Resource{{AccountID: "111122223333", Type: "AWS::KMS::Key", ARN: arn}},
		EventType:           vigil.AwsAPICall,
		ManagementEvent:     true,
		RecipientAccountID:  "111122223333",
		EventCategory:       "Management",
	}
	if l.IntN(1000) == 0 {
		r.ErrorCode, r.ErrorMessage = "KMSInvalidStateException", arn+" is pending deletion."
	}
	return Event{l.at, r.AppendJSON(nil)}
}

func (l *load) records(n int) []Event {
	events := make([]Event, n)
	for i := range events {
		events[i] = l.record(1 + l.IntN(len(l.keys)-1))
	}
	return events
}

// benchFilters are the tutorial's filter, one that measures, and one with a default value.
func (h *house) benchFilters() {
	h.do("PutMetricFilter", metricFilterOf("g", "pending", `{ $.eventSource = kms* && $.errorMessage = "* is pending deletion."}`, types.MetricTransformation{MetricValue: new("1")}))
	h.do("PutMetricFilter", metricFilterOf("g", "errors", `{ $.errorCode = "*" }`, types.MetricTransformation{MetricValue: new("1"), Dimensions: map[string]string{"Code": "$.errorCode"}}))
	h.do("PutMetricFilter", metricFilterOf("g", "deletions", `{ $.eventName = "ScheduleKeyDeletion" }`, types.MetricTransformation{MetricValue: new("1"), DefaultValue: new(0.0)}))
}

// BenchmarkIngest puts records of 1.2 KB as the trail's follower does: 3000 in a transaction, through three metric filters.
func BenchmarkIngest(b *testing.B) {
	const n = 3000
	h := open(b)
	h.withStream("g")
	h.benchFilters()
	events := newLoad(time.Now().Add(-time.Hour)).records(n)
	size := 0
	for _, e := range events {
		size += len(e.Message)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		err := h.watch.Update(context.Background(), func(tx store.Tx) error {
			return h.logs.Ingest(tx, alice.group("g"), "111122223333_CloudTrail_us-west-2", events)
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "records/s")
	b.ReportMetric(float64(size)/n, "B/record")
}

// BenchmarkPutLogEvents is one client that puts 100 events at a time, each time until they are durable.
func BenchmarkPutLogEvents(b *testing.B) {
	h := open(b)
	h.withStream("g", "s")
	var events []types.InputLogEvent
	for _, e := range newLoad(time.Now().Add(-time.Hour)).records(100) {
		events = append(events, types.InputLogEvent{Message: new(string(e.Message)), Timestamp: new(e.Time.UnixMilli())})
	}
	b.ReportAllocs()
	for b.Loop() {
		h.do("PutLogEvents", &cloudwatchlogs.PutLogEventsInput{LogGroupName: new("g"), LogStreamName: new("s"), LogEvents: events})
	}
	b.ReportMetric(float64(len(events)*b.N)/b.Elapsed().Seconds(), "events/s")
}

// TestFilterAmongAMillion reports how long searches take among a million records, of which one key has 60.
func TestFilterAmongAMillion(t *testing.T) {
	if os.Getenv("VIGIL_TEST_MILLION") != "1" {
		t.Skip("VIGIL_TEST_MILLION=1 lets this test make a million records, which takes a minute or two")
	}
	const n, batch = 1_000_000, 4000
	h := open(t)
	h.withStream("g")
	begin := time.Now().Add(-time.Hour)
	l := newLoad(begin)
	rare := map[int]bool{}
	for len(rare) < 60 {
		rare[l.IntN(n)] = true
	}
	size := 0
	for from := 0; from < n; from += batch {
		events := make([]Event, batch)
		for i := range events {
			key := 1 + l.IntN(len(l.keys)-1)
			if rare[from+i] {
				key = 0
			}
			events[i] = l.record(key)
			size += len(events[i].Message)
		}
		err := h.watch.Update(context.Background(), func(tx store.Tx) error { return h.logs.Ingest(tx, alice.group("g"), "s", events) })
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d bytes a record; in the database %d, of which words %d; %d pages", size/n, h.count(`SELECT page_count * page_size FROM pragma_page_count, pragma_page_size`)/n,
		h.count(`SELECT SUM(LENGTH(words)) FROM logs_page`)/n, h.count(`SELECT COUNT(*) FROM logs_page`))

	for _, test := range []struct {
		name, pattern string
		least         int
	}{
		{"pending deletion", `{ $.eventSource = kms* && $.errorMessage = "* is pending deletion."}`, 500},
		{"a member that all have", `{ $.eventName = "Encrypt" && $.sourceIPAddress = "192.0.2.7*" && $.userIdentity.userName = "service-1" }`, 100},
		{"a number", `{ $.requestParameters.size > 100 }`, 0},
		{"a term", `pending`, 500},
		{"a key", `{ $.resources[0].ARN = "` + l.keys[0] + `" }`, 60},
		{"a key that is not there", `{ $.resources[0].ARN = "` + strings.Replace(l.keys[0], "key/", "key/0", 1) + `" }`, 0},
	} {
		var took []time.Duration
		found := 0
		for range 5 {
			found = 0
			in := cloudwatchlogs.FilterLogEventsInput{LogGroupName: new("g"), FilterPattern: &test.pattern}
			at := time.Now()
			for {
				out := must[cloudwatchlogs.FilterLogEventsOutput](h, "FilterLogEvents", &in)
				found += len(out.Events)
				if in.NextToken = out.NextToken; in.NextToken == nil {
					break
				}
				if len(out.Events) > 500 { // one whole answer is what a client waits for
					break
				}
			}
			took = append(took, time.Since(at))
		}
		slices.Sort(took)
		t.Logf("%-24s %5d events  min %7.1f ms  median %7.1f ms  max %7.1f ms", test.name, found, ms(took[0]), ms(took[2]), ms(took[4]))
		if found < test.least {
			t.Errorf("%s: %d events, want %d", test.name, found, test.least)
		}
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
