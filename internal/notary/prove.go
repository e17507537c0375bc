package notary

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"

	"vigil"
	"vigil/internal/journal"
	"vigil/internal/store"
)

// ErrNoEvent is returned for an event that the journal does not have, or not any more.
var ErrNoEvent = errors.New("notary: no such event")

// ProveEvent makes the proof of the record of the event with that id. It waits until the event is sealed.
func (n *Notary) ProveEvent(ctx context.Context, eventID string) (*vigil.Proof, error) {
	if err := n.Err(); err != nil {
		return nil, err
	}
	if err := n.journal.Wait(ctx, Follower); err != nil {
		return nil, fmt.Errorf("notary: the newest records are not sealed yet: %w", err)
	}
	entry, err := n.find(ctx, eventID)
	if err != nil {
		return nil, err
	}
	return n.Prove(ctx, entry)
}

// Prove makes the proof of an entry that is sealed: under the last checkpoint that a witness has cosigned, if it covers the entry, or else under
// the last.
func (n *Notary) Prove(ctx context.Context, entry journal.Entry) (*vigil.Proof, error) {
	n.mu.Lock()
	c := n.signed
	if n.cosigned != nil && entry.Seq < n.cosigned.Size {
		c = n.cosigned
	}
	n.mu.Unlock()
	if c == nil || entry.Seq >= c.Size {
		return nil, fmt.Errorf("notary: record %d is not sealed yet", entry.Seq)
	}
	p := &vigil.Proof{Record: entry.Data, Index: entry.Seq, Checkpoint: c.Note}
	err := n.db.View(ctx, func(tx store.Tx) (err error) {
		p.Path, err = tlog.ProveRecord(c.Size, entry.Seq, verifiedHashes(tx, c.Checkpoint))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("notary: %w", err)
	}
	if _, err := p.Verify(n.verifier); err != nil { // a record that is not the one that was sealed
		return nil, fmt.Errorf("%w: %w", ErrInconsistent, err)
	}
	return p, nil
}

// prove shows that the last checkpoint's tree has that of an earlier one at its beginning.
func (n *Notary) prove(ctx context.Context, earlier vigil.Checkpoint) error {
	last := n.Signed().Checkpoint
	proof, err := n.consistency(ctx, earlier.Size, last)
	if err != nil {
		return err
	}
	return vigil.CheckConsistency(earlier, last, proof)
}

// consistency is the proof that a checkpoint's tree has its first size leaves at its beginning, which every tree has; it says which.
func (n *Notary) consistency(ctx context.Context, size int64, c vigil.Checkpoint) (proof tlog.TreeProof, err error) {
	if size == 0 || size >= c.Size {
		return nil, nil
	}
	err = n.db.View(ctx, func(tx store.Tx) (err error) {
		proof, err = tlog.ProveTree(c.Size, size, verifiedHashes(tx, c))
		return err
	})
	return proof, err
}

// verifiedHashes reads a checkpoint's tree from the tiles, and refuses those that are not of it.
func verifiedHashes(tx store.Tx, c vigil.Checkpoint) tlog.HashReader {
	return tlog.TileHashReader(tlog.Tree{N: c.Size, Hash: c.Root}, tileReader{tx})
}

// tileReader is a tlog.TileReader over the database.
type tileReader struct{ tx store.Tx }

func (r tileReader) Height() int { return vigil.TileHeight }

func (r tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, t := range tiles {
		hashes, err := tileHashes(r.tx, t.L, t.N, t.W)
		if err != nil {
			return nil, err
		}
		data[i] = join(hashes)
	}
	return data, nil
}

func (r tileReader) SaveTiles([]tlog.Tile, [][]byte) {}

// An event's id tells its time, and the record's time is about that. Events from elsewhere may have been recorded at any time.
const aboutThen = time.Minute

// find looks an event up by its id: first where its id says that it is, then everywhere.
func (n *Notary) find(ctx context.Context, eventID string) (journal.Entry, error) {
	if id, err := uuid.Parse(eventID); err == nil && id.Version() == 7 {
		at := time.Unix(id.Time().UnixTime())
		entry, err := n.findBetween(ctx, eventID, at.Add(-aboutThen), at.Add(aboutThen))
		if !errors.Is(err, ErrNoEvent) {
			return entry, err
		}
	}
	return n.findBetween(ctx, eventID, time.UnixMilli(0), time.Now().AddDate(200, 0, 0))
}

// findBetween looks at the records of the pages with records of that time, the newest page first.
func (n *Notary) findBetween(ctx context.Context, eventID string, from, to time.Time) (journal.Entry, error) {
	ranges, err := n.journal.During(ctx, from, to)
	if err != nil {
		return journal.Entry{}, err
	}
	var reader vigil.OutlineReader
	var outline vigil.Outline
	for i := len(ranges) - 1; i >= 0; i-- {
		var seqs []int64
		for seq := ranges[i].First; seq < ranges[i].End; seq++ {
			seqs = append(seqs, seq)
		}
		entries, err := n.journal.Get(ctx, seqs)
		if err != nil {
			return journal.Entry{}, err
		}
		for _, e := range entries {
			if reader.Read(e.Data, &outline) == nil && string(outline.EventID) == eventID {
				return e, nil
			}
		}
	}
	return journal.Entry{}, ErrNoEvent
}
