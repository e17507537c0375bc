package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"vigil/internal/store"
)

// errLocked says that another session has the lock.
var errLocked = errors.New("another session has the database's lock")

// BeginUpdate implements store.Engine.
func (e *engine) BeginUpdate(ctx context.Context) (store.Session, error) {
	hadWriter := e.writer != nil
	err := e.begin(ctx)
	if err != nil && hadWriter && ctx.Err() == nil && !errors.Is(err, store.ErrFenced) {
		// The server may have restarted since the last Update. As nothing has been done, it can be tried again.
		err = e.begin(ctx)
	}
	if err != nil {
		return nil, e.redact(err)
	}
	return update{e}, nil
}

// begin begins a transaction and looks whether the epoch is ours, in one message to the server.
func (e *engine) begin(ctx context.Context) error {
	if err := e.needWriter(ctx); err != nil {
		return err
	}
	results, err := e.send(ctx, `BEGIN; SELECT epoch FROM vigil_epoch FOR UPDATE`)
	if err == nil && (len(results) != 2 || len(results[1].Rows) != 1) {
		err = errors.New("the table vigil_epoch has not one row")
	}
	if err == nil {
		err = e.checkEpoch(string(results[1].Rows[0][0]))
	}
	if err != nil {
		e.dropWriter()
	}
	return err
}

// checkEpoch compares the database's epoch with ours.
func (e *engine) checkEpoch(text string) error {
	epoch, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return fmt.Errorf("epoch: %w", err)
	}
	if epoch != e.epoch {
		e.fenced = true
		return store.ErrFenced
	}
	return nil
}

// Settle implements store.Engine. It needs a writer that has begun after the commit that failed: that has the lock, so the
// session of the commit has ended, and with it the commit.
func (e *engine) Settle(ctx context.Context) error { return e.redact(e.needWriter(ctx)) }

// needWriter makes sure that there is a writer with the lock.
func (e *engine) needWriter(ctx context.Context) error {
	if e.fenced {
		return store.ErrFenced
	}
	if e.writer != nil {
		return nil
	}
	return e.connectWriter(ctx, e.waitForLock)
}

// connectWriter connects a writer and takes the lock. As long as another session has it, wait is called now and then.
func (e *engine) connectWriter(ctx context.Context, wait func(context.Context) error) (err error) {
	if e.writer, err = e.writers.Conn(ctx); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			e.dropWriter()
		}
	}()
	for start := time.Now(); ; {
		var locked bool
		if err := e.writer.QueryRowContext(ctx, `SELECT pg_try_advisory_lock($1)`, e.lock).Scan(&locked); err != nil {
			return err
		}
		if locked {
			break
		}
		if err := wait(ctx); err != nil {
			return err
		}
		if time.Since(start) > lockPatience {
			return errLocked
		}
		select {
		case <-time.After(lockPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return e.writer.Raw(func(conn any) error {
		e.pid = conn.(*stdlib.Conn).Conn().PgConn().PID()
		return nil
	})
}

// waitForLock is for a process that had the lock. Either its own last session still has it, which is then ended, or another
// process.
func (e *engine) waitForLock(ctx context.Context) error {
	var epoch string
	if err := e.writer.QueryRowContext(ctx, `SELECT CAST(epoch AS TEXT) FROM vigil_epoch`).Scan(&epoch); err != nil {
		return err
	}
	if err := e.checkEpoch(epoch); err != nil {
		return err
	}
	_, err := e.writer.ExecContext(ctx, `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
		AND classid = $1 AND objid = $2 AND objsubid = 1 AND pid = $3`, uint32(uint64(e.lock)>>32), uint32(uint64(e.lock)), e.pid)
	return err
}

// dropWriter closes the writer's connection, and with it ends what it has begun.
func (e *engine) dropWriter() {
	if e.writer == nil {
		return
	}
	e.writer.Raw(func(any) error { return driver.ErrBadConn })
	e.writer.Close()
	e.writer = nil
}

// send sends statements without parameters to the server as one message.
func (e *engine) send(ctx context.Context, statements string) (results []*pgconn.Result, err error) {
	err = e.writer.Raw(func(conn any) error {
		results, err = conn.(*stdlib.Conn).Conn().PgConn().Exec(ctx, statements).ReadAll()
		return err
	})
	return results, err
}

// update is the writer's transaction.
type update struct{ e *engine }

func (u update) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return u.e.writer.ExecContext(ctx, query, args...)
}

func (u update) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return u.e.writer.QueryContext(ctx, query, args...)
}

func (u update) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return u.e.writer.QueryRowContext(ctx, query, args...)
}

// Commit implements store.Session. Once the server has written that a transaction is committed, it reports no ERROR any more; so
// an ERROR means that it is not. Everything else that is not success means that we do not know.
func (u update) Commit() (inDoubt bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
	defer cancel()
	results, err := u.e.send(ctx, "COMMIT")
	if err == nil && results[len(results)-1].CommandTag.String() != "COMMIT" {
		return false, errors.New("the server has rolled the transaction back, as a statement in it had failed")
	}
	if err == nil {
		return false, nil
	}
	inDoubt = isConnectionLost(err)
	if inDoubt {
		u.e.dropWriter()
	}
	return inDoubt, u.e.redact(err)
}

func (u update) Rollback() {
	ctx, cancel := context.WithTimeout(context.Background(), rollbackTimeout)
	defer cancel()
	if _, err := u.e.send(ctx, "ROLLBACK"); err != nil {
		u.e.dropWriter()
	}
}
