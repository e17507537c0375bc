package sqlite

import (
	"context"
	"database/sql"
	"sync"
	"time"

	"vigil/internal/store"
)

// BeginView implements store.Engine.
func (e *engine) BeginView(ctx context.Context, end context.CancelCauseFunc) (store.Session, error) {
	conn, err := e.views.take(ctx)
	if err != nil {
		return nil, err
	}
	if err := conn.run(context.Background(), "BEGIN"); err != nil {
		e.views.put(conn)
		return nil, err
	}
	v := &view{conn: conn, pool: &e.views, end: end, began: time.Now()}
	e.views.add(v)
	return v, nil
}

// view is the transaction of a reader. SQLite takes its snapshot at the first statement.
type view struct {
	conn  *conn
	pool  *viewPool
	end   context.CancelCauseFunc
	began time.Time
}

func (v *view) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return v.conn.exec(ctx, query, args)
}

func (v *view) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return v.conn.query(ctx, query, args)
}

func (v *view) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return v.conn.queryRow(ctx, query, args)
}

func (v *view) Commit() (inDoubt bool, err error) {
	v.Rollback()
	return false, nil
}

func (v *view) Rollback() {
	v.pool.remove(v)
	v.conn.rollback()
	v.conn.forgetSome()
	v.pool.put(v.conn)
}

// viewPool has the connections that read, and the Views that use them.
type viewPool struct {
	db     *sql.DB
	places chan struct{} // one token for each View

	mu   sync.Mutex
	idle []*conn // the last used is the next to be used: its cache is warm
	open map[*view]struct{}
}

func (p *viewPool) init(db *sql.DB) {
	p.db, p.places, p.open = db, make(chan struct{}, maxViews), map[*view]struct{}{}
}

// take waits for a place among the Views and returns a connection for it.
func (p *viewPool) take(ctx context.Context) (*conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case p.places <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	p.mu.Lock()
	if n := len(p.idle); n > 0 {
		c := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return c, nil
	}
	p.mu.Unlock()
	c, err := connect(p.db)
	if err != nil {
		<-p.places
	}
	return c, err
}

func (p *viewPool) put(c *conn) {
	p.mu.Lock()
	p.idle = append(p.idle, c)
	p.mu.Unlock()
	<-p.places
}

func (p *viewPool) add(v *view) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[v] = struct{}{}
}

func (p *viewPool) remove(v *view) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, v)
}

// endSince ends the Views that began before a time.
func (p *viewPool) endSince(t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for v := range p.open {
		if v.began.Before(t) {
			v.end(store.ErrViewTooLong)                          // first, so that it runs no statement outside its transaction
			v.conn.ExecContext(context.Background(), "ROLLBACK") // the prepared one is the View's own
		}
	}
}

func (p *viewPool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.idle {
		c.Close()
	}
	p.idle = nil
}
