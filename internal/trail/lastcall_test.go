package trail

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"vigil"
	"vigil/internal/journal"
)

// checkLastCalls compares the last calls of all access keys and roles that are in events with a scan of the events.
func checkLastCalls(t *testing.T, trail *Trail, all []event) {
	t.Helper()
	want := map[string]LastCall{}
	for _, e := range all {
		id := e.UserIdentity.AccessKeyID
		if e.UserIdentity.Type == "AssumedRole" {
			id, _, _ = strings.Cut(e.UserIdentity.PrincipalID, ":")
		}
		if id != "" && e.EventCategory == "Management" && !e.at.Before(want[id].Time) {
			want[id] = LastCall{e.at, strings.TrimSuffix(e.EventSource, ".amazonaws.com"), e.AWSRegion}
		}
	}
	got, err := trail.LastCalls(context.Background(), slices.Sorted(maps.Keys(want))...)
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("the last calls are %v, %v; want %v", got, err, want)
	}
}

func TestWhoCalledLast(t *testing.T) {
	at := time.Date(2026, 11, 1, 12, 0, 0, 250e6, time.UTC)
	by := func(minute int, region string, who vigil.UserIdentity) journal.Record {
		now := at.Add(time.Duration(minute) * time.Minute)
		r := vigil.Record{EventTime: now, UserIdentity: who, EventSource: "kms.amazonaws.com", EventName: "ListKeys", AWSRegion: region, EventID: "id",
			RecipientAccountID: home.account, EventCategory: "Management", ErrorCode: "AccessDenied"}
		return journal.Record{Time: now, Data: r.AppendJSON(nil)}
	}
	user := vigil.UserIdentity{Type: "IAMUser", PrincipalID: "AIDAALICE", AccessKeyID: "AKIAALICE"}
	token := vigil.UserIdentity{Type: "IAMUser", PrincipalID: "AIDAALICE", AccessKeyID: "ASIAALICE"} // of GetSessionToken
	session := func(name, key string) vigil.UserIdentity {
		return vigil.UserIdentity{Type: "AssumedRole", PrincipalID: "AROADEPLOY:" + name, AccessKeyID: key}
	}
	records := []journal.Record{
		by(1, "us-east-1", user), by(5, "eu-central-1", user), by(3, "us-west-2", user), by(9, "us-east-1", token),
		by(2, "us-east-1", session("a", "ASIAONE")), by(4, "us-west-2", session("b", "ASIATWO")),
		by(8, "us-east-1", vigil.UserIdentity{Type: "AWSAccount", PrincipalID: "AROADEPLOY:a", AccountID: accounts[1]}),
		by(8, "us-east-1", vigil.UserIdentity{Type: "AWSService", InvokedBy: "logs.amazonaws.com"}),
	}
	want := map[string]LastCall{"AKIAALICE": {at.Add(5 * time.Minute), "kms", "eu-central-1"}, "AROADEPLOY": {at.Add(4 * time.Minute), "kms", "us-west-2"}}
	for _, foldAt := range []int{1, 5, 1000} { // all in the database, some, and none
		j := openJournal(t)
		trail := newTrail(t, j, openDB(t, "history.db"), foldAt)
		start(t, trail.Run)
		commit(t, j, records, 1)
		got, err := trail.LastCalls(context.Background(), "AKIAALICE", "AKIABOB", "ASIAALICE", "ASIAONE", "AROADEPLOY", "AIDAALICE", "")
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("folded at %d: %v, %v; want %v", foldAt, got, err, want)
		}
	}
}
