package main

import (
	"encoding/json"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
)

// checkRecords finds the record of each request, with its error code.
func (w *walk) checkRecords() {
	records := map[string]map[string]any{}
	for _, text := range w.recorded() {
		var r map[string]any
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			w.Fatal(err)
		}
		if id, ok := r["requestID"].(string); ok {
			records[fmt.Sprint(id, r["eventName"])] = r // another region's record of it may have its id too
		}
	}
	for id, call := range w.taken {
		r := records[id+call.operation]
		if r == nil {
			w.Errorf("%s %s is not on record", call.operation, call.code)
			continue
		}
		if call.code == accessDenied {
			call.code = "AccessDenied" // as records write it
		}
		if code, _ := r["errorCode"].(string); r["eventName"] != call.operation || r["eventSource"] != "kms.amazonaws.com" || code != call.code {
			w.Errorf("%s %s is on record as %v %v", call.operation, call.code, r["eventName"], r["errorCode"])
		}
		w.checkMembers(call.operation, r)
	}
}

// recorded are the records in the event history of each of the walk's regions.
func (w *walk) recorded() (texts []string) {
	for _, history := range w.history {
		pages := cloudtrail.NewLookupEventsPaginator(history, &cloudtrail.LookupEventsInput{})
		for pages.HasMorePages() {
			page, err := pages.NextPage(w.Context())
			if err != nil {
				w.Fatal(err)
			}
			for _, e := range page.Events {
				texts = append(texts, *e.CloudTrailEvent)
			}
		}
	}
	return texts
}

// checkMembers has the record carry all members that each has. TestDocumentedRecords compares them with AWS's.
func (w *walk) checkMembers(operation string, r map[string]any) {
	for _, name := range []string{"eventID", "eventTime", "eventVersion", "awsRegion", "userIdentity", "sourceIPAddress", "userAgent", "requestParameters", "responseElements", "readOnly", "eventType", "recipientAccountId"} {
		if _, ok := r[name]; !ok {
			w.Errorf("the record of %s lacks %s", operation, name)
		}
	}
}
