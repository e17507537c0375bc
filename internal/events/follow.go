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
	return e.config.Journal.Follow(ctx, journal.Follower{Name: Follower, DB: e.watch, Apply: e.follow,
		Idle: func() bool { return !e.known.any() }})
}

func (e *Events) follow(tx store.Tx, entries []journal.Entry) error {
	if !e.known.any() {
		return nil
	}
	r := e.newRound(tx)
	var reader vigil.OutlineReader
	var o vigil.Outline
	var on busRef // the last record's, as most have the same
	for i := range entries {
		record := entries[i].Data
		if err := reader.Read(record, &o); err != nil {
			continue // it is no CloudTrail record
		}
		if on.account != string(o.Account) || on.region != string(o.Region) || on.name == "" {
			on = busRef{string(o.Account), string(o.Region), defaultBus}
		}
		if !e.known.hasRules(on) {
			continue
		}
		if p := eventOf(on, &o, record); p != nil {
			if err := r.route(on, p); err != nil {
				return err
			}
		}
	}
	return r.flush()
}

// kmsEvents are the detail types of KMS's events by the names of its service events (KMS Developer Guide, "Monitoring KMS keys with
// Amazon EventBridge").
var kmsEvents = map[string]string{
	"DeleteKey":                "KMS CMK Deletion",
	"RotateKey":                "KMS CMK Rotation",
	"DeleteExpiredKeyMaterial": "KMS Imported Key Material Expiration",
}

// eventOf is the event that a record becomes, on its way to a bus, or nil.
func eventOf(on busRef, o *vigil.Outline, record []byte) *passing {
	service, _, _ := strings.Cut(string(o.EventSource), ".")
	switch {
	case string(o.EventType) == vigil.AwsAPICall && len(record) < maxEntries:
		id := idOf(o)
		event := appendEvent(make([]byte, 0, len(record)+384), id, "AWS API Call via CloudTrail", "aws."+service, on.account, on.region,
			time.Unix(o.Second, 0), nil, record)
		return &passing{event: event, cause: Cause{EventID: id}, reading: isReading(o)}
	case string(o.EventType) == vigil.AwsCloudTrailInsight && len(record) < maxEntries:
		id := idOf(o)
		event := appendEvent(nil, id, "AWS Insight via CloudTrail", "aws.cloudtrail", on.account, on.region, time.Unix(o.Second, 0), nil, record)
		return &passing{event: event, cause: Cause{EventID: id}}
	case string(o.EventType) == vigil.AwsServiceEvent && service == "kms" && kmsEvents[string(o.EventName)] != "" && len(o.Resources) > 0:
		detail, err := kmsDetail(o, record)
		if err != nil {
			return nil // not one that KMS makes
		}
		id := idOf(o)
		event := appendEvent(nil, id, kmsEvents[string(o.EventName)], "aws.kms", on.account, on.region,
			time.Unix(o.Second, 0), []string{string(o.Resources[0].ARN)}, detail)
		return &passing{event: event, cause: Cause{EventID: id}}
	}
	return nil
}

func idOf(o *vigil.Outline) string { return uuid.NewSHA1(namespace, o.EventID).String() }

// isReading says whether the call is one of those that rules get in the state ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS only: a read-only
// one whose name begins with Describe, Get or List, but for two of STS.
func isReading(o *vigil.Outline) bool {
	name := string(o.EventName)
	if !o.ReadOnly || name == "GetFederationToken" || name == "GetSessionToken" {
		return false
	}
	return strings.HasPrefix(name, "Describe") || strings.HasPrefix(name, "Get") || strings.HasPrefix(name, "List")
}

// kmsDetails are the members of KMS's events by the names of its service events, each with the member of serviceEventDetails that it is.
var kmsDetails = map[string][][2]string{
	"RotateKey": {{"key-origin", "keyOrigin"}, {"rotation-type", "rotationType"},
		{"previous-key-material-id", "previousKeyMaterialId"}, {"current-key-material-id", "currentKeyMaterialId"}},
	"DeleteExpiredKeyMaterial": {{"key-material-id", "keyMaterialId"}},
}

// kmsDetail names the key, and what its record tells besides of a rotation or of material that expired.
func kmsDetail(o *vigil.Outline, record []byte) ([]byte, error) {
	var told struct {
		ServiceEventDetails map[string]string `json:"serviceEventDetails"`
	}
	if err := jsonv2.Unmarshal(record, &told); err != nil {
		return nil, err
	}
	id := string(o.Resources[0].ARN)
	if a, err := arn.Parse(id); err == nil {
		id = a.ID()
	}
	dst, _ := jsontext.AppendQuote([]byte(`{"key-id":`), id)
	for _, m := range kmsDetails[string(o.EventName)] {
		if value := told.ServiceEventDetails[m[1]]; value != "" {
			dst = append(append(append(dst, `,"`...), m[0]...), `":`...)
			dst, _ = jsontext.AppendQuote(dst, value)
		}
	}
	return append(dst, '}'), nil
}
