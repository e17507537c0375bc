package metrics

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"vigil/internal/store"
)

const (
	foldPause  = 10 * time.Minute // how long points are only in the log at most
	foldRows   = 1000             // how many rows one transaction writes, so that others need not wait for long
	keepHours  = 1                // how old an hour is at most to stay in memory though nobody asks for it
	cacheHours = 25               // how old an hour is at most to stay in memory when somebody asks for it
	maxSeries  = 100_000          // how many series stay in memory though they have nothing there
	maxKept    = 8 << 20          // how many values stay in memory that are in the database, of 16 bytes each
)

// changed is an hour to be written.
type changed struct {
	slot    int64
	hour    *hour
	series  *series
	changes int
	period  int32
	body    []byte
}

// fold writes the hours that have changed and drops the log up to what is in them.
func (m *Metrics) fold(ctx context.Context) error {
	var last, size, wrote int64
	var todo []changed
	err := m.alone(ctx, func(store.Tx) error {
		m.pages.mu.Lock()
		defer m.pages.mu.Unlock()
		last, size = m.pages.applied.Load(), m.pages.size.Load()
		todo = make([]changed, 0, len(m.pages.dirty))
		for h, s := range m.pages.dirty {
			todo = append(todo, changed{slot: slotOf(s.id, h.hour), hour: h, series: s})
		}
		return nil
	})
	slices.SortFunc(todo, func(a, b changed) int { return cmp.Compare(a.slot, b.slot) }) // rows that are neighbours are written together
	if err == nil {
		err = m.saveProgress(ctx, todo)
	}
	for len(todo) > 0 && err == nil {
		n := min(len(todo), foldRows)
		err = m.writeHours(ctx, todo[:n])
		for i := range n {
			wrote += int64(len(todo[i].body))
			todo[i].body = nil
		}
		todo = todo[n:]
	}
	if err == nil {
		err = m.alone(ctx, func(tx store.Tx) error { return m.dropPages(tx, last, size) })
	}
	if err != nil {
		return fmt.Errorf("metrics: folding the log: %w", err)
	}
	m.pages.folded.Store(wrote)
	return nil
}

// progress is what the row of a series is to say.
type progress struct {
	of     *series
	active int64
	last   int64 // no hour is later
}

// saveProgress writes when the series of hours were last put into, and what their newest hours are: before the hours, as a row of a later hour than
// that would not be looked for.
func (m *Metrics) saveProgress(ctx context.Context, hours []changed) error {
	newest := map[*series]int64{}
	for _, c := range hours {
		if last, ok := newest[c.series]; !ok || c.hour.hour > last {
			newest[c.series] = c.hour.hour
		}
	}
	todo := make([]progress, 0, len(newest))
	for s, last := range newest {
		s.mu.Lock()
		todo = append(todo, progress{s, s.active, last})
		s.mu.Unlock()
	}
	slices.SortFunc(todo, func(a, b progress) int { return cmp.Compare(a.of.id, b.of.id) })
	for some := range slices.Chunk(todo, foldRows) {
		if err := m.alone(ctx, func(tx store.Tx) error { return writeProgress(tx, some) }); err != nil {
			return err
		}
	}
	return nil
}

func writeProgress(tx store.Tx, some []progress) error {
	for _, p := range some {
		_, err := tx.Exec(`UPDATE metrics_series SET active = CASE WHEN active < $1 THEN $1 ELSE active END,
			last = CASE WHEN last < $2 THEN $2 ELSE last END WHERE id = $3 AND (active < $1 OR last < $2)`, p.active, p.last, p.of.id)
		if err != nil {
			return err
		}
	}
	tx.OnCommit(func() {
		for _, p := range some {
			p.of.mu.Lock()
			p.of.saved = max(p.of.saved, p.active)
			p.of.mu.Unlock()
		}
	})
	return nil
}

// writeHours writes some of the hours, with all that is in them by now.
func (m *Metrics) writeHours(ctx context.Context, hours []changed) error {
	return m.alone(ctx, func(tx store.Tx) error {
		upto := m.encode(hours)
		if err := putHours(tx, hours, upto); err != nil {
			return err
		}
		found := map[due]bool{}
		for _, c := range hours {
			found[due{c.period, c.hour.hour}] = true
		}
		if err := noteDue(tx, found); err != nil {
			return err
		}
		tx.OnCommit(func() { m.written(hours, upto) })
		return nil
	})
}

// atOnce is how many rows a statement writes: most of what it costs to write one is the statement.
const atOnce = 16

var putSome, putOne = putRows(atOnce), putRows(1)

func putRows(n int) string {
	var values []string
	for i := range n {
		values = append(values, fmt.Sprintf("($%d, $%d, $%d, $%d)", 4*i+1, 4*i+2, 4*i+3, 4*i+4))
	}
	return `INSERT INTO metrics_series_hour (slot, period, upto, body) VALUES ` + strings.Join(values, ", ") +
		` ON CONFLICT (slot) DO UPDATE SET period = excluded.period, upto = excluded.upto, body = excluded.body`
}

// putHours writes the rows of hours.
func putHours(tx store.Tx, hours []changed, upto int64) error {
	args := make([]any, 0, 4*atOnce)
	for len(hours) > 0 {
		n, query := 1, putOne
		if len(hours) >= atOnce {
			n, query = atOnce, putSome
		}
		args = args[:0]
		for _, c := range hours[:n] {
			args = append(args, c.slot, c.period, upto, c.body)
		}
		if _, err := tx.Exec(query, args...); err != nil {
			return err
		}
		hours = hours[n:]
	}
	return nil
}

// encode fills in what to write, and returns the last page that is in it.
func (m *Metrics) encode(hours []changed) (upto int64) {
	m.pages.mu.Lock()
	defer m.pages.mu.Unlock()
	for i := range hours {
		c := &hours[i]
		c.series.mu.Lock()
		c.body = appendBuckets(nil, c.hour.buckets)
		c.period = finest(c.hour.buckets)
		c.changes = c.hour.changes
		c.series.mu.Unlock()
	}
	return m.pages.applied.Load()
}

// written notes that hours are in the database, unless they have changed again.
func (m *Metrics) written(hours []changed, upto int64) {
	m.pages.mu.Lock()
	defer m.pages.mu.Unlock()
	for i := range hours {
		c := &hours[i]
		c.series.mu.Lock()
		if c.hour.changes == c.changes {
			c.hour.dirty, c.hour.upto = false, upto
			delete(m.pages.dirty, c.hour)
			if c.hour.late {
				m.pages.late--
			}
		}
		c.series.mu.Unlock()
	}
}

// dropPages drops the log up to a page, all of which is in hours that were written.
func (m *Metrics) dropPages(tx store.Tx, last, size int64) error {
	m.sweep()
	if m.pages.doubts.Load() > 0 { // somebody looks for a page; the next time will do
		return nil
	}
	if _, err := tx.Exec(`DELETE FROM metrics_page WHERE id <= $1`, last); err != nil {
		return err
	}
	tx.OnCommit(func() { m.pages.size.Add(-size) })
	return nil
}

// sweep takes out of memory what nobody has asked for since it last did. The caller has the transaction that writes, so that nobody
// is about to count on what is in memory.
func (m *Metrics) sweep() {
	m.pages.mu.Lock()
	defer m.pages.mu.Unlock()
	m.mu.RLock()
	all := make([]*series, 0, len(m.series))
	for _, s := range m.series {
		all = append(all, s)
	}
	m.mu.RUnlock()

	now := m.hourNow()
	surplus, kept := len(all)-maxSeries, 0
	for _, s := range all {
		kept += s.sweep(now, true)
	}
	for _, s := range all {
		if kept > maxKept {
			s.sweep(now, false)
		}
		if s.empty() && surplus > 0 && !s.used.Swap(false) && m.evict(s) {
			surplus--
		}
	}
}

// sweep takes out hours that are in the database: old ones that nobody has asked for since the last sweep, or all, unless they are to be
// kept. It returns how many values are left.
func (s *series) sweep(now int64, keep bool) (values int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.hours[:0]
	for _, h := range s.hours {
		if h.dirty || keep && (h.hour >= now-keepHours || h.used && h.hour >= now-cacheHours) {
			h.used = false
			kept = append(kept, h)
			for i := range h.buckets {
				values += len(h.buckets[i].values)
			}
		}
	}
	if len(kept) < len(s.hours) {
		s.swept++
		clear(s.hours[len(kept):])
		s.hours = kept
	}
	return values
}

// empty says that memory has nothing of the series that the database has not.
func (s *series) empty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.hours) == 0 && s.active <= s.saved
}

// evict takes a series out of memory.
func (m *Metrics) evict(s *series) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.series[s.key] != s {
		return false
	}
	delete(m.series, s.key)
	m.evicted++
	s.mu.Lock()
	s.gone = true
	s.mu.Unlock()
	return true
}
