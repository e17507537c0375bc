package logs

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"vigil"
	"vigil/internal/call"
	"vigil/internal/query"
	"vigil/internal/store"
)

// pageRef is a page without its events.
type pageRef struct {
	id, group, stream int64
	first, last       int64
	ingested          int64
	size              int64
}

// event is a log event on its way out.
type event struct {
	position
	ingested int64
	stream   int64
	message  string
}

// scan reads events in order, of a stream or of a group.
//
// It goes through the pages in the order of their first events, or of their last ones when it goes back, and merges the events of
// pages that overlap: an event is given once no page that is still to come can have one before it. Pages are read and searched some
// at a time, all processors at once, and first few and then more of them, so that a scan that is soon done has not read much.
type scan struct {
	logs    *Logs
	column  string // of logs_page: stream_id or group_id
	id      int64
	forward bool
	from    position // going forward, events from here on; going back, those before
	low     int64    // no events of an earlier time
	high    int64    // nor of a later one
	filter  *query.Filter
	reader  call.Principal                      // in whose name KMS is asked for the keys of encrypted pages
	stream  func(store.Tx, int64) (bool, error) // whether events of a stream are wanted; nil for all

	needle  needle
	bound   pageBound
	ended   bool // there are no pages after ready
	ready   []pageRef
	opened  []openPage // read, and still to be merged
	window  int
	scanned int64
}

// pageBound is where in the order of pages the scan is: by first and id going forward, by last and id going back.
type pageBound struct{ lead, id int64 }

// openPage is what a page has of events that are wanted, in the scan's direction.
type openPage struct {
	lead   int64
	events []event
}

const (
	refsAtATime = 512
	maxWindow   = 128 // pages
)

func (s *scan) start() {
	span := pageSpan.Milliseconds()
	if s.filter != nil {
		s.needle = needleOf(s.filter)
	}
	s.window = runtime.GOMAXPROCS(0)
	if len(s.needle) > 0 { // the pages that are read will have something
		s.window *= 8
	}
	if s.forward {
		s.low = max(s.low, s.from.time)
		s.bound = pageBound{s.low - span, -1}
		return
	}
	s.high = min(s.high, s.from.time)
	s.bound = pageBound{s.high + span, 1<<63 - 1}
}

// run returns events until there are limit of them, or as many as fit in so many bytes, and the position to go on from. It says
// whether the end was reached: then there are no more.
func (s *scan) run(ctx context.Context, limit, bytes int) (events []event, next position, end bool, err error) {
	s.start()
	next = s.from
	merging := &merge{forward: s.forward}
	for len(events) < limit {
		for len(merging.pages) == 0 || s.mayPrecede(merging.pages[0].events[0].time) {
			p, ok, err := s.nextPage(ctx)
			if errors.Is(err, errScannedEnough) {
				return events, s.resume(), false, nil
			}
			if err != nil {
				return nil, position{}, false, err
			}
			if !ok {
				break
			}
			if len(p.events) > 0 {
				heap.Push(merging, p)
			}
		}
		if len(merging.pages) == 0 {
			return events, next, true, nil
		}
		e := merging.next()
		if bytes -= len(e.message) + eventOverhead; bytes < 0 && len(events) > 0 {
			return events, next, false, nil
		}
		events = append(events, e)
		if next = e.position; s.forward {
			next = e.position.next()
		}
	}
	end = len(merging.pages) == 0 && len(s.opened) == 0 && len(s.ready) == 0 && s.ended
	return events, next, end, nil
}

// mayPrecede says whether a page that is still to come may have an event before one of that time, or at the same time.
func (s *scan) mayPrecede(time int64) bool {
	var lead int64
	switch {
	case len(s.opened) > 0:
		lead = s.opened[0].lead
	case len(s.ready) > 0:
		lead = s.lead(s.ready[0])
	case s.ended:
		return false
	default:
		lead = s.bound.lead
	}
	if s.forward {
		return lead <= time
	}
	return lead >= time
}

func (s *scan) lead(p pageRef) int64 {
	if s.forward {
		return p.first
	}
	return p.last
}

// errScannedEnough ends a scan that has looked at as much as one request may. The client goes on with the token.
var errScannedEnough = errors.New("scanned enough")

// resume is the position before all events of the pages that are still to come. Everything before it has been given.
func (s *scan) resume() position {
	if s.forward {
		return position{time: s.lead(s.ready[0])}
	}
	return position{time: s.lead(s.ready[0]) + 1}
}

// nextPage is the next page in order, read. It says false at the end.
func (s *scan) nextPage(ctx context.Context) (p openPage, ok bool, err error) {
	if len(s.opened) == 0 {
		for len(s.ready) < s.window && !s.ended {
			if err := s.findPages(ctx); err != nil {
				return openPage{}, false, err
			}
		}
		if len(s.ready) == 0 {
			return openPage{}, false, nil
		}
		if s.scanned > int64(s.logs.limit.scan) {
			return openPage{}, false, errScannedEnough
		}
		n := min(s.window, len(s.ready))
		if s.opened, err = s.open(ctx, s.ready[:n]); err != nil {
			return openPage{}, false, err
		}
		s.ready = s.ready[n:]
		s.window = min(2*s.window, maxWindow)
	}
	p, s.opened = s.opened[0], s.opened[1:]
	return p, true, nil
}

// findPages reads which pages come next, and leaves out those that cannot have what is looked for.
func (s *scan) findPages(ctx context.Context) error {
	words := "''"
	if len(s.needle) > 0 {
		words = "words"
	}
	where, order := `(first, id) > ($2, $3) AND first <= $5 AND last >= $4`, `first, id`
	if !s.forward {
		where, order = `(last, id) < ($2, $3) AND last >= $4 AND first <= $5`, `last DESC, id DESC`
	}
	statement := `SELECT id, group_id, stream_id, first, last, ingested, size, ` + words + ` FROM logs_page
		WHERE ` + s.column + ` = $1 AND ` + where + ` ORDER BY ` + order + ` LIMIT $6`
	return s.logs.watch.View(ctx, func(tx store.Tx) error {
		rows, err := tx.Query(statement, s.id, s.bound.lead, s.bound.id, s.low, s.high, refsAtATime)
		if err != nil {
			return err
		}
		defer rows.Close()
		n := 0
		var found []pageRef
		for rows.Next() {
			var p pageRef
			var w wordsOf
			w.needle = s.needle
			if err := rows.Scan(&p.id, &p.group, &p.stream, &p.first, &p.last, &p.ingested, &p.size, &w); err != nil {
				return err
			}
			n++
			s.bound = pageBound{s.lead(p), p.id}
			if w.may {
				found = append(found, p)
			}
		}
		if err := rows.Err(); err != nil {
			return err
		}
		rows.Close()
		s.ended = n < refsAtATime
		for _, p := range found {
			if s.stream != nil {
				if wanted, err := s.stream(tx, p.stream); err != nil {
					return err
				} else if !wanted {
					continue
				}
			}
			s.ready = append(s.ready, p)
		}
		return nil
	})
}

// wordsOf judges a page by its words while they are in the database's own memory.
type wordsOf struct {
	needle needle
	may    bool
}

// Scan implements sql.Scanner.
func (w *wordsOf) Scan(value any) error {
	switch filter := value.(type) {
	case []byte:
		w.may = w.needle.mayMatch(filter)
	default: // it was not asked for
		w.may = true
	}
	return nil
}

// open reads pages and finds the events in them that are wanted, all processors at once.
func (s *scan) open(ctx context.Context, pages []pageRef) ([]openPage, error) {
	opened := make([]openPage, len(pages))
	var taken atomic.Int64
	var failed error
	var once sync.Once
	var wait sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(pages)) {
		wait.Go(func() {
			for {
				i := int(taken.Add(1)) - 1
				if i >= len(pages) {
					return
				}
				var err error
				if opened[i], err = s.openPage(ctx, pages[i]); err != nil {
					once.Do(func() { failed = err })
					return
				}
			}
		})
	}
	wait.Wait()
	for _, p := range pages {
		// Only pages that lie beyond where the scan began use up its share: so the next request always begins further on.
		if s.forward && p.first > s.from.time || !s.forward && p.last < s.from.time-1 {
			s.scanned += p.size
		}
	}
	return opened, failed
}

func (s *scan) openPage(ctx context.Context, p pageRef) (openPage, error) {
	opened := openPage{lead: s.lead(p)}
	var body []byte
	var keyID int64
	err := s.logs.watch.View(ctx, func(tx store.Tx) error {
		return tx.QueryRow(`SELECT body, key_id FROM logs_body WHERE id = $1`, p.id).Scan(&body, &keyID)
	})
	if errors.Is(err, store.ErrNoRows) { // removed since, by retention
		return opened, nil
	}
	if err != nil {
		return opened, err
	}
	if keyID != 0 {
		if body, err = s.logs.unseal(ctx, s.reader, p.group, keyID, p.id, body); err != nil {
			return opened, err
		}
	}
	records, err := vigil.DecodePage(body)
	if err != nil {
		return opened, fmt.Errorf("log page %d: %w", p.id, err)
	}
	for i := range records {
		index := i
		if !s.forward {
			index = len(records) - 1 - i
		}
		r := &records[index]
		at := position{r.Time.UnixMilli(), p.id, int64(index)}
		if s.wants(at) && (s.filter == nil || s.filter.Match(r.Data)) {
			opened.events = append(opened.events, event{at, p.ingested, p.stream, string(r.Data)})
		}
	}
	return opened, nil
}

func (s *scan) wants(p position) bool {
	return p.time >= s.low && p.time <= s.high && (p.compare(s.from) >= 0) == s.forward
}

// merge is a heap of pages by their next events.
type merge struct {
	forward bool
	pages   []openPage
}

// next takes the next event.
func (m *merge) next() event {
	e := m.pages[0].events[0]
	if m.pages[0].events = m.pages[0].events[1:]; len(m.pages[0].events) == 0 {
		heap.Pop(m)
	} else {
		heap.Fix(m, 0)
	}
	return e
}

func (m *merge) Len() int      { return len(m.pages) }
func (m *merge) Swap(i, j int) { m.pages[i], m.pages[j] = m.pages[j], m.pages[i] }
func (m *merge) Push(p any)    { m.pages = append(m.pages, p.(openPage)) }
func (m *merge) Less(i, j int) bool {
	order := m.pages[i].events[0].compare(m.pages[j].events[0].position)
	return (order < 0) == m.forward
}

// Pop implements heap.Interface.
func (m *merge) Pop() any {
	last := len(m.pages) - 1
	p := m.pages[last]
	m.pages[last] = openPage{}
	m.pages = m.pages[:last]
	return p
}
