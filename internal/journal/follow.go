package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"vigil/internal/store"
)

// Follower reads the journal in order and turns it into something of its own.
type Follower struct {
	// Name names the follower's cursor, for ever.
	Name string
	// DB holds the cursor and what the follower makes. A follower with heavy data has a database of its own, so that following
	// never stalls committing.
	DB store.DB
	// Idle, if it is not nil, says that at this moment nothing has to be done for any entry, and will not have to be for those that are appended already. The
	// follower then passes over what is sequenced, without reading it.
	Idle func() bool
	// Prepare, if it is not nil, is given the entries before the transaction, for work that others need not wait for.
	Prepare func(entries []Entry) error
	// Apply is given entries in order. Its changes are committed with the cursor behind them, or else not at all, and it is
	// given the entries again. It must not keep or change the entries' Data.
	Apply func(tx store.Tx, entries []Entry) error
	// Pace is the least time between two rounds of a follower that has come to the end and that nobody waits for, so that under load a
	// round takes more entries. When there are thousands before that, it goes on.
	Pace time.Duration
}

// A round of a follower takes no more than this.
const (
	maxFollow     = 256     // pages
	maxFollowSize = 4 << 20 // bytes of records
)

// longRound is how many entries are worth a round at any time. More would be what memory has no room for: see maxFresh.
const longRound = 4096

// How long a follower that failed waits before it tries again: at first, and at most.
const (
	followPause    = 100 * time.Millisecond
	maxFollowPause = 30 * time.Second
)

var cursorMigrations = []string{
	`CREATE TABLE journal_cursor (
		name TEXT   NOT NULL PRIMARY KEY,
		next BIGINT NOT NULL)`,
}

// Follow gives f the journal's entries from its cursor on, as they are sequenced, until ctx is done. A follower that fails
// is tried again, later and later, and holds up nobody else.
func (j *Journal) Follow(ctx context.Context, f Follower) error {
	next, err := j.begin(ctx, f)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("follower %s: %w", f.Name, err)
	}
	j.reads(f, f.Idle == nil)
	j.advance(func() { j.followers[f.Name] = next })
	defer func() {
		j.reads(f, false)
		j.advance(func() { delete(j.followers, f.Name) })
	}()

	for pause := followPause; ; {
		if err := j.await(ctx, func() bool { return j.sequenced > next }); err != nil {
			return nil // ctx is done
		}
		moved, err := j.followSome(ctx, f, next)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			j.log.Error("A follower failed and will be tried again.", "follower", f.Name, "record", next, "error", err)
			j.reads(f, false)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return nil
			}
			pause = min(2*pause, maxFollowPause)
			continue
		}
		pause = followPause
		next = moved
		j.advance(func() { j.followers[f.Name] = next })
		j.release()
		if f.Pace > 0 && next >= j.Sequenced() {
			j.rest(ctx, f)
		}
	}
}

// rest waits until a follower's next round is due or will be a long one, or somebody waits for the follower.
func (j *Journal) rest(ctx context.Context, f Follower) {
	ctx, cancel := context.WithTimeout(ctx, f.Pace)
	defer cancel()
	_ = j.await(ctx, func() bool { return j.awaited[f.Name] > 0 || j.sequenced-j.followers[f.Name] >= longRound })
}

// begin finds where f is.
func (j *Journal) begin(ctx context.Context, f Follower) (next int64, err error) {
	if err := f.DB.Migrate(ctx, "journal_cursor", cursorMigrations...); err != nil {
		return 0, err
	}
	return cursor(ctx, f)
}

// cursor is the index of the first entry that f has not followed.
func cursor(ctx context.Context, f Follower) (next int64, err error) {
	err = f.DB.View(ctx, func(tx store.Tx) error {
		err := tx.QueryRow(`SELECT next FROM journal_cursor WHERE name = $1`, f.Name).Scan(&next)
		if errors.Is(err, store.ErrNoRows) {
			return nil
		}
		return err
	})
	return next, err
}

// followSome lets f follow a number of pages from next on, and returns where it is then.
func (j *Journal) followSome(ctx context.Context, f Follower, next int64) (int64, error) {
	if sequenced := j.Sequenced(); f.Idle != nil && f.Idle() { // in this order: what it says is of all that was appended before
		j.reads(f, false)
		f.Apply = func(store.Tx, []Entry) error { return nil }
		return j.moveTo(ctx, f, next, sequenced, nil)
	}
	j.reads(f, true)
	entries, err := j.entriesFrom(ctx, next)
	if err != nil || len(entries) == 0 {
		return next, err
	}
	moved := entries[len(entries)-1].Seq + 1
	if f.Prepare != nil {
		if err := f.Prepare(entries); err != nil {
			return next, err
		}
	}
	return j.moveTo(ctx, f, next, moved, entries)
}

// moveTo lets f follow entries, from next on, and moves its cursor behind them.
func (j *Journal) moveTo(ctx context.Context, f Follower, next, moved int64, entries []Entry) (int64, error) {
	err := f.DB.Update(ctx, func(tx store.Tx) error {
		if err := f.Apply(tx, entries); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO journal_cursor (name, next) VALUES ($1, $2)
			ON CONFLICT (name) DO UPDATE SET next = excluded.next`, f.Name, moved)
		return err
	})
	var commit *store.CommitError
	if errors.As(err, &commit) { // the cursor tells what became of it
		at, cursorErr := cursor(ctx, f)
		if cursorErr != nil {
			return next, errors.Join(err, cursorErr)
		}
		if at == moved {
			commit.Happened()
			return moved, nil
		}
	}
	if err != nil {
		return next, err
	}
	return moved, nil
}

// entriesFrom reads whole pages from the entry next on, which is the first of its page: from memory if they were just appended, or if another
// follower has just read them, as followers are most often at the same place.
func (j *Journal) entriesFrom(ctx context.Context, next int64) ([]Entry, error) {
	pages := j.pages.run(next)
	if len(pages) == 0 {
		var err error
		if pages, err = j.readPages(ctx, next); err != nil {
			return nil, err
		}
	}
	total := 0
	for _, p := range pages {
		total += len(p.records)
	}
	entries := make([]Entry, 0, total)
	for _, p := range pages {
		for seq := p.first; seq < p.end(); seq++ {
			entries = append(entries, p.entry(seq))
		}
	}
	return entries, nil
}

// readPages reads what a round takes from the database, unless another has while this one waited for it.
func (j *Journal) readPages(ctx context.Context, next int64) (pages []*page, err error) {
	j.reading.Lock()
	defer j.reading.Unlock()
	if pages = j.pages.run(next); len(pages) > 0 {
		return pages, nil
	}
	err = j.db.View(ctx, func(tx store.Tx) error {
		rows, err := tx.Query(`SELECT o.first, o.count, p.body FROM journal_order o JOIN journal_page p ON p.node = o.node AND p.number = o.number
			WHERE o.first >= $1 ORDER BY o.first LIMIT $2`, next, maxFollow)
		if err != nil {
			return err
		}
		defer rows.Close()
		for size := 0; size < maxFollowSize && rows.Next(); {
			var first, count int64
			var body []byte
			if err := rows.Scan(&first, &count, &body); err != nil {
				return err
			}
			p, err := j.decode(first, count, body)
			if err != nil {
				return err
			}
			pages = append(pages, p)
			size += p.size
		}
		return rows.Err()
	})
	return pages, err
}

// isNext says whether a follower's next round begins with a page.
func (j *Journal) isNext(p *page) bool {
	j.progress.Lock()
	defer j.progress.Unlock()
	for _, at := range j.followers {
		if at == p.first {
			return true
		}
	}
	return false
}

// Wait returns when the follower of that name has followed everything that was appended before Wait was called, so that
// who asks it reads what has been answered. It returns ctx's error if that ends first.
func (j *Journal) Wait(ctx context.Context, name string) error {
	target := j.Appended()
	if j.Sequenced() < target {
		signal(j.hurry)
	}
	if j.Followed()[name] >= target {
		return nil
	}
	j.advance(func() { j.awaited[name]++ })
	defer j.advance(func() { j.awaited[name]-- })
	return j.await(ctx, func() bool { return j.followers[name] >= target })
}

// await waits until what progress guards is as reached wants it, or until ctx is done.
func (j *Journal) await(ctx context.Context, reached func() bool) error {
	for {
		j.progress.Lock()
		ok, moved := reached(), j.moved
		j.progress.Unlock()
		if ok {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
