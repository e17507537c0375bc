package journal

import (
	"context"
	"fmt"

	"vigil"
	"vigil/internal/store"
)

// Check reads the whole journal and returns the first thing that must never be so: an index that is missing or given twice,
// a page without a place behind one that has it, a page that cannot be read or has another number of records than its place.
// It is what tests ask after every step, and what an operator may ask of a database that has been through something.
func (j *Journal) Check(ctx context.Context) error {
	told := j.Sequenced()
	return j.db.View(ctx, func(tx store.Tx) error {
		sequenced, err := checkOrder(tx)
		if err != nil {
			return fmt.Errorf("journal: %w", err)
		}
		if err := checkPages(tx); err != nil {
			return fmt.Errorf("journal: %w", err)
		}
		if told > sequenced {
			return fmt.Errorf("journal: %d records are said to be sequenced, %d are", told, sequenced)
		}
		return nil
	})
}

// checkOrder walks the places: dense from the first that was not dropped on, each with its page, each page once.
func checkOrder(tx store.Tx) (next int64, err error) {
	if next, err = dropped(tx); err != nil {
		return 0, err
	}
	rows, err := tx.Query(`SELECT o.first, o.count, o.node, o.number, COALESCE(p.count, -2), p.body
		FROM journal_order o LEFT JOIN journal_page p ON p.node = o.node AND p.number = o.number ORDER BY o.first`)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	last := map[int64]int64{} // the highest page number with a place, by node
	for rows.Next() {
		var first, count, node, number, pageCount int64
		var body []byte
		if err := rows.Scan(&first, &count, &node, &number, &pageCount, &body); err != nil {
			return 0, err
		}
		if first != next {
			return 0, fmt.Errorf("record %d has no place; the next is %d", next, first)
		}
		if pageCount != count {
			return 0, fmt.Errorf("the place of record %d is for %d records, its page says %d", first, count, pageCount)
		}
		if previous, ok := last[node]; ok && number <= previous {
			return 0, fmt.Errorf("page %d of node %d is placed behind page %d", number, node, previous)
		}
		last[node] = number
		records, err := vigil.DecodePage(body)
		if err != nil {
			return 0, fmt.Errorf("page of record %d: %w", first, err)
		}
		if int64(len(records)) != count {
			return 0, fmt.Errorf("page of record %d has %d records, not %d", first, len(records), count)
		}
		next += count
	}
	return next, rows.Err()
}

// checkPages looks for pages that the sequencer has passed by.
func checkPages(tx store.Tx) error {
	var node, number int64
	err := tx.QueryRow(`SELECT p.node, p.number FROM journal_page p
		LEFT JOIN journal_order o ON o.node = p.node AND o.number = p.number
		LEFT JOIN journal_node n ON n.node = p.node
		WHERE p.count > 0 AND o.first IS NULL AND (n.node IS NULL OR p.number < n.next) LIMIT 1`).Scan(&node, &number)
	if err == store.ErrNoRows {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("page %d of node %d was passed by", number, node)
}
