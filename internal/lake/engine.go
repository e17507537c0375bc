package lake

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"

	"github.com/google/uuid"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"vigil/internal/journal"
	"vigil/internal/lake/presto"
)

// Compiled queries are run by SQLite: each in a database of its own in memory, which is empty but for the virtual tables that the query
// reads (table.go), and in which nothing but selecting from them is allowed. What SQLite has to sort and does not fit into a few
// megabytes it keeps in files that have no name.

// execution is one run of a query.
type execution struct {
	ctx     context.Context
	journal *journal.Journal
	query   *presto.Query
	views   map[string]*view // by store
	stats   statistics
	budget  int64 // bytes of rows that may still be given to SQLite
	err     error // why a table failed, which SQLite does not pass on
}

// maxRows is how many bytes of rows a query may give to SQLite, which may have to keep them all to sort or to join.
const maxRows = 8 << 30

// errTooMuch is in Presto's words.
var errTooMuch = error(&presto.Error{Text: "Query exhausted resources at this scale factor"})

// engineDriver is SQLite with the functions of the dialect and the module of the tables. It is no part of any other connection's.
var engineDriver = sync.OnceValues(func() (*sqlite.Driver, error) {
	d := &sqlite.Driver{}
	for name, function := range presto.Functions() {
		err := d.RegisterFunction(name, &sqlite.FunctionImpl{NArgs: -1, Deterministic: true, Scalar: scalar(name, function)})
		if err != nil {
			return nil, err
		}
	}
	return d, d.RegisterModule(moduleName, module{})
})

// scalar is a function of the dialect for SQLite. An argument of a kind that it does not take is an error of the compiled statement's.
func scalar(name string, function presto.Function) func(*sqlite.FunctionContext, []driver.Value) (driver.Value, error) {
	return func(_ *sqlite.FunctionContext, args []driver.Value) (result driver.Value, err error) {
		defer func() {
			if p := recover(); p != nil {
				result, err = nil, fmt.Errorf("%s%v: %v", name, args, p)
			}
		}()
		values := make([]any, len(args))
		for i, a := range args {
			values[i] = a
		}
		return function(values)
	}
}

type connector struct{ driver *sqlite.Driver }

func (c connector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(":memory:") }
func (c connector) Driver() driver.Driver                        { return c.driver }

// executions are those that run, by name, for the tables to find.
var executions sync.Map

// run runs the query and gives each row of the result to each, as results show it. It ends with an error when ctx does.
func (x *execution) run(each func(row []string) error) error {
	return x.open(func(conn *sql.Conn) error {
		rows, err := conn.QueryContext(x.ctx, x.query.SQL)
		if err != nil {
			return err
		}
		defer rows.Close()
		values := make([]any, len(x.query.Columns))
		places := make([]any, len(values))
		for i := range values {
			places[i] = &values[i]
		}
		for rows.Next() {
			if err := rows.Scan(places...); err != nil {
				return err
			}
			row := make([]string, len(values))
			for i, c := range x.query.Columns {
				row[i] = presto.Text(values[i], c.Type)
			}
			if err := each(row); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}

// check says whether SQLite takes the query. It is too large for it, or there is a mistake in how it was compiled.
func (x *execution) check() error {
	return x.open(func(conn *sql.Conn) error {
		statement, err := conn.PrepareContext(x.ctx, x.query.SQL)
		if err != nil {
			return err
		}
		return statement.Close()
	})
}

// open makes the database and gives it to use.
func (x *execution) open(use func(*sql.Conn) error) error {
	d, err := engineDriver()
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector{d})
	defer db.Close()
	conn, err := db.Conn(x.ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	name := uuid.NewString()
	executions.Store(name, x)
	defer executions.Delete(name)
	x.budget = maxRows

	statements := []string{"PRAGMA temp_store = FILE", "PRAGMA cache_size = -16384"}
	for i, t := range x.query.Tables {
		statements = append(statements, fmt.Sprintf("CREATE VIRTUAL TABLE %s USING %s('%s', %d)", t.Name, moduleName, name, i))
	}
	for _, s := range append(statements, "PRAGMA query_only = ON") {
		if _, err := conn.ExecContext(x.ctx, s); err != nil {
			return err
		}
	}
	if _, err := sqlite.Limit(conn, sqlite3.SQLITE_LIMIT_LENGTH, presto.MaxValue); err != nil {
		return err
	}
	err = conn.Raw(func(c any) error { return c.(sqlite.AuthorizerRegisterer).RegisterAuthorizer(authorize) })
	if err == nil {
		err = use(conn)
	}
	switch {
	case x.ctx.Err() != nil:
		return context.Cause(x.ctx)
	case x.err != nil:
		return x.err
	}
	return err
}

// authorize allows what compiled queries do, and nothing else: to select from the tables that are there, by functions that are known.
func authorize(action sqlite.AuthorizerActionCode, first, second, _, _ string) sqlite.AuthorizerReturnCode {
	switch action {
	case sqlite.AuthSelect:
		return sqlite.AuthorizerOK
	case sqlite.AuthRead:
		if !strings.HasPrefix(first, "sqlite_") && !strings.HasPrefix(first, "pragma_") {
			return sqlite.AuthorizerOK
		}
	case sqlite.AuthFunction:
		switch name := strings.ToLower(second); name {
		case "count", "sum", "min", "max", "avg", "coalesce", "nullif":
			return sqlite.AuthorizerOK
		default:
			if strings.HasPrefix(name, "vl_") {
				return sqlite.AuthorizerOK
			}
		}
	}
	return sqlite.AuthorizerDeny
}

// message is what an error of a query that ran says to its user.
func message(err error) string {
	text := err.Error()
	text = strings.TrimPrefix(text, "SQL logic error: ")
	if i := strings.LastIndex(text, " ("); i > 0 && strings.HasSuffix(text, ")") {
		if _, err := strconv.Atoi(text[i+2 : len(text)-1]); err == nil {
			text = text[:i]
		}
	}
	if text == "integer overflow" {
		return "bigint addition overflow"
	}
	return text
}

// cost is about how many bytes a row takes.
func cost(values []any) int64 {
	n := int64(16)
	for _, v := range values {
		n += 16
		if s, ok := v.(string); ok {
			n += int64(len(s))
		}
	}
	return min(n, math.MaxInt32)
}
