package deliver_test

import (
	"fmt"
	"testing"
	"time"

	"vigil/internal/deliver"
)

func list(t *testing.T, h *house, who string, in deliver.ListDeadLettersInput) *deliver.ListDeadLettersOutput {
	t.Helper()
	out, err := h.call(who, "ListDeadLetters", &in)
	if err != nil {
		t.Fatal(err)
	}
	return out.(*deliver.ListDeadLettersOutput)
}

func redrive(t *testing.T, h *house, who string, in deliver.RedriveDeadLettersInput) int32 {
	t.Helper()
	out, err := h.call(who, "RedriveDeadLetters", &in)
	if err != nil {
		t.Fatal(err)
	}
	return *out.(*deliver.RedriveDeadLettersOutput).Redriven
}

// deadLetters makes some: three of one source, two of another, one of another account.
func deadLetters(t *testing.T) (*house, *endpoint) {
	e := newEndpoint(t, answering(403))
	h := open(t)
	h.run(t)
	for i := range 6 {
		d := deliver.Delivery{
			ID: fmt.Sprint("d", i), Kind: deliver.HTTP, URL: e.URL, Body: fmt.Append(nil, i), Account: account, Region: "us-east-1",
			Source: "arn:aws:events:us-east-1:111122223333:rule/one", Target: "arn:aws:events:us-east-1:111122223333:api-destination/a/b",
			Cause: deliver.Cause{EventID: "e-1", Depth: 2},
		}
		if i >= 3 {
			d.Source = "arn:aws:sns:us-east-1:111122223333:two"
		}
		if i == 5 {
			d.Account = other
		}
		h.enqueue(t, d)
	}
	h.emptied(t)
	e.answer = nil
	return h, e
}

func TestDeadLettersAreListed(t *testing.T) {
	h, _ := deadLetters(t)
	letters := list(t, h, account, deliver.ListDeadLettersInput{}).DeadLetters
	if len(letters) != 5 {
		t.Fatalf("%d, want 5", len(letters))
	}
	l := letters[0]
	if *l.DeliveryId != "d0" || *l.AccountId != account || *l.Region != "us-east-1" || *l.SourceArn != "arn:aws:events:us-east-1:111122223333:rule/one" ||
		*l.TargetArn != "arn:aws:events:us-east-1:111122223333:api-destination/a/b" || *l.CauseEventId != "e-1" || *l.RetryAttempts != 0 ||
		*l.ErrorCode != "ERROR_FROM_TARGET" || *l.ErrorMessage != "the endpoint answered 403 Forbidden" || l.ExhaustedRetryCondition != nil ||
		l.DeadLetteredTime.Before(*l.EnqueuedTime) {
		t.Errorf("%+v", l)
	}
	if n := len(list(t, h, account, deliver.ListDeadLettersInput{SourceArn: new("arn:aws:sns:us-east-1:111122223333:two")}).DeadLetters); n != 2 {
		t.Errorf("%d of the source, want 2", n)
	}
	var paged []string
	for token := (*string)(nil); ; {
		out := list(t, h, account, deliver.ListDeadLettersInput{MaxResults: new(int32(2)), NextToken: token})
		for _, l := range out.DeadLetters {
			paged = append(paged, *l.DeliveryId)
		}
		if token = out.NextToken; token == nil {
			break
		}
	}
	if fmt.Sprint(paged) != "[d0 d1 d2 d3 d4]" {
		t.Errorf("in pages: %v", paged)
	}
	h.deadMu.Lock()
	defer h.deadMu.Unlock()
	if len(h.dead) != 6 || h.dead[0].Cause.Depth != 2 {
		t.Errorf("told of %d", len(h.dead))
	}
}

func TestDeadLettersAreTheirOwners(t *testing.T) {
	h, _ := deadLetters(t)
	if n := len(list(t, h, other, deliver.ListDeadLettersInput{}).DeadLetters); n != 1 {
		t.Errorf("the other account sees %d", n)
	}
	if n := len(list(t, h, operator, deliver.ListDeadLettersInput{AccountId: new(account)}).DeadLetters); n != 5 {
		t.Errorf("the operator sees %d", n)
	}
	for name, in := range map[string]any{
		"ListDeadLetters":    &deliver.ListDeadLettersInput{AccountId: new(account)},
		"RedriveDeadLetters": &deliver.RedriveDeadLettersInput{AccountId: new(account)},
	} {
		if _, err := h.call(other, name, in); err == nil {
			t.Errorf("%s: another account is let in", name)
		}
	}
	if n := redrive(t, h, other, deliver.RedriveDeadLettersInput{DeliveryIds: []string{"d0", "d1"}}); n != 0 {
		t.Errorf("another account redrove %d", n)
	}
}

func TestRedrive(t *testing.T) {
	h, e := deadLetters(t)
	if n := redrive(t, h, account, deliver.RedriveDeadLettersInput{DeliveryIds: []string{"d1", "gone"}}); n != 1 {
		t.Errorf("%d redriven", n)
	}
	if n := redrive(t, h, account, deliver.RedriveDeadLettersInput{SourceArn: new("arn:aws:sns:us-east-1:111122223333:two")}); n != 2 {
		t.Errorf("%d redriven of a source", n)
	}
	if s := h.emptied(t); s.Delivered != 3 || s.Dead != 3 {
		t.Errorf("%+v", s)
	}
	if n := redrive(t, h, account, deliver.RedriveDeadLettersInput{}); n != 2 {
		t.Errorf("%d redriven of all", n)
	}
	h.emptied(t)
	for i, want := range []int{2, 2, 2, 2, 2, 1} {
		if n := e.bodies()[fmt.Sprint(i)]; n != want {
			t.Errorf("delivery %d came %d times, want %d", i, n, want)
		}
	}
}

func TestARedrivenDeliveryBeginsAnew(t *testing.T) {
	h, e := open(t), newEndpoint(t, answering(500))
	h.run(t)
	h.enqueue(t, deliver.Delivery{Kind: deliver.HTTP, URL: e.URL, Account: account, Policy: deliver.Policy{MaxAttempts: 2, MaxAge: time.Hour}})
	h.emptied(t)
	h.clock.Advance(5 * time.Hour)
	redrive(t, h, account, deliver.RedriveDeadLettersInput{})
	h.emptied(t)
	if len(e.received()) != 4 || len(h.dead) != 2 {
		t.Errorf("%d attempts, %d deaths", len(e.received()), len(h.dead))
	}
}

func TestDeadLettersAreKept14Days(t *testing.T) {
	h, _ := deadLetters(t)
	h.clock.Advance(13 * 24 * time.Hour)
	if n := h.stats(t).Dead; n != 6 {
		t.Errorf("%d after 13 days", n)
	}
	h.clock.Advance(2 * 24 * time.Hour)
	eventually(t, "they are forgotten", func() bool { return h.stats(t).Dead == 0 })
}
