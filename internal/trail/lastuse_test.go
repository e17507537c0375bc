package trail

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"vigil"
	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/journal"
)

// checkLastUses compares the last uses of all keys that are in events with a scan of the events.
func checkLastUses(t *testing.T, trail *Trail, all []event) {
	t.Helper()
	want := map[string]event{}
	for _, e := range all {
		switch e.EventName {
		case "Encrypt", "Decrypt", "GenerateDataKey", "ReEncrypt": // what this package's traffic has of them
		default:
			continue
		}
		for _, r := range e.Resources {
			key, err := arn.Parse(r.ARN)
			if err == nil && e.ErrorCode == "" && e.EventCategory == "Management" && key.Type() == "key" && !e.at.Before(want[r.ARN].at) {
				want[r.ARN] = e
			}
		}
	}
	for key, e := range want {
		got, ok, err := trail.LastUse(context.Background(), key)
		if should := (Use{e.at, e.EventName, e.RequestID, e.EventID}); err != nil || !ok || got != should {
			t.Errorf("%s was last used as %+v, %v, %v; want %+v", key, got, ok, err, should)
		}
	}
}

func TestWhatIsAUseOfAKey(t *testing.T) {
	at := time.Date(2026, 11, 1, 12, 0, 0, 250e6, time.UTC)
	record := func(name string, alter func(*vigil.Record)) *vigil.Record {
		r := &vigil.Record{
			EventTime: at, EventSource: "kms.amazonaws.com", EventName: name, AWSRegion: home.region, RequestID: "request " + name, EventID: "event " + name,
			Resources: []vigil.Resource{{ARN: "KEY"}}, RecipientAccountID: home.account, EventCategory: "Management",
		}
		if alter != nil {
			alter(r)
		}
		return r
	}
	used := func(name string) *Use { return &Use{at, name, "request " + name, "event " + name} }
	type testCase struct {
		name    string
		records []*vigil.Record // of the key KEY, which is another in each case
		want    *Use
	}
	tests := []testCase{
		{"never", nil, nil},
		{"the first key of a ReEncrypt", []*vigil.Record{record("ReEncrypt", func(r *vigil.Record) {
			r.Resources = append(r.Resources, vigil.Resource{ARN: "arn:aws:kms:us-east-1:111122223333:key/other"})
		})}, used("ReEncrypt")},
		{"the second key of a ReEncrypt", []*vigil.Record{record("ReEncrypt", func(r *vigil.Record) {
			r.Resources = []vigil.Resource{{ARN: "arn:aws:kms:us-east-1:111122223333:key/other"}, {ARN: "KEY"}}
		})}, used("ReEncrypt")},
		{"the later of two", []*vigil.Record{record("Encrypt", nil), record("Decrypt", nil)}, used("Decrypt")},
		{"an event that is recorded late", []*vigil.Record{record("Encrypt", nil), record("Decrypt", func(r *vigil.Record) { r.EventTime = at.Add(-time.Minute) })}, used("Encrypt")},
		{"a call that failed", []*vigil.Record{record("Encrypt", func(r *vigil.Record) { r.ErrorCode = "DryRunOperationException" })}, nil},
		{"another service", []*vigil.Record{record("Encrypt", func(r *vigil.Record) { r.EventSource = "example.amazonaws.com" })}, nil},
		{"another key", []*vigil.Record{record("Encrypt", func(r *vigil.Record) { r.Resources[0].ARN += "0" })}, nil},
		{"a call from another account", []*vigil.Record{
			record("Encrypt", func(r *vigil.Record) { r.RecipientAccountID = accounts[1] }),
		}, used("Encrypt")},
		{"a call from another account with a record in both, the owner's first", []*vigil.Record{
			record("Encrypt", func(r *vigil.Record) { r.EventID = "the owner's" }),
			record("Encrypt", func(r *vigil.Record) { r.RecipientAccountID = accounts[1] }),
		}, &Use{at, "Encrypt", "request Encrypt", "the owner's"}},
		{"a call from another account with a record in both, the owner's last", []*vigil.Record{
			record("Encrypt", func(r *vigil.Record) { r.RecipientAccountID = accounts[1] }),
			record("Encrypt", func(r *vigil.Record) { r.EventID = "the owner's" }),
		}, &Use{at, "Encrypt", "request Encrypt", "the owner's"}},
	}
	for _, name := range []string{"Decapsulate", "Decrypt", "DeriveSharedSecret", "Encapsulate", "Encrypt", "GenerateDataKey", "GenerateDataKeyPair",
		"GenerateDataKeyPairWithoutPlaintext", "GenerateDataKeyWithoutPlaintext", "GenerateMac", "Sign", "Verify", "VerifyMac"} {
		tests = append(tests, testCase{name, []*vigil.Record{record(name, nil)}, used(name)})
	}
	for _, name := range []string{"DescribeKey", "DisableKey", "GenerateRandom", "GetPublicKey", "ListGrants", "encrypt"} {
		tests = append(tests, testCase{name, []*vigil.Record{record(name, nil)}, nil})
	}
	for _, foldAt := range []int{1, len(tests) - 5, 1000} { // all in the database, some, and none
		j := openJournal(t)
		trail := newTrail(t, j, openDB(t, "history.db"), foldAt)
		start(t, trail.Run)
		for n := range 2 {
			for i, test := range tests { // the cases' first records, and then their second ones, as each may be folded by itself
				if n < len(test.records) {
					r := test.records[n]
					data := strings.ReplaceAll(string(r.AppendJSON(nil)), "KEY", keyOf(i))
					commit(t, j, []journal.Record{{Time: r.EventTime, Data: []byte(data)}}, 1)
				}
			}
			followed(t, j)
		}
		for i, test := range tests {
			got, ok, err := trail.LastUse(context.Background(), keyOf(i))
			if err != nil || ok != (test.want != nil) || ok && got != *test.want {
				t.Errorf("%s, folded at %d: %+v, %v, %v; want %+v", test.name, foldAt, got, ok, err, test.want)
			}
		}
	}
}

func keyOf(i int) string {
	return arn.New("kms", home.region, home.account, fmt.Sprintf("key/1234abcd-12ab-34cd-56ef-%012d", i)).String()
}

func TestALastUseIsSeenAtOnce(t *testing.T) {
	j := openJournal(t)
	trail := newTrail(t, j, openDB(t, "history.db"), 5)
	start(t, trail.Run)
	key := keyOf(1)
	for range 12 {
		now := time.Now().UTC().Truncate(time.Millisecond)
		r := vigil.Record{EventTime: now, EventSource: "kms.amazonaws.com", EventName: "Sign", AWSRegion: home.region, EventID: call.NewEventID(now),
			Resources: []vigil.Resource{{ARN: key}}, RecipientAccountID: home.account}
		commit(t, j, []journal.Record{{Time: now, Data: r.AppendJSON(nil)}}, 1)
		got, ok, err := trail.LastUse(context.Background(), key)
		if want := (Use{Time: now, Operation: "Sign", EventID: r.EventID}); err != nil || !ok || got != want {
			t.Fatalf("%+v, %v, %v; want %+v", got, ok, err, want)
		}
	}
}
