package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"vigil/internal/store"
)

// dropPages is how many pages one transaction drops, so that those who commit wait little for it.
const dropPages = 256

// Dropped is the index of the first record that was not dropped.
func (j *Journal) Dropped(ctx context.Context) (next int64, err error) {
	err = j.db.View(ctx, func(tx store.Tx) (err error) {
		next, err = dropped(tx)
		return err
	})
	return next, err
}

func dropped(tx store.Tx) (next int64, err error) {
	err = tx.QueryRow(`SELECT next FROM journal_dropped WHERE one = 1`).Scan(&next)
	return next, err
}

// Older tells how far whole pages from the first on have only records from before a moment: to the index end. oldest is the time of
// the first page's oldest record, and zero if there is no page.
func (j *Journal) Older(ctx context.Context, than time.Time) (end int64, oldest time.Time, err error) {
	err = j.db.View(ctx, func(tx store.Tx) error {
		var first int64
		err := tx.QueryRow(`SELECT first_time FROM journal_order ORDER BY first LIMIT 1`).Scan(&first)
		if errors.Is(err, store.ErrNoRows) {
			end, err = dropped(tx)
			return err
		}
		if err != nil {
			return err
		}
		oldest = time.UnixMilli(first).UTC()
		err = tx.QueryRow(`SELECT first FROM journal_order WHERE last_time >= $1 ORDER BY first LIMIT 1`, than.UnixMilli()).Scan(&end)
		if errors.Is(err, store.ErrNoRows) {
			err = tx.QueryRow(`SELECT first + count FROM journal_order ORDER BY first DESC LIMIT 1`).Scan(&end)
		}
		return err
	})
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("journal: %w", err)
	}
	return end, oldest, nil
}

// Drop drops the pages that have no record from the index before on, oldest first. Records keep their indexes. It may be broken off, and done again.
// Whoever drops sees to it that nobody needs the records any more: see Followed and Cursors.
func (j *Journal) Drop(ctx context.Context, before int64) error {
	for more := true; more; {
		err := j.db.Update(ctx, func(tx store.Tx) (err error) {
			var end int64
			end, more, err = dropSome(tx, before)
			tx.OnCommit(func() { j.pages.drop(end) })
			return err
		})
		if err != nil {
			return fmt.Errorf("journal: drop records before %d: %w", before, err)
		}
	}
	return nil
}

// dropSome drops up to dropPages pages, and says up to which index that is and whether there may be more.
func dropSome(tx store.Tx, before int64) (end int64, more bool, err error) {
	rows, err := tx.Query(`SELECT first, count, node, number FROM journal_order ORDER BY first LIMIT $1`, dropPages)
	if err != nil {
		return 0, false, err
	}
	defer rows.Close()
	type place struct{ end, node, number int64 }
	var places []place
	for rows.Next() {
		var p place
		var first, count int64
		if err := rows.Scan(&first, &count, &p.node, &p.number); err != nil {
			return 0, false, err
		}
		if p.end = first + count; p.end > before {
			break
		}
		places = append(places, p)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil || len(places) == 0 {
		return 0, false, err
	}
	for _, p := range places {
		// Those of effects without a record go with it. Void pages stay: what they stand for must never happen.
		if _, err := tx.Exec(`DELETE FROM journal_page WHERE node = $1 AND (number = $2 OR number < $2 AND count = 0)`, p.node, p.number); err != nil {
			return 0, false, err
		}
	}
	end = places[len(places)-1].end
	if _, err := tx.Exec(`DELETE FROM journal_order WHERE first < $1`, end); err != nil {
		return 0, false, err
	}
	_, err = tx.Exec(`UPDATE journal_dropped SET next = $1 WHERE one = 1`, end)
	return end, len(places) == dropPages, err
}

// Cursors are where the followers are whose cursors a database has, running or not.
func Cursors(ctx context.Context, db store.DB) (map[string]int64, error) {
	if err := db.Migrate(ctx, "journal_cursor", cursorMigrations...); err != nil {
		return nil, err
	}
	all := map[string]int64{}
	err := db.View(ctx, func(tx store.Tx) error {
		rows, err := tx.Query(`SELECT name, next FROM journal_cursor`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var name string
			var next int64
			if err := rows.Scan(&name, &next); err != nil {
				return err
			}
			all[name] = next
		}
		return rows.Err()
	})
	return all, err
}
