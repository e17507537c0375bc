package journal

import (
	"context"
	"errors"
	"time"

	"vigil/internal/store"
)

// How often, and how long apart, the journal asks what became of a commit before it gives up.
const (
	settleTries = 40
	settlePause = 250 * time.Millisecond
)

// settle finds out whether a page whose commit failed is in the database, and if it is not, makes sure that it never will
// be: a commit that the server lost sight of may still be under way. It puts a void page in its place. If that succeeds the
// page did not happen, and no longer can, as a page's key is used once; if the place is taken, it did.
func (j *Journal) settle(number int64) (happened bool, err error) {
	for range settleTries {
		happened, err = j.occupy(number)
		if err == nil || errors.Is(err, store.ErrFenced) {
			return happened, err
		}
		j.log.Warn("The fate of a commit is not known yet.", "error", err)
		time.Sleep(settlePause)
	}
	return false, err
}

// occupy inserts a void page and says whether a real one was there before it.
func (j *Journal) occupy(number int64) (taken bool, err error) {
	err = j.db.Update(context.Background(), func(tx store.Tx) error {
		if _, err := tx.Exec(`INSERT INTO journal_page (node, number, count, first_time, last_time, body) VALUES ($1, $2, $3, 0, 0, $4)
			ON CONFLICT (node, number) DO NOTHING`, j.node, number, void, []byte{}); err != nil {
			return err
		}
		// The row may be the void page of an earlier try, whose own commit failed in the same way.
		var count int64
		if err := tx.QueryRow(`SELECT count FROM journal_page WHERE node = $1 AND number = $2`, j.node, number).Scan(&count); err != nil {
			return err
		}
		taken = count != void
		return nil
	})
	return taken, err
}
