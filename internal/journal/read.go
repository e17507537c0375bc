package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"vigil"
	"vigil/internal/store"
)

// page is a sequenced page, read.
type page struct {
	first   int64
	records []vigil.PageRecord
	digests [][32]byte // of the records, if they are known
	size    int        // of the records, in bytes
}

func (p *page) end() int64 { return p.first + int64(len(p.records)) }

func (p *page) entry(seq int64) Entry {
	r := p.records[seq-p.first]
	e := Entry{Seq: seq, Time: r.Time, Data: r.Data, Imported: r.Imported}
	if p.digests != nil {
		e.digest = &p.digests[seq-p.first]
	}
	return e
}

// sizeOf is how many bytes records have.
func sizeOf(records []vigil.PageRecord) (size int) {
	for _, r := range records {
		size += len(r.Data)
	}
	return size
}

// Get returns the entries with the given indexes, in that order. Those that are not there, or not any more, are left out.
// The entries' Data may be shared: it must not be changed.
func (j *Journal) Get(ctx context.Context, seqs []int64) ([]Entry, error) {
	entries := make([]Entry, 0, len(seqs))
	err := j.db.View(ctx, func(tx store.Tx) error {
		var p *page
		for _, seq := range seqs {
			if p == nil || seq < p.first || seq >= p.end() {
				var err error
				if p, err = j.pageOf(tx, seq); err != nil {
					return err
				}
			}
			if p != nil {
				entries = append(entries, p.entry(seq))
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return entries, nil
}

// Range is the indexes [First, End).
type Range struct{ First, End int64 }

// During returns the pages, as ranges of indexes in order, that may have entries whose time is within [from, to], to the millisecond.
func (j *Journal) During(ctx context.Context, from, to time.Time) ([]Range, error) {
	var ranges []Range
	err := j.db.View(ctx, func(tx store.Tx) error {
		rows, err := tx.Query(`SELECT first, first + count FROM journal_order WHERE last_time >= $1 AND first_time <= $2 ORDER BY first`,
			from.UnixMilli(), to.UnixMilli())
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var r Range
			if err := rows.Scan(&r.First, &r.End); err != nil {
				return err
			}
			ranges = append(ranges, r)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return ranges, nil
}

// pageOf is the page with the entry seq, or nil.
func (j *Journal) pageOf(tx store.Tx, seq int64) (*page, error) {
	if p := j.pages.get(seq); p != nil {
		return p, nil
	}
	var first, count int64
	var body []byte
	err := tx.QueryRow(`SELECT o.first, o.count, p.body FROM journal_order o JOIN journal_page p ON p.node = o.node AND p.number = o.number
		WHERE o.first <= $1 ORDER BY o.first DESC LIMIT 1`, seq).Scan(&first, &count, &body)
	if errors.Is(err, store.ErrNoRows) || err == nil && seq >= first+count {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return j.decode(first, count, body)
}

// decode reads a page and keeps it for who comes next.
func (j *Journal) decode(first, count int64, body []byte) (*page, error) {
	if p := j.pages.get(first); p != nil {
		return p, nil
	}
	records, err := vigil.DecodePage(body)
	if err != nil {
		return nil, fmt.Errorf("page of records %d to %d: %w", first, first+count-1, err)
	}
	if int64(len(records)) != count {
		return nil, fmt.Errorf("page of records %d to %d has %d", first, first+count-1, len(records))
	}
	p := &page{first: first, records: records, size: sizeOf(records)}
	j.pages.put(p, j.isNext)
	return p, nil
}

// pageCache keeps the pages that are on their way to the followers, and those that were read last, so that many followers at the same
// place decompress a page once at most.
type pageCache struct {
	mu    sync.Mutex
	fresh freshPages
	pages []*page // oldest first
	size  int
}

// How many bytes of records the cache keeps: in any case, and at most while a follower that is behind the others will take them next.
const (
	maxPageCache = 4 << 20
	maxNextPages = 3 * maxFollowSize
)

func newPageCache() *pageCache { return &pageCache{} }

func (c *pageCache) get(seq int64) *page {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.fresh.get(seq); p != nil {
		return p
	}
	for i := len(c.pages) - 1; i >= 0; i-- {
		if p := c.pages[i]; seq >= p.first && seq < p.end() {
			return p
		}
	}
	return nil
}

// run is pages that follow one another, as many as a follower's round takes, the first of which begins with the index next. It is
// empty if that one is not there.
func (c *pageCache) run(next int64) (pages []*page) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if pages = c.fresh.run(next); len(pages) > 0 {
		return pages
	}
	begin := len(c.pages) - 1
	for begin >= 0 && c.pages[begin].first != next {
		begin--
	}
	size := 0
	for _, p := range c.pages[max(begin, 0):] {
		if len(pages) == maxFollow || size >= maxFollowSize {
			break
		}
		if p.first == next { // most are in order, as they were read in order
			pages = append(pages, p)
			next = p.end()
			size += p.size
		}
	}
	return pages
}

func (c *pageCache) put(p *page, isNext func(*page) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.putLocked(p, isNext)
}

func (c *pageCache) putLocked(p *page, isNext func(*page) bool) {
	c.pages = append(c.pages, p)
	c.size += p.size
	for len(c.pages) > 1 && c.size > maxPageCache && (c.size > maxNextPages || !isNext(c.pages[0])) {
		c.size -= c.pages[0].size
		c.pages[0] = nil
		c.pages = c.pages[1:]
	}
}

// drop forgets the pages that begin before an index.
func (c *pageCache) drop(before int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fresh.drop(before)
	c.pages = slices.DeleteFunc(c.pages, func(p *page) bool {
		if p.first < before {
			c.size -= p.size
			return true
		}
		return false
	})
}
