package logs

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"vigil/internal/call"
	"vigil/internal/store"
)

// The limits of PutLogEvents, from its reference. A batch has no more than 10,000 events, which the model says.
const (
	maxBatch      = 1 << 20 // bytes of messages, with eventOverhead for each
	maxEvent      = 1 << 20 // bytes, with its overhead
	eventOverhead = 26
	maxBatchSpan  = 24 * time.Hour
	maxAge        = 14 * 24 * time.Hour
	maxAhead      = 2 * time.Hour
)

// PutLogEvents puts events into a stream that exists. It returns when they are durable. Those that are too old, too new or past the
// group's retention are left out, and the answer says which. Entities are not
// kept, which the answer says too.
func (l *Logs) PutLogEvents(ctx context.Context, c *call.Call, in *cloudwatchlogs.PutLogEventsInput) (*cloudwatchlogs.PutLogEventsOutput, error) {
	g, err := l.ownStream(c, "PutLogEvents", in.LogGroupName, *in.LogStreamName)
	if err != nil {
		return nil, err
	}
	if err := checkBatch(in.LogEvents); err != nil {
		return nil, err
	}
	good, rejected := sift(in.LogEvents, l.clock.Now(), g)
	if err := checkSpan(good); err != nil {
		return nil, err
	}
	if len(good) == 0 { // nothing to write, but the stream has to exist all the same
		_, err = l.existing(ctx, g, *in.LogStreamName)
	} else {
		err = l.watch.Update(ctx, func(tx store.Tx) error {
			return l.ingest(tx, g.LogGroupID, *in.LogStreamName, eventsOf(good), false)
		})
	}
	if err != nil {
		return nil, err
	}
	out := &cloudwatchlogs.PutLogEventsOutput{NextSequenceToken: sequenceToken(toMillis(c.Time)), RejectedLogEventsInfo: rejected}
	if in.Entity != nil { // as where AWS keeps none: the events are taken, the entity is not
		out.RejectedEntityInfo = &types.RejectedEntityInfo{ErrorType: types.EntityRejectionErrorTypeUnsupportedLogGroupType}
	}
	return out, nil
}

func checkBatch(events []types.InputLogEvent) error {
	size := 0
	for i, e := range events {
		n := len(*e.Message) + eventOverhead
		if n > maxEvent {
			return invalid("Log event too large: %d bytes exceeds limit of %d", n, maxEvent)
		}
		size += n
		if i > 0 && *e.Timestamp < *events[i-1].Timestamp {
			return invalid("Log events in a single PutLogEvents request must be in chronological order.")
		}
	}
	if size > maxBatch {
		return invalid("Upload too large: %d bytes exceeds limit of %d", size, maxBatch)
	}
	return nil
}

// checkSpan is about valid events only, as the reference says.
func checkSpan(events []types.InputLogEvent) error {
	if len(events) > 0 && *events[len(events)-1].Timestamp-*events[0].Timestamp > maxBatchSpan.Milliseconds() {
		return invalid("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
	}
	return nil
}

// sift leaves out the events that are too old or too new. The indexes in what it says of them are those at which the good events
// begin and end.
func sift(events []types.InputLogEvent, now time.Time, g *group) (good []types.InputLogEvent, rejected *types.RejectedLogEventsInfo) {
	oldest, newest := toMillis(now.Add(-maxAge)), toMillis(now.Add(maxAhead))
	expired := g.oldest(now)
	from, tooOld, to := 0, 0, len(events)
	for tooOld < to && *events[tooOld].Timestamp < oldest {
		tooOld++
	}
	for from = tooOld; from < to && *events[from].Timestamp < expired; from++ {
	}
	for to > from && *events[to-1].Timestamp > newest {
		to--
	}
	info := types.RejectedLogEventsInfo{}
	if tooOld > 0 {
		info.TooOldLogEventEndIndex = new(int32(tooOld))
	}
	if from > tooOld {
		info.ExpiredLogEventEndIndex = new(int32(from))
	}
	if to < len(events) {
		info.TooNewLogEventStartIndex = new(int32(to))
	}
	if from > 0 || to < len(events) {
		rejected = &info
	}
	return events[from:to], rejected
}

func eventsOf(in []types.InputLogEvent) []Event {
	events := make([]Event, len(in))
	for i, e := range in {
		events[i] = Event{time.UnixMilli(*e.Timestamp), []byte(*e.Message)}
	}
	return events
}

// created is a stream in the main database, read on its own.
func (l *Logs) created(g *group, name string) (s *stream, err error) {
	// The transaction that asks is not this one's: its context is not at hand, and the look-up is of one row.
	err = l.db.View(context.Background(), func(tx store.Tx) (err error) {
		s, err = createdStream(tx, g.id, name)
		return err
	})
	if err != nil && !errors.Is(err, store.ErrNoRows) {
		return nil, err
	}
	return s, err
}
