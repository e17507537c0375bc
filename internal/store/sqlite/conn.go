package sqlite

import (
	"context"
	"database/sql"
)

// maxStatements bounds the statements that a connection keeps prepared. Vigil has fewer, unless it makes them up as it goes.
const maxStatements = 256

// conn is a connection with its prepared statements. Preparing one takes longer than running most.
type conn struct {
	*sql.Conn
	statements map[string]*sql.Stmt
}

func connect(db *sql.DB) (*conn, error) {
	c, err := db.Conn(context.Background())
	if err != nil {
		return nil, err
	}
	return &conn{c, map[string]*sql.Stmt{}}, nil
}

// statement is the prepared statement of a query, or nil if there is none, because it is wrong or because there are too many.
func (c *conn) statement(query string) *sql.Stmt {
	if s := c.statements[query]; s != nil {
		return s
	}
	if len(c.statements) >= maxStatements {
		return nil
	}
	s, err := c.PrepareContext(context.Background(), query)
	if err != nil {
		return nil
	}
	c.statements[query] = s
	return s
}

// forgetSome makes room for other statements when there is none left. It is called between transactions.
func (c *conn) forgetSome() {
	if len(c.statements) >= maxStatements {
		c.forgetAll()
	}
}

func (c *conn) forgetAll() {
	for _, s := range c.statements {
		s.Close()
	}
	clear(c.statements)
}

// Close implements io.Closer. SQLite closes a connection only when its statements are gone, and database/sql leaves them to us.
func (c *conn) Close() error {
	c.forgetAll()
	return c.Conn.Close()
}

func (c *conn) exec(ctx context.Context, query string, args []any) (sql.Result, error) {
	if s := c.statement(query); s != nil {
		return s.ExecContext(ctx, args...)
	}
	return c.ExecContext(ctx, query, args...)
}

func (c *conn) query(ctx context.Context, query string, args []any) (*sql.Rows, error) {
	if s := c.statement(query); s != nil {
		return s.QueryContext(ctx, args...)
	}
	return c.QueryContext(ctx, query, args...)
}

func (c *conn) queryRow(ctx context.Context, query string, args []any) *sql.Row {
	if s := c.statement(query); s != nil {
		return s.QueryRowContext(ctx, args...)
	}
	return c.QueryRowContext(ctx, query, args...)
}

// run runs a statement that begins or ends a transaction.
func (c *conn) run(ctx context.Context, query string) error {
	_, err := c.exec(ctx, query, nil)
	return err
}

// rollback ends the transaction if there is one. It fails when SQLite has rolled it back by itself, which is as well.
func (c *conn) rollback() { c.run(context.Background(), "ROLLBACK") }
