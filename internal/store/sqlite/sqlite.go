// Package sqlite keeps a store.DB in a file of SQLite (through modernc.org/sqlite, which needs no C).
//
// The file is in WAL mode with synchronous=FULL: a commit appends to FILE-wal and syncs it. One connection writes; others,
// opened as they are needed, read, each seeing the state that was last committed when its View began. FILE-lock is locked
// while the database is open, so that no second process opens it; SQLite's own tools still can. checkpoint.go moves what
// was committed from FILE-wal into FILE.
//
// Deleted data is overwritten (secure_delete), as deleting a key's material has to mean something. Until a checkpoint and
// the writes after it have come round, FILE-wal may still hold it.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	modernc "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"vigil/internal/store"
)

const (
	maxViews = 8 // connections that read

	// Page caches, in KiB. The system's own cache of the file is behind them.
	writerCache = 8192
	readerCache = 2048

	// busyTimeout is how long, in ms, a transaction waits for another program that has the file locked.
	busyTimeout = 5000
)

// Open opens the database in the file path, and makes the file, with mode 0600, if there is none. The directory must exist.
// It returns store.ErrInUse when the file is open in another process, or in this one.
func Open(path string) (store.DB, error) {
	e, err := open(path, defaultLimits)
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", path, err)
	}
	return store.New(e), nil
}

// engine is SQLite as store.New needs it.
type engine struct {
	lock    *os.File
	writing *sql.DB // makes the writer and the checkpointer
	reading *sql.DB // makes the readers

	writer     *conn
	committing bool // the writer's commit is one that we asked for: see guardCommits
	views      viewPool
	wal        walKeeper
}

func open(path string, limits limits) (_ *engine, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	lock, err := lockFile(path + "-lock")
	if err != nil {
		return nil, err
	}
	e := &engine{lock: lock}
	defer func() {
		if err != nil {
			e.release()
		}
	}()

	// SQLite gives the files beside it the same mode.
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	if e.writing, err = connections(path, "_journal_mode=WAL", pragma("cache_size", -writerCache), pragma("secure_delete", 1)); err != nil {
		return nil, err
	}
	if e.reading, err = connections(path, "_query_only=1", pragma("cache_size", -readerCache)); err != nil {
		return nil, err
	}
	if e.writer, err = connect(e.writing); err != nil {
		return nil, err
	}
	var mode string
	if err := e.writer.QueryRowContext(context.Background(), "PRAGMA journal_mode").Scan(&mode); err != nil {
		return nil, err
	}
	if mode != "wal" {
		return nil, fmt.Errorf("its file system cannot share memory between connections: the journal mode is %s, not wal", mode)
	}
	if err := e.guardCommits(); err != nil {
		return nil, err
	}
	e.views.init(e.reading)
	if err := e.startCheckpoints(limits); err != nil {
		return nil, err
	}
	return e, nil
}

// connections makes a pool for connections to the file.
func connections(path string, parameters ...string) (*sql.DB, error) {
	path = filepath.ToSlash(path)
	if path[0] != '/' { // a drive letter
		path = "/" + path
	}
	name := (&url.URL{Scheme: "file", Path: path}).String() +
		"?_dqs=0" + // "x" is a name, never a text
		"&_defensive=1" +
		"&_synchronous=FULL&_foreign_keys=1" +
		fmt.Sprint("&_busy_timeout=", busyTimeout) +
		"&" + pragma("fullfsync", 1) + // on macOS fsync alone does not reach the disk
		"&" + pragma("trusted_schema", 0) +
		"&" + pragma("case_sensitive_like", 1)
	for _, p := range parameters {
		name += "&" + p
	}
	connector, err := modernc.NewConnector(name)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

func pragma(name string, value int) string { return fmt.Sprintf("_pragma=%s(%d)", name, value) }

// guardCommits has the writer commit only when Commit asks it to. SQLite ends a transaction by itself when the disk is
// full or fails, and what follows would be committed statement by statement.
func (e *engine) guardCommits() error {
	return e.writer.Raw(func(driver any) error {
		driver.(modernc.HookRegisterer).RegisterCommitHook(func() int32 {
			if e.committing {
				return 0
			}
			return 1 // roll back
		})
		return nil
	})
}

// Dialect implements store.Engine. A table is STRICT: as in PostgreSQL, its columns hold values of their type only.
// A BIGINT PRIMARY KEY becomes the row id, which saves the table an index.
func (e *engine) Dialect() store.Dialect {
	return store.Dialect{Text: "TEXT", BigInt: "INTEGER", Double: "REAL", Bytea: "BLOB", TableOptions: " STRICT"}
}

// Close implements store.Engine.
func (e *engine) Close() error {
	e.stopCheckpoints()
	e.views.close()
	// Nobody else has the file open, so that this leaves an empty FILE-wal, and SQLite removes it.
	_, err := e.writer.ExecContext(context.Background(), "PRAGMA wal_checkpoint(TRUNCATE)")
	return errors.Join(err, e.release())
}

// release closes all that open has opened so far.
func (e *engine) release() error {
	var errs []error
	for _, c := range []*conn{e.wal.conn, e.writer} {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	for _, db := range []*sql.DB{e.writing, e.reading} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(append(errs, e.lock.Close())...)
}

// BeginUpdate implements store.Engine.
func (e *engine) BeginUpdate(ctx context.Context) (store.Session, error) {
	e.finishCheckpoint()
	if err := e.writer.run(ctx, "BEGIN IMMEDIATE"); err != nil {
		e.writer.rollback() // ctx may have ended just after it began
		return nil, err
	}
	return update{e}, nil
}

// update is the transaction of the writer. Its statements are short, and are not interrupted when a context ends: that would
// cost each of them more than some take.
type update struct{ e *engine }

func (u update) ExecContext(_ context.Context, query string, args ...any) (sql.Result, error) {
	return u.e.writer.exec(context.Background(), query, args)
}

func (u update) QueryContext(_ context.Context, query string, args ...any) (*sql.Rows, error) {
	return u.e.writer.query(context.Background(), query, args)
}

func (u update) QueryRowContext(_ context.Context, query string, args ...any) *sql.Row {
	return u.e.writer.queryRow(context.Background(), query, args)
}

// Commit implements store.Session.
//
// Some failures leave no doubt: a constraint that is checked at the end, another program's lock, a transaction that SQLite has
// rolled back before. Others, of reading, writing and syncing files, may come when all of the transaction is in FILE-wal
// already: it is not committed as long as this process lives, but the next one would find it there. Settle decides that.
func (u update) Commit() (inDoubt bool, err error) {
	e := u.e
	err = e.commit()
	e.writer.forgetSome()
	if err == nil {
		e.countPages()
		return false, nil
	}
	e.writer.rollback()
	var failure *modernc.Error
	if errors.As(err, &failure) {
		switch failure.Code() & 0xff {
		case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_ERROR:
			return false, err
		}
	}
	return e.Settle(context.Background()) != nil, err
}

func (u update) Rollback() {
	u.e.writer.rollback()
	u.e.writer.forgetSome()
}

func (e *engine) commit() error {
	e.committing = true
	defer func() { e.committing = false }()
	return e.writer.run(context.Background(), "COMMIT")
}

// Settle implements store.Engine. It commits a change of no meaning, which takes the place in FILE-wal of the transaction
// that failed: that did not persist, and now it never will.
func (e *engine) Settle(ctx context.Context) error {
	if err := e.writer.run(ctx, "BEGIN IMMEDIATE"); err != nil {
		e.writer.rollback()
		return err
	}
	err := e.bumpVersion()
	if err == nil {
		err = e.commit()
	}
	if err != nil {
		e.writer.rollback()
	}
	return err
}

// bumpVersion writes to the file's first page. The number that it changes is free for applications to use.
func (e *engine) bumpVersion() error {
	var version int32
	if err := e.writer.QueryRowContext(context.Background(), "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	_, err := e.writer.ExecContext(context.Background(), fmt.Sprintf("PRAGMA user_version = %d", version+1))
	return err
}
