package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"time"
)

var (
	errOver     = errors.New("the transaction is over")
	errRowsOpen = errors.New("the rows of the transaction's last query are still open")
)

// tx is a Tx over an engine's session.
type tx struct {
	ctx      context.Context
	session  Session
	onCommit []func()

	rows   *sql.Rows // of the last Query
	depth  int       // of savepoints
	failed error     // why the transaction, or the innermost savepoint, can only be undone
	lost   bool      // failed for good: a savepoint could not be undone, or the transaction is over
}

// Exec implements Tx.
func (t *tx) Exec(query string, args ...any) (int64, error) {
	if err := t.ready(args); err != nil {
		return 0, err
	}
	result, err := t.session.ExecContext(t.ctx, query, args...)
	if err != nil {
		return 0, t.fail(err)
	}
	return result.RowsAffected()
}

// Query implements Tx.
func (t *tx) Query(query string, args ...any) (*sql.Rows, error) {
	if err := t.ready(args); err != nil {
		return nil, err
	}
	rows, err := t.session.QueryContext(t.ctx, query, args...)
	if err != nil {
		return nil, t.fail(err)
	}
	t.rows = rows
	return rows, nil
}

// QueryRow implements Tx.
func (t *tx) QueryRow(query string, args ...any) *sql.Row {
	if err := t.ready(args); err != nil {
		return failedRow(err)
	}
	row := t.session.QueryRowContext(t.ctx, query, args...)
	if err := row.Err(); err != nil {
		t.fail(err)
	}
	return row
}

// OnCommit implements Tx.
func (t *tx) OnCommit(fn func()) { t.onCommit = append(t.onCommit, fn) }

// Savepoint implements Tx.
func (t *tx) Savepoint(fn func(Tx) error) error {
	name := "vigil_" + strconv.Itoa(t.depth)
	if _, err := t.Exec("SAVEPOINT " + name); err != nil {
		return err
	}
	t.depth++
	hooks := len(t.onCommit)
	good := false
	defer func() { // also when fn panics or ends its goroutine
		t.depth--
		if !good {
			t.undo(name, hooks)
		}
	}()
	if err := fn(t); err != nil {
		return err
	}
	if t.failed != nil {
		return t.failed
	}
	if _, err := t.Exec("RELEASE SAVEPOINT " + name); err != nil {
		return err
	}
	good = true
	return nil
}

// undo takes the transaction back to where the savepoint began.
func (t *tx) undo(name string, hooks int) {
	clear(t.onCommit[hooks:])
	t.onCommit = t.onCommit[:hooks]
	if t.lost {
		return
	}
	t.closeRows()
	ctx := context.WithoutCancel(t.ctx)
	_, err := t.session.ExecContext(ctx, "ROLLBACK TO SAVEPOINT "+name)
	if err == nil {
		_, err = t.session.ExecContext(ctx, "RELEASE SAVEPOINT "+name)
	}
	if err != nil {
		// The database has dropped the whole transaction, for example because the disk is full or the server has gone. What has
		// failed in the savepoint, if anything, says more about why.
		if t.failed == nil {
			t.failed = err
		}
		t.lost = true
		return
	}
	t.failed = nil
}

// ready says whether the transaction can run a statement with these arguments.
func (t *tx) ready(args []any) error {
	if t.failed != nil {
		if t.failed == errOver {
			return errOver
		}
		return fmt.Errorf("the transaction has failed before: %w", t.failed)
	}
	if err := t.ctx.Err(); err != nil {
		return t.fail(err)
	}
	if t.rows != nil {
		if _, err := t.rows.Columns(); err == nil { // only closed rows have no columns
			return t.fail(errRowsOpen)
		}
		t.rows = nil
	}
	for _, arg := range args {
		switch arg.(type) {
		case bool, time.Time: // SQLite would take them
			return t.fail(fmt.Errorf("a parameter is a %T; truth values and times are BIGINT", arg))
		}
	}
	return nil
}

// fail notes the first failure, and returns err.
func (t *tx) fail(err error) error {
	if t.failed == nil {
		t.failed = err
	}
	return err
}

func (t *tx) closeRows() {
	if t.rows != nil {
		t.rows.Close()
		t.rows = nil
	}
}

// end makes the transaction unusable to a function that has kept it.
func (t *tx) end() {
	t.closeRows()
	t.lost = true
	if t.failed == nil {
		t.failed = errOver
	}
}

// failedRow is a row whose Scan returns err.
func failedRow(err error) *sql.Row {
	db := sql.OpenDB(refusal{err})
	defer db.Close()
	return db.QueryRow("")
}

// refusal is a database that cannot be connected to.
type refusal struct{ err error }

func (r refusal) Connect(context.Context) (driver.Conn, error) { return nil, r.err }
func (r refusal) Driver() driver.Driver                        { return nil }
