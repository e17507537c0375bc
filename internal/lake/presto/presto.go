// Package presto reads the SQL of CloudTrail Lake, which is Presto's, and makes SQLite's of it. It is pure: it knows tables by what
// it is told of their columns, and runs nothing.
//
// A statement goes through these steps: tokens (token.go), a tree (ast.go, parse.go, parse_expr.go), and from that SQL for SQLite in
// which every value has a known type (compile.go, select.go, names.go, expr.go, operators.go, functions.go). What Presto has and SQLite has not, or does
// otherwise, are functions of Go that the SQL calls (runtime.go and its neighbours), and the forms in which results are written
// (format.go). The documentation of Presto 0.266 is the reference.
//
// Only what is known to mean the same in both is let through: a name, a function or a form that is not known here is an error, as it
// would be in Presto, and nothing of a statement's text reaches SQLite but numbers and quoted strings.
//
// Values are held in SQLite like this: varchar is TEXT, bigint INTEGER, double REAL, boolean 0 or 1, timestamp and date are milliseconds
// since 1970, an interval is milliseconds or months, and json, arrays, maps and rows are JSON as TEXT.
package presto

import (
	"fmt"
	"time"
)

// Error says what is wrong with a statement, and where, in Presto's form.
type Error struct {
	Line, Column int // from 1; 0 when it is about no place
	Text         string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Text
	}
	return fmt.Sprintf("line %d:%d: %s", e.Line, e.Column, e.Text)
}

// fails is an error of a statement while it runs, which is about no place.
func fails(format string, args ...any) error {
	return &Error{Text: fmt.Sprintf(format, args...)}
}

// Query is a compiled statement.
type Query struct {
	SQL     string   // one SELECT of SQLite
	Columns []Output // of the result, in order
	Tables  []*Table // that SQL reads
}

// Output is a column of a result.
type Output struct {
	Name string
	Type Type
}

// Table is a table that the SQL of a query reads by its Name. Its columns are named c0, c1 …, and there are only those that are needed.
type Table struct {
	Name    string // in the SQL
	Store   string // as the statement names it
	Columns []Path // what c0, c1 … hold
	// The table has no rows whose eventTime is outside [From, To], in milliseconds since 1970, nor any that a filter does not let
	// through. The SQL leaves it to the table.
	From, To int64
	Filters  []Filter
	// Weighed says that the table has one column more, named weight: how many rows that are the same in all columns a row stands for.
	// Whether rows are put together at all is left to who gives them.
	Weighed bool

	paths map[string]int
}

// Path is where in a record a value is: the names of members, from the outside inwards.
type Path struct {
	Steps []string
	Type  Type
}

// Filter lets rows through that have one of the texts at a path.
type Filter struct {
	Path   Path
	Values []string
}

// Schema is the columns of a table.
type Schema []Field

// Compile makes SQLite's SQL of a statement. It asks schema for what the tables that the statement names consist of; its error is
// returned as it is. Now is what current_timestamp means. All other errors are *Error.
func Compile(statement string, now time.Time, schema func(store string) (Schema, error)) (*Query, error) {
	tree, err := parse(statement)
	if err != nil {
		return nil, err
	}
	c := &compiler{now: now.UnixMilli(), schema: schema}
	relation, err := c.query(tree, nil)
	if err != nil {
		return nil, err
	}
	q := &Query{SQL: relation.sql, Tables: c.tables}
	for i, column := range relation.columns {
		if column.name == "" {
			column.name = fmt.Sprintf("_col%d", i)
		}
		q.Columns = append(q.Columns, Output{column.name, column.typ})
	}
	return q, nil
}
