package call

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"vigil"
	"vigil/internal/journal"
)

// ServiceEvent is something that Vigil did by itself, such as destroying a key whose waiting period has ended: CloudTrail's
// AwsServiceEvent.
type ServiceEvent struct {
	Source    string // kms.amazonaws.com
	Name      string // DeleteKey
	Region    string
	Account   string
	Time      time.Time
	Resources []vigil.Resource
	Details   []Detail // serviceEventDetails
}

// Detail is a member of a service event's details. They are written in the order in which they are given.
type Detail struct{ Name, Value string }

// Record is the event's entry for the journal.
func (e ServiceEvent) Record() journal.Record {
	r := e.CloudTrail()
	return journal.Record{Time: e.Time, Data: r.AppendJSON(nil)}
}

// CloudTrail is the event as a record, with an id of its own each time.
func (e ServiceEvent) CloudTrail() vigil.Record {
	const internal = "AWS Internal" // as AWS names itself in such records
	var details []pair
	for _, d := range e.Details {
		details = append(details, pair{name: d.Name, value: d.Value})
	}
	return vigil.Record{
		EventVersion:        vigil.RecordVersion,
		UserIdentity:        vigil.UserIdentity{AccountID: e.Account, InvokedBy: internal},
		EventTime:           e.Time,
		EventSource:         e.Source,
		EventName:           e.Name,
		AWSRegion:           e.Region,
		SourceIPAddress:     internal,
		UserAgent:           internal,
		EventID:             NewEventID(e.Time),
		Resources:           e.Resources,
		EventType:           vigil.AwsServiceEvent,
		ManagementEvent:     true,
		RecipientAccountID:  e.Account,
		ServiceEventDetails: object(details),
		EventCategory:       vigil.CategoryManagement,
	}
}

// NewEventID makes the id of an event: a UUID of version 7, which begins with the event's time, so that the event can be
// found by its id without an index over ids.
func NewEventID(at time.Time) string {
	id := uuid.New()
	ms := at.UnixMilli()
	for i := 0; i < 6; i++ {
		id[i] = byte(ms >> (40 - 8*i))
	}
	id[6] = id[6]&0x0f | 0x70
	return id.String()
}

// object is a JSON object of the pairs, or nil when there are none.
func object(pairs []pair) []byte {
	if len(pairs) == 0 {
		return nil
	}
	dst := append(make([]byte, 0, 128), '{')
	for i, p := range pairs {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst, _ = jsontext.AppendQuote(dst, p.name)
		dst = append(dst, ':')
		if p.members != nil {
			dst = append(dst, object(p.members)...)
			continue
		}
		dst, _ = jsontext.AppendQuote(dst, p.value)
	}
	return append(dst, '}')
}
