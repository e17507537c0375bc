package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
)

// checkRecords finds the record of each request, with its error code, and with all the members of the one that AWS documents.
func (w *walk) checkRecords() {
	records := map[string]map[string]any{}
	for _, history := range w.history {
		pages := cloudtrail.NewLookupEventsPaginator(history, &cloudtrail.LookupEventsInput{})
		for pages.HasMorePages() {
			page, err := pages.NextPage(w.Context())
			if err != nil {
				w.Fatal(err)
			}
			for _, e := range page.Events {
				var r map[string]any
				if err := json.Unmarshal([]byte(*e.CloudTrailEvent), &r); err != nil {
					w.Fatal(err)
				}
				if id, ok := r["requestID"].(string); ok {
					records[fmt.Sprint(id, r["eventName"])] = r // another region's record of it may have its id too
				}
			}
		}
	}
	for id, call := range w.taken {
		r := records[id+call.operation]
		if r == nil {
			w.Errorf("%s %s is not on record", call.operation, call.code)
			continue
		}
		if code, _ := r["errorCode"].(string); r["eventName"] != call.operation || r["eventSource"] != "kms.amazonaws.com" || code != call.code {
			w.Errorf("%s %s is on record as %v %v", call.operation, call.code, r["eventName"], r["errorCode"])
		}
		if call.code == "" {
			w.checkMembers(call.operation, r)
		}
	}
}

// checkMembers has the record carry all members of AWS's documented record of the operation. That of a call that
// needs none may lack resources; the scripts compare what is inside.
func (w *walk) checkMembers(operation string, r map[string]any) {
	documented, _ := filepath.Glob(filepath.Join("testdata/cloudtrail-kms", operation+"-*.json"))
	for _, file := range documented {
		text, err := os.ReadFile(file)
		if err != nil {
			w.Fatal(err)
		}
		var theirs map[string]any
		if err := json.Unmarshal(text, &theirs); err != nil {
			w.Fatal(err)
		}
		if theirs["errorCode"] != nil {
			continue
		}
		for name := range theirs {
			if _, ok := r[name]; !ok && name != "tlsDetails" && name != "resources" && name != "additionalEventData" {
				w.Errorf("the record of %s lacks %s", operation, name)
			}
		}
	}
	for _, name := range []string{"eventID", "eventTime", "eventVersion", "awsRegion", "userIdentity", "sourceIPAddress", "userAgent", "requestParameters", "responseElements", "readOnly", "eventType", "recipientAccountId"} {
		if _, ok := r[name]; !ok {
			w.Errorf("the record of %s lacks %s", operation, name)
		}
	}
}
