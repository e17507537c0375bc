package trail

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sort"

	"vigil/internal/store"
)

// The order of events is that of their eventTime, which has whole seconds, and within a second that of the journal; the
// newest comes first. The journal's own order is nearly the same, but not quite, as a call has the time at which it
// began and its place by when it was recorded. So a search walks the journal's order backwards and stops when nothing
// that is left can come before what it has found.
//
// Where old records were imported the two orders have little in common: behind the newest record in the journal there may be newer ones. A walk
// that has met many records and has not come to an end begins again, and goes by the spans of the timeline, the newest first (walkByTime).

// query is what to look for.
type query struct {
	scope    scope
	kind     kind
	value    string
	from, to int64 // seconds since 1970, both included, not beyond maxSecond
}

// maxSecond is later than any event, and small enough to reckon with in milliseconds.
const maxSecond = math.MaxInt64 / 2000

// hit is a record that may be what was looked for: its terms and its time are right, but terms are hashes.
type hit struct{ second, seq int64 }

// before says that the event h is newer than the event g.
func (h hit) before(g hit) bool {
	return h.second > g.second || h.second == g.second && h.seq > g.seq
}

// position is how far a look-up has come.
type position struct {
	last hit   // all events up to this one have been answered
	walk int64 // the others are among the records before this index
}

// beginning is the position of a new look-up.
var beginning = position{last: hit{second: math.MaxInt64, seq: math.MaxInt64}, walk: math.MaxInt64}

// search returns the first n hits behind the position after, and the position behind them. done says that there are no
// more.
func (t *Trail) search(ctx context.Context, q query, after position, n int) (hits []hit, next position, done bool, err error) {
	t.mu.RLock()
	tail := t.tail.view(q.scope, q.kind, q.value)
	t.mu.RUnlock()

	err = t.db.View(ctx, func(tx store.Tx) error {
		end, _, err := indexed(tx)
		if err != nil {
			return err
		}
		if end < tail.span.first {
			return fmt.Errorf("%w: it ends at record %d, not at %d", errDamaged, end, tail.span.first)
		}
		times := &timeline{tx: tx, tail: tail.span.from(end), end: end}
		floor, err := firstIndexed(tx, end)
		if err != nil {
			return err
		}
		ofTerm := &termRecords{tx: tx, term: t.term(q.scope, q.kind, q.value), tail: tail, end: end}
		w := newWalk(q, after, n)
		w.floor = floor
		if q.kind == eventID {
			inIndex, err := t.eventRecords(tx, q.value, tail.events)
			if err != nil {
				return err
			}
			var records candidates = either{ofTerm, inIndex}
			if at, ok := idTime([]byte(q.value)); ok {
				records = either{records, &momentRecords{times: times, at: at}}
			}
			if err := w.run(times, records); err != nil {
				return err
			}
			hits, next, done = w.best, w.position(), w.left < 0
			return nil
		}
		w.patience = t.walkPatience
		if err := w.run(times, ofTerm); err != nil {
			return err
		}
		hits, next, done = w.best, w.position(), w.left < 0
		if !w.givenUp {
			return nil
		}
		w = newWalk(q, after, n)
		if done, err = w.runByTime(times, ofTerm); err != nil {
			return err
		}
		hits, next = w.best, position{last: w.position().last, walk: math.MaxInt64}
		return nil
	})
	return hits, next, done, err
}

// walk finds the first n hits of a query behind a position.
type walk struct {
	query query
	after position
	floor int64 // the records before it were dropped
	n     int
	best  []hit // the newest that the walk has met, in order
	held  int64 // the greatest index that it has met and had no room for, or -1
	left  int64 // when it has ended: records from here on downwards may be hits, or -1

	patience int  // how much it does before it gives up; 0 is without end
	givenUp  bool // it has met too many records, or spans
}

// A walk gives up after walkPatience records. Another span is as much work as spanCost records.
const (
	walkPatience = 4096
	spanCost     = 64
)

func newWalk(q query, after position, n int) walk {
	return walk{query: q, after: after, best: make([]hit, 0, min(n, maxResults+1)+1), n: n, held: -1}
}

func (w *walk) run(times *timeline, records candidates) error {
	w.left = -1
	done := 0
	var last *span
	for at := w.after.walk - 1; at >= 0; {
		if done++; w.patience > 0 && done > w.patience {
			w.givenUp = true
			return nil
		}
		seq, err := records.upTo(at)
		if err != nil {
			return err
		}
		if seq < w.floor { // there may be postings of it still
			break
		}
		s, err := times.span(seq)
		if err != nil {
			return err
		}
		if s == nil {
			return fmt.Errorf("%w: record %d has no time", errDamaged, seq)
		}
		if s != last {
			done, last = done+spanCost, s
		}
		tide := floorSecond(s.tides[seq-s.first]) // no record from here on downwards is newer
		if tide < w.query.from {
			break
		}
		if len(w.best) == w.n && tide <= w.best[w.n-1].second {
			w.left = seq
			break
		}
		if floorSecond(s.low) > w.query.to || floorSecond(s.high) < w.query.from {
			if at, err = times.within(s.first-1, w.query.from*1000, w.query.to*1000+999); err != nil {
				return err
			}
			continue
		}
		w.meet(hit{floorSecond(s.times[seq-s.first]), seq})
		at = seq - 1
	}
	w.left = max(w.left, w.held)
	return nil
}

// runByTime finds what run finds, by going through the spans in the order of their latest times, and says whether that is all there is.
func (w *walk) runByTime(times *timeline, records *termRecords) (done bool, err error) {
	if len(times.tail.times) > 0 && times.end < times.tail.end() {
		if err := w.meetSpan(times, records, max(times.tail.first, times.end), times.tail.end()); err != nil {
			return false, err
		}
	}
	to := min(w.query.to, w.after.last.second) // which is not beyond maxSecond
	at := spanRef{high: math.MaxInt64, first: math.MaxInt64}
	for {
		spans, err := newestSpans(times.tx, at, w.query.from*1000, to*1000+999)
		if err != nil {
			return false, err
		}
		for _, s := range spans {
			if len(w.best) == w.n && floorSecond(s.high) < w.best[w.n-1].second {
				return false, nil
			}
			if err := w.meetSpan(times, records, s.first, min(s.end, times.end)); err != nil {
				return false, err
			}
			at = s
		}
		if len(spans) < spansAtOnce {
			return w.held < 0, nil
		}
	}
}

// meetSpan meets the records from first to end, which have their times in one span.
func (w *walk) meetSpan(times *timeline, records *termRecords, first, end int64) error {
	records.jump(end - 1)
	for at := end - 1; at >= first; {
		seq, err := records.upTo(at)
		if err != nil || seq < first {
			return err
		}
		s, err := times.span(seq)
		if err != nil {
			return err
		}
		if s == nil {
			return fmt.Errorf("%w: record %d has no time", errDamaged, seq)
		}
		w.meet(hit{floorSecond(s.times[seq-s.first]), seq})
		at = seq - 1
	}
	return nil
}

// spanRef is where a span is in the order of latest times.
type spanRef struct{ high, first, end int64 }

const spansAtOnce = 64

// newestSpans are the spans behind one in the order of their latest times, backwards, that have times within [low, high].
func newestSpans(tx store.Tx, behind spanRef, low, high int64) (spans []spanRef, err error) {
	rows, err := tx.Query(`SELECT high, first, first + count FROM history_span
		WHERE (high < $1 OR high = $1 AND first < $2) AND high >= $3 AND low <= $4 ORDER BY high DESC, first DESC LIMIT $5`,
		behind.high, behind.first, low, high, spansAtOnce)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var s spanRef
		if err := rows.Scan(&s.high, &s.first, &s.end); err != nil {
			return nil, err
		}
		spans = append(spans, s)
	}
	return spans, rows.Err()
}

// meet takes a record that has the query's term among the best, if it is in time and was not answered yet.
func (w *walk) meet(h hit) {
	if h.second < w.query.from || h.second > w.query.to || !w.after.last.before(h) {
		return
	}
	i := sort.Search(len(w.best), func(i int) bool { return h.before(w.best[i]) })
	w.best = slices.Insert(w.best, i, h)
	if len(w.best) > w.n {
		w.held = max(w.held, w.best[w.n].seq)
		w.best = w.best[:w.n]
	}
}

// position is behind the best, of which there is one at least unless the walk was the last.
func (w *walk) position() position {
	last := w.after.last
	if len(w.best) > 0 {
		last = w.best[len(w.best)-1]
	}
	return position{last: last, walk: w.left + 1}
}

// floorSecond is the second that a time in milliseconds is in.
func floorSecond(at int64) int64 {
	if at < 0 {
		at -= 999
	}
	return at / 1000
}

// candidates are records that may be what is looked for.
type candidates interface {
	// upTo is the last of them whose index is not greater than at, or -1. From one call to the next, at goes down.
	upTo(at int64) (int64, error)
}

// termRecords are the records of a term: those before end from the database, and the others from the tail.
type termRecords struct {
	tx   store.Tx
	term int64
	tail view
	end  int64
	row  *row // read from the database, the last time
	none bool // there is no row before it
}

// jump prepares for records up to at, which is not, as it is from one upTo to the next, at or before the last. The row that was read stays if it has at.
func (r *termRecords) jump(at int64) {
	r.none = false
	if r.row != nil && at > r.row.last {
		r.row = nil
	}
}

func (r *termRecords) upTo(at int64) (int64, error) {
	if at >= r.end {
		i := sort.Search(len(r.tail.postings), func(i int) bool { return r.tail.span.first+int64(r.tail.postings[i]) > at })
		if i > 0 {
			if seq := r.tail.span.first + int64(r.tail.postings[i-1]); seq >= r.end {
				return seq, nil
			}
		}
		at = r.end - 1
	}
	if r.none {
		return -1, nil
	}
	if r.row == nil || at < r.row.first {
		var err error
		if r.row, err = rowBefore(r.tx, r.term, at); err != nil || r.row == nil {
			r.none = true
			return -1, err
		}
	}
	return r.row.lastUpTo(at), nil
}

// momentRecords are the records of one millisecond, of whatever scope.
type momentRecords struct {
	times *timeline
	at    int64
}

func (r *momentRecords) upTo(at int64) (int64, error) {
	for {
		last, err := r.times.within(at, r.at, r.at)
		if last < 0 || err != nil {
			return -1, err
		}
		s, err := r.times.span(last)
		if s == nil || err != nil {
			return -1, err
		}
		for i := last - s.first; i >= 0; i-- {
			if s.times[i] == r.at {
				return s.first + i, nil
			}
		}
		at = s.first - 1
	}
}

// either is the records of two kinds of candidates.
type either [2]candidates

func (e either) upTo(at int64) (int64, error) {
	a, err := e[0].upTo(at)
	if err != nil {
		return -1, err
	}
	b, err := e[1].upTo(at)
	return max(a, b), err
}
