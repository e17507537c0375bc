package lake

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"modernc.org/sqlite/vtab"
)

const moduleName = "lake"

// module makes virtual tables of the stores that queries read.
type module struct{}

// Create makes the table that args name: the execution, and the number of its table.
func (module) Create(ctx vtab.Context, args []string) (vtab.Table, error) {
	if len(args) != 5 {
		return nil, fmt.Errorf("a table needs two arguments, not %q", args)
	}
	found, ok := executions.Load(strings.Trim(args[3], "' "))
	n, err := strconv.Atoi(strings.TrimSpace(args[4]))
	if !ok || err != nil {
		return nil, errors.New("there is no such query")
	}
	t := &virtualTable{execution: found.(*execution), number: n}
	names := []string{"c0"} // there is always one, as SQLite has no table without columns
	for i := 1; i < len(t.execution.query.Tables[n].Columns); i++ {
		names = append(names, fmt.Sprint("c", i))
	}
	return t, ctx.Declare("CREATE TABLE t (" + strings.Join(append(names, "weight HIDDEN"), ", ") + ")")
}

// Connect is Create: the tables are nowhere but in memory.
func (m module) Connect(ctx vtab.Context, args []string) (vtab.Table, error) {
	return m.Create(ctx, args)
}

// virtualTable is one table of a query.
type virtualTable struct {
	execution *execution
	number    int
}

// BestIndex says that the table is read from its beginning to its end: what it can leave out it was told when the query was compiled.
func (t *virtualTable) BestIndex(info *vtab.IndexInfo) error {
	info.EstimatedCost, info.EstimatedRows = 1e6, 1e6
	return nil
}

// Open begins a reading.
func (t *virtualTable) Open() (vtab.Cursor, error) { return &cursor{table: t}, nil }

// Disconnect does nothing: the table has nothing of its own.
func (t *virtualTable) Disconnect() error { return nil }

// Destroy does nothing either.
func (t *virtualTable) Destroy() error { return nil }

// cursor is one reading of a table.
type cursor struct {
	table *virtualTable
	scan  *scan
	batch batch
	row   int
	last  bool
}

// Filter begins at the first row.
func (c *cursor) Filter(int, string, []vtab.Value) error {
	c.end()
	x := c.table.execution
	t := x.query.Tables[c.table.number]
	c.scan = newScan(x.ctx, x.journal, t, x.views[t.Store], &x.stats)
	c.batch, c.row, c.last = batch{}, -1, false
	return c.Next()
}

// Next goes to the next row.
func (c *cursor) Next() error {
	x := c.table.execution
	for c.row++; c.row >= len(c.batch.weights); c.row = 0 {
		next, ok := c.scan.next()
		if err := x.ctx.Err(); err != nil {
			return c.fail(err)
		}
		if !ok {
			c.last = true
			return nil
		}
		if next.err != nil {
			return c.fail(next.err)
		}
		c.batch = next
	}
	if x.budget -= cost(c.batch.values[c.row*c.batch.width : (c.row+1)*c.batch.width]); x.budget < 0 {
		return c.fail(errTooMuch)
	}
	return nil
}

func (c *cursor) fail(err error) error {
	c.last = true
	c.table.execution.err = err
	return err
}

// Eof says that there are no more rows.
func (c *cursor) Eof() bool { return c.last }

// Column is a value of the row.
func (c *cursor) Column(n int) (vtab.Value, error) {
	switch {
	case n == max(c.batch.width, 1):
		return c.batch.weights[c.row], nil
	case n >= c.batch.width:
		return nil, nil
	}
	return c.batch.values[c.row*c.batch.width+n], nil
}

// Rowid is of no use here.
func (c *cursor) Rowid() (int64, error) { return int64(c.row), nil }

// Close ends the reading.
func (c *cursor) Close() error {
	c.end()
	return nil
}

func (c *cursor) end() {
	if c.scan != nil {
		c.scan.close()
		c.scan = nil
	}
}
