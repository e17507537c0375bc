package trail

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"

	"vigil"
	"vigil/internal/call"
	"vigil/internal/journal"
	"vigil/internal/policy"
)

const (
	window     = 90 * 24 * time.Hour // how far back the event history goes
	maxResults = 50
	maxValue   = 2000 // characters of an attribute's value
)

// patience is how long a look-up waits at most for what was appended before it to be followed. That takes some
// milliseconds, unless the disk is slow or the follower fails.
const patience = 5 * time.Second

// attributes are what events can be looked up by.
var attributes = map[types.LookupAttributeKey]kind{
	types.LookupAttributeKeyEventId:      eventID,
	types.LookupAttributeKeyEventName:    eventName,
	types.LookupAttributeKeyReadOnly:     readOnly,
	types.LookupAttributeKeyUsername:     username,
	types.LookupAttributeKeyResourceType: resourceType,
	types.LookupAttributeKeyResourceName: resourceName,
	types.LookupAttributeKeyEventSource:  eventSource,
	types.LookupAttributeKeyAccessKeyId:  accessKeyID,
}

// LookupEvents finds management events of the caller's account in the called region, newest first, as the CloudTrail
// API reference describes it. It sees all that was answered before it was called; should the history lag by more than
// five seconds, it answers with what there is.
//
// The last 90 days are looked through, as in AWS. A StartTime reaches further back than that, which it does not in AWS: as far as the journal has
// records. So what was imported can be found, which is mostly older.
//
// Times are judged by eventTime and in whole seconds, as that has no fractions: an event of the second in which
// StartTime or EndTime lies is in the range. There is no limit to the rate of calls. Insights events
// are found in their own category alone.
func (t *Trail) LookupEvents(ctx context.Context, c *call.Call, in *cloudtrail.LookupEventsInput) (*cloudtrail.LookupEventsOutput, error) {
	if err := c.Allow("cloudtrail:LookupEvents", policy.Resource{ARN: "*", Account: c.Account()}, nil); err != nil {
		return nil, err
	}
	q, err := t.queryOf(c, in)
	if err != nil {
		return nil, err
	}
	after := beginning
	if in.NextToken != nil {
		var ok bool
		if after, ok = readToken(c, in); !ok {
			return nil, call.Errorf("InvalidNextTokenException", "The token is not valid, or was given for a request with other parameters.")
		}
	}
	// One more than is answered, to know whether there is more.
	limit := int(aws.ToInt32(in.MaxResults))
	if in.MaxResults == nil {
		limit = maxResults
	}
	var found []found
	var walked position
	if in.EventCategory == types.EventCategoryInsight {
		found, err = t.lookupInsights(ctx, q, after, limit+1)
	} else if err = t.wait(ctx); err == nil {
		found, walked, err = t.find(ctx, q, after, limit+1)
	}
	if err != nil {
		return nil, err
	}
	out := &cloudtrail.LookupEventsOutput{Events: make([]types.Event, 0, limit)}
	if len(found) > limit {
		more := found[limit].hit
		found = found[:limit]
		next := position{last: found[limit-1].hit, walk: max(walked.walk, more.seq+1)}
		out.NextToken = writeToken(c, in, next)
	}
	for _, e := range found {
		out.Events = append(out.Events, e.event)
	}
	return out, nil
}

// queryOf checks the parameters and makes the query of them.
func (t *Trail) queryOf(c *call.Call, in *cloudtrail.LookupEventsInput) (query, error) {
	q := query{
		scope: scope{account: c.Account(), region: c.Region},
		from:  t.clock.Now().Add(-window).Unix(),
		to:    maxSecond,
	}
	if in.MaxResults != nil && (*in.MaxResults < 1 || *in.MaxResults > maxResults) {
		return q, call.Errorf("InvalidMaxResultsException", "A max results value of %d is invalid. Specify max results between 1 and %d.", *in.MaxResults, maxResults)
	}
	if in.EventCategory != "" && in.EventCategory != types.EventCategoryInsight {
		return q, call.Errorf("InvalidEventCategoryException", "The event category is not valid. The only valid value is insight.")
	}

	if in.StartTime != nil && in.EndTime != nil && in.StartTime.After(*in.EndTime) {
		return q, call.Errorf("InvalidTimeRangeException", "StartTime must not be after EndTime.")
	}
	if in.StartTime != nil {
		q.from = max(min(in.StartTime.Unix(), maxSecond), -maxSecond)
	}
	if in.EndTime != nil {
		q.to = max(min(q.to, in.EndTime.Unix()), -maxSecond)
	}

	switch len(in.LookupAttributes) {
	case 0:
		return q, nil
	case 1:
	default:
		return q, call.Errorf("InvalidLookupAttributesException", "Only one lookup attribute can be given.")
	}
	a := in.LookupAttributes[0]
	k, ok := attributes[a.AttributeKey]
	if !ok {
		return q, call.Errorf("InvalidLookupAttributesException", "The lookup attribute key is not valid.")
	}
	if in.EventCategory == types.EventCategoryInsight && k != eventID && k != eventName && k != eventSource {
		return q, call.Errorf("InvalidLookupAttributesException", "Insights events cannot be looked up by %s.", a.AttributeKey)
	}
	q.kind, q.value = k, aws.ToString(a.AttributeValue)
	if n := len([]rune(q.value)); n < 1 || n > maxValue {
		return q, call.Errorf("InvalidLookupAttributesException", "The value of a lookup attribute must have 1 to %d characters.", maxValue)
	}
	if k == readOnly && q.value != "true" && q.value != "false" {
		return q, call.Errorf("InvalidLookupAttributesException", "The value of ReadOnly must be true or false.")
	}
	return q, nil
}

// wait lets the history catch up with what was appended before, within the trail's patience.
func (t *Trail) wait(ctx context.Context) error {
	waiting, cancel := context.WithTimeout(ctx, t.patience)
	defer cancel()
	_ = t.journal.Wait(waiting, follower) // an old answer is better than none
	return ctx.Err()
}

// found is an event that was looked for.
type found struct {
	hit   hit
	event types.Event
}

// find returns the first n events of q behind a position, and how far it has walked for them.
func (t *Trail) find(ctx context.Context, q query, after position, n int) (events []found, walked position, err error) {
	var r vigil.OutlineReader
	for done := false; !done && len(events) < n; {
		var hits []hit
		if hits, after, done, err = t.search(ctx, q, after, n-len(events)); err != nil {
			return nil, after, err
		}
		seqs := make([]int64, len(hits))
		for i, h := range hits {
			seqs[i] = h.seq
		}
		entries, err := t.journal.Get(ctx, seqs)
		if err != nil {
			return nil, after, err
		}
		for _, e := range entries {
			if event, second, ok := eventOf(&r, e, q); ok {
				events = append(events, found{hit{second, e.Seq}, event})
			}
		}
	}
	return events, after, nil
}

// eventOf is LookupEvents' form of a record, if that is an event that q looks for.
func eventOf(r *vigil.OutlineReader, e journal.Entry, q query) (event types.Event, second int64, ok bool) {
	var f facts
	if err := r.Read(e.Data, &f.Outline); err != nil || !f.management() ||
		string(f.Account) != q.scope.account || string(f.Region) != q.scope.region || !f.is(q.kind, q.value) {
		return types.Event{}, 0, false
	}
	event = types.Event{
		EventId:         text(f.EventID),
		EventName:       text(f.EventName),
		EventSource:     text(f.EventSource),
		EventTime:       aws.Time(time.Unix(f.Second, 0).UTC()),
		ReadOnly:        aws.String(f.readOnlyText()),
		AccessKeyId:     text(f.AccessKeyID),
		Username:        text(f.Username),
		Resources:       make([]types.Resource, 0, len(f.Resources)),
		CloudTrailEvent: aws.String(string(e.Data)),
	}
	for _, one := range f.Resources {
		event.Resources = append(event.Resources, types.Resource{ResourceType: text(one.Type), ResourceName: text(one.ARN)})
	}
	return event, f.Second, true
}

// text is nil for what the record does not say.
func text(b []byte) *string {
	if len(b) == 0 {
		return nil
	}
	return aws.String(string(b))
}
