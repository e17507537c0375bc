// Package journal is the record that everything else follows: an append-only sequence of records, each made durable in one
// transaction with the effect that it records.
//
// These words are used in one sense throughout Vigil:
//
//   - A record is appended when it is durable, with its effect. The client may now be told.
//   - It is sequenced when it has its index: 0, 1, 2 … without a gap, in an order that never changes.
//   - It is sealed when it is under a signed checkpoint, which package notary makes.
//   - It is followed by n when n's own effect of it, and n's cursor behind it, are committed in one transaction.
//
// Calls that wait at the same time are committed as one batch: one transaction, in which each effect has its savepoint and
// the records become one compressed page. A page is appended without an index, as nodes append at the same time and
// a database's own order of rows is not the order of their commits. One sequencer gives the pages their places, and
// followers know only that order. The journal knows bytes, not AWS.
//
// commit.go is the way in, sequence.go the order, follow.go the way out, fresh.go the short cut between them, drop.go what happens to the
// oldest records, recover.go what happens when a commit's fate is unknown, and check.go what must hold at every moment.
package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"vigil"
	"vigil/internal/store"
)

// Record is what a call leaves behind.
type Record struct {
	Time time.Time // when it happened, by the server's clock
	Data []byte    // the CloudTrail event, as JSON
}

// Entry is a sequenced record.
type Entry struct {
	Seq  int64 // its index, from 0
	Time time.Time
	Data []byte
	// Imported is when the record was brought in from elsewhere, and zero for one of this journal's own. Its Time is then that of the
	// event, which may be long before that of its neighbours.
	Imported time.Time

	digest *[32]byte // of Data, if it is known
}

// Digest is vigil.Digest of the entry's Data.
func (e Entry) Digest() [32]byte {
	if e.digest != nil {
		return *e.digest
	}
	return vigil.Digest(e.Data)
}

// ErrClosed is returned by Commit once the journal is stopping. Nothing of the call was recorded or done.
var ErrClosed = errors.New("journal: closed")

// ErrNotRecorded is returned by Commit when the batch could not be made durable. Nothing of the call was recorded or done.
var ErrNotRecorded = errors.New("journal: not recorded")

// ErrInDoubt is returned by Commit when the fate of the batch could not be found out, after which the journal stops:
// the call may have been recorded and done, wholly, or not at all.
var ErrInDoubt = errors.New("journal: in doubt")

// Journal is one node's journal. Its methods may be used by many goroutines.
type Journal struct {
	db  store.DB
	log *slog.Logger

	node int64 // names this life of this process among the pages; never used twice

	mu      sync.Mutex
	pending []*waiter     // joined the next batch
	closed  bool          // no waiter is taken any more
	wake    chan struct{} // tells the committer that pending is not empty

	number int64 // of the next page; the committer's own

	appended  atomic.Int64  // records appended by all nodes that this process knows of
	unordered chan struct{} // tells the sequencer that there are pages without a place
	hurry     chan struct{} // tells it that somebody waits for them

	progress  sync.Mutex
	moved     chan struct{}    // closed and replaced whenever sequenced or a position moves
	sequenced int64            // records that have their index
	followers map[string]int64 // where each running follower is
	readers   map[string]bool  // those of them that read what there is, being neither idle nor about to try again later
	awaited   map[string]int   // how many wait for a follower

	pages   *pageCache
	reading sync.Mutex // held to read pages that pages does not have: followers that come to the same ones at once read them once
}

// void is the count of a page that stands for a commit that did not happen: see settle.
const void = -1

var migrations = []string{
	`CREATE TABLE journal_page (
		node       BIGINT NOT NULL,
		number     BIGINT NOT NULL,
		count      BIGINT NOT NULL,
		first_time BIGINT NOT NULL,
		last_time  BIGINT NOT NULL,
		body       BYTEA  NOT NULL,
		PRIMARY KEY (node, number))`,
	`CREATE TABLE journal_order (
		first      BIGINT NOT NULL PRIMARY KEY,
		count      BIGINT NOT NULL,
		node       BIGINT NOT NULL,
		number     BIGINT NOT NULL,
		first_time BIGINT NOT NULL,
		last_time  BIGINT NOT NULL)`,
	// A node is a process's life. Its row is there until all its pages have their place.
	`CREATE TABLE journal_node (
		node BIGINT NOT NULL PRIMARY KEY,
		next BIGINT NOT NULL)`,
	`CREATE TABLE journal_last_node (
		one  BIGINT NOT NULL PRIMARY KEY,
		node BIGINT NOT NULL)`,
	// The records before next were dropped.
	`CREATE TABLE journal_dropped (
		one  BIGINT NOT NULL PRIMARY KEY,
		next BIGINT NOT NULL);
	INSERT INTO journal_dropped (one, next) VALUES (1, 0)`,
}

// Open prepares the journal in db and gives the pages that an earlier process left unsequenced their places.
func Open(ctx context.Context, db store.DB, log *slog.Logger) (*Journal, error) {
	if err := db.Migrate(ctx, "journal", migrations...); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	j := &Journal{
		db:        db,
		log:       log,
		wake:      make(chan struct{}, 1),
		unordered: make(chan struct{}, 1),
		hurry:     make(chan struct{}, 1),
		moved:     make(chan struct{}),
		followers: map[string]int64{},
		readers:   map[string]bool{},
		awaited:   map[string]int{},
		pages:     newPageCache(),
	}
	if err := j.sequenceAll(ctx); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if err := j.enter(ctx); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	j.appended.Store(j.Sequenced())
	return j, nil
}

// enter takes a node number for this process's life.
func (j *Journal) enter(ctx context.Context) error {
	return j.db.Update(ctx, func(tx store.Tx) error {
		if err := tx.QueryRow(`INSERT INTO journal_last_node (one, node) VALUES (1, 1)
			ON CONFLICT (one) DO UPDATE SET node = journal_last_node.node + 1 RETURNING node`).Scan(&j.node); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO journal_node (node, next) VALUES ($1, 0)`, j.node)
		return err
	})
}

// Run commits what is given to Commit and sequences it, until ctx is done and every waiter has been answered, or
// until the journal cannot go on, which is the error it then returns.
func (j *Journal) Run(ctx context.Context) error {
	sequencing, stop := context.WithCancel(context.Background())
	sequencer := make(chan struct{})
	go func() {
		defer close(sequencer)
		j.runSequencer(sequencing)
	}()
	err := j.runCommitter(ctx)
	stop()
	<-sequencer
	return err
}

// Sequenced is how many records have their index.
func (j *Journal) Sequenced() int64 {
	j.progress.Lock()
	defer j.progress.Unlock()
	return j.sequenced
}

// Appended is how many records are durable, sequenced or not.
func (j *Journal) Appended() int64 { return j.appended.Load() }

// Followed is how many records each running follower has behind it.
func (j *Journal) Followed() map[string]int64 {
	j.progress.Lock()
	defer j.progress.Unlock()
	all := make(map[string]int64, len(j.followers))
	for name, at := range j.followers {
		all[name] = at
	}
	return all
}

// advance changes what progress guards and wakes who waits for it.
func (j *Journal) advance(change func()) {
	j.progress.Lock()
	defer j.progress.Unlock()
	change()
	close(j.moved)
	j.moved = make(chan struct{})
}
