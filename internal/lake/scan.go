package lake

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"vigil"
	"vigil/internal/journal"
	"vigil/internal/lake/presto"
)

// statistics are what a query has read.
type statistics struct{ scanned, matched, bytes atomic.Int64 }

// scan is one reading of a table of a query: pages are decompressed and records read by several goroutines, ahead of who takes the rows,
// which come in the order of the journal.
type scan struct {
	cancel  context.CancelFunc
	batches chan chan batch
	done    sync.WaitGroup
}

// batch is the rows of some pages.
type batch struct {
	width   int
	values  []any   // of the columns of the first row, of the second …
	weights []int64 // of each row
	err     error
}

// readAhead is how many batches are in memory at most, besides the one that rows are taken from. One is some megabytes.
const readAhead = 4

func newScan(ctx context.Context, j *journal.Journal, t *presto.Table, v *view, stats *statistics) *scan {
	ctx, cancel := context.WithCancel(ctx)
	s := &scan{cancel: cancel, batches: make(chan chan batch, readAhead)}
	type job struct {
		pages []journal.StoredPage
		to    chan batch
	}
	jobs := make(chan job)
	for range min(readAhead, max(2, runtime.GOMAXPROCS(0))) {
		s.done.Go(func() {
			r := newReader(t, v, stats)
			for job := range jobs {
				job.to <- r.batch(ctx, job.pages)
			}
		})
	}
	s.done.Go(func() {
		defer close(s.batches)
		defer close(jobs)
		begin, end := v.span(t.From, t.To)
		for next := int64(0); next < v.end && !begin.After(end); {
			pages, err := j.Pages(ctx, next, begin, end)
			to := make(chan batch, 1)
			if err != nil {
				to <- batch{err: err}
			} else if len(pages) == 0 {
				return
			}
			select {
			case s.batches <- to:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
			next = pages[len(pages)-1].End
			jobs <- job{pages, to}
		}
	})
	return s
}

// next is the next batch, or false when there are no more or the scan was ended.
func (s *scan) next() (batch, bool) {
	to, ok := <-s.batches
	if !ok {
		return batch{}, false
	}
	return <-to, true
}

func (s *scan) close() {
	s.cancel()
	s.done.Wait()
}

// reader makes rows of records. It belongs to one goroutine.
type reader struct {
	table  *presto.Table
	view   *view
	stats  *statistics
	record vigil.OutlineReader
	nested vigil.OutlineReader
	facts  vigil.Outline

	slots []string // the members of a record that are looked at
	found [][]byte // as they are written
	raw   [][]byte // of each column
	key   []byte
}

func newReader(t *presto.Table, v *view, stats *statistics) *reader {
	r := &reader{table: t, view: v, stats: stats, raw: make([][]byte, len(t.Columns))}
	for _, p := range t.Columns {
		r.slot(p)
	}
	for _, f := range t.Filters {
		r.slot(f.Path)
	}
	r.found = make([][]byte, len(r.slots))
	return r
}

func (r *reader) slot(p presto.Path) {
	if name := p.Steps[0]; name != wholeRecord && !slices.Contains(r.slots, name) {
		r.slots = append(r.slots, name)
	}
}

func (r *reader) batch(ctx context.Context, pages []journal.StoredPage) batch {
	b := batch{width: len(r.table.Columns)}
	fold := folder{rows: map[string]int{}, on: r.table.Weighed}
	var scanned, matched, bytes int64
	for _, p := range pages {
		if err := ctx.Err(); err != nil {
			return batch{err: err}
		}
		if !r.view.mayHave(p) {
			continue
		}
		entries, err := p.Entries()
		if err != nil {
			return batch{err: err}
		}
		for _, e := range entries {
			if e.Seq >= r.view.end {
				break
			}
			scanned++
			bytes += int64(len(e.Data))
			if !r.read(e) {
				continue
			}
			matched++
			if n, ok := fold.row(r); ok {
				b.weights[n]++
				continue
			}
			b.weights = append(b.weights, 1)
			for i, c := range r.table.Columns {
				b.values = append(b.values, presto.Decode(r.raw[i], c.Type))
			}
		}
	}
	r.stats.scanned.Add(scanned)
	r.stats.matched.Add(matched)
	r.stats.bytes.Add(bytes)
	return b
}

// folder finds rows that are the same in all columns. Where few are, it gives up.
type folder struct {
	rows map[string]int
	on   bool
	seen int
}

// row is the number of the row that is like the reader's, if there is one. Otherwise the reader's is to become the next.
func (f *folder) row(r *reader) (n int, found bool) {
	if !f.on {
		return 0, false
	}
	if f.seen++; f.seen > 1000 && len(f.rows) > f.seen/2 {
		f.on = false
		return 0, false
	}
	r.key = r.key[:0]
	for _, raw := range r.raw {
		r.key = append(r.key, raw...) // JSON has no NUL
		r.key = append(r.key, 0)
	}
	if n, found = f.rows[string(r.key)]; !found {
		f.rows[string(r.key)] = len(f.rows)
	}
	return n, found
}

// read finds what the columns are in a record, if it is a row. What tells most records from rows at the least cost comes first.
func (r *reader) read(e journal.Entry) bool {
	if len(r.table.Filters) > 0 && (!r.members(e.Data) || !r.passes(e.Data)) {
		return false
	}
	if err := r.record.Read(e.Data, &r.facts); err != nil {
		return false
	}
	if ms := r.facts.Second * 1000; ms < r.table.From || ms > r.table.To || !r.view.has(e, &r.facts) {
		return false
	}
	if len(r.table.Filters) == 0 && !r.members(e.Data) {
		return false
	}
	for i, c := range r.table.Columns {
		r.raw[i] = r.at(e.Data, c.Steps)
	}
	return true
}

// members finds the members of a record that are looked at.
func (r *reader) members(record []byte) bool {
	clear(r.found)
	left := len(r.slots)
	if left == 0 {
		return true
	}
	return r.nested.Members(record, func(name, value []byte) bool {
		for i, slot := range r.slots {
			if string(name) == slot {
				if r.found[i] == nil {
					left--
				}
				r.found[i] = value
				break
			}
		}
		return left > 0
	}) == nil
}

// passes says whether the filters let a record through.
func (r *reader) passes(record []byte) bool {
	for _, f := range r.table.Filters {
		text, ok := presto.Decode(r.at(record, f.Path.Steps), f.Path.Type).(string)
		if !ok || !slices.Contains(f.Values, text) {
			return false
		}
	}
	return true
}

// at is what is at a path of the record, as it is written, or nil.
func (r *reader) at(record []byte, steps []string) (found []byte) {
	if steps[0] == wholeRecord {
		return record
	}
	found = r.found[slices.Index(r.slots, steps[0])]
	for _, step := range steps[1:] {
		if len(found) == 0 || found[0] != '{' {
			return nil
		}
		var inner []byte
		if err := r.nested.Members(found, func(name, value []byte) bool {
			if string(name) == step {
				inner = value
			}
			return inner == nil
		}); err != nil {
			return nil
		}
		found = inner
	}
	return found
}
