package lake

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"

	"vigil/internal/call"
	"vigil/internal/store"
)

// slots is how many queries of an account run at the same time. The others are QUEUED.
const slots = 2

var (
	errCancelled = errors.New("the query was cancelled")
	errTimedOut  = errors.New("the query ran for too long")
)

func (l *Lake) wakeRunner() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Run runs the queries that are started, those that an earlier process did not end first, and removes what is to be kept no longer, until
// ctx is done. A query that this interrupts is run again by the next process.
func (l *Lake) Run(ctx context.Context) error {
	var parts sync.WaitGroup
	defer parts.Wait()
	parts.Go(func() { l.runSweeper(ctx) })
	free := map[string]chan struct{}{} // by account
	for {
		waiting, err := l.waiting(ctx)
		if err != nil && ctx.Err() == nil {
			l.log.Error("The queries of event data stores could not be listed; it is tried again in a second.", "error", err)
			time.AfterFunc(time.Second, l.wakeRunner)
		}
		for _, q := range waiting {
			running, ok := l.begin(ctx, q.id)
			if !ok {
				continue
			}
			if free[q.account] == nil {
				free[q.account] = make(chan struct{}, slots)
			}
			slot := free[q.account]
			parts.Go(func() {
				defer l.end(q.id)
				select {
				case slot <- struct{}{}:
					if q.active() {
						l.perform(running, q.id)
					}
					l.deliver(running, q.id)
					<-slot
				case <-running.Done():
				}
			})
		}
		select {
		case <-l.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

// waiting are the queries that have not come to their end, or whose results have not come to theirs, the oldest first.
func (l *Lake) waiting(ctx context.Context) (all []*aQuery, err error) {
	err = l.db.View(ctx, func(tx store.Tx) (err error) {
		all, err = queries(tx, `status IN ('QUEUED', 'RUNNING') OR status = 'FINISHED' AND delivery = 'PENDING' ORDER BY created, id`)
		return err
	})
	return all, err
}

// begin notes that a query is taken care of, unless it is already.
func (l *Lake) begin(ctx context.Context, id string) (context.Context, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running[id] != nil {
		return nil, false
	}
	ctx, l.running[id] = context.WithCancelCause(ctx)
	return ctx, true
}

func (l *Lake) end(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running[id](nil)
	delete(l.running, id)
}

func (l *Lake) cancel(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if cancel := l.running[id]; cancel != nil {
		cancel(errCancelled)
	}
}

// perform runs a query to its end, and notes what became of it.
func (l *Lake) perform(ctx context.Context, id string) {
	begun := time.Now()
	q, err := l.claim(ctx, id)
	if err != nil || q == nil {
		if err != nil && ctx.Err() == nil {
			l.log.Error("A query of an event data store could not be begun.", "query", id, "error", err)
			time.AfterFunc(time.Second, l.wakeRunner)
		}
		return
	}
	limited, stop := context.WithTimeoutCause(ctx, l.timeout, errTimedOut)
	defer stop()
	err = l.execute(limited, q)
	q.took = time.Since(begun).Milliseconds()
	cause := context.Cause(limited)
	var refused *call.Error
	switch {
	case err == nil:
		q.status = types.QueryStatusFinished
	case errors.Is(cause, errTimedOut):
		q.status = types.QueryStatusTimedOut
	case errors.Is(cause, errCancelled):
		q.status = types.QueryStatusCancelled
	case ctx.Err() != nil:
		return // the next process runs it again
	case errors.As(err, &refused):
		q.status, q.error = types.QueryStatusFailed, clip(refused.Message)
	case errors.As(err, new(*internalError)):
		l.log.Error("A query of an event data store failed.", "query", id, "error", err)
		q.status, q.error = types.QueryStatusFailed, "The query failed inside the server."
	default:
		q.status, q.error = types.QueryStatusFailed, clip(message(err))
	}
	l.finish(context.WithoutCancel(ctx), q)
}

// internalError is a failure of the server's own.
type internalError struct{ err error }

func (e *internalError) Error() string { return e.err.Error() }
func (e *internalError) Unwrap() error { return e.err }

// claim marks a query as RUNNING and forgets what an earlier process found of its result. It is nil when the query was cancelled.
func (l *Lake) claim(ctx context.Context, id string) (q *aQuery, err error) {
	if err := l.watch.Update(ctx, func(tx store.Tx) error {
		_, err := tx.Exec(`DELETE FROM lake_result WHERE query = $1`, id)
		return err
	}); err != nil {
		return nil, err
	}
	err = l.db.Update(ctx, func(tx store.Tx) error {
		found, err := queries(tx, `id = $1`, id)
		if err != nil || len(found) == 0 || !found[0].active() {
			return err
		}
		q = found[0]
		_, err = tx.Exec(`UPDATE lake_query SET status = $1 WHERE id = $2`, string(types.QueryStatusRunning), id)
		return err
	})
	return q, err
}

// execute runs a query and keeps its result.
func (l *Lake) execute(ctx context.Context, q *aQuery) error {
	if err := l.journal.WaitSequenced(ctx); err != nil {
		return err
	}
	x, err := l.compile(ctx, q, func(string) error { return nil })
	if err != nil {
		return err
	}
	end := l.journal.Sequenced()
	for id, s := range x.stores {
		x.views[id] = s.view(time.UnixMilli(q.created), end)
	}
	for _, c := range x.query.Columns {
		q.columns = append(q.columns, c.Name)
	}
	w := &resultWriter{lake: l, ctx: ctx, query: q.id}
	err = x.run(w.add)
	if flushed := w.flush(); err == nil || errors.Is(context.Cause(ctx), errTimedOut) || errors.Is(context.Cause(ctx), errCancelled) {
		err = errors.Join(err, flushed)
	}
	q.results, q.scanned, q.matched, q.bytes = w.written, x.stats.scanned.Load(), x.stats.matched.Load(), x.stats.bytes.Load()
	return err
}

// finish notes what became of a query. One that was cancelled meanwhile stays so.
func (l *Lake) finish(ctx context.Context, q *aQuery) {
	columns, err := json.Marshal(q.columns)
	if err == nil {
		err = l.db.Update(ctx, func(tx store.Tx) error {
			_, err := tx.Exec(`UPDATE lake_query SET took = $1, scanned = $2, matched = $3, bytes = $4, results = $5, columns = $6, error = $7,
				status = CASE WHEN status = 'RUNNING' THEN $8 ELSE status END, delivery = CASE WHEN status = 'RUNNING' THEN $9 ELSE delivery END WHERE id = $10`,
				q.took, q.scanned, q.matched, q.bytes, q.results, string(columns), q.error, string(q.status), string(q.undelivered()), q.id)
			return err
		})
	}
	if err != nil {
		l.log.Error("What became of a query of an event data store could not be noted; it is run again.", "query", q.id, "error", err)
		time.AfterFunc(time.Second, l.wakeRunner)
	}
}

// runSweeper removes what is to be kept no longer, at the end of each hour.
func (l *Lake) runSweeper(ctx context.Context) {
	for {
		now := l.clock.Now() // once: the clock may be moved past the next hour while stores are swept
		if err := l.sweep(ctx, now); err != nil && ctx.Err() == nil {
			l.log.Error("Event data stores could not be swept; it is tried again in an hour.", "error", err)
		}
		if l.clock.Sleep(ctx, now.Truncate(time.Hour).Add(time.Hour)) != nil {
			return
		}
	}
}

// sweep removes the stores whose waiting period has ended, and the queries that are history no more.
func (l *Lake) sweep(ctx context.Context, now time.Time) error {
	err := l.db.Update(ctx, func(tx store.Tx) error {
		before := now.Add(-deletion).UnixMilli()
		for _, statement := range []string{
			`DELETE FROM lake_period WHERE store IN (SELECT id FROM lake_store WHERE deleted > 0 AND deleted <= $1)`,
			`DELETE FROM lake_policy WHERE store IN (SELECT id FROM lake_store WHERE deleted > 0 AND deleted <= $1)`,
			`DELETE FROM lake_tag WHERE store IN (SELECT id FROM lake_store WHERE deleted > 0 AND deleted <= $1)`,
			`DELETE FROM lake_store WHERE deleted > 0 AND deleted <= $1`,
		} {
			if _, err := tx.Exec(statement, before); err != nil {
				return err
			}
		}
		return nil
	})
	for more := true; more && err == nil; {
		more, err = l.sweepQueries(ctx, now.Add(-history).UnixMilli())
	}
	return err
}

func (l *Lake) sweepQueries(ctx context.Context, before int64) (more bool, err error) {
	var old []string
	err = l.db.View(ctx, func(tx store.Tx) (err error) {
		old, err = store.Column[string](tx, `SELECT id FROM lake_query WHERE created < $1 AND status NOT IN ('QUEUED', 'RUNNING') LIMIT 100`, before)
		return err
	})
	if err != nil || len(old) == 0 {
		return false, err
	}
	each := func(db store.DB, statements ...string) error {
		return db.Update(ctx, func(tx store.Tx) error {
			for _, id := range old {
				for _, s := range statements {
					if _, err := tx.Exec(s, id); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	if err := each(l.watch, `DELETE FROM lake_result WHERE query = $1`); err != nil {
		return false, err
	}
	return true, each(l.db, `DELETE FROM lake_query_store WHERE query = $1`, `DELETE FROM lake_query WHERE id = $1`)
}
