package store

import (
	"context"
	"database/sql"
	"sync"
	"sync/atomic"
)

// Engine is a kind of database, as this package needs it to make a DB. Its errors hold no credentials.
type Engine interface {
	// BeginView begins a read-only transaction that sees one state of the database. Many may be open at a time.
	// The engine may call end, also after the session has ended, to have the transaction fail with a reason of its own.
	BeginView(ctx context.Context, end context.CancelCauseFunc) (Session, error)

	// BeginUpdate begins a transaction that writes. It is called when none is open and the last commit's fate is settled.
	BeginUpdate(ctx context.Context) (Session, error)

	// Settle returns nil when it is decided whether the last commit, which failed with inDoubt, persisted: what a
	// View sees from then on is how it stays. It is called when no transaction that writes is open.
	Settle(ctx context.Context) error

	// Dialect is how the engine calls things in CREATE TABLE and ALTER TABLE.
	Dialect() Dialect

	// Close is called once, when no session is open.
	Close() error
}

// Session is an open transaction of an Engine. It ends with one call of Commit or Rollback.
type Session interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row

	// Commit makes the transaction durable. If it fails, inDoubt says that it may have persisted nevertheless. If it is not certain
	// that nothing has, inDoubt must be true. The end of a context does not interrupt it.
	Commit() (inDoubt bool, err error)

	// Rollback undoes the transaction, whatever state it is in.
	Rollback()
}

// New makes a DB of an engine. Closing it closes the engine.
func New(engine Engine) DB {
	return &database{engine: engine, updating: make(chan struct{}, 1)}
}

type database struct {
	engine Engine

	updating chan struct{} // holds one token while there is an Update
	inDoubt  atomic.Bool   // a commit has failed and its fate is not settled; written only by the holder of the token

	mu     sync.Mutex
	closed bool
	open   sync.WaitGroup // transactions
}

// View implements DB.
func (d *database) View(ctx context.Context, fn func(Tx) error) error {
	if err := d.enter(); err != nil {
		return err
	}
	defer d.open.Done()
	if d.inDoubt.Load() {
		if err := d.settle(ctx); err != nil {
			return err
		}
	}

	viewing, end := context.WithCancelCause(ctx)
	defer end(nil)
	session, err := d.engine.BeginView(viewing, end)
	if err != nil {
		return err
	}
	t := &tx{ctx: viewing, session: session}
	defer func() { // also when fn panics or ends its goroutine
		t.end()
		session.Rollback()
	}()
	if err = fn(t); err == nil {
		err = t.failed
	}
	if err != nil && ctx.Err() == nil && viewing.Err() != nil {
		return context.Cause(viewing)
	}
	return err
}

// Update implements DB.
func (d *database) Update(ctx context.Context, fn func(Tx) error) error {
	if err := d.enter(); err != nil {
		return err
	}
	defer d.open.Done()
	if err := d.lock(ctx); err != nil {
		return err
	}
	defer d.unlock()
	if err := d.settleLocked(ctx); err != nil {
		return err
	}

	session, err := d.engine.BeginUpdate(ctx)
	if err != nil {
		return err
	}
	t := &tx{ctx: ctx, session: session}
	if err := d.run(t, fn); err != nil {
		return err
	}
	inDoubt, err := session.Commit()
	if inDoubt {
		d.inDoubt.Store(true)
		return NewCommitError(err, t.onCommit)
	}
	if err != nil {
		return err
	}
	for _, fn := range t.onCommit {
		fn()
	}
	return nil
}

// run is an Update up to its commit: if it does not return nil, the transaction has been undone.
func (d *database) run(t *tx, fn func(Tx) error) error {
	good := false
	defer func() { // also when fn panics or ends its goroutine
		t.end()
		if !good {
			t.session.Rollback()
		}
	}()
	if err := fn(t); err != nil {
		return err
	}
	if t.failed != nil {
		return t.failed
	}
	if err := t.ctx.Err(); err != nil {
		return err
	}
	good = true
	return nil
}

// settle finds out the fate of a commit that was in doubt.
func (d *database) settle(ctx context.Context) error {
	if err := d.lock(ctx); err != nil {
		return err
	}
	defer d.unlock()
	return d.settleLocked(ctx)
}

func (d *database) settleLocked(ctx context.Context) error {
	if !d.inDoubt.Load() {
		return nil
	}
	if err := d.engine.Settle(ctx); err != nil {
		return err
	}
	d.inDoubt.Store(false)
	return nil
}

// lock waits for the Updates that came before.
func (d *database) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case d.updating <- struct{}{}:
		return nil
	default:
	}
	select {
	case d.updating <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *database) unlock() { <-d.updating }

// enter lets a transaction in, unless the database is closed. The caller owes d.open a Done.
func (d *database) enter() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return ErrClosed
	}
	d.open.Add(1)
	return nil
}

// Close implements DB.
func (d *database) Close() error {
	d.mu.Lock()
	closed := d.closed
	d.closed = true
	d.mu.Unlock()
	d.open.Wait()
	if closed {
		return ErrClosed
	}
	return d.engine.Close()
}
