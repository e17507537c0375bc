package trail

import (
	"context"
	"errors"
	"fmt"

	"vigil/internal/store"
)

// forgetRows is about how many rows of postings one transaction looks at, so that the follower waits little for it.
const forgetRows = 16384

// Settle has what the index holds in memory written into the database with the next records that come, so that the journal's older ones are not
// needed for it any more: see Settled. Otherwise that may take long when few come.
func (t *Trail) Settle() { t.foldNow.Store(true) }

// Settled is the index of the first record that the history will read again from the journal when the process is started anew. It lets the history
// catch up first, for five seconds at most.
func (t *Trail) Settled(ctx context.Context) (next int64, err error) {
	if err := t.wait(ctx); err != nil {
		return 0, err
	}
	err = t.db.View(ctx, func(tx store.Tx) (err error) {
		next, _, err = indexed(tx)
		return err
	})
	return next, err
}

// Forget removes what the index has of the records before an index that the journal has dropped and that are not before Settled. When keys and callers
// were last used stays. It may be broken off, and done again; look-ups find nothing of these records from its beginning on.
func (t *Trail) Forget(ctx context.Context, before int64) error {
	err := t.db.Update(ctx, func(tx store.Tx) error {
		next, _, err := indexed(tx)
		if err != nil {
			return err
		}
		if before > next {
			return fmt.Errorf("records from %d on are not in the database yet", next)
		}
		_, err = tx.Exec(`DELETE FROM history_span WHERE first + count <= $1 AND first < $1`, before)
		if err == nil {
			_, err = tx.Exec(`DELETE FROM history_time WHERE first < $1 AND first < (SELECT COALESCE(MIN(first), $1) FROM history_span)`, before)
		}
		return err
	})
	for at, ended := int64(-1<<63), false; err == nil && !ended; {
		err = t.db.Update(ctx, func(tx store.Tx) (err error) {
			at, ended, err = forgetPostings(tx, at, before)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("event history: forget the records before %d: %w", before, err)
	}
	return nil
}

// forgetPostings removes the rows of the terms from a term on that have nothing but records before an index. It returns the term to go on with.
func forgetPostings(tx store.Tx, from, before int64) (next int64, ended bool, err error) {
	err = tx.QueryRow(`SELECT term FROM history_posting WHERE term >= $1 ORDER BY term, first LIMIT 1 OFFSET $2`, from, forgetRows).Scan(&next)
	if errors.Is(err, store.ErrNoRows) {
		_, err = tx.Exec(`DELETE FROM history_posting WHERE term >= $1 AND last < $2`, from, before)
		return from, true, err
	}
	if err != nil {
		return from, false, err
	}
	if next == from { // a term with very many rows
		_, err = tx.Exec(`DELETE FROM history_posting WHERE term = $1 AND last < $2`, from, before)
		return from + 1, from == 1<<63-1, err
	}
	_, err = tx.Exec(`DELETE FROM history_posting WHERE term >= $1 AND term < $2 AND last < $3`, from, next, before)
	return next, false, err
}

// firstIndexed is the first record that the database has a time of, of those before end.
func firstIndexed(tx store.Tx, end int64) (first int64, err error) {
	err = tx.QueryRow(`SELECT COALESCE(MIN(first), $1) FROM history_span`, end).Scan(&first)
	return first, err
}
