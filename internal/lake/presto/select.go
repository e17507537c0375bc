package presto

import (
	"fmt"
	"strings"
)

// selection compiles a SELECT with the ORDER BY and LIMIT of the query that it is the body of.
func (c *compiler) selection(s *selection, q *query, env *environment) (relation, error) {
	f := &from{}
	_, isJoin := s.from.(*join)
	var err error
	if f.sql, err = c.relation(f, s.from, env, isJoin); err != nil {
		return relation{}, err
	}
	b := &builder{compiler: c, selection: s, query: q, from: f, single: len(f.sources) == 1 && f.sources[0].table != nil}
	for _, step := range []func() error{b.where, b.groups, b.items, b.having, b.order, b.check} {
		if err := step(); err != nil {
			return relation{}, err
		}
	}
	return relation{b.sql(), b.columns}, nil
}

// builder is a selection in the making.
type builder struct {
	*compiler
	selection *selection
	query     *query
	from      *from
	single    bool // it reads one table and nothing else

	condition  string
	group      []val
	grouped    map[string]bool // the SQL of what it is grouped by
	selected   []val
	columns    []column
	havingSQL  string
	checked    []val // what HAVING and ORDER BY say
	orderSQL   []string
	aggregated bool
}

// where compiles the condition. Those of its terms that the table can judge are left to it; what it cannot judge alone, as it is
// joined, is judged by both.
func (b *builder) where() error {
	if b.selection.where == nil {
		return nil
	}
	sc := &scope{from: b.from, clause: "WHERE"}
	terms := []expr{b.selection.where}
	if l, ok := b.selection.where.(*logical); ok && l.op == "AND" {
		terms = l.terms
	}
	var left []val
	for _, term := range terms {
		pushed, err := b.push(sc, term)
		if err != nil {
			return err
		}
		if pushed && b.single {
			continue
		}
		v, err := b.compiler.condition(sc, term, "WHERE clause")
		if err != nil {
			return err
		}
		left = append(left, v)
	}
	if len(left) > 0 {
		b.condition = balanced("AND", left)
	}
	return nil
}

func (b *builder) groups() error {
	b.grouped = map[string]bool{}
	sc := &scope{from: b.from, clause: "GROUP BY"}
	for _, e := range b.selection.group {
		if n, ok := e.(*intLit); ok {
			if n.value < 1 || n.value > int64(len(b.selection.items)) || b.selection.items[n.value-1].all {
				return failAt(n.position, "GROUP BY position %d is not in select list", n.value)
			}
			e = b.selection.items[n.value-1].expr
		}
		v, err := b.expr(sc, e)
		if err != nil {
			return err
		}
		b.grouped[v.sql] = true
		b.group = append(b.group, v)
	}
	b.aggregated = len(b.group) > 0
	return nil
}

// scope is that of the clauses which may aggregate.
func (b *builder) scope() *scope {
	sc := &scope{from: b.from, grouped: b.grouped, aggregates: true}
	if b.single {
		sc.weight = b.from.sources[0].alias + ".weight"
	}
	return sc
}

func (b *builder) items() error {
	sc := b.scope()
	for _, one := range b.selection.items {
		if one.all {
			if err := b.all(sc, one); err != nil {
				return err
			}
			continue
		}
		v, err := b.expr(sc, one.expr)
		if err != nil {
			return err
		}
		b.selected = append(b.selected, v)
		b.columns = append(b.columns, column{outputName(one), v.typ})
		b.aggregated = b.aggregated || v.aggregate
	}
	return nil
}

func outputName(one item) string {
	if one.alias != "" {
		return one.alias
	}
	switch e := one.expr.(type) {
	case *name:
		return e.parts[len(e.parts)-1]
	case *fieldOf:
		return e.name
	}
	return ""
}

// all selects all columns of one source, or of all.
func (b *builder) all(sc *scope, one item) error {
	found := false
	for _, s := range b.from.sources {
		if one.qualifier != "" && s.called != one.qualifier {
			continue
		}
		found = true
		for i := range s.width() {
			v := s.value(i)
			v.at = one.at
			b.selected = append(b.selected, v.grouped(sc))
			b.columns = append(b.columns, column{s.name(i), v.typ})
		}
	}
	if !found {
		return failAt(one.at, "Table '%s' not found", one.qualifier)
	}
	return nil
}

func (b *builder) having() error {
	if b.selection.having == nil {
		return nil
	}
	v, err := b.compiler.condition(b.scope(), b.selection.having, "HAVING clause")
	if err != nil {
		return err
	}
	if b.aggregated = b.aggregated || v.aggregate; !b.aggregated {
		return failAt(b.selection.having.place(), "HAVING needs GROUP BY or an aggregate function")
	}
	b.havingSQL = v.sql
	b.checked = append(b.checked, v)
	return nil
}

// check refuses columns that have many values in a group.
func (b *builder) check() error {
	if !b.aggregated {
		return nil
	}
	for _, v := range append(b.selected, b.checked...) {
		if v.loose != "" {
			return looseError(v)
		}
	}
	return nil
}

func looseError(v val) error {
	return failAt(v.at, "'%s' must be an aggregate expression or appear in GROUP BY clause", v.loose)
}

func (b *builder) order() error {
	sc := b.scope()
	sc.outputs = map[string][]val{}
	for i, v := range b.selected {
		name := strings.ToLower(b.columns[i].name)
		if name != "" {
			sc.outputs[name] = append(sc.outputs[name], v)
		}
	}
	for _, s := range b.query.order {
		sql, err := b.orderTerm(sc, s)
		if err != nil {
			return err
		}
		b.orderSQL = append(b.orderSQL, sql+direction(s))
	}
	return nil
}

func (b *builder) orderTerm(sc *scope, s sortItem) (string, error) {
	if n, ok := s.expr.(*intLit); ok {
		if n.value < 1 || n.value > int64(len(b.selected)) {
			return "", failAt(n.position, "ORDER BY position %d is not in select list", n.value)
		}
		return fmt.Sprint(n.value), orderable(n.position, b.selected[n.value-1].typ)
	}
	v, err := b.expr(sc, s.expr)
	if err != nil {
		return "", err
	}
	if err := orderable(s.expr.place(), v.typ); err != nil {
		return "", err
	}
	b.aggregated = b.aggregated || v.aggregate
	b.checked = append(b.checked, v)
	for i, selected := range b.selected {
		if selected.sql == v.sql {
			return fmt.Sprint(i + 1), nil
		}
	}
	if b.selection.distinct {
		return "", failAt(s.expr.place(), "For SELECT DISTINCT, ORDER BY expressions must appear in select list")
	}
	if v.known {
		return "NULL", nil // a number would be a position
	}
	return v.sql, nil
}

func orderable(at position, t Type) error {
	if !t.isOrdered() {
		return failAt(at, "Type %s is not orderable, and therefore cannot be used in ORDER BY", t)
	}
	return nil
}

func (b *builder) sql() string {
	var s strings.Builder
	if len(b.from.with) > 0 {
		s.WriteString("WITH " + strings.Join(b.from.with, ", ") + " ")
	}
	s.WriteString("SELECT ")
	if b.selection.distinct {
		s.WriteString("DISTINCT ")
	}
	for i, v := range b.selected {
		if i > 0 {
			s.WriteString(", ")
		}
		fmt.Fprintf(&s, "%s AS o%d", v.sql, i)
	}
	s.WriteString(" FROM " + b.from.sql)
	if b.condition != "" {
		s.WriteString(" WHERE " + b.condition)
	}
	if len(b.group) > 0 {
		var terms []string
		for _, v := range b.group {
			if v.known {
				terms = append(terms, "NULL") // a number would be a position
			} else {
				terms = append(terms, v.sql)
			}
		}
		s.WriteString(" GROUP BY " + strings.Join(terms, ", "))
	}
	if b.havingSQL != "" {
		s.WriteString(" HAVING " + b.havingSQL)
	}
	if len(b.orderSQL) > 0 {
		s.WriteString(" ORDER BY " + strings.Join(b.orderSQL, ", "))
	}
	s.WriteString(limit(b.query))
	if b.single && (b.aggregated || b.selection.distinct) {
		b.from.sources[0].table.Weighed = true
	}
	return s.String()
}

// push gives a term of WHERE to the table that it is about, if that can judge it: a bound of eventTime, or a text that a column
// equals. A row for which it is not true is in no result, be the table joined or not.
func (b *builder) push(sc *scope, term expr) (bool, error) {
	switch term := term.(type) {
	case *binary:
		return b.pushComparison(sc, term)
	case *between:
		if term.negated {
			return false, nil
		}
		// Both, or neither: half of it would have to be judged here too.
		low := &binary{term.position, ">=", term.x, term.low}
		high := &binary{term.position, "<=", term.x, term.high}
		if !b.canBound(sc, low) || !b.canBound(sc, high) {
			return false, nil
		}
		if ok, err := b.pushComparison(sc, low); !ok || err != nil {
			return false, err
		}
		return b.pushComparison(sc, high)
	case *inList:
		if term.negated {
			return false, nil
		}
		return b.pushTexts(sc, term.x, term.list)
	}
	return false, nil
}

var mirrored = map[string]string{"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}

func (b *builder) pushComparison(sc *scope, e *binary) (bool, error) {
	op, ok := mirrored[e.op]
	if !ok {
		return false, nil
	}
	if b.canBound(sc, e) {
		path, value := e.left, e.right
		if _, isName := path.(*name); !isName {
			path, value = value, path
		} else {
			op = e.op
		}
		r, _ := b.lookup(sc, path.(*name))
		v, err := b.expr(sc, value)
		if err != nil {
			return false, err
		}
		ms, ok := v.time()
		if ok {
			r.source.table.bound(op, ms)
		}
		return ok, nil
	}
	if op != "=" {
		return false, nil
	}
	if ok, err := b.pushTexts(sc, e.left, []expr{e.right}); ok || err != nil {
		return ok, err
	}
	return b.pushTexts(sc, e.right, []expr{e.left})
}

// canBound says whether a comparison is one of eventTime with something that is known.
func (b *builder) canBound(sc *scope, e *binary) bool {
	path, value := e.left, e.right
	if _, ok := path.(*name); !ok {
		path, value = value, path
	}
	n, ok := path.(*name)
	if !ok || hasNames(value) {
		return false
	}
	r, err := b.lookup(sc, n)
	if err != nil || r.source.table == nil || len(r.steps) != 1 || r.steps[0] != "eventTime" {
		return false
	}
	v, err := b.expr(sc, value)
	if err != nil {
		return false
	}
	_, ok = v.time()
	return ok
}

func (t *Table) bound(op string, ms int64) {
	switch op {
	case "=":
		t.From, t.To = max(t.From, ms), min(t.To, ms)
	case ">=":
		t.From = max(t.From, ms)
	case ">":
		t.From = max(t.From, ms+1)
	case "<=":
		t.To = min(t.To, ms)
	case "<":
		t.To = min(t.To, ms-1)
	}
}

func (b *builder) pushTexts(sc *scope, x expr, list []expr) (bool, error) {
	n, ok := x.(*name)
	if !ok {
		return false, nil
	}
	r, err := b.lookup(sc, n)
	if err != nil || r.source.table == nil || r.typ.Kind != Varchar {
		return false, nil // whose error it is comes up when it is compiled
	}
	var values []string
	for _, one := range list {
		literal, ok := one.(*textLit)
		if !ok {
			return false, nil
		}
		values = append(values, literal.value)
	}
	r.source.table.Filters = append(r.source.table.Filters, Filter{Path{r.steps, r.typ}, values})
	return true, nil
}
