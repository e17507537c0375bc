package trail_test

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"

	"vigil/internal/call"
	"vigil/internal/store"
)

// A process that ends between putting an event into the journal and noting that it has leaves the event to the next one.
func TestAnInsightIsOnRecordOnce(t *testing.T) {
	h := open(t)
	at := h.clock.Now().UTC().Truncate(time.Second)
	id := call.NewEventID(at)
	record := `{"eventVersion":"1.11","eventTime":"` + at.Format(time.RFC3339) + `","awsRegion":"us-east-1","eventID":"` + id + `","eventType":"AwsCloudTrailInsight",` +
		`"recipientAccountId":"111122223333","sharedEventID":"s","insightDetails":{"state":"Start","eventSource":"kms.amazonaws.com","eventName":"CreateKey",` +
		`"insightType":"ApiCallRateInsight"},"eventCategory":"Insight"}`
	pending := func() (n int64) {
		t.Helper()
		if err := h.watch.View(t.Context(), func(tx store.Tx) error { return tx.QueryRow(`SELECT COUNT(*) FROM trail_insight_pending`).Scan(&n) }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := h.journal.Appended()
	for range 2 {
		err := h.watch.Update(context.Background(), func(tx store.Tx) error {
			_, err := tx.Exec(`INSERT INTO trail_insight_pending (id, number, account, region, record) VALUES ($1, 0, '111122223333', 'us-east-1', $2)`, id, record)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		stop := h.run(h.trail.RunInsights)
		for pending() > 0 {
			time.Sleep(10 * time.Millisecond)
		}
		stop()
	}
	if n := h.journal.Appended() - before; n != 1 {
		t.Errorf("%d records", n)
	}
	lookup := func(in cloudtrail.LookupEventsInput) int {
		t.Helper()
		return len(do[cloudtrail.LookupEventsOutput](h, alice, "LookupEvents", &in).Events)
	}
	insight := types.EventCategoryInsight
	by := func(key types.LookupAttributeKey, value string) []types.LookupAttribute {
		return []types.LookupAttribute{{AttributeKey: key, AttributeValue: &value}}
	}
	for _, one := range []struct {
		in   cloudtrail.LookupEventsInput
		want int
	}{
		{cloudtrail.LookupEventsInput{EventCategory: insight}, 1},
		{cloudtrail.LookupEventsInput{EventCategory: insight, LookupAttributes: by(types.LookupAttributeKeyEventId, id)}, 1},
		{cloudtrail.LookupEventsInput{EventCategory: insight, LookupAttributes: by(types.LookupAttributeKeyEventSource, "kms.amazonaws.com")}, 1},
		{cloudtrail.LookupEventsInput{EventCategory: insight, LookupAttributes: by(types.LookupAttributeKeyEventName, "Decrypt")}, 0},
		{cloudtrail.LookupEventsInput{EventCategory: insight, StartTime: new(at.Add(time.Second))}, 0},
		{cloudtrail.LookupEventsInput{EventCategory: insight, EndTime: new(at.Add(-time.Second))}, 0},
	} {
		if got := lookup(one.in); got != one.want {
			t.Errorf("%+v: %d events, want %d", one.in, got, one.want)
		}
	}
	if events := do[cloudtrail.LookupEventsOutput](h, bob, "LookupEvents", &cloudtrail.LookupEventsInput{EventCategory: insight}).Events; len(events) > 0 {
		t.Errorf("another account sees %d", len(events))
	}
}
