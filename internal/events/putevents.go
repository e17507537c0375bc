package events

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"vigil/internal/call"
	"vigil/internal/store"
)

// maxEntries is the size of all entries of a PutEvents, and of an event, in bytes.
const maxEntries = 256 << 10

// PutEvents takes events of the caller's. It is answered when their targets have them, or the outbox does. An entry that is refused
// does not stop the others; a bus that does not exist has no rules.
func (e *Events) PutEvents(ctx context.Context, c *call.Call, in *eventbridge.PutEventsInput) (*eventbridge.PutEventsOutput, error) {
	if in.EndpointId != nil {
		return nil, call.NotBuilt("EndpointId")
	}
	size := 0
	for i := range in.Entries {
		size += entrySize(&in.Entries[i])
	}
	if size >= maxEntries {
		return nil, invalid("Total size of the entries in the request is over the limit.")
	}
	out := &eventbridge.PutEventsOutput{Entries: make([]types.PutEventsResultEntry, len(in.Entries))}
	type accepted struct {
		bus   busRef
		event passing
	}
	var events []accepted
	for i := range in.Entries {
		entry := &in.Entries[i]
		bus, err := e.ownBus(c, "events:PutEvents", entry.EventBusName)
		if err != nil {
			return nil, err
		}
		if code, message := refusal(entry); code != "" {
			out.Entries[i] = types.PutEventsResultEntry{ErrorCode: &code, ErrorMessage: &message}
			out.FailedEntryCount++
			continue
		}
		id := uuid.NewString()
		out.Entries[i].EventId = &id
		at := c.Time
		if entry.Time != nil {
			at = *entry.Time
		}
		event := appendEvent(nil, id, *entry.DetailType, *entry.Source, c.Account(), c.Region, at, entry.Resources, []byte(*entry.Detail))
		events = append(events, accepted{bus, passing{event: event, cause: Cause{EventID: id}}})
	}
	if len(events) == 0 {
		return out, nil
	}
	return out, e.watch.Update(ctx, func(tx store.Tx) error {
		r := e.newRound(tx)
		for i := range events {
			if err := r.route(events[i].bus, &events[i].event); err != nil {
				return err
			}
		}
		return r.flush()
	})
}

// entrySize is an entry's size as EventBridge counts it (User Guide, "Calculating Amazon EventBridge PutEvents event entry size").
func entrySize(entry *types.PutEventsRequestEntry) int {
	size := len(text(entry.Source)) + len(text(entry.DetailType)) + len(text(entry.Detail))
	if entry.Time != nil {
		size += 14
	}
	for _, r := range entry.Resources {
		size += len(r)
	}
	return size
}

// refusal says why an entry is not taken.
func refusal(entry *types.PutEventsRequestEntry) (code, message string) {
	for _, m := range []struct{ name, value string }{
		{"Source", text(entry.Source)}, {"DetailType", text(entry.DetailType)}, {"Detail", text(entry.Detail)},
	} {
		if m.value == "" {
			return "InvalidArgument", "Parameter " + m.name + " is not valid. Reason: " + m.name + " is a required argument."
		}
	}
	switch {
	case utf8.RuneCountInString(*entry.DetailType) > 128:
		return "InvalidArgument", "Parameter DetailType is not valid. Reason: DetailType has more than 128 characters."
	case strings.HasPrefix(*entry.Source, "aws."):
		return "NotAuthorizedForSourceException", "Not authorized for the source."
	case jsontext.Value(*entry.Detail).Kind() != '{' || !jsontext.Value(*entry.Detail).IsValid():
		return "MalformedDetail", "Detail is malformed."
	}
	return "", ""
}

// appendEvent appends an event as it is delivered. detail is a JSON object.
func appendEvent(dst []byte, id, detailType, source, account, region string, at time.Time, resources []string, detail []byte) []byte {
	member := func(name, value string) {
		dst = append(dst, name...)
		dst, _ = jsontext.AppendQuote(dst, value) // its error only reports replaced bytes
	}
	member(`{"version":"0","id":`, id)
	member(`,"detail-type":`, detailType)
	member(`,"source":`, source)
	member(`,"account":`, account)
	dst = at.UTC().AppendFormat(append(dst, `,"time":"`...), "2006-01-02T15:04:05Z")
	member(`","region":`, region)
	dst = append(dst, `,"resources":[`...)
	for i, r := range resources {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst, _ = jsontext.AppendQuote(dst, r)
	}
	dst = append(dst, `],"detail":`...)
	return append(append(dst, detail...), '}')
}
