package notary

import (
	"math"

	"vigil"
	"vigil/internal/store"
)

// recordWalk goes through the journal's records in their order, over what is missing or damaged.
type recordWalk struct {
	tx     store.Tx
	report *Report

	read  []walkedPage // pages that were read and are not behind us
	from  int64        // where the next page to read begins at least
	end   int64        // where the last page that was read ends
	ended bool
}

// walkedPage is a page at its place.
type walkedPage struct {
	first, count int64
	records      []vigil.PageRecord
}

// pagesAtOnce is how many pages are read with one query.
const pagesAtOnce = 64

// seek goes to the page that a record is in, or would be.
func (w *recordWalk) seek(seq int64) error {
	return w.tx.QueryRow(`SELECT COALESCE(MAX(first), 0) FROM journal_order WHERE first <= $1`, seq).Scan(&w.from)
}

// at is the record with that index, if it is there. Indexes are asked for in order.
func (w *recordWalk) at(seq int64) (record vigil.PageRecord, there bool, err error) {
	for {
		for len(w.read) > 0 && seq >= w.read[0].first+w.read[0].count {
			w.read = w.read[1:]
		}
		if len(w.read) > 0 {
			break
		}
		if w.ended {
			return record, false, nil
		}
		if err := w.more(); err != nil {
			return record, false, err
		}
	}
	p := w.read[0]
	if i := seq - p.first; i >= 0 && i < int64(len(p.records)) {
		return p.records[i], true, nil
	}
	return record, false, nil
}

// more reads further pages.
func (w *recordWalk) more() error {
	rows, err := w.tx.Query(`SELECT o.first, o.count, o.node, o.number, o.first_time, o.last_time, p.body FROM journal_order o
		LEFT JOIN journal_page p ON p.node = o.node AND p.number = o.number WHERE o.first >= $1 ORDER BY o.first LIMIT $2`, w.from, pagesAtOnce)
	if err != nil {
		return err
	}
	defer rows.Close()
	w.ended = true
	for rows.Next() {
		w.ended = false
		var node, number, earliest, latest int64
		var body []byte
		p := walkedPage{}
		if err := rows.Scan(&p.first, &p.count, &node, &number, &earliest, &latest, &body); err != nil {
			return err
		}
		if p.first < w.end {
			w.report.found("two pages claim the place of record %d", p.first)
		}
		w.from = p.first + 1
		if p.count < 1 {
			w.report.found("the page of record %d is said to have %d records", p.first, p.count)
			continue
		}
		w.end = p.first + p.count
		if body == nil {
			w.report.found("the page of records %d to %d (page %d of node %d) is missing", p.first, p.first+p.count-1, number, node)
		} else if p.records, err = vigil.DecodePage(body); err != nil {
			w.report.found("the page of records %d to %d (page %d of node %d) is damaged: %v", p.first, p.first+p.count-1, number, node, err)
		} else if int64(len(p.records)) != p.count {
			w.report.found("the page of records %d to %d has %d records", p.first, p.first+p.count-1, len(p.records))
		} else if begin, end := span(p.records); begin != earliest || end != latest {
			w.report.found("the times of the page of records %d to %d, by which it is found and dropped, were altered", p.first, p.first+p.count-1)
		}
		w.read = append(w.read, p)
	}
	return rows.Err()
}

// span is the earliest and the latest of the times of a page's records, in milliseconds since 1970.
func span(records []vigil.PageRecord) (earliest, latest int64) {
	earliest, latest = math.MaxInt64, math.MinInt64
	for _, r := range records {
		at := r.Time.UnixMilli()
		earliest, latest = min(earliest, at), max(latest, at)
	}
	return earliest, latest
}

// count is how many records there are from an index on, with a place or without.
func (w *recordWalk) count(from int64) (n int64, err error) {
	var placed, waiting int64
	err = w.tx.QueryRow(`SELECT COALESCE(CAST(SUM(count) AS BIGINT), 0) FROM journal_order WHERE first >= $1`, from).Scan(&placed)
	if err != nil {
		return 0, err
	}
	err = w.tx.QueryRow(`SELECT COALESCE(CAST(SUM(p.count) AS BIGINT), 0) FROM journal_page p
		LEFT JOIN journal_order o ON o.node = p.node AND o.number = p.number WHERE p.count > 0 AND o.first IS NULL`).Scan(&waiting)
	return placed + waiting, err
}
