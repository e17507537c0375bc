package events

import (
	"context"
	"errors"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"vigil"
	"vigil/internal/arn"
	"vigil/internal/journal"
	"vigil/internal/store"
)

// Follower is the name of Follow's cursor.
const Follower = "events"

// Follow makes events of the journal's records, on the default bus of each record's account and region, until ctx is done. A
// call becomes AWS API Call via CloudTrail. What KMS does to a key by itself becomes KMS's own event. An event's id is made of its
// record's, so that it is the same each time.
func (e *Events) Follow(ctx context.Context) error {
	if e.config.Journal == nil {
		return errors.New("events: Follow needs a Journal")
	}
	return e.config.Journal.Follow(ctx, journal.Follower{Name: Follower, DB: e.watch, Apply: e.follow})
}

func (e *Events) follow(tx store.Tx, entries []journal.Entry) error {
	if !e.known.any() {
		return nil
	}
	r := e.newRound(tx)
	for _, entry := range entries {
		var f facts
		if err := jsonv2.Unmarshal(entry.Data, &f); err != nil {
			continue // it is no CloudTrail record
		}
		on := busRef{f.RecipientAccountID, f.AWSRegion, defaultBus}
		if !e.known.hasRules(on) {
			continue
		}
		if p := f.event(entry.Data); p != nil {
			if err := r.route(on, p); err != nil {
				return err
			}
		}
	}
	return r.flush()
}

// facts are what an event needs of its record.
type facts struct {
	EventID             string            `json:"eventID"`
	EventType           string            `json:"eventType"`
	EventTime           time.Time         `json:"eventTime"`
	EventSource         string            `json:"eventSource"`
	EventName           string            `json:"eventName"`
	AWSRegion           string            `json:"awsRegion"`
	RecipientAccountID  string            `json:"recipientAccountId"`
	ReadOnly            bool              `json:"readOnly"`
	Resources           []vigil.Resource  `json:"resources"`
	ServiceEventDetails map[string]string `json:"serviceEventDetails"`
}

// kmsEvents are the detail types of KMS's events by the names of its service events (KMS Developer Guide, "Monitoring KMS keys with
// Amazon EventBridge").
var kmsEvents = map[string]string{
	"DeleteKey":                "KMS CMK Deletion",
	"RotateKey":                "KMS CMK Rotation",
	"DeleteExpiredKeyMaterial": "KMS Imported Key Material Expiration",
}

// event is the event that a record becomes, or nil.
func (f *facts) event(record []byte) *passing {
	id := uuid.NewSHA1(namespace, []byte(f.EventID)).String()
	service, _, _ := strings.Cut(f.EventSource, ".")
	switch {
	case f.EventType == vigil.AwsAPICall && len(record) < maxEntries:
		event := appendEvent(make([]byte, 0, len(record)+384), id, "AWS API Call via CloudTrail", "aws."+service, f.RecipientAccountID, f.AWSRegion,
			f.EventTime, nil, record)
		return &passing{event: event, cause: Cause{EventID: id}, reading: f.isReading()}
	case f.EventType == vigil.AwsServiceEvent && service == "kms" && kmsEvents[f.EventName] != "" && len(f.Resources) > 0:
		event := appendEvent(nil, id, kmsEvents[f.EventName], "aws.kms", f.RecipientAccountID, f.AWSRegion,
			f.EventTime, []string{f.Resources[0].ARN}, f.kmsDetail())
		return &passing{event: event, cause: Cause{EventID: id}}
	}
	return nil
}

// isReading says whether the call is one of those that rules get in the state ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS only: a read-only
// one whose name begins with Describe, Get or List, but for two of STS.
func (f *facts) isReading() bool {
	if f.EventName == "GetFederationToken" || f.EventName == "GetSessionToken" {
		return false
	}
	return f.ReadOnly && (strings.HasPrefix(f.EventName, "Describe") || strings.HasPrefix(f.EventName, "Get") || strings.HasPrefix(f.EventName, "List"))
}

// kmsDetails are the members of KMS's events by the names of its service events, each with the member of serviceEventDetails that it is.
var kmsDetails = map[string][][2]string{
	"RotateKey": {{"key-origin", "keyOrigin"}, {"rotation-type", "rotationType"},
		{"previous-key-material-id", "previousKeyMaterialId"}, {"current-key-material-id", "currentKeyMaterialId"}},
	"DeleteExpiredKeyMaterial": {{"key-material-id", "keyMaterialId"}},
}

// kmsDetail names the key, and what its record tells besides of a rotation or of material that expired.
func (f *facts) kmsDetail() []byte {
	id := f.Resources[0].ARN
	if a, err := arn.Parse(id); err == nil {
		id = a.ID()
	}
	dst, _ := jsontext.AppendQuote([]byte(`{"key-id":`), id)
	for _, m := range kmsDetails[f.EventName] {
		if value := f.ServiceEventDetails[m[1]]; value != "" {
			dst = append(append(append(dst, `,"`...), m[0]...), `":`...)
			dst, _ = jsontext.AppendQuote(dst, value)
		}
	}
	return append(dst, '}')
}
