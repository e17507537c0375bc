package call_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"vigil"
	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/policy"
	"vigil/internal/store"
)

func newCall() *call.Call {
	return &call.Call{Principal: call.Principal{Type: "Root", ARN: "arn:aws:iam::111122223333:root", Account: "111122223333"},
		Service: "kms", Operation: "Encrypt", Region: "eu-central-1"}
}

func TestEventIDBeginsWithItsTime(t *testing.T) {
	at := time.UnixMilli(1767225600123)
	id, err := uuid.Parse(call.NewEventID(at))
	if err != nil || id.Version() != 7 || id.Variant() != uuid.RFC4122 {
		t.Fatalf("%v is not a UUID of version 7: %v", id, err)
	}
	var ms int64
	for _, b := range id[:6] {
		ms = ms<<8 | int64(b)
	}
	if ms != at.UnixMilli() {
		t.Errorf("it says %d, want %d", ms, at.UnixMilli())
	}
	if call.NewEventID(at) == id.String() {
		t.Error("two events of one moment have one id")
	}
}

func TestTouchNotesAResourceOnce(t *testing.T) {
	c := newCall()
	first, second := c.ARN("key/1"), c.ARN("key/2")
	for _, a := range []arn.ARN{first, second, first} {
		c.Touch("AWS::KMS::Key", a)
	}
	want := []string{"arn:aws:kms:eu-central-1:111122223333:key/1", "arn:aws:kms:eu-central-1:111122223333:key/2"}
	if got := c.Resources(); len(got) != 2 || got[0].ARN != want[0] || got[1].ARN != want[1] || got[0].AccountID != "111122223333" {
		t.Errorf("resources %v, want %v", got, want)
	}
}

func TestAllowDeniesInAWSsWords(t *testing.T) {
	c := newCall()
	err := c.Allow("kms:ListKeys", policy.Resource{ARN: "*", Account: "444455556666"}, nil)
	var denied *call.Error
	if !errors.As(err, &denied) || denied.Code != "AccessDeniedException" || denied.Status != 400 || denied.Message == "" {
		t.Errorf("got %#v", err)
	}
	if err := c.Allow("kms:ListKeys", policy.Resource{ARN: "*", Account: "111122223333"}, nil); err != nil {
		t.Errorf("the account's own root is denied: %v", err)
	}
}

func TestACallHasOneEffect(t *testing.T) {
	c := newCall()
	c.Effect(func(store.Tx) error { return nil })
	defer func() {
		if recover() == nil {
			t.Error("a second effect was taken, and one of them would be lost")
		}
	}()
	c.Effect(func(store.Tx) error { return nil })
}

// What a call makes the service do has its records beside the call's own.
func TestAlsoRecordsAreMadeOfTheCallsOwn(t *testing.T) {
	c := newCall()
	if records := c.AlsoRecords(vigil.Record{EventName: "ReplicateKey"}); records != nil {
		t.Errorf("a call alone has also %+v", records)
	}
	c.Also(func(own vigil.Record) vigil.Record {
		own.AWSRegion = "eu-west-1"
		return own
	})
	c.Also(func(vigil.Record) vigil.Record { return vigil.Record{EventName: "RotateKey"} })
	records := c.AlsoRecords(vigil.Record{EventName: "ReplicateKey", AWSRegion: "us-east-1"})
	if len(records) != 2 || records[0].EventName != "ReplicateKey" || records[0].AWSRegion != "eu-west-1" || records[1].EventName != "RotateKey" {
		t.Errorf("got %+v", records)
	}
}

func TestNotesAreJSON(t *testing.T) {
	c := newCall()
	if c.AdditionalEventData() != nil || c.ResponseElements() != nil {
		t.Error("a call that notes nothing has members")
	}
	c.Note("keyMaterialId", `a"b`)
	c.Note("customKeyStoreId", "c")
	c.NoteObject("recipient", "a", `"1"`, "b", "2")
	if got, want := string(c.AdditionalEventData()), `{"keyMaterialId":"a\"b","customKeyStoreId":"c","recipient":{"a":"\"1\"","b":"2"}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestServiceEventRecord(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	e := call.ServiceEvent{Source: "kms.amazonaws.com", Name: "DeleteKey", Region: "us-east-1", Account: "111122223333", Time: at,
		Resources: []vigil.Resource{{AccountID: "111122223333", Type: "AWS::KMS::Key", ARN: "arn:aws:kms:us-east-1:111122223333:key/1"}},
		Details:   []call.Detail{{Name: "keyId", Value: "1"}, {Name: "b", Value: "2"}}}
	r, err := vigil.ParseRecord(e.Record().Data)
	if err != nil {
		t.Fatal(err)
	}
	if r.EventType != vigil.AwsServiceEvent || r.RequestID != "" || r.UserIdentity.InvokedBy != "AWS Internal" || r.RecipientAccountID != "111122223333" {
		t.Errorf("got %+v", r)
	}
	if got, want := string(r.ServiceEventDetails), `{"keyId":"1","b":"2"}`; got != want {
		t.Errorf("details %s, want %s", got, want)
	}
}
