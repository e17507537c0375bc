package sqlite

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	modernc "modernc.org/sqlite"
)

// What is committed lies in FILE-wal until a checkpoint has moved it into FILE. SQLite would do so within some unlucky
// commit, which then takes several times as long. Here it has two steps. When enough has been committed, a goroutine moves
// it, while commits go on; then the next Update, before it begins, moves the little that has come since. Now FILE-wal is used up,
// and the Update's commit begins it anew, unless a View still needs what is in it. If Views overlap in a way that there
// always is one, an Update waits a moment for a gap. If a View is so slow that FILE-wal becomes too large nevertheless, it is ended.

// limits are in pages of FILE-wal, of 4 KiB.
type limits struct {
	checkpoint int           // move it into FILE each time that so much has been committed
	wait       int           // wait for Views from here
	end        int           // end slow Views from here
	slow       time.Duration // what a slow View is
}

var defaultLimits = limits{
	checkpoint: 1024,  // 4 MiB
	wait:       16384, // 64 MiB
	end:        65536, // 256 MiB
	slow:       10 * time.Second,
}

// waitForViews is how long, in ms, an Update waits for a gap between Views.
const waitForViews = 25

// walKeeper keeps FILE-wal small.
type walKeeper struct {
	limits limits
	conn   *conn

	pages   int           // committed since the last checkpoint; the writer's
	wake    chan struct{} // closed to stop
	stopped chan struct{}
	moved   atomic.Int64 // pages in FILE-wal at a checkpoint that waits to be finished, or 0
}

func (e *engine) startCheckpoints(limits limits) error {
	keeper, err := connect(e.writing)
	if err != nil {
		return err
	}
	e.wal = walKeeper{limits: limits, conn: keeper, wake: make(chan struct{}, 1), stopped: make(chan struct{})}
	for _, c := range []*conn{e.writer, keeper} {
		for _, p := range []string{
			"PRAGMA wal_autocheckpoint = 0",
			// Once FILE-wal has been larger than this, it is cut when it is begun anew.
			fmt.Sprint("PRAGMA journal_size_limit = ", limits.wait*4096),
		} {
			if _, err := c.ExecContext(context.Background(), p); err != nil {
				return err
			}
		}
	}
	go e.runCheckpoints()
	return nil
}

func (e *engine) stopCheckpoints() {
	close(e.wal.wake)
	<-e.wal.stopped
}

// countPages notes what a commit has added to FILE-wal.
func (e *engine) countPages() {
	e.writer.Raw(func(driver any) error {
		n, _, err := driver.(modernc.DBStatus).Status(modernc.DBStatusCacheWrite, true)
		e.wal.pages += n
		return err
	})
	if e.wal.pages < e.wal.limits.checkpoint {
		return
	}
	e.wal.pages = 0
	select {
	case e.wal.wake <- struct{}{}:
	default: // one is under way
	}
}

// runCheckpoints is the goroutine's.
func (e *engine) runCheckpoints() {
	defer close(e.wal.stopped)
	for range e.wal.wake {
		pages, err := checkpoint(e.wal.conn, "PASSIVE")
		if err != nil {
			continue // it is tried again after as much again has been committed
		}
		if pages >= e.wal.limits.end {
			e.views.endSince(time.Now().Add(-e.wal.limits.slow))
		}
		e.wal.moved.Store(int64(pages))
	}
}

// finishCheckpoint moves what was committed since the goroutine's last checkpoint.
func (e *engine) finishCheckpoint() {
	pages := int(e.wal.moved.Swap(0))
	switch {
	case pages == 0:
	case pages < e.wal.limits.wait:
		checkpoint(e.writer, "PASSIVE")
	default:
		e.writer.ExecContext(context.Background(), fmt.Sprint("PRAGMA busy_timeout = ", waitForViews))
		checkpoint(e.writer, "RESTART")
		e.writer.ExecContext(context.Background(), fmt.Sprint("PRAGMA busy_timeout = ", busyTimeout))
	}
}

// checkpoint moves what it can and returns how many pages FILE-wal had.
func checkpoint(c *conn, mode string) (pages int, err error) {
	var busy, moved int
	err = c.QueryRowContext(context.Background(), "PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &pages, &moved)
	return pages, err
}
