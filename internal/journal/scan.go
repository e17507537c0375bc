package journal

import (
	"context"
	"fmt"
	"time"

	"vigil"
	"vigil/internal/store"
)

// StoredPage is a sequenced page as it is stored, for who goes through many of them and decompresses them by himself.
type StoredPage struct {
	Range
	Oldest, Newest time.Time // of its entries' times
	body           []byte
}

// Size is how many bytes the page takes as it is stored.
func (p StoredPage) Size() int { return len(p.body) }

// Imported is when the page's records were brought in from elsewhere, and the zero time for a page of the journal's own.
func (p StoredPage) Imported() time.Time {
	at, _ := vigil.PageImported(p.body)
	return at
}

// Entries decompresses the page. It may be called by any goroutine. The entries' Data are the caller's.
func (p StoredPage) Entries() ([]Entry, error) {
	records, err := vigil.DecodePage(p.body)
	if err != nil {
		return nil, fmt.Errorf("page of records %d to %d: %w", p.First, p.End-1, err)
	}
	if int64(len(records)) != p.End-p.First {
		return nil, fmt.Errorf("page of records %d to %d has %d", p.First, p.End-1, len(records))
	}
	entries := make([]Entry, len(records))
	read := page{first: p.First, records: records}
	for i := range records {
		entries[i] = read.entry(p.First + int64(i))
	}
	return entries, nil
}

// Pages returns the first pages that begin at the index from or behind it and that may have entries whose time is within
// [begin, end], in order: a number of them that is good to work on at once, or none if there are no more.
func (j *Journal) Pages(ctx context.Context, from int64, begin, end time.Time) (pages []StoredPage, err error) {
	err = j.db.View(ctx, func(tx store.Tx) error {
		pages = nil
		rows, err := tx.Query(`SELECT o.first, o.count, o.first_time, o.last_time, p.body FROM journal_order o JOIN journal_page p ON p.node = o.node AND p.number = o.number
			WHERE o.first >= $1 AND o.last_time >= $2 AND o.first_time <= $3 ORDER BY o.first LIMIT $4`, from, begin.UnixMilli(), end.UnixMilli(), maxScanPages)
		if err != nil {
			return err
		}
		defer rows.Close()
		for size := 0; size < maxScanSize && rows.Next(); {
			var p StoredPage
			var count, oldest, newest int64
			if err := rows.Scan(&p.First, &count, &oldest, &newest, &p.body); err != nil {
				return err
			}
			p.Oldest, p.Newest = time.UnixMilli(oldest).UTC(), time.UnixMilli(newest).UTC()
			p.End = p.First + count
			pages = append(pages, p)
			size += len(p.body)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return pages, nil
}

// What Pages returns at once: about two megabytes of records.
const (
	maxScanPages = 256
	maxScanSize  = 256 << 10
)

// WaitSequenced waits until everything that was appended before it was called has its index.
func (j *Journal) WaitSequenced(ctx context.Context) error {
	target := j.Appended()
	if j.Sequenced() >= target {
		return nil
	}
	signal(j.hurry)
	return j.await(ctx, func() bool { return j.sequenced >= target })
}
