package trail

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"vigil"
	"vigil/internal/journal"
	"vigil/internal/store"
)

// foldRecords is how long the tail grows before it is folded into the database. The more records are folded at once,
// the fewer times a row is written; a new process reads as many records again, at some microseconds each, as the tail
// had.
const foldRecords = 32768

// loadRecords is how many records are read from the journal at a time.
const loadRecords = 1024

// stopTime is how long a stopping process may take to fold its tail.
const stopTime = 5 * time.Second

// Run follows the journal until ctx is done, and then folds what there is. It is called once.
func (t *Trail) Run(ctx context.Context) error {
	sequenced := t.journal.Sequenced()
	if t.tail.first > sequenced {
		return fmt.Errorf("event history: its database has %d records and the journal %d, so it belongs to another journal, "+
			"or to a later state of this one; without its database the history is made again", t.tail.first, sequenced)
	}
	// The cursor is ahead of the database by what an earlier process had not folded.
	var r vigil.OutlineReader
	if err := t.load(ctx, &r, min(sequenced, t.tail.first+int64(t.foldAt))); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("event history: %w", err)
	}

	err := t.journal.Follow(ctx, journal.Follower{Name: follower, DB: t.db, Apply: func(tx store.Tx, entries []journal.Entry) error {
		return t.apply(ctx, tx, &r, entries)
	}})
	if err != nil && ctx.Err() == nil {
		return err
	}
	return t.foldAtEnd(ctx)
}

// apply takes entries into the tail, and folds that when it is long enough. The tail holds nothing but what the journal
// says, so it may keep what a transaction that fails has brought, and passes over entries that it has.
func (t *Trail) apply(ctx context.Context, tx store.Tx, r *vigil.OutlineReader, entries []journal.Entry) error {
	next, tide, err := indexed(tx)
	if err != nil {
		return err
	}
	if next != t.tail.first { // a fold whose commit was in doubt has happened after all
		t.replace(newTail(next, tide))
	}
	if err := t.load(ctx, r, entries[0].Seq); err != nil {
		return err
	}
	t.add(r, entries)
	if len(t.tail.times) < t.foldAt && !t.foldNow.Load() {
		return nil
	}
	tx.OnCommit(func() { t.foldNow.Store(false) })
	return t.fold(tx)
}

// load reads the records up to end that the tail lacks from the journal.
func (t *Trail) load(ctx context.Context, r *vigil.OutlineReader, end int64) error {
	for t.tail.next() < end {
		seqs := make([]int64, min(loadRecords, end-t.tail.next()))
		for i := range seqs {
			seqs[i] = t.tail.next() + int64(i)
		}
		entries, err := t.journal.Get(ctx, seqs)
		if err != nil {
			return err
		}
		t.add(r, entries)
		t.mu.Lock()
		t.skip(seqs[len(seqs)-1] + 1)
		t.mu.Unlock()
	}
	return nil
}

// add takes entries into the tail, from the first on that it does not have. Look-ups get in between.
func (t *Trail) add(r *vigil.OutlineReader, entries []journal.Entry) {
	for some := range slices.Chunk(entries, 64) {
		t.addSome(r, some)
	}
}

func (t *Trail) addSome(r *vigil.OutlineReader, entries []journal.Entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var f facts
	for _, e := range entries {
		if e.Seq < t.tail.next() {
			continue
		}
		t.skip(e.Seq)
		if err := r.Read(e.Data, &f.Outline); err != nil {
			t.tail.addTime(e.Time.UnixMilli()) // it is no event, so it is in no one's history
			continue
		}
		at := e.Time.UnixMilli()
		if e.Time.Unix() != f.Second { // the journal tells the milliseconds, but the event tells the time
			at = f.Second * 1000
		}
		t.tail.add(at, &f, e.Data, !e.Imported.IsZero())
	}
}

// skip passes over records that the journal does not have any more.
func (t *Trail) skip(end int64) {
	for t.tail.next() < end {
		t.tail.addTime(t.tail.tide)
	}
}

func (t *Trail) replace(with *tail) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tail = with
}

// fold writes the tail into the database. Once that is durable, the tail begins anew behind it.
func (t *Trail) fold(tx store.Tx) error {
	old := t.tail // only the goroutine that folds changes it, so reading needs no mutex
	if err := putTimes(tx, old.first, old.times, old.before); err != nil {
		return err
	}
	for _, p := range t.postings() {
		if err := appendPosting(tx, p.term, p.runs(old.first)); err != nil {
			return err
		}
	}
	if err := putEvents(tx, old.eventPlaces()); err != nil {
		return err
	}
	if err := putUses(tx, old.uses); err != nil {
		return err
	}
	if err := putCallers(tx, old.callers); err != nil {
		return err
	}
	if _, err := tx.Exec(`UPDATE history_index SET next = $1, tide = $2 WHERE one = 1`, old.next(), old.tide); err != nil {
		return err
	}
	tx.OnCommit(func() { t.replace(newTail(old.next(), old.tide)) })
	return nil
}

// foldAtEnd folds what there is when the process stops, so that the next one need not read it again.
func (t *Trail) foldAtEnd(ctx context.Context) error {
	if len(t.tail.times) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	err := t.db.Update(ctx, func(tx store.Tx) error {
		next, _, err := indexed(tx)
		if err != nil || next != t.tail.first {
			return err
		}
		return t.fold(tx)
	})
	if err != nil {
		return fmt.Errorf("event history: %w; the next start reads again what was not written", err)
	}
	return nil
}

// eventPlaces are those of the tail, in no order.
func (t *tail) eventPlaces() []eventPlace {
	places := make([]eventPlace, 0, len(t.events))
	for key, records := range t.events {
		for _, n := range records {
			places = append(places, eventPlace{key, t.first + int64(n)})
		}
	}
	return places
}

// posting is what the tail has of a term: records, as distances from the tail's first, in order.
type posting struct {
	term    int64
	records []uint32
}

// postings are all of the tail's, in the order of terms. Should two values have the same term, their records are together.
func (t *Trail) postings() []posting {
	var all []posting
	for _, s := range t.tail.scopes {
		for k, values := range s.postings {
			for value, records := range values {
				all = append(all, posting{t.term(s.scope, kind(k), value), *records})
			}
		}
	}
	slices.SortFunc(all, func(a, b posting) int { return cmp.Compare(a.term, b.term) })

	distinct := all[:0]
	for _, p := range all {
		if n := len(distinct); n > 0 && distinct[n-1].term == p.term {
			both := slices.Concat(distinct[n-1].records, p.records)
			slices.Sort(both)
			distinct[n-1].records = slices.Compact(both)
			continue
		}
		distinct = append(distinct, p)
	}
	return distinct
}

// runs are the posting's records as runs of indexes, for a tail that begins with first.
func (p posting) runs(first int64) []run {
	var runs []run
	for _, n := range p.records {
		at := first + int64(n)
		if last := len(runs) - 1; last >= 0 && runs[last].last == at-1 {
			runs[last].last = at
			continue
		}
		runs = append(runs, run{at, at})
	}
	return runs
}
