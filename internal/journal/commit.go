package journal

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"vigil"
	"vigil/internal/store"
)

// A batch takes no more than this, so that one commit stays short and a page stays small enough to read for one record.
const (
	maxBatch     = 512
	maxBatchSize = 4 << 20
)

// A batch of at least busyBatch calls says that the server is busy. A smaller one after it waits for busyPause.
const (
	busyBatch = 16
	busyPause = time.Millisecond
)

// quietYields is how many yields in a row that bring no call end the gathering of a batch.
const quietYields = 8

// waiter is one call that waits until it is recorded.
type waiter struct {
	effect  func(store.Tx) error
	record  func(error) []Record // asked in the batch, after the effect
	records []Record             // of a call without effect, made by its own goroutine
	err     error                // what Commit returns
	done    chan struct{}
}

var waiters = sync.Pool{New: func() any { return &waiter{done: make(chan struct{}, 1)} }}

// Commit makes effect and the records of it durable in one transaction, together with whatever else waits. When it
// returns, the client may be told.
//
// effect may be nil. It runs on the committer's goroutine, one at a time, each in a savepoint: if it fails, what it did is undone,
// record is asked with its error, the records are made durable, and Commit returns that error.
// record is asked once, after the effect has run and before the commit, and must not fail.
//
// When Commit returns ErrClosed or ErrNotRecorded, nothing was recorded and nothing was done.
// ErrInDoubt is the one case that the journal cannot tell, and it ends the process.
func (j *Journal) Commit(ctx context.Context, effect func(store.Tx) error, record func(error) []Record) error {
	w := waiters.Get().(*waiter)
	w.effect, w.record, w.records, w.err = effect, record, nil, nil
	if effect == nil {
		w.records = record(nil) // here, where it costs the committer nothing
	}

	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return ErrClosed
	}
	j.pending = append(j.pending, w)
	j.mu.Unlock()
	signal(j.wake)

	<-w.done // always answered: see runCommitter
	err := w.err
	*w = waiter{done: w.done}
	waiters.Put(w)
	return err
}

// runCommitter commits batches until ctx is done and nobody waits. However it ends, every waiter is answered.
func (j *Journal) runCommitter(ctx context.Context) error {
	var page vigil.PageWriter
	last := 0
	for {
		select {
		case <-j.wake:
		case <-ctx.Done():
			j.close()
		}
		for {
			j.gather(last)
			batch := j.take()
			last = len(batch)
			if len(batch) == 0 {
				break
			}
			if err := j.commitBatch(batch, &page); err != nil {
				j.close()
				j.refuse(err)
				return err
			}
		}
		if ctx.Err() != nil && j.isClosed() {
			return nil
		}
	}
}

// gather lets calls that are on their way join the batch: each yield has every goroutine that can run do so before the
// committer goes on, and as long as that brings calls, more may come. On an idle server nothing else runs, and nobody waits for it;
// on a busy one, where a batch costs the processors more than the calls in it, batches grow with the load: after a large batch, a
// smaller one waits a moment for those who were just answered and are about to call again.
func (j *Journal) gather(before int) {
	last := 0
	for quiet := 0; quiet < quietYields; quiet++ {
		waiting := j.waiting()
		if waiting == 0 || waiting >= maxBatch {
			return
		}
		if waiting > last {
			last, quiet = waiting, -1
		}
		runtime.Gosched()
	}
	if before >= busyBatch && last < before {
		time.Sleep(busyPause)
	}
}

// waiting is how many calls wait.
func (j *Journal) waiting() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.pending)
}

// close lets nobody join any more. Who has joined is still answered.
func (j *Journal) close() {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
}

// isClosed says that nobody can join, and that nobody waits.
func (j *Journal) isClosed() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.closed && len(j.pending) == 0
}

// take is the next batch: those who have waited longest.
func (j *Journal) take() []*waiter {
	j.mu.Lock()
	defer j.mu.Unlock()
	n, size := 0, 0
	for n < len(j.pending) && n < maxBatch && size < maxBatchSize {
		for _, r := range j.pending[n].records {
			size += len(r.Data)
		}
		n++
	}
	batch := j.pending[:n:n]
	j.pending = j.pending[n:]
	if len(j.pending) == 0 {
		j.pending = nil
	}
	return batch
}

// refuse answers everybody who still waits when the journal cannot go on.
func (j *Journal) refuse(err error) {
	for {
		batch := j.take()
		if len(batch) == 0 {
			return
		}
		answer(batch, fmt.Errorf("%w: %v", ErrNotRecorded, err)) // of these calls nothing is in doubt
	}
}

// commitBatch makes a batch durable and answers it. It returns an error only when the journal cannot go on.
func (j *Journal) commitBatch(batch []*waiter, page *vigil.PageWriter) error {
	number := j.number
	j.number++
	page.Reset()

	err := j.db.Update(context.Background(), func(tx store.Tx) error {
		tx.OnCommit(func() { j.keep(number, page.Size(), page.Records, nil) }) // first: the pages of Append have higher numbers
		for _, w := range batch {
			if w.effect != nil {
				w.err = runEffect(tx, w.effect)
				w.records = w.record(w.err)
			}
			for _, r := range w.records {
				page.Add(r.Time, r.Data)
			}
		}
		return insertPage(tx, j.node, number, page)
	})

	var commit *store.CommitError
	if errors.As(err, &commit) {
		happened, recoverErr := j.settle(number)
		switch {
		case recoverErr != nil:
			j.close() // first: who is answered so may ask again at once
			answer(batch, fmt.Errorf("%w: %w", ErrInDoubt, err))
			return fmt.Errorf("%w: %w; then: %w", ErrInDoubt, err, recoverErr)
		case happened:
			commit.Happened()
			err = nil
		}
	}
	if err != nil {
		j.log.Error("A batch could not be recorded; its calls are answered with an internal error.", "calls", len(batch), "error", err)
		fenced := errors.Is(err, store.ErrFenced)
		if fenced {
			j.close()
		}
		answer(batch, fmt.Errorf("%w: %w", ErrNotRecorded, err))
		if fenced {
			return err
		}
		return nil
	}

	j.appended.Add(int64(page.Len()))
	answer(batch, nil)
	signal(j.unordered)
	return nil
}

func insertPage(tx store.Tx, node, number int64, page *vigil.PageWriter) error {
	first, last := page.Times()
	return storePage(tx, node, number, Page{Count: page.Len(), First: first, Last: last, Body: page.Encode()})
}

func storePage(tx store.Tx, node, number int64, p Page) error {
	_, err := tx.Exec(`INSERT INTO journal_page (node, number, count, first_time, last_time, body) VALUES ($1, $2, $3, $4, $5, $6)`,
		node, number, p.Count, p.First, p.Last, p.Body)
	return err
}

// Page is a page that was made before: of records from elsewhere, in the form that vigil.PageWriter encodes.
type Page struct {
	Count       int
	First, Last int64 // the earliest and the latest of its records' times, in milliseconds since 1970
	Body        []byte
	// Records are what vigil.DecodePage returns of Body, and Digests the vigil.Digest of each, from who has them: followers then need not
	// make them again. They must not be changed any more. Either may be left out.
	Records []vigil.PageRecord
	Digests [][32]byte
}

// Append adds pages to the journal, behind the records of the batch that the effect is of. It may be called in an effect only, which is
// where the transaction and the numbers of pages are one goroutine's, and is undone with it.
func (j *Journal) Append(tx store.Tx, pages []Page) error {
	records := 0
	for _, p := range pages {
		// A number that is taken is not given back if the effect is undone: numbers say the order and need not be dense. Whether the commit
		// happened is decided by the batch's own page, which has a lower one.
		number := j.number
		j.number++
		if err := storePage(tx, j.node, number, p); err != nil {
			return err
		}
		if len(p.Records) == p.Count {
			if len(p.Digests) != p.Count {
				p.Digests = nil
			}
			size := sizeOf(p.Records)
			tx.OnCommit(func() { j.keep(number, size, func() []vigil.PageRecord { return p.Records }, p.Digests) })
		}
		records += p.Count
	}
	tx.OnCommit(func() { j.appended.Add(int64(records)) })
	return nil
}

// runEffect runs an effect in its savepoint. An effect that panics is one call's failure, not the journal's.
func runEffect(tx store.Tx, effect func(store.Tx) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("effect panicked: %v\n%s", p, debug.Stack())
		}
	}()
	return tx.Savepoint(effect)
}

// answer lets the waiters of a batch go, with err if it is not nil and otherwise each with its effect's own error.
func answer(batch []*waiter, err error) {
	for _, w := range batch {
		if err != nil {
			w.err = err
		}
		w.done <- struct{}{}
	}
}

// signal wakes who reads c, or leaves a note for when it next does.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
