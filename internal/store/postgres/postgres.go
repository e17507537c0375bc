// Package postgres keeps a store.DB in a schema of PostgreSQL (through github.com/jackc/pgx).
//
// One process at a time writes. Its Updates run on one connection, the writer, which holds an advisory lock for as long as
// its session lives; who has the lock knows that no earlier session can still commit. Whoever opens the database, once it has
// the lock, adds one to an epoch. A process that has lost its writer takes the lock again, and carries on if the epoch is still
// its own: otherwise another process was there in between, and it is fenced. So that this holds even where something between
// here and the server hands sessions around, each Update begins by locking the epoch's row and looking at it.
//
// Views run on a pool of other connections, in transactions that are REPEATABLE READ and READ ONLY.
//
// Columns of type TEXT are made with COLLATE "C", so that their order is that of their bytes whatever the database's is.
package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"vigil/internal/store"
)

const (
	maxViews     = 8 // connections that read, at most
	maxIdleViews = 4 // those that are kept

	// lockPatience is how long to wait for the lock: a session lives a little longer than its process.
	lockPatience = 2 * time.Second
	lockPause    = 50 * time.Millisecond

	// connectTimeout holds where the URL sets none.
	connectTimeout = 10 * time.Second

	// A commit is not interrupted by a context, but it does not wait for a server that is gone for ever.
	commitTimeout   = 30 * time.Second
	rollbackTimeout = 5 * time.Second
)

// Open opens the database in a schema, which is made if it is not there, of the PostgreSQL database that url is of, in any form that
// libpq knows. Where the URL names several servers, the one that can be written to is used.
// It returns store.ErrInUse when another process has the same schema open. No error holds the URL's password.
func Open(ctx context.Context, url, schema string) (store.DB, error) {
	e, err := newEngine(url, schema)
	if err != nil {
		return nil, err
	}
	if err := e.open(ctx); err != nil {
		e.Close()
		return nil, fmt.Errorf("database schema %s: %w", schema, e.redact(err))
	}
	return store.New(e), nil
}

// engine is PostgreSQL as store.New needs it.
type engine struct {
	schema   string // in quotes
	lock     int64  // the advisory lock's number
	password string
	views    *sql.DB
	writers  *sql.DB // makes the writer

	// What follows belongs to Open, and then to whoever may write.
	writer *sql.Conn
	pid    uint32 // of the writer's server process, or of the last one's
	epoch  int64  // ours
	fenced bool
}

func newEngine(url, schema string) (*engine, error) {
	if schema == "" {
		return nil, errors.New("the database needs a schema")
	}
	config, err := pgx.ParseConfig(url)
	if err != nil {
		// The parser's own words may repeat parts of the URL, and it may have taken parts of the password for something else.
		return nil, errors.New("the database URL is not valid; it has the form postgres://user:password@host:5432/database?sslmode=verify-full," +
			" where other characters than letters, digits and -._~ are percent-encoded")
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	if config.ValidateConnect == nil {
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "vigil"
	}
	config.DialFunc = dialer.DialContext

	e := &engine{schema: pgx.Identifier{schema}.Sanitize(), lock: lockNumber(schema), password: config.Password}
	setup := stdlib.OptionAfterConnect(e.setup)
	e.views, e.writers = stdlib.OpenDB(*config, setup), stdlib.OpenDB(*config, setup)
	e.views.SetMaxOpenConns(maxViews)
	e.views.SetMaxIdleConns(maxIdleViews)
	e.writers.SetMaxIdleConns(-1) // what is given back is closed
	return e, nil
}

// lockNumber is the advisory lock of a schema. Such locks are of a database, and their numbers shared with whatever else is in it.
func lockNumber(schema string) int64 {
	h := fnv.New64a()
	h.Write([]byte("vigil/" + schema))
	return int64(h.Sum64())
}

// setup prepares a new connection.
func (e *engine) setup(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `SET search_path TO `+e.schema+`;
		SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') <> 'remote_apply';
		SET idle_in_transaction_session_timeout = 0;
		-- The server notices within half a minute that this machine is gone, and lets go of its locks.
		SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3`, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		conn.Close(ctx)
	}
	return err
}

// open makes the schema, takes the lock, and begins an epoch.
func (e *engine) open(ctx context.Context) error {
	err := e.connectWriter(ctx, func(ctx context.Context) error { return nil })
	if errors.Is(err, errLocked) {
		return store.ErrInUse
	}
	if err != nil {
		return err
	}
	var there bool
	err = e.writer.QueryRowContext(ctx, `SELECT to_regnamespace($1) IS NOT NULL`, e.schema).Scan(&there)
	if err != nil {
		return err
	}
	if !there { // asked first, as CREATE SCHEMA IF NOT EXISTS needs a right that who uses a schema may not have
		if _, err := e.writer.ExecContext(ctx, `CREATE SCHEMA `+e.schema); err != nil {
			return err
		}
	}
	err = e.writer.QueryRowContext(ctx, `SELECT to_regclass($1) IS NOT NULL`, e.schema+".vigil_epoch").Scan(&there)
	if err != nil {
		return err
	}
	if !there {
		if _, err := e.writer.ExecContext(ctx, `CREATE TABLE vigil_epoch (one BIGINT PRIMARY KEY, epoch BIGINT NOT NULL)`); err != nil {
			return err
		}
	}
	return e.writer.QueryRowContext(ctx, `INSERT INTO vigil_epoch (one, epoch) VALUES (1, 1)
		ON CONFLICT (one) DO UPDATE SET epoch = vigil_epoch.epoch + 1 RETURNING epoch`).Scan(&e.epoch)
}

// Dialect implements store.Engine.
func (e *engine) Dialect() store.Dialect {
	return store.Dialect{Text: `TEXT COLLATE "C"`, BigInt: "BIGINT", Double: "DOUBLE PRECISION", Bytea: "BYTEA"}
}

// Close implements store.Engine.
func (e *engine) Close() error {
	e.dropWriter()
	return errors.Join(e.views.Close(), e.writers.Close())
}

// BeginView implements store.Engine.
func (e *engine) BeginView(ctx context.Context, _ context.CancelCauseFunc) (store.Session, error) {
	var tx *sql.Tx
	var err error
	for range maxIdleViews + 1 { // when the server has restarted, each connection that was kept is found to be broken once
		tx, err = e.views.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
		if err == nil {
			return view{tx}, nil
		}
		if ctx.Err() != nil || !isConnectionLost(err) {
			break
		}
	}
	return nil, e.redact(err)
}

// view is a transaction that reads.
type view struct{ *sql.Tx }

func (v view) Commit() (inDoubt bool, err error) { return false, v.Tx.Commit() }
func (v view) Rollback()                         { v.Tx.Rollback() }

// isConnectionLost says that the session is over, or never began: the server has said FATAL or PANIC, or nothing that can be
// understood.
func isConnectionLost(err error) bool {
	var said *pgconn.PgError
	if !errors.As(err, &said) {
		return true
	}
	severity := said.SeverityUnlocalized
	if severity == "" {
		severity = said.Severity
	}
	return severity != "ERROR"
}

// redact takes the password out of an error's text.
func (e *engine) redact(err error) error {
	if err == nil || e.password == "" || !strings.Contains(err.Error(), e.password) {
		return err
	}
	return &redacted{err, strings.ReplaceAll(err.Error(), e.password, "***")}
}

// redacted is an error with another text.
type redacted struct {
	err  error
	text string
}

func (r *redacted) Error() string        { return r.text }
func (r *redacted) Is(target error) bool { return errors.Is(r.err, target) }
