package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"vigil/internal/store"
)

// sequencePause is the least time between two rounds of the sequencer. Under load, a round then gives many pages their
// places with one commit; an idle server does not wait for it, nor does who waits for a follower.
const sequencePause = 100 * time.Millisecond

// maxSequence is how many pages one round takes.
const maxSequence = 1024

// runSequencer gives appended pages their places until ctx is done, and then all that are left.
func (j *Journal) runSequencer(ctx context.Context) {
	for {
		select {
		case <-j.unordered:
		case <-ctx.Done():
			if err := j.sequenceAll(context.Background()); err != nil {
				j.log.Warn("Some records have no index yet; the next start gives it to them.", "error", err)
			}
			return
		}
		if err := j.sequenceAll(ctx); err != nil && ctx.Err() == nil {
			j.log.Error("Sequencing failed and will be tried again.", "error", err)
			signal(j.unordered)
		}
		select {
		case <-time.After(sequencePause):
		case <-j.hurry:
		case <-ctx.Done():
		}
	}
}

// sequenceAll gives every page that has none its place.
func (j *Journal) sequenceAll(ctx context.Context) error {
	for {
		more, err := j.sequenceSome(ctx)
		if err != nil || !more {
			return err
		}
	}
}

// sequenceSome gives up to maxSequence pages their places, in one transaction, and says whether there may be more.
func (j *Journal) sequenceSome(ctx context.Context) (more bool, err error) {
	var next int64
	var own []placed // of this process's pages
	var ownNext int64
	err = j.db.Update(ctx, func(tx store.Tx) error {
		next, more, own, ownNext = 0, false, nil, 0
		err := tx.QueryRow(`SELECT first + count FROM journal_order ORDER BY first DESC LIMIT 1`).Scan(&next)
		if errors.Is(err, store.ErrNoRows) { // there are none yet, or none any more
			next, err = dropped(tx)
		}
		if err != nil {
			return err
		}
		nodes, err := openNodes(tx)
		if err != nil {
			return err
		}
		room := maxSequence
		for _, n := range nodes {
			pages, err := unplacedPages(tx, n, room)
			if err != nil {
				return err
			}
			var places []placed
			if places, next, err = place(tx, &n, pages, next); err != nil {
				return err
			}
			if n.id == j.node {
				own, ownNext = places, n.next
			}
			if room -= len(pages); room == 0 {
				more = true
				return nil
			}
			if n.id != j.node { // that process has ended, and all its pages have their places
				if _, err := tx.Exec(`DELETE FROM journal_node WHERE node = $1`, n.id); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	j.pages.place(own, ownNext)
	j.advance(func() { j.sequenced = next })
	return more, nil
}

// node is a process's life whose pages may lack places, from page next on.
type node struct{ id, next int64 }

func openNodes(tx store.Tx) ([]node, error) {
	rows, err := tx.Query(`SELECT node, next FROM journal_node ORDER BY node`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var nodes []node
	for rows.Next() {
		var n node
		if err := rows.Scan(&n.id, &n.next); err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	}
	return nodes, rows.Err()
}

// unplaced is a page that has no place yet.
type unplaced struct{ number, count, firstTime, lastTime int64 }

func unplacedPages(tx store.Tx, n node, limit int) ([]unplaced, error) {
	rows, err := tx.Query(`SELECT number, count, first_time, last_time FROM journal_page
		WHERE node = $1 AND number >= $2 ORDER BY number LIMIT $3`, n.id, n.next, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var pages []unplaced
	for rows.Next() {
		var p unplaced
		if err := rows.Scan(&p.number, &p.count, &p.firstTime, &p.lastTime); err != nil {
			return nil, err
		}
		pages = append(pages, p)
	}
	return pages, rows.Err()
}

// placed is a page that has its place.
type placed struct{ number, first int64 }

// place gives a node's next pages their places, the first record of which gets the index first. It returns them, and the index behind
// the last.
func place(tx store.Tx, n *node, pages []unplaced, first int64) (places []placed, end int64, err error) {
	for _, p := range pages {
		if p.number < n.next {
			return nil, first, fmt.Errorf("page %d of node %d already has its place", p.number, n.id)
		}
		n.next = p.number + 1
		if p.count <= 0 { // void, or effects without a record
			continue
		}
		if _, err := tx.Exec(`INSERT INTO journal_order (first, count, node, number, first_time, last_time) VALUES ($1, $2, $3, $4, $5, $6)`,
			first, p.count, n.id, p.number, p.firstTime, p.lastTime); err != nil {
			return nil, first, err
		}
		places = append(places, placed{p.number, first})
		first += p.count
	}
	if len(pages) > 0 {
		_, err = tx.Exec(`UPDATE journal_node SET next = $1 WHERE node = $2`, n.next, n.id)
	}
	return places, first, err
}
