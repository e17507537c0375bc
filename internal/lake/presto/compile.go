package presto

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// compiler makes SQL of a tree.
type compiler struct {
	now    int64 // milliseconds since 1970
	schema func(store string) (Schema, error)
	tables []*Table
	names  int // how many relations have names
	steps  int // how many expressions were compiled
}

// relation is the SQL of a query, whose columns are named o0, o1 ….
type relation struct {
	sql     string
	columns []column
}

type column struct {
	name string // as it was written; empty if it has none
	typ  Type
}

// environment is the names that WITH gives to queries, from the inside outwards.
type environment struct {
	outer *environment
	name  string
	query *query
}

func (e *environment) find(name string) *environment {
	for ; e != nil; e = e.outer {
		if e.name == name {
			return e
		}
	}
	return nil
}

func (c *compiler) query(q *query, env *environment) (relation, error) {
	for _, w := range q.with {
		for e := env; e != nil && e.query != nil; e = e.outer {
			if e.name == w.name {
				return relation{}, failAt(w.at, "WITH query name '%s' specified more than once", w.name)
			}
		}
		env = &environment{env, w.name, w.query}
	}
	switch body := q.body.(type) {
	case *selection:
		return c.selection(body, q, env)
	case *setOperation:
		r, err := c.setOperation(body, env)
		if err != nil {
			return r, err
		}
		return c.sorted(r, q)
	}
	r, err := c.query(q.body.(*query), env)
	if err != nil || len(q.order) == 0 && q.limit < 0 {
		return r, err
	}
	r.sql = "SELECT * FROM (" + r.sql + ")"
	return c.sorted(r, q)
}

func (c *compiler) operand(body any, env *environment) (relation, error) {
	switch body := body.(type) {
	case *selection:
		return c.selection(body, &query{limit: -1}, env)
	case *setOperation:
		return c.setOperation(body, env)
	}
	return c.query(body.(*query), env)
}

func (c *compiler) setOperation(s *setOperation, env *environment) (relation, error) {
	left, err := c.operand(s.left, env)
	if err != nil {
		return left, err
	}
	right, err := c.operand(s.right, env)
	if err != nil {
		return right, err
	}
	if len(left.columns) != len(right.columns) {
		return left, failAt(s.at, "%s query has different number of fields: %d, %d", s.op, len(left.columns), len(right.columns))
	}
	columns := slices.Clone(left.columns)
	for i := range columns {
		typ, ok := common(left.columns[i].typ, right.columns[i].typ)
		if !ok {
			return left, failAt(s.at, "column %d in %s query has incompatible types: %s, %s", i+1, s.op, left.columns[i].typ, right.columns[i].typ)
		}
		columns[i].typ = typ
	}
	op := s.op
	if s.all {
		op += " ALL"
	}
	return relation{"SELECT * FROM (" + left.sql + ") " + op + " SELECT * FROM (" + right.sql + ")", columns}, nil
}

// sorted adds ORDER BY and LIMIT to a relation that can be sorted by its own columns only.
func (c *compiler) sorted(r relation, q *query) (relation, error) {
	var order []string
	for _, s := range q.order {
		n := -1
		switch e := s.expr.(type) {
		case *intLit:
			if e.value < 1 || e.value > int64(len(r.columns)) {
				return r, failAt(e.position, "ORDER BY position %d is not in select list", e.value)
			}
			n = int(e.value)
		case *name:
			for i, column := range r.columns {
				if len(e.parts) == 1 && strings.EqualFold(column.name, e.parts[0]) {
					if n > 0 {
						return r, failAt(e.position, "Column '%s' is ambiguous", e.parts[0])
					}
					n = i + 1
				}
			}
		}
		if n < 0 {
			return r, failAt(s.expr.place(), "ORDER BY of several queries must be by a column of the result")
		}
		if !r.columns[n-1].typ.isOrdered() {
			return r, failAt(s.expr.place(), "Type %s is not orderable, and therefore cannot be used in ORDER BY", r.columns[n-1].typ)
		}
		order = append(order, fmt.Sprint(n)+direction(s))
	}
	if len(order) > 0 {
		r.sql += " ORDER BY " + strings.Join(order, ", ")
	}
	r.sql += limit(q)
	return r, nil
}

// direction is how a term is sorted. NULLs are last unless they are wanted first, whatever the direction.
func direction(s sortItem) string {
	text := " ASC"
	if s.descending {
		text = " DESC"
	}
	if s.nullsFirst {
		return text + " NULLS FIRST"
	}
	return text + " NULLS LAST"
}

func limit(q *query) string {
	if q.limit < 0 {
		return ""
	}
	return fmt.Sprint(" LIMIT ", q.limit)
}

// common is the type that two types have in common.
func common(a, b Type) (Type, bool) {
	switch {
	case a.equal(b), b.Kind == Unknown:
		return a, true
	case a.Kind == Unknown:
		return b, true
	case a.isNumber() && b.isNumber():
		return Of(Double), true
	case a.isTime() && b.isTime():
		return Of(Timestamp), true
	case a.Kind == Array && b.Kind == Array:
		elem, ok := common(*a.Elem, *b.Elem)
		return ArrayOf(elem), ok
	}
	return a, false
}

// source is a relation of FROM.
type source struct {
	alias   string // what it is called in the SQL
	called  string // in the statement, in lower case; may be empty
	table   *Table // nil for a query
	schema  Schema
	columns []column
}

// from is what a selection reads.
type from struct {
	sources []*source
	with    []string // what comes before the SELECT
	sql     string
}

// relation compiles a relation of FROM.
func (c *compiler) relation(f *from, r any, env *environment, joined bool) (string, error) {
	switch r := r.(type) {
	case *join:
		return c.join(f, r, env)
	case *subquery:
		return c.derived(f, r.query, env, r.alias, r.at, joined)
	}
	t := r.(*tableName)
	if c.names > maxTerms {
		return "", failAt(t.at, "the statement has more than %d tables", maxTerms)
	}
	called := t.alias
	if called == "" {
		called = strings.ToLower(t.name)
	}
	if e := env.find(strings.ToLower(t.name)); e != nil {
		return c.derived(f, e.query, e.outer, called, t.at, joined)
	}
	schema, err := c.schema(strings.ToLower(t.name))
	if err != nil {
		return "", err
	}
	table := &Table{Name: fmt.Sprint("t", len(c.tables)), Store: strings.ToLower(t.name), From: math.MinInt64, To: math.MaxInt64, paths: map[string]int{}}
	c.tables = append(c.tables, table)
	s := &source{alias: c.alias(), called: called, table: table, schema: schema}
	if err := f.add(s, t.at); err != nil {
		return "", err
	}
	if !joined {
		return table.Name + " AS " + s.alias, nil
	}
	return f.keep(s, "SELECT * FROM "+table.Name), nil
}

func (c *compiler) alias() string {
	c.names++
	return fmt.Sprint("r", c.names-1)
}

func (f *from) add(s *source, at position) error {
	for _, other := range f.sources {
		if name := s.called; name != "" && name == other.called {
			return failAt(at, "Table alias '%s' is used twice", name)
		}
	}
	f.sources = append(f.sources, s)
	return nil
}

// keep has SQLite read a relation once and keep what it read, as one that is joined is gone through many times.
func (f *from) keep(s *source, sql string) string {
	f.with = append(f.with, "m"+s.alias+" AS MATERIALIZED ("+sql+")")
	return "m" + s.alias + " AS " + s.alias
}

func (c *compiler) derived(f *from, q *query, env *environment, called string, at position, joined bool) (string, error) {
	inner, err := c.query(q, env)
	if err != nil {
		return "", err
	}
	if c.names > maxTerms {
		return "", failAt(at, "the statement has more than %d tables", maxTerms)
	}
	s := &source{alias: c.alias(), called: called, columns: inner.columns}
	if err := f.add(s, at); err != nil || joined {
		return f.keep(s, inner.sql), err
	}
	return "(" + inner.sql + ") AS " + s.alias, nil
}

func (c *compiler) join(f *from, j *join, env *environment) (string, error) {
	left, err := c.relation(f, j.left, env, true)
	if err != nil {
		return "", err
	}
	right, err := c.relation(f, j.right, env, true)
	if err != nil {
		return "", err
	}
	on, err := c.condition(&scope{from: f, clause: "JOIN"}, j.on, "JOIN ON clause")
	if err != nil {
		return "", err
	}
	return left + " " + j.kind + " JOIN " + right + " ON " + on.sql, nil
}

// column is the number of the column of a table that holds a path.
func (t *Table) column(steps []string, typ Type) int {
	key := strings.Join(steps, "\x00") + "\x00\x00" + typ.String()
	n, ok := t.paths[key]
	if !ok {
		n = len(t.Columns)
		t.paths[key] = n
		t.Columns = append(t.Columns, Path{slices.Clone(steps), typ})
	}
	return n
}
