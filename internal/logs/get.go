package logs

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"vigil/internal/call"
)

// The most that GetLogEvents and FilterLogEvents answer with at a time.
const (
	maxEvents      = 10_000
	maxEventsBytes = 1 << 20 // of messages, with eventOverhead for each
)

// GetLogEvents reads a stream, forwards or backwards, in pieces of at most 10,000 events or 1 MB. The events of a piece are always
// from the earliest to the latest. At the end of the stream the token is the one that was passed in: whoever asks with it again later
// gets the events that came in since, if their times are later than those that were read.
func (l *Logs) GetLogEvents(ctx context.Context, c *call.Call, in *cloudwatchlogs.GetLogEventsInput) (*cloudwatchlogs.GetLogEventsOutput, error) {
	id, err := identified(c, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	g, err := l.ownStream(c, "GetLogEvents", &id.Name, *in.LogStreamName)
	if err != nil {
		return nil, err
	}
	s := l.newScan(c, g, in.StartTime, in.EndTime)
	if in.EndTime != nil {
		s.high = *in.EndTime - 1 // not included
	}
	if s.from, s.forward, err = s.begin(in); err != nil {
		return nil, err
	}
	stream, err := l.existing(ctx, g, *in.LogStreamName)
	if err != nil {
		return nil, err
	}
	s.column, s.id = "stream_id", stream.id
	low := s.low
	events, next, _, err := s.run(ctx, limitOf(in.Limit), maxEventsBytes)
	if err != nil {
		return nil, err
	}

	before, behind := s.from, s.from // of a piece that is empty: at the end, the token that was passed in
	switch {
	case len(events) == 0 && in.NextToken == nil:
		before, behind = position{time: low}, position{time: low}
	case s.forward && len(events) > 0:
		before, behind = events[0].position, next
	case s.forward:
		behind = next
	case len(events) > 0:
		before, behind = next, events[0].position.next()
	default:
		before = next
	}
	out := &cloudwatchlogs.GetLogEventsOutput{
		Events: []types.OutputLogEvent{}, NextForwardToken: token(behind, true), NextBackwardToken: token(before, false),
	}
	if !s.forward {
		slices.Reverse(events)
	}
	for _, e := range events {
		out.Events = append(out.Events, types.OutputLogEvent{IngestionTime: new(e.ingested), Message: new(e.message), Timestamp: new(e.time)})
	}
	return out, nil
}

// begin is where a request begins to read, and in which direction. A token tells both; without one, it is an end of the range.
func (s *scan) begin(in *cloudwatchlogs.GetLogEventsInput) (from position, forward bool, err error) {
	switch {
	case in.NextToken != nil:
		return parseToken(*in.NextToken)
	case in.StartFromHead != nil && *in.StartFromHead:
		return position{time: s.low}, true, nil
	}
	return position{time: maxTime}, false, nil
}

// newScan is a scan of a range of times of a group, of which what is past the retention is not seen any more.
func (l *Logs) newScan(c *call.Call, g *group, start, end *int64) *scan {
	s := &scan{logs: l, reader: c.Principal, low: max(0, g.oldest(l.clock.Now())), high: maxTime}
	if start != nil {
		s.low = max(s.low, *start)
	}
	if end != nil {
		s.high = min(s.high, *end)
	}
	s.low = min(s.low, maxTime)
	return s
}

func limitOf(limit *int32) int {
	if limit == nil {
		return maxEvents
	}
	return min(int(*limit), maxEvents)
}
