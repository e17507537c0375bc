package events_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"vigil"
	"vigil/internal/call"
	"vigil/internal/journal"
)

// BenchmarkFollow takes records of calls of KMS past 1,000 rules of different keys, of which one in a hundred matches.
func BenchmarkFollow(b *testing.B) {
	h := open(b)
	var buses []string
	for i := range 4 { // as a bus has no more than 300
		buses = append(buses, []string{"default", "b1", "b2", "b3"}[i])
		if i > 0 {
			must[eventbridge.CreateEventBusOutput](h, "CreateEventBus", &eventbridge.CreateEventBusInput{Name: &buses[i]})
		}
	}
	bus := make([]types.Target, 0, 3)
	for i, name := range buses[1:] {
		one := to("arn:aws:events:us-west-2:111122223333:event-bus/" + name)
		one.Id = new(fmt.Sprint(i))
		bus = append(bus, one)
	}
	h.rule("default", "all", `{"source":["aws.kms"]}`, "", bus...)
	const rules = 1000
	for i := range rules {
		pattern := fmt.Sprintf(`{"source":["aws.kms"],"detail":{"eventName":["Decrypt",{"prefix":"Generate"}],"resources":{"ARN":["arn:aws:kms:us-west-2:111122223333:key/%d"]}}}`, i)
		h.rule(buses[i%4], fmt.Sprint("r", i), pattern, "", to(topic))
	}
	const batch = 1000
	records := make([]journal.Record, batch)
	for i := range records {
		key := fmt.Sprintf("arn:aws:kms:us-west-2:111122223333:key/%d", i%100*1000+i%rules/100)
		r := vigil.Record{EventTime: h.clock.Now(), EventName: "Decrypt", EventSource: "kms.amazonaws.com", AWSRegion: region, RecipientAccountID: account,
			EventType: vigil.AwsAPICall, EventID: call.NewEventID(h.clock.Now()), ReadOnly: true,
			UserIdentity:      vigil.UserIdentity{Type: "Root", PrincipalID: account, ARN: "arn:aws:iam::" + account + ":root", AccountID: account},
			RequestParameters: []byte(`{"encryptionAlgorithm":"SYMMETRIC_DEFAULT","keyId":"` + key + `"}`),
			Resources:         []vigil.Resource{{AccountID: account, Type: "AWS::KMS::Key", ARN: key}}}
		records[i] = journal.Record{Time: h.clock.Now(), Data: r.AppendJSON(nil)}
	}
	for n := 0; n < b.N; n += batch {
		if err := h.journal.Commit(context.Background(), nil, func(error) []journal.Record { return records }); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	h.run(h.events.Follow)
	h.commit(records[0])
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	if len(h.sent()) == 0 {
		b.Error("no rule matched")
	}
}
