package logs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"vigil/internal/call"
	"vigil/internal/paging"
	"vigil/internal/store"
)

// stream is a log stream. One that was created by a call is in the main database, one that has had events in the watch database,
// most in both. Its times are 0 before its first event.
type stream struct {
	name                  string
	id                    int64
	created               int64
	first, last, ingested int64
}

// CreateLogStream makes a stream in a log group.
func (l *Logs) CreateLogStream(ctx context.Context, c *call.Call, in *cloudwatchlogs.CreateLogStreamInput) (*cloudwatchlogs.CreateLogStreamOutput, error) {
	g, err := l.ownStream(c, "CreateLogStream", in.LogGroupName, *in.LogStreamName)
	if err != nil {
		return nil, err
	}
	name := *in.LogStreamName
	data, err := l.dataStream(ctx, g, name)
	if err != nil && !errors.Is(err, store.ErrNoRows) {
		return nil, err
	}
	c.Effect(func(tx store.Tx) error {
		if err := stillThere(tx, g); err != nil {
			return err
		}
		exists := data != nil && !l.isDeleted(data.id)
		if _, err := createdStream(tx, g.id, name); err == nil || exists {
			return call.Errorf("ResourceAlreadyExistsException", "The specified log stream already exists")
		} else if !errors.Is(err, store.ErrNoRows) {
			return err
		}
		id, err := nextID(tx)
		if err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO logs_stream (group_id, name, id, created) VALUES ($1, $2, $3, $4)`, g.id, name, id, toMillis(c.Time))
		return err
	})
	return &cloudwatchlogs.CreateLogStreamOutput{}, nil
}

// DeleteLogStream ends a stream with its events. They go in the background, and are not seen any more.
func (l *Logs) DeleteLogStream(ctx context.Context, c *call.Call, in *cloudwatchlogs.DeleteLogStreamInput) (*cloudwatchlogs.DeleteLogStreamOutput, error) {
	g, err := l.ownStream(c, "DeleteLogStream", in.LogGroupName, *in.LogStreamName)
	if err != nil {
		return nil, err
	}
	name := *in.LogStreamName
	data, err := l.dataStream(ctx, g, name)
	if err != nil && !errors.Is(err, store.ErrNoRows) {
		return nil, err
	}
	c.Effect(func(tx store.Tx) error {
		if err := stillThere(tx, g); err != nil {
			return err
		}
		ids := make([]int64, 0, 2)
		created, err := createdStream(tx, g.id, name)
		if err == nil {
			ids = append(ids, created.id)
		} else if !errors.Is(err, store.ErrNoRows) {
			return err
		}
		if data != nil && !slices.Contains(ids, data.id) && !l.isDeleted(data.id) {
			ids = append(ids, data.id)
		}
		if len(ids) == 0 {
			return noSuchStream()
		}
		if _, err := tx.Exec(`DELETE FROM logs_stream WHERE group_id = $1 AND name = $2`, g.id, name); err != nil {
			return err
		}
		for _, id := range ids {
			if _, err := tx.Exec(`INSERT INTO logs_deleted (group_id, stream_id) VALUES ($1, $2) ON CONFLICT (group_id, stream_id) DO NOTHING`, g.id, id); err != nil {
				return err
			}
		}
		tx.OnCommit(func() {
			l.setDeleted(ids, true)
			l.wakeSweep()
		})
		return nil
	})
	return &cloudwatchlogs.DeleteLogStreamOutput{}, nil
}

// DescribeLogStreams lists a group's streams, at most 50 at a time, by name or by the time of their last event, which of a stream
// without events comes before all others. storedBytes is 0, as it is in AWS since 2019.
func (l *Logs) DescribeLogStreams(ctx context.Context, c *call.Call, in *cloudwatchlogs.DescribeLogStreamsInput) (*cloudwatchlogs.DescribeLogStreamsOutput, error) {
	id, err := identified(c, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	g, err := l.own(c, "DescribeLogStreams", &id.Name)
	if err != nil {
		return nil, err
	}
	byTime, descending := in.OrderBy == types.OrderByLastEventTime, in.Descending != nil && *in.Descending
	if byTime && in.LogStreamNamePrefix != nil {
		return nil, invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
	}
	page := newListPage(in.Limit, c, fmt.Sprint(g.id, byTime, descending), deref(in.LogStreamNamePrefix))
	after, err := pageAfter(page, in.NextToken)
	if err != nil {
		return nil, err
	}
	streams, err := l.streams(ctx, g, deref(in.LogStreamNamePrefix))
	if err != nil {
		return nil, err
	}

	order := func(s stream) string { return s.name }
	if byTime {
		order = func(s stream) string { return fmt.Sprintf("%016x %s", s.last, s.name) }
	}
	direction := 1
	if descending {
		direction = -1
	}
	streams = slices.DeleteFunc(streams, func(s stream) bool {
		return in.NextToken != nil && direction*cmp.Compare(order(s), after) <= 0
	})
	slices.SortFunc(streams, func(a, b stream) int { return direction * cmp.Compare(order(a), order(b)) })
	streams, next := paging.Cut(page, streams, order)

	out := &cloudwatchlogs.DescribeLogStreamsOutput{LogStreams: []types.LogStream{}, NextToken: next}
	for _, s := range streams {
		shown := types.LogStream{
			Arn: new(g.streamARN(s.name)), LogStreamName: new(s.name), CreationTime: new(s.created),
		}
		//lint:ignore SA1019 AWS still answers with it.
		shown.StoredBytes = new(int64(0))
		if s.ingested > 0 {
			shown.FirstEventTimestamp, shown.LastEventTimestamp, shown.LastIngestionTime = new(s.first), new(s.last), new(s.ingested)
			shown.UploadSequenceToken = sequenceToken(s.ingested)
		}
		out.LogStreams = append(out.LogStreams, shown)
	}
	return out, nil
}

// sequenceToken is a token that nothing depends on any more, in AWS's form.
func sequenceToken(n int64) *string { return new(fmt.Sprintf("49%054d", n)) }

// ownStream is the group of a stream of the caller's, if the caller may perform the action on the stream.
func (l *Logs) ownStream(c *call.Call, action string, groupName *string, name string) (*group, error) {
	id := LogGroupID{c.Account(), c.Region, *groupName}
	c.Touch(groupType, id.arn())
	if err := c.Allow("logs:"+action, id.streamResource(name), nil); err != nil {
		return nil, err
	}
	return l.find(id)
}

// streams are all of a group's whose names have a prefix.
func (l *Logs) streams(ctx context.Context, g *group, prefix string) ([]stream, error) {
	byName := map[string]stream{}
	err := l.db.View(ctx, func(tx store.Tx) error {
		created, err := store.List(tx, func(row store.Scanner) (s stream, err error) {
			err = row.Scan(&s.name, &s.id, &s.created)
			return s, err
		}, `SELECT name, id, created FROM logs_stream WHERE group_id = $1 AND name >= $2`, g.id, prefix)
		for _, s := range created {
			byName[s.name] = s
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	err = l.watch.View(ctx, func(tx store.Tx) error {
		data, err := store.List(tx, scanDataStream, `SELECT name, id, created, first, last, ingested FROM logs_data_stream WHERE group_id = $1 AND name >= $2`, g.id, prefix)
		for _, s := range data {
			if !l.isDeleted(s.id) {
				byName[s.name] = s
			}
		}
		return err
	})
	var found []stream
	for name, s := range byName {
		if strings.HasPrefix(name, prefix) {
			found = append(found, s)
		}
	}
	return found, err
}

// createdStream is a stream in the main database. Its error is store.ErrNoRows when there is none.
func createdStream(tx store.Tx, groupID int64, name string) (*stream, error) {
	s := &stream{name: name}
	err := tx.QueryRow(`SELECT id, created FROM logs_stream WHERE group_id = $1 AND name = $2`, groupID, name).Scan(&s.id, &s.created)
	return s, err
}

func (l *Logs) dataStream(ctx context.Context, g *group, name string) (found *stream, err error) {
	err = l.watch.View(ctx, func(tx store.Tx) (err error) {
		found, err = l.dataStreamIn(tx, g.id, name)
		return err
	})
	return found, err
}

// dataStreamIn is a stream in the watch database. Its error is store.ErrNoRows when there is none, or only one that was deleted.
func (l *Logs) dataStreamIn(tx store.Tx, groupID int64, name string) (*stream, error) {
	s, err := scanDataStream(tx.QueryRow(`SELECT name, id, created, first, last, ingested FROM logs_data_stream WHERE group_id = $1 AND name = $2`, groupID, name))
	if err != nil {
		return nil, err
	}
	if l.isDeleted(s.id) {
		return nil, store.ErrNoRows
	}
	return &s, nil
}

func scanDataStream(row store.Scanner) (s stream, err error) {
	err = row.Scan(&s.name, &s.id, &s.created, &s.first, &s.last, &s.ingested)
	return s, err
}

// existing is a stream that exists, with or without events.
func (l *Logs) existing(ctx context.Context, g *group, name string) (*stream, error) {
	s, err := l.dataStream(ctx, g, name)
	if errors.Is(err, store.ErrNoRows) {
		err = l.db.View(ctx, func(tx store.Tx) (err error) {
			s, err = createdStream(tx, g.id, name)
			return err
		})
	}
	if errors.Is(err, store.ErrNoRows) {
		return nil, noSuchStream()
	}
	return s, err
}

func (l *Logs) isDeleted(id int64) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.deleted[id]
}

func (l *Logs) setDeleted(ids []int64, deleted bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		if deleted {
			l.deleted[id] = true
		} else {
			delete(l.deleted, id)
		}
	}
}
