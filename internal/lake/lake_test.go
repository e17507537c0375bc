package lake

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"vigil"
	"vigil/internal/journal"
	"vigil/internal/store"

	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
)

// A store has the events of its account and its regions that happened while it took them in, that its selectors take, and that are within its retention.
func TestStoreIsAView(t *testing.T) {
	h := open(t).start()
	h.use(alice, "Before")
	h.clock.Advance(time.Second)
	all := h.store(alice, "all", nil)
	home := h.store(alice, "home", func(in *cloudtrail.CreateEventDataStoreInput) { in.MultiRegionEnabled = new(false) })
	only := h.store(alice, "only", func(in *cloudtrail.CreateEventDataStoreInput) {
		in.AdvancedEventSelectors = []types.AdvancedEventSelector{{FieldSelectors: []types.AdvancedFieldSelector{
			{Field: new("eventCategory"), Equals: []string{"Management"}}, {Field: new("eventName"), StartsWith: []string{"S"}}}}}
	})
	h.clock.Advance(time.Second)
	h.use(alice, "First", "Second")
	h.use(alice.in("eu-west-1"), "Third")
	h.use(bob, "Bobs")
	want := func(store, names string) {
		t.Helper()
		if got := h.kms(alice, store); got != names {
			t.Errorf("the store has %q, want %q", got, names)
		}
	}
	want(all, "First Second Third")
	want(home, "First Second")
	want(only, "Second")

	h.clock.Advance(time.Second)
	do[cloudtrail.StopEventDataStoreIngestionOutput](h, alice, "StopEventDataStoreIngestion", &cloudtrail.StopEventDataStoreIngestionInput{EventDataStore: &all})
	h.clock.Advance(time.Second)
	h.use(alice, "Lost")
	h.clock.Advance(time.Second)
	do[cloudtrail.StartEventDataStoreIngestionOutput](h, alice, "StartEventDataStoreIngestion", &cloudtrail.StartEventDataStoreIngestionInput{EventDataStore: &all})
	h.clock.Advance(time.Second)
	h.use(alice, "Fourth")
	want(all, "First Second Third Fourth")

	// What is changed holds from then on.
	do[cloudtrail.UpdateEventDataStoreOutput](h, alice, "UpdateEventDataStore", &cloudtrail.UpdateEventDataStoreInput{EventDataStore: &only, MultiRegionEnabled: new(false),
		AdvancedEventSelectors: []types.AdvancedEventSelector{{FieldSelectors: []types.AdvancedFieldSelector{{Field: new("eventCategory"), Equals: []string{"Data"}}, {Field: new("resources.type"), Equals: []string{"AWS::S3::Object"}}}}}})
	h.clock.Advance(time.Second)
	h.use(alice, "Sixth")
	want(only, "Second")
	if !h.lake.AsksForData(alice.account, "AWS::S3::Object") || h.lake.AsksForData(bob.account, "AWS::S3::Object") {
		t.Error("the store does not ask for data events, or another account's does")
	}
	do[cloudtrail.DeleteEventDataStoreOutput](h, alice, "DeleteEventDataStore", &cloudtrail.DeleteEventDataStoreInput{EventDataStore: &only})
	if h.lake.AsksForData(alice.account, "AWS::S3::Object") {
		t.Error("a store that is pending deletion asks for data events")
	}
	do[cloudtrail.UpdateEventDataStoreOutput](h, alice, "UpdateEventDataStore", &cloudtrail.UpdateEventDataStoreInput{EventDataStore: &all, RetentionPeriod: new(int32(7))})
	h.clock.Advance(6 * day)
	h.use(alice, "Later")
	want(all, "First Second Third Fourth Sixth Later")
	h.clock.Advance(2 * day)
	want(all, "Later")
}

// TestImportedRecords: what was imported while a store took events in is in it, however old it is, as long as its retention lets it.
func TestImportedRecords(t *testing.T) {
	h := open(t).start()
	const hour = time.Hour
	bring := func(age time.Duration, names ...string) {
		t.Helper()
		w := vigil.PageWriter{Imported: h.clock.Now()}
		for _, name := range names {
			r := alice.record(h.clock.Now().Add(-age), name, "kms.amazonaws.com")
			w.Add(r.EventTime, r.AppendJSON(nil))
		}
		first, last := w.Times()
		page := journal.Page{Count: w.Len(), First: first, Last: last, Body: w.Encode()}
		if err := h.journal.Commit(context.Background(), func(tx store.Tx) error { return h.journal.Append(tx, []journal.Page{page}) }, func(error) []journal.Record {
			r := alice.record(h.clock.Now(), "ImportRecords", "vigil")
			return []journal.Record{{Time: r.EventTime, Data: r.AppendJSON(nil)}}
		}); err != nil {
			t.Fatal(err)
		}
		h.clock.Advance(time.Second)
	}
	bring(hour, "TooEarly")
	id := h.store(alice, "a", func(in *cloudtrail.CreateEventDataStoreInput) { in.RetentionPeriod = new(int32(30)) })
	h.clock.Advance(time.Second)
	bring(0, "Now")
	bring(29*24*hour, "Old", "Older")
	bring(31*24*hour, "TooOld")
	do[cloudtrail.StopEventDataStoreIngestionOutput](h, alice, "StopEventDataStoreIngestion", &cloudtrail.StopEventDataStoreIngestionInput{EventDataStore: &id})
	h.clock.Advance(time.Second)
	bring(hour, "TooLate")
	if got := h.kms(alice, id); got != "Now Old Older" {
		t.Errorf("the store has %q", got)
	}
	_, rows := h.result(alice, h.startQuery(alice, "SELECT eventName AS n FROM "+id+" WHERE eventSource = 'kms.amazonaws.com' AND eventTime < timestamp '"+h.clock.Now().Add(-24*hour).UTC().Format("2006-01-02 15:04:05")+"'"))
	if got := strings.Join(rows, " "); got != "n=Old n=Older" {
		t.Errorf("of the days before there is %q", got)
	}
}

// Stores are made, shown, changed, deleted and restored by AWS's rules.
func TestStoreLife(t *testing.T) {
	h := open(t).start()
	made := do[cloudtrail.CreateEventDataStoreOutput](h, alice, "CreateEventDataStore", &cloudtrail.CreateEventDataStoreInput{Name: new("a"), TagsList: []types.Tag{{Key: new("k"), Value: new("v")}}})
	if made.Status != types.EventDataStoreStatusCreated || *made.RetentionPeriod != 366 || !*made.TerminationProtectionEnabled || !*made.MultiRegionEnabled {
		t.Errorf("CreateEventDataStore: %+v", made)
	}
	a := made.EventDataStoreArn
	id := (*a)[strings.LastIndex(*a, "/")+1:]
	get := func() *cloudtrail.GetEventDataStoreOutput {
		return do[cloudtrail.GetEventDataStoreOutput](h, alice, "GetEventDataStore", &cloudtrail.GetEventDataStoreInput{EventDataStore: a})
	}
	if got := get(); got.Status != types.EventDataStoreStatusEnabled || *got.Name != "a" || *got.AdvancedEventSelectors[0].FieldSelectors[0].Field != "eventCategory" {
		t.Errorf("GetEventDataStore: %+v", got)
	}
	h.refused("EventDataStoreAlreadyExistsException", alice, "CreateEventDataStore", &cloudtrail.CreateEventDataStoreInput{Name: new("a")})
	h.refused("InvalidEventSelectorsException", alice, "CreateEventDataStore", &cloudtrail.CreateEventDataStoreInput{Name: new("b"), AdvancedEventSelectors: []types.AdvancedEventSelector{{
		FieldSelectors: []types.AdvancedFieldSelector{{Field: new("eventName"), Equals: []string{"Encrypt"}}}}}})
	h.refused("InvalidParameterException", alice, "CreateEventDataStore", &cloudtrail.CreateEventDataStoreInput{Name: new("b"), BillingMode: types.BillingModeFixedRetentionPricing, RetentionPeriod: new(int32(3000))})
	h.refused("OrganizationsNotInUseException", alice, "CreateEventDataStore", &cloudtrail.CreateEventDataStoreInput{Name: new("b"), OrganizationEnabled: new(true)})
	h.refused("UnsupportedOperationException", alice, "CreateEventDataStore", &cloudtrail.CreateEventDataStoreInput{Name: new("b"), KmsKeyId: new("alias/k")})
	h.refused("InvalidParameterException", alice, "UpdateEventDataStore", &cloudtrail.UpdateEventDataStoreInput{EventDataStore: a})
	h.refused("InvalidParameterException", alice, "UpdateEventDataStore", &cloudtrail.UpdateEventDataStoreInput{EventDataStore: a, BillingMode: types.BillingModeFixedRetentionPricing})
	h.refused("AccessDeniedException", bob, "GetEventDataStore", &cloudtrail.GetEventDataStoreInput{EventDataStore: a})
	h.refused("EventDataStoreNotFoundException", bob, "GetEventDataStore", &cloudtrail.GetEventDataStoreInput{EventDataStore: &id})
	h.refused("EventDataStoreARNInvalidException", alice.in("eu-west-1"), "GetEventDataStore", &cloudtrail.GetEventDataStoreInput{EventDataStore: a})
	h.refused("EventDataStoreARNInvalidException", alice, "GetEventDataStore", &cloudtrail.GetEventDataStoreInput{EventDataStore: new("nonsense")})
	for i := range 9 {
		h.store(alice, fmt.Sprint("more-", i), nil)
	}
	h.refused("EventDataStoreMaxLimitExceededException", alice, "CreateEventDataStore", &cloudtrail.CreateEventDataStoreInput{Name: new("b")})
	page := do[cloudtrail.ListEventDataStoresOutput](h, alice, "ListEventDataStores", &cloudtrail.ListEventDataStoresInput{MaxResults: new(int32(4))})
	page = do[cloudtrail.ListEventDataStoresOutput](h, alice, "ListEventDataStores", &cloudtrail.ListEventDataStoresInput{MaxResults: new(int32(4)), NextToken: page.NextToken})
	if len(page.EventDataStores) != 4 || *page.EventDataStores[0].Name != "more-3" || page.NextToken == nil {
		t.Errorf("the second page is %+v", page)
	}
	h.refused("InvalidNextTokenException", alice, "ListEventDataStores", &cloudtrail.ListEventDataStoresInput{NextToken: new("AAAA")})

	h.refused("EventDataStoreTerminationProtectedException", alice, "DeleteEventDataStore", &cloudtrail.DeleteEventDataStoreInput{EventDataStore: a})
	h.refused("InvalidEventDataStoreStatusException", alice, "RestoreEventDataStore", &cloudtrail.RestoreEventDataStoreInput{EventDataStore: a})
	h.refused("InvalidEventDataStoreStatusException", alice, "StartEventDataStoreIngestion", &cloudtrail.StartEventDataStoreIngestionInput{EventDataStore: a})
	do[cloudtrail.UpdateEventDataStoreOutput](h, alice, "UpdateEventDataStore", &cloudtrail.UpdateEventDataStoreInput{EventDataStore: a, TerminationProtectionEnabled: new(false)})
	do[cloudtrail.DeleteEventDataStoreOutput](h, alice, "DeleteEventDataStore", &cloudtrail.DeleteEventDataStoreInput{EventDataStore: a})
	h.refused("InactiveEventDataStoreException", alice, "DeleteEventDataStore", &cloudtrail.DeleteEventDataStoreInput{EventDataStore: a})
	h.refused("InactiveEventDataStoreException", alice, "UpdateEventDataStore", &cloudtrail.UpdateEventDataStoreInput{EventDataStore: a, Name: new("b")})
	h.refused("InactiveEventDataStoreException", alice, "StartQuery", &cloudtrail.StartQueryInput{QueryStatement: new("SELECT 1 FROM " + id)})
	h.clock.Advance(6 * day)
	if got := do[cloudtrail.RestoreEventDataStoreOutput](h, alice, "RestoreEventDataStore", &cloudtrail.RestoreEventDataStoreInput{EventDataStore: a}); got.Status != types.EventDataStoreStatusEnabled {
		t.Errorf("restored: %+v", got)
	}
	tags := do[cloudtrail.ListTagsOutput](h, alice, "ListTags", &cloudtrail.ListTagsInput{ResourceIdList: []string{*a}})
	if len(tags.ResourceTagList) != 1 || *tags.ResourceTagList[0].TagsList[0].Value != "v" {
		t.Errorf("tags: %+v", tags)
	}
	do[cloudtrail.RemoveTagsOutput](h, alice, "RemoveTags", &cloudtrail.RemoveTagsInput{ResourceId: a, TagsList: []types.Tag{{Key: new("k")}}})
	do[cloudtrail.AddTagsOutput](h, alice, "AddTags", &cloudtrail.AddTagsInput{ResourceId: a, TagsList: []types.Tag{{Key: new("x"), Value: new("y")}}})
	tags = do[cloudtrail.ListTagsOutput](h, alice, "ListTags", &cloudtrail.ListTagsInput{ResourceIdList: []string{*a}})
	if len(tags.ResourceTagList[0].TagsList) != 1 || *tags.ResourceTagList[0].TagsList[0].Key != "x" {
		t.Errorf("tags: %+v", tags)
	}
	h.startQuery(alice, "SELECT 1 FROM "+id)
	do[cloudtrail.DeleteEventDataStoreOutput](h, alice, "DeleteEventDataStore", &cloudtrail.DeleteEventDataStoreInput{EventDataStore: a})
	h.clock.Advance(7*day + time.Hour)
	h.eventually("the store is gone", func() bool {
		_, err := h.call(alice, "GetEventDataStore", &cloudtrail.GetEventDataStoreInput{EventDataStore: a})
		return err != nil && strings.HasPrefix(err.Error(), "EventDataStoreNotFoundException")
	})
}

// Queries are started, described, listed and read, by who may.
func TestQueryLife(t *testing.T) {
	h := open(t).start()
	a, b := h.store(alice, "a", nil), h.store(alice, "b", nil)
	for i := range 30 {
		h.use(alice, fmt.Sprint("Call", i))
	}
	statement := "SELECT x.eventName, y.eventName AS other FROM " + a + " x JOIN " + b + " y ON x.eventSource = y.eventSource WHERE x.eventSource = 'kms.amazonaws.com' ORDER BY x.eventName DESC, other"
	id := h.startQuery(alice, statement)
	status, rows := h.result(alice, id)
	if status != "FINISHED" || len(rows) != 900 || rows[0] != "eventName=Call9 other=Call0" || rows[899] != "eventName=Call0 other=Call9" {
		t.Errorf("%s, %d rows: %q", status, len(rows), rows)
	}
	described := do[cloudtrail.DescribeQueryOutput](h, alice, "DescribeQuery", &cloudtrail.DescribeQueryInput{QueryId: id})
	if s := described.QueryStatistics; *described.QueryString != statement || *s.EventsMatched < 60 || *s.EventsScanned < 60 || *s.BytesScanned == 0 || described.ErrorMessage != nil {
		t.Errorf("DescribeQuery: %+v %+v", described, *s)
	}
	for _, store := range []string{a, b} {
		listed := do[cloudtrail.ListQueriesOutput](h, alice, "ListQueries", &cloudtrail.ListQueriesInput{EventDataStore: &store, QueryStatus: types.QueryStatusFinished})
		if len(listed.Queries) != 1 || *listed.Queries[0].QueryId != *id {
			t.Errorf("ListQueries: %+v", listed)
		}
	}
	h.refused("InvalidDateRangeException", alice, "ListQueries", &cloudtrail.ListQueriesInput{EventDataStore: &a, StartTime: new(h.clock.Now()), EndTime: new(h.clock.Now().Add(-time.Hour))})
	h.refused("InactiveQueryException", alice, "CancelQuery", &cloudtrail.CancelQueryInput{QueryId: id})
	h.refused("QueryIdNotFoundException", bob, "DescribeQuery", &cloudtrail.DescribeQueryInput{QueryId: id})
	h.refused("QueryIdNotFoundException", alice, "GetQueryResults", &cloudtrail.GetQueryResultsInput{QueryId: &a})
	h.refused("InvalidNextTokenException", alice, "GetQueryResults", &cloudtrail.GetQueryResultsInput{QueryId: id, NextToken: new("AAAA")})
	h.refused("InvalidParameterException", alice, "StartQuery", &cloudtrail.StartQueryInput{})
	h.refused("InvalidParameterException", alice, "StartQuery", &cloudtrail.StartQueryInput{QueryStatement: &statement, DeliveryS3Uri: new("bucket")})
	h.refused("InvalidQueryStatementException", alice, "StartQuery", &cloudtrail.StartQueryInput{QueryStatement: new("SELECT 1 FROM sqlite_master")})
	h.refused("InvalidQueryStatementException", alice, "StartQuery", &cloudtrail.StartQueryInput{QueryStatement: new("SELECT a.x FROM " + a)})
	h.refused("EventDataStoreNotFoundException", bob, "StartQuery", &cloudtrail.StartQueryInput{QueryStatement: &statement})

	carol := alice
	carol.policy = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["cloudtrail:StartQuery","cloudtrail:GetQueryResults"],"Resource":"arn:aws:cloudtrail:*:*:eventdatastore/` + a + `"}}`
	h.refused("AccessDeniedException", carol, "StartQuery", &cloudtrail.StartQueryInput{QueryStatement: &statement})
	h.refused("AccessDeniedException", carol, "GetQueryResults", &cloudtrail.GetQueryResultsInput{QueryId: id})
	h.refused("AccessDeniedException", carol, "GetQueryResults", &cloudtrail.GetQueryResultsInput{QueryId: &a})
	hers := h.startQuery(carol, "SELECT COUNT(*) AS n FROM "+a+" WHERE eventSource = 'kms.amazonaws.com'")
	if status, rows := h.result(carol, hers); status != "FINISHED" || strings.Join(rows, "") != "n=30" {
		t.Errorf("%s: %q", status, rows)
	}

	h.clock.Advance(7*day + time.Hour)
	h.eventually("the query is gone", func() bool {
		_, err := h.call(alice, "DescribeQuery", &cloudtrail.DescribeQueryInput{QueryId: id})
		return err != nil && strings.HasPrefix(err.Error(), "QueryIdNotFoundException")
	})
}

// Ten queries are on their way at most. A new process runs those that an earlier one did not end.
func TestRestart(t *testing.T) {
	h := open(t) // runs nothing
	a := h.store(alice, "a", nil)
	h.use(alice, "Encrypt", "Decrypt")
	statement := "SELECT eventName AS n FROM " + a + " WHERE eventSource = 'kms.amazonaws.com' ORDER BY 1"
	var ids []*string
	for range maxConcurrent {
		ids = append(ids, h.startQuery(alice, statement))
	}
	h.refused("MaxConcurrentQueriesException", alice, "StartQuery", &cloudtrail.StartQueryInput{QueryStatement: &statement})
	h.begin()
	h.start()
	for _, id := range ids {
		if status, rows := h.result(alice, id); status != "FINISHED" || strings.Join(rows, " ") != "n=Decrypt n=Encrypt" {
			t.Errorf("%s: %q", status, rows)
		}
	}
	h.stop()
	h.begin()
	if status, rows := h.result(alice, ids[0]); status != "FINISHED" || len(rows) != 2 {
		t.Errorf("after a restart: %s, %q", status, rows)
	}
	h.startQuery(alice, statement)
}

// endless is a query that takes longer than anybody waits.
func (h *house) endless(store string) string {
	joined := ""
	for _, name := range []string{"b", "c", "d", "e", "f", "g"} {
		joined += " JOIN " + store + " " + name + " ON a.eventID <> " + name + ".eventID"
	}
	return "SELECT COUNT(*) FROM " + store + " a" + joined
}

// A query can be cancelled while it waits and while it runs.
func TestCancel(t *testing.T) {
	h := open(t)
	a := h.store(alice, "a", nil)
	for range 100 {
		h.use(alice, "Encrypt")
	}
	id := h.startQuery(alice, h.endless(a))
	waits := h.startQuery(alice, "SELECT 1 FROM "+a)
	do[cloudtrail.CancelQueryOutput](h, alice, "CancelQuery", &cloudtrail.CancelQueryInput{QueryId: waits})
	h.start()
	h.eventually("the query runs", func() bool {
		return do[cloudtrail.DescribeQueryOutput](h, alice, "DescribeQuery", &cloudtrail.DescribeQueryInput{QueryId: id}).QueryStatus == types.QueryStatusRunning
	})
	out := do[cloudtrail.CancelQueryOutput](h, alice, "CancelQuery", &cloudtrail.CancelQueryInput{QueryId: id})
	if out.QueryStatus != types.QueryStatusCancelled {
		t.Errorf("CancelQuery: %+v", out)
	}
	for _, id := range []*string{id, waits} {
		if status, rows := h.result(alice, id); status != "CANCELLED" || len(rows) != 0 {
			t.Errorf("%s: %q", status, rows)
		}
	}
	h.eventually("nothing runs", func() bool {
		h.lake.mu.Lock()
		defer h.lake.mu.Unlock()
		return len(h.lake.running) == 0
	})
}

// A query that runs for too long is ended. What it found so far can be read.
func TestTimeout(t *testing.T) {
	h := open(t)
	h.timeout = 2 * time.Second
	h.begin()
	h.start()
	a := h.store(alice, "a", nil)
	for range 100 {
		h.use(alice, "Encrypt")
	}
	id := h.startQuery(alice, strings.Replace(h.endless(a), "COUNT(*)", "a.eventName", 1)+" LIMIT 100000000")
	if status, rows := h.result(alice, id); status != "TIMED_OUT" || len(rows) == 0 {
		t.Errorf("%s, %d rows", status, len(rows))
	}
}

func (h *house) eventually(what string, holds func() bool) {
	h.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			h.Fatalf("it never came about that %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
