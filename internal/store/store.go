// Package store is the one SQL database that Vigil keeps its state in.
//
// SQL is written beside the logic that needs it, in the subset that SQLite and PostgreSQL share:
//
//   - Parameters are $1, $2 …, and are nil, a string, a []byte, an integer or a float64, or something that is one of them
//     in the eyes of database/sql. A parameter whose type PostgreSQL cannot tell from its place needs a CAST.
//   - Types are TEXT, BIGINT, DOUBLE PRECISION and BYTEA, and a value has its column's type. Truth values and times are BIGINT
//     (0 and 1, milliseconds since 1970). TEXT is valid UTF-8 without NUL; it is compared and ordered by its bytes, and LIKE
//     minds case. An empty BYTEA is not NULL, though both scan into an empty []byte.
//   - Upserts are INSERT … ON CONFLICT, RETURNING is there, and there are no identity columns.
//   - Where NULLs can meet an ORDER BY, it says NULLS FIRST or NULLS LAST: the databases differ.
//
// What differs between engines is inside store/sqlite and store/postgres and nowhere else; storetest holds both to
// what is promised here. What they share is database.go (how a transaction is begun, ended and accounted for), tx.go (what
// can be done in it), and migrate.go with statement.go (how tables come to be).
package store

import (
	"context"
	"database/sql"
	"errors"
)

// DB is one database: a file of SQLite, or a schema of PostgreSQL. One process at a time has it open.
type DB interface {
	// View runs fn in a read-only transaction that sees one state of the database: everything of the Updates
	// that had returned when View was called, and nothing half-done. It does not wait for writers. There are only so many Views
	// at a time (eight); more of them wait. A View keeps the database from tidying up behind it, so what takes long is better read in
	// pieces; SQLite ends a View with ErrViewTooLong when it holds up too much.
	View(ctx context.Context, fn func(Tx) error) error

	// Update runs fn in a transaction of which there is one at a time; fn itself must not call Update. If fn returns an error or
	// panics, or ctx ends before the commit begins, nothing of it remains and Update returns that error. Otherwise the transaction
	// is committed, and when Update returns nil it is on stable storage and every OnCommit function has run, in order, before any
	// later Update began. When the commit itself fails and it cannot be told whether the transaction persisted, Update returns
	// a *CommitError, and the caller has to look. What it then sees is final: View and Update, from then on, wait until the
	// database has decided, or fail.
	Update(ctx context.Context, fn func(Tx) error) error

	// Migrate brings a component's tables to their newest form: it runs, in one Update each and once in the life of
	// the database, those of steps that have not run yet. Steps are only ever appended to.
	// A database that has had more steps than are given was written by a newer Vigil, and is refused.
	//
	// A step is one or more statements, separated by semicolons. Columns of tables have one of the four types and nothing else,
	// so that each engine can put its own in their place. Statements that have semicolons inside (triggers, functions) are not
	// in the common subset.
	Migrate(ctx context.Context, component string, steps ...string) error

	// Close waits for transactions to end and releases the database. Later calls return ErrClosed.
	Close() error
}

// Tx is a transaction. It is used by one goroutine, and not after the function that was given it has returned.
//
// A statement that fails leaves its transaction good for nothing but to be undone: what comes after it fails, and so does Update,
// with the first failure's error, even if fn returns nil. To go on after a failure, put what may fail in a Savepoint.
type Tx interface {
	// Exec runs a statement and returns how many rows an INSERT, UPDATE or DELETE changed.
	Exec(query string, args ...any) (int64, error)
	// Query runs a query. The caller closes the rows before the transaction's next statement, and checks their Err.
	Query(query string, args ...any) (*sql.Rows, error)
	// QueryRow runs a query for at most one row; its Scan, which must be called, returns ErrNoRows when there is none.
	QueryRow(query string, args ...any) *sql.Row
	// Savepoint runs fn; if it returns an error or panics, what fn did in the transaction is undone (and its OnCommit functions
	// are forgotten), the transaction can go on, and the error is returned or the panic continues.
	Savepoint(fn func(Tx) error) error
	// OnCommit has fn run once the transaction is durable, before Update returns, in the order of the calls. In a View it never runs.
	// It is how caches stay behind the database by nothing: fn must be quick and must not use the database.
	OnCommit(fn func())
}

// ErrNoRows is what a row's Scan returns when the query found nothing.
var ErrNoRows = sql.ErrNoRows

// ErrInUse is returned by Open functions when another process has the database open for writing.
var ErrInUse = errors.New("the database is in use by another Vigil process")

// ErrFenced is returned by Update when another process has taken the database over. This process must stop.
var ErrFenced = errors.New("another Vigil process has taken over the database")

// ErrClosed is returned after Close.
var ErrClosed = errors.New("the database is closed")

// ErrViewTooLong is returned by View when it was ended because the changes made since it began have become too many to keep.
var ErrViewTooLong = errors.New("the view lasted too long: too much has changed since it began")

// CommitError says that a commit failed in a way that leaves open whether it happened.
type CommitError struct {
	Err      error
	onCommit []func()
}

// NewCommitError makes one; the functions are those that were given to OnCommit and have not run.
func NewCommitError(err error, onCommit []func()) *CommitError { return &CommitError{err, onCommit} }

func (e *CommitError) Error() string { return "commit: " + e.Err.Error() }
func (e *CommitError) Unwrap() error { return e.Err }

// Happened runs the transaction's OnCommit functions, once, for a caller who has found that it did persist after all.
func (e *CommitError) Happened() {
	onCommit := e.onCommit
	e.onCommit = nil
	for _, fn := range onCommit {
		fn()
	}
}
