package logs

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"vigil"
	"vigil/internal/store"
)

// Event is a log event on its way in.
type Event struct {
	Time    time.Time // to the millisecond
	Message []byte
}

// pageSpan is the most time that the events of a page span, so that a look-up by time need not look further back. It never grows.
const pageSpan = time.Hour

// pageEvents is the most events of a page.
const pageEvents = 4096

// Ingest puts events into a stream of a log group, which it makes if there is none, in a transaction of the watch database. The
// events may come in any order, and their age does not matter. What the group's metric filters measure is put in the same
// transaction. It fails with ResourceNotFoundException, a *call.Error, when there is no such group.
func (l *Logs) Ingest(tx store.Tx, group LogGroupID, stream string, events []Event) error {
	return l.ingest(tx, group, stream, events, true)
}

func (l *Logs) ingest(tx store.Tx, id LogGroupID, streamName string, events []Event, create bool) error {
	g, err := l.find(id) // in the transaction: what was deleted before it began is removed after it
	if err != nil {
		return err
	}
	if len(events) == 0 {
		return nil
	}
	if !slices.IsSortedFunc(events, inTime) {
		events = slices.Clone(events)
		slices.SortStableFunc(events, inTime)
	}
	now := toMillis(l.clock.Now())
	s, err := l.streamFor(tx, g, streamName, events, now, create)
	if err != nil {
		return err
	}
	if err := l.putPages(tx, g, s, events, now); err != nil {
		return err
	}
	return l.measure(tx, g, events, now)
}

func inTime(a, b Event) int { return cmp.Compare(toMillis(a.Time), toMillis(b.Time)) }

// streamFor is the id of the stream that the events go into, whose row tells of them then.
func (l *Logs) streamFor(tx store.Tx, g *group, name string, events []Event, now int64, create bool) (id int64, err error) {
	first, last := toMillis(events[0].Time), toMillis(events[len(events)-1].Time)
	s, err := l.dataStreamIn(tx, g.id, name)
	if err == nil {
		if s.ingested > 0 {
			first, last = min(first, s.first), max(last, s.last)
		}
		_, err = tx.Exec(`UPDATE logs_data_stream SET first = $1, last = $2, ingested = $3 WHERE group_id = $4 AND name = $5`, first, last, now, g.id, name)
		return s.id, err
	}
	if !errors.Is(err, store.ErrNoRows) {
		return 0, err
	}

	// Its first events, or the first since it was deleted.
	s, err = l.created(g, name)
	if errors.Is(err, store.ErrNoRows) {
		if !create {
			return 0, noSuchStream()
		}
		s = &stream{created: now}
		err = tx.QueryRow(`UPDATE logs_data_next SET stream = stream + 2 WHERE one = 1 RETURNING stream`).Scan(&s.id)
	}
	if err != nil {
		return 0, err
	}
	_, err = tx.Exec(`INSERT INTO logs_data_stream (group_id, name, id, created, first, last, ingested) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (group_id, name) DO UPDATE SET id = excluded.id, created = excluded.created, first = excluded.first, last = excluded.last, ingested = excluded.ingested`,
		g.id, name, s.id, s.created, first, last, now)
	return s.id, err
}

// writer is what making pages needs, kept for the next time.
type writer struct {
	page  vigil.PageWriter
	words wordSet
}

var writers = sync.Pool{New: func() any { return new(writer) }}

// putPages writes events, which are in order, as pages.
func (l *Logs) putPages(tx store.Tx, g *group, streamID int64, events []Event, now int64) error {
	cuts := l.cuts(events)
	var id int64 // of the last page
	if err := tx.QueryRow(`UPDATE logs_data_next SET page = page + $1 WHERE one = 1 RETURNING page`, len(cuts)).Scan(&id); err != nil {
		return err
	}
	id -= int64(len(cuts))
	w := writers.Get().(*writer)
	defer writers.Put(w)
	total, from := 0, 0
	for _, to := range cuts {
		id++
		size, err := w.put(tx, pageRef{id: id, group: g.id, stream: streamID, ingested: now}, events[from:to], g.key)
		if err != nil {
			return err
		}
		total += size
		from = to
	}
	_, err := tx.Exec(`INSERT INTO logs_data_group (group_id, bytes) VALUES ($1, $2)
		ON CONFLICT (group_id) DO UPDATE SET bytes = logs_data_group.bytes + excluded.bytes`, g.id, total)
	return err
}

// cuts says where the pages of events end.
func (l *Logs) cuts(events []Event) (ends []int) {
	from, size := 0, 0
	for i, e := range events {
		if i > from && (size+len(e.Message) > l.limit.pageSize || i-from == pageEvents || e.Time.Sub(events[from].Time) >= pageSpan) {
			ends = append(ends, i)
			from, size = i, 0
		}
		size += len(e.Message)
	}
	return append(ends, len(events))
}

// put writes one page, and returns how many bytes of messages are in it. With a key it is encrypted, and its words, which tell what is in it,
// are not kept.
func (w *writer) put(tx store.Tx, p pageRef, events []Event, key *groupKey) (int, error) {
	w.page.Reset()
	w.words.reset()
	for _, e := range events {
		w.page.Add(e.Time, e.Message)
		if key == nil {
			w.words.add(e.Message)
		}
	}
	if w.page.Size() >= vigil.MaxPageSize {
		return 0, fmt.Errorf("logs: a message of %d bytes is too long", w.page.Size())
	}
	p.first, p.last = w.page.Times()
	words, body, keyID := []byte{}, w.page.Encode(), int64(0)
	if key == nil {
		words = w.words.encode()
	} else {
		sealed, err := key.seal(p.id, body)
		if err != nil {
			return 0, err
		}
		body, keyID = sealed, key.id
	}
	_, err := tx.Exec(`INSERT INTO logs_page (id, group_id, stream_id, first, last, ingested, count, size, words) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		p.id, p.group, p.stream, p.first, p.last, p.ingested, len(events), w.page.Size(), words)
	if err != nil {
		return 0, err
	}
	_, err = tx.Exec(`INSERT INTO logs_body (id, body, key_id) VALUES ($1, $2, $3)`, p.id, body, keyID)
	return w.page.Size(), err
}
