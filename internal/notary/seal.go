package notary

import (
	"bytes"
	"errors"
	"fmt"

	"vigil"
	"vigil/internal/journal"
	"vigil/internal/store"
)

// round is what prepare hands to seal: the digests of the entries from first on.
type round struct {
	first   int64
	digests [][digestSize]byte
}

// prepare takes the entries' digests, which is most of the work, while others may commit.
func (n *Notary) prepare(entries []journal.Entry) error {
	n.mu.Lock()
	fault, forGood := n.fault, n.forGood
	n.mu.Unlock()
	if forGood {
		return fault
	}
	n.round = round{entries[0].Seq, n.round.digests[:0]}
	for _, e := range entries {
		n.round.digests = append(n.round.digests, e.Digest())
	}
	return nil
}

// seal adds entries to the tree and signs what it then is. The last checkpoint and the tree's edge are read again, and held against each other and against
// what this process has signed, so that what it signs always has at its beginning what was signed before.
func (n *Notary) seal(tx store.Tx, entries []journal.Entry) error {
	err := n.sealRound(tx, n.round)
	if errors.Is(err, ErrInconsistent) {
		n.mu.Lock()
		n.fault = err
		n.mu.Unlock()
	}
	return err
}

func (n *Notary) sealRound(tx store.Tx, r round) error {
	last := n.Signed()
	var stored []byte
	if err := tx.QueryRow(`SELECT note FROM notary_checkpoint WHERE kind = $1`, kindSigned).Scan(&stored); err != nil {
		if errors.Is(err, store.ErrNoRows) {
			return fmt.Errorf("%w: the database's checkpoint is gone", ErrInconsistent)
		}
		return err
	}
	if !bytes.Equal(stored, last.Note) {
		return fmt.Errorf("%w: the database's checkpoint is another than the one that was signed last, of %d records", ErrInconsistent, last.Size)
	}
	if r.first != last.Size {
		return fmt.Errorf("%w: %d records were signed, and record %d is the next", ErrInconsistent, last.Size, r.first)
	}
	t, err := openTree(tx, last.Checkpoint)
	if err != nil {
		return err
	}
	t.growIn(tx)
	for _, digest := range r.digests {
		if err := t.add(digest); err != nil {
			return err
		}
	}
	if err := t.store(tx); err != nil {
		return err
	}
	signed, err := n.sign(t)
	if err != nil {
		return err
	}
	if err := storeCheckpoint(tx, kindSigned, signed.Note); err != nil {
		return err
	}
	tx.OnCommit(func() { n.publish(signed) })
	return nil
}

// sign makes the checkpoint of a tree. It is nobody's before the transaction that stores it is durable.
func (n *Notary) sign(t *tree) (*vigil.SignedCheckpoint, error) {
	root, err := t.root()
	if err != nil {
		return nil, err
	}
	c := vigil.Checkpoint{Origin: n.origin, Size: t.size, Root: root}
	signed, err := c.Sign(n.signer)
	if err != nil {
		return nil, err
	}
	return &vigil.SignedCheckpoint{Checkpoint: c, Note: signed}, nil
}

// publish makes a checkpoint the last.
func (n *Notary) publish(c *vigil.SignedCheckpoint) {
	n.mu.Lock()
	n.signed, n.fault = c, nil
	n.mu.Unlock()
	signal(n.sealed)
	signal(n.cosign)
}

// signal wakes who reads c, or leaves a note for when it next does.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
