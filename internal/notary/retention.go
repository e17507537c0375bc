package notary

import (
	"context"
	"errors"
	"fmt"
	"time"

	"vigil"
	"vigil/internal/journal"
	"vigil/internal/store"
)

// State states, signed and in a sealed record of the journal's own, that the records before an index, which are all older than a moment, are dropped.
// When it returns, they may be. record makes the entry that has the statement: that of the event vigil.RetentionEvent.
//
// Only records that are sealed can be dropped, and not the one with the statement, which is the last but for later ones.
func (n *Notary) State(ctx context.Context, before int64, older, now time.Time, record func(statement string) journal.Record) error {
	if err := n.Err(); err != nil {
		return err
	}
	last := n.Signed().Checkpoint
	if before > last.Size {
		return fmt.Errorf("notary: %d records are sealed, so those before %d cannot be dropped", last.Size, before)
	}
	signed, err := vigil.Retention{Origin: n.origin, Before: before, Older: older, Time: now, Tree: last}.Sign(n.signer)
	if err != nil {
		return fmt.Errorf("notary: %w", err)
	}
	entry := record(string(signed))
	stated, err := vigil.ParseRecord(entry.Data)
	if err != nil {
		return fmt.Errorf("notary: %w", err)
	}
	if err := n.journal.Commit(ctx, nil, func(error) []journal.Record { return []journal.Record{entry} }); err != nil {
		return fmt.Errorf("notary: %w", err)
	}
	if err := n.journal.Wait(ctx, Follower); err != nil {
		return fmt.Errorf("notary: what is to be dropped is not sealed yet: %w", err)
	}
	found, err := n.find(ctx, stated.EventID)
	if err != nil {
		return err
	}
	return n.db.Update(ctx, func(tx store.Tx) error {
		_, err := tx.Exec(`INSERT INTO notary_retention (one, before, record) VALUES (1, $1, $2)
			ON CONFLICT (one) DO UPDATE SET before = excluded.before, record = excluded.record`, before, found.Seq)
		return err
	})
}

// Stated is the index before which all records are stated to be dropped. Those that are still there may be.
func (n *Notary) Stated(ctx context.Context) (before int64, err error) {
	err = n.db.View(ctx, func(tx store.Tx) error {
		err := tx.QueryRow(`SELECT before FROM notary_retention WHERE one = 1`).Scan(&before)
		if errors.Is(err, store.ErrNoRows) {
			return nil
		}
		return err
	})
	return before, err
}
