package logs

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"vigil/internal/call"
	"vigil/internal/paging"
	"vigil/internal/policy"
	"vigil/internal/query"
	"vigil/internal/store"
)

// FilterLogEvents finds the events of a group, or of some of its streams, that match a filter pattern, in the order of their times.
// It answers with at most 10,000 events or 1 MB, and looks at no more than 2 GiB of messages at a time: an answer may have no events
// and yet a token to go on with. Pages that cannot have what the pattern needs are passed over unread.
func (l *Logs) FilterLogEvents(ctx context.Context, c *call.Call, in *cloudwatchlogs.FilterLogEventsInput) (*cloudwatchlogs.FilterLogEventsOutput, error) {
	id, err := identified(c, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	c.Touch(groupType, id.arn())
	if err := c.Allow("logs:FilterLogEvents", policy.Resource{ARN: id.streamARN("*"), Account: id.Account}, nil); err != nil {
		return nil, err
	}
	g, err := l.find(id)
	if err != nil {
		return nil, err
	}
	if len(in.LogStreamNames) > 0 && in.LogStreamNamePrefix != nil {
		return nil, invalid("logStreamNames and logStreamNamePrefix are mutually exclusive parameters.")
	}
	s := l.newScan(c, g, in.StartTime, in.EndTime)
	s.column, s.id = "group_id", g.id
	if s.filter, err = searchPattern(in.FilterPattern); err != nil {
		return nil, err
	}
	names := &streamNames{logs: l, group: g, names: map[int64]string{}}
	if err := names.choose(ctx, in.LogStreamNames, in.LogStreamNamePrefix); err != nil {
		return nil, err
	}
	s.stream = names.wants
	search := searchList(in, g)
	if s.from, s.forward, err = beginSearch(search, in, s.low); err != nil {
		return nil, err
	}
	events, next, end, err := s.run(ctx, limitOf(in.Limit), maxEventsBytes)
	if err != nil {
		return nil, err
	}

	out := &cloudwatchlogs.FilterLogEventsOutput{Events: []types.FilteredLogEvent{}, SearchedLogStreams: []types.SearchedLogStream{}}
	for _, e := range events {
		out.Events = append(out.Events, types.FilteredLogEvent{
			EventId: new(e.position.String()), IngestionTime: new(e.ingested), LogStreamName: new(names.names[e.stream]),
			Message: new(e.message), Timestamp: new(e.time),
		})
	}
	if !end {
		out.NextToken = search.Token([]byte(*token(next, s.forward)))
	}
	return out, nil
}

// searchPattern is the pattern of a search. Without one, all events are found.
func searchPattern(text *string) (*query.Filter, error) {
	if text == nil || strings.TrimSpace(*text) == "" {
		return nil, nil
	}
	f, err := query.ParseFilter(*text)
	if err != nil {
		return nil, badPattern(err, "Invalid filter pattern")
	}
	return f, nil
}

// badPattern is what AWS says of a pattern, or otherwise when it says nothing in particular.
func badPattern(err error, otherwise string) error {
	var syntax *query.SyntaxError
	if errors.As(err, &syntax) && syntax.Detail != "" {
		return invalid("%s", syntax.Detail)
	}
	return invalid("%s", otherwise)
}

// streamNames knows the streams of a group by their ids, and which of them are searched.
type streamNames struct {
	logs   *Logs
	group  *group
	names  map[int64]string // as far as they were needed; empty for a stream that is not searched
	prefix string
	only   bool // those in names, and no others
}

// choose takes the streams that a request names. All of them have to exist.
func (n *streamNames) choose(ctx context.Context, names []string, prefix *string) error {
	n.prefix = deref(prefix)
	n.only = len(names) > 0
	for _, name := range names {
		s, err := n.logs.existing(ctx, n.group, name)
		if err != nil {
			return err
		}
		n.names[s.id] = name
	}
	return nil
}

// wants says whether events of a stream are searched. Those of a stream that was deleted are not.
func (n *streamNames) wants(tx store.Tx, id int64) (bool, error) {
	name, known := n.names[id]
	if known || n.only {
		return name != "", nil
	}
	err := tx.QueryRow(`SELECT name FROM logs_data_stream WHERE id = $1`, id).Scan(&name)
	if err != nil && !errors.Is(err, store.ErrNoRows) {
		return false, err
	}
	if err != nil || n.logs.isDeleted(id) || !strings.HasPrefix(name, n.prefix) {
		name = ""
	}
	n.names[id] = name
	return name != "", nil
}

// searchList tells searches apart. The token of one has its direction and where it goes on.
func searchList(in *cloudwatchlogs.FilterLogEventsInput, g *group) paging.List {
	return paging.Of(g.arn().String(), deref(in.FilterPattern), strings.Join(in.LogStreamNames, ":"), deref(in.LogStreamNamePrefix))
}

// backFrom is the earliest start of the range of a search that goes back.
var backFrom = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// beginSearch is where a search begins, and in which direction. A token tells both.
func beginSearch(search paging.List, in *cloudwatchlogs.FilterLogEventsInput, low int64) (from position, forward bool, err error) {
	if in.NextToken != nil {
		place, ok := search.Place(*in.NextToken)
		if !ok {
			return position{}, false, badToken()
		}
		return parseToken(string(place))
	}
	if in.StartFromHead == nil || *in.StartFromHead {
		return position{time: low}, true, nil
	}
	if in.StartTime == nil || *in.StartTime < toMillis(backFrom) {
		return position{}, false, invalid("startFromHead can only be false if startTime is on or after %s.", backFrom.Format(time.RFC3339))
	}
	return position{time: maxTime}, false, nil
}
