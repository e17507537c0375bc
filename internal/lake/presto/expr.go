package presto

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// scope is where an expression stands.
type scope struct {
	from       *from
	clause     string           // what it is called when it may not aggregate
	aggregates bool             // aggregate functions are allowed
	within     bool             // it is the argument of one
	weight     string           // the SQL of how many rows a row stands for; empty for one
	grouped    map[string]bool  // the SQL of what the selection is grouped by
	outputs    map[string][]val // columns of the result, in ORDER BY
}

// val is a compiled expression.
type val struct {
	sql       string
	typ       Type
	at        position
	known     bool // it is the same for every row, namely
	value     any  // nil, int64, float64 or string
	source    *source
	steps     []string // its place in the source's records, if it is one
	loose     string   // a column that it depends on and that is neither grouped by nor aggregated; or empty
	aggregate bool
}

// of is an expression that is made of others.
func of(at position, typ Type, sql string, parts ...val) val {
	v := val{sql: sql, typ: typ, at: at}
	for _, p := range parts {
		if v.loose == "" && p.loose != "" {
			v.loose = p.loose
		}
		v.aggregate = v.aggregate || p.aggregate
	}
	return v
}

func known(at position, typ Type, value any) val {
	return val{sql: literal(value), typ: typ, at: at, known: true, value: value}
}

// literal is a value in SQL.
func literal(value any) string {
	switch value := value.(type) {
	case int64:
		if value == math.MinInt64 {
			return "(-9223372036854775807 - 1)"
		}
		if value < 0 {
			return "(" + strconv.FormatInt(value, 10) + ")"
		}
		return strconv.FormatInt(value, 10)
	case float64:
		switch {
		case math.IsInf(value, 1):
			return "9e999"
		case math.IsInf(value, -1):
			return "(-9e999)"
		case math.IsNaN(value):
			return "NULL"
		}
		text := strconv.FormatFloat(value, 'e', -1, 64)
		return "(" + text + ")"
	case string:
		if strings.ContainsRune(value, 0) {
			return fmt.Sprintf("CAST(x'%x' AS TEXT)", value)
		}
		return "'" + strings.ReplaceAll(value, "'", "''") + "'"
	}
	return "NULL"
}

// grouped notes whether the selection is grouped by it.
func (v val) grouped(sc *scope) val {
	if sc.grouped[v.sql] {
		v.loose = ""
	}
	return v
}

// time is the time that a value is, if that is known: a text stands for one too.
func (v val) time() (ms int64, ok bool) {
	if !v.known {
		return 0, false
	}
	switch value := v.value.(type) {
	case int64:
		return value, v.typ.isTime()
	case string:
		if v.typ.Kind == Varchar {
			return parseTime(value)
		}
	}
	return 0, false
}

func (c *compiler) condition(sc *scope, e expr, what string) (val, error) {
	v, err := c.expr(sc, e)
	if err == nil && v.typ.Kind != Boolean && v.typ.Kind != Unknown {
		err = failAt(e.place(), "%s must evaluate to a boolean: actual type %s", what, v.typ)
	}
	return v, err
}

// maxSteps is how many expressions a statement may come to: those that SQL has to say twice, as the operand of BETWEEN, double what is within.
const maxSteps = 10_000

func (c *compiler) expr(sc *scope, e expr) (val, error) {
	if c.steps++; c.steps > maxSteps {
		return val{}, failAt(e.place(), "the statement is too complex")
	}
	v, err := c.bare(sc, e)
	if err != nil {
		return v, err
	}
	return v.grouped(sc), nil
}

func (c *compiler) bare(sc *scope, e expr) (val, error) {
	switch e := e.(type) {
	case *nullLit:
		return known(e.position, Of(Unknown), nil), nil
	case *boolLit:
		value := int64(0)
		if e.value {
			value = 1
		}
		return known(e.position, Of(Boolean), value), nil
	case *intLit:
		return known(e.position, Of(Bigint), e.value), nil
	case *floatLit:
		return known(e.position, Of(Double), e.value), nil
	case *textLit:
		return known(e.position, Of(Varchar), e.value), nil
	case *typedLit:
		return c.typed(e)
	case *name:
		return c.name(sc, e)
	case *fieldOf:
		base, err := c.expr(sc, e.base)
		if err != nil {
			return base, err
		}
		return c.field(base, e.name, e.position)
	case *subscript:
		return c.subscript(sc, e)
	case *callOf:
		return c.call(sc, e)
	case *negation:
		return c.negation(sc, e)
	case *binary:
		return c.binary(sc, e)
	case *logical:
		return c.logical(sc, e)
	case *not:
		x, err := c.condition(sc, e.x, "Value of logical NOT expression")
		return of(e.position, Of(Boolean), "(NOT "+x.sql+")", x), err
	case *isNull:
		x, err := c.expr(sc, e.x)
		op := " IS NULL)"
		if e.negated {
			op = " IS NOT NULL)"
		}
		return of(e.position, Of(Boolean), "("+x.sql+op, x), err
	case *distinctFrom:
		l, r, err := c.comparable(sc, e.left, e.right, "IS DISTINCT FROM", e.position, false)
		op := " IS NOT "
		if e.negated {
			op = " IS "
		}
		return of(e.position, Of(Boolean), "("+l.sql+op+r.sql+")", l, r), err
	case *between:
		var both expr = &logical{e.position, "AND", []expr{&binary{e.position, ">=", e.x, e.low}, &binary{e.position, "<=", e.x, e.high}}}
		if e.negated {
			both = &not{e.position, both}
		}
		return c.bare(sc, both)
	case *inList:
		return c.in(sc, e)
	case *like:
		return c.like(sc, e)
	case *caseOf:
		return c.caseOf(sc, e)
	case *castOf:
		x, err := c.expr(sc, e.x)
		if err != nil {
			return x, err
		}
		return c.cast(x, e)
	case *arrayOf:
		return c.array(sc, e)
	}
	return val{}, failAt(e.place(), "the expression is not supported")
}

func (c *compiler) typed(e *typedLit) (val, error) {
	switch e.kind {
	case "TIMESTAMP", "DATE":
		ms, ok := parseTime(e.value)
		kind := Timestamp
		if e.kind == "DATE" {
			kind = Date
			ok = ok && ms%dayMillis == 0
		}
		if !ok {
			return val{}, failAt(e.position, "'%s' is not a valid %s literal", e.value, strings.ToLower(e.kind))
		}
		return known(e.position, Of(kind), ms), nil
	case "JSON":
		value, err := jsonParse([]any{e.value})
		if err != nil {
			return val{}, failAt(e.position, "%v", err)
		}
		return known(e.position, Of(JSON), value), nil
	}
	n, err := strconv.ParseInt(e.value, 10, 32)
	if err != nil {
		return val{}, failAt(e.position, "Invalid INTERVAL literal: %s", e.value)
	}
	if e.negative {
		n = -n
	}
	unit := intervalUnits[e.unit]
	kind := DayTime
	if unit.months {
		kind = YearMonth
	}
	return known(e.position, Of(kind), n*unit.size), nil
}

var intervalUnits = map[string]struct {
	size   int64
	months bool
}{"second": {1000, false}, "minute": {60 * 1000, false}, "hour": {3600 * 1000, false}, "day": {dayMillis, false}, "month": {1, true}, "year": {12, true}}

// width is how many columns a source has.
func (s *source) width() int {
	if s.table != nil {
		return len(s.schema)
	}
	return len(s.columns)
}

func (s *source) name(i int) string {
	if s.table != nil {
		return s.schema[i].Name
	}
	return s.columns[i].name
}

// value is a source's column.
func (s *source) value(i int) val {
	if s.table != nil {
		return s.path([]string{s.schema[i].Member}, s.schema[i].Type, s.schema[i].Name)
	}
	return val{sql: fmt.Sprintf("%s.o%d", s.alias, i), typ: s.columns[i].typ, loose: s.columns[i].name}
}

// path is what is at a place of a source's records.
func (s *source) path(steps []string, typ Type, name string) val {
	n := s.table.column(steps, typ)
	return val{sql: fmt.Sprintf("%s.c%d", s.alias, n), typ: typ, source: s, steps: steps, loose: name}
}

// reference is what a name is of a source.
type reference struct {
	source *source
	column int      // of the source
	steps  []string // in its records, if it is a table
	typ    Type
	rest   []string // fields, which are not within reach of steps
}

// lookup finds what a name means: a column, perhaps with its relation before it, and fields behind it.
func (c *compiler) lookup(sc *scope, n *name) (reference, error) {
	parts := n.parts
	sources := sc.from.sources
	if len(parts) > 1 {
		for _, s := range sources {
			if s.called != "" && s.called == strings.ToLower(parts[0]) {
				sources, parts = []*source{s}, parts[1:]
				break
			}
		}
	}
	var found reference
	for _, s := range sources {
		for i := range s.width() {
			if !strings.EqualFold(s.name(i), parts[0]) {
				continue
			}
			if found.source != nil {
				return found, failAt(n.position, "Column '%s' is ambiguous", parts[0])
			}
			found = reference{source: s, column: i, rest: parts[1:]}
		}
	}
	if found.source == nil {
		return found, failAt(n.position, "Column '%s' cannot be resolved", strings.Join(n.parts, "."))
	}
	s := found.source
	if s.table == nil {
		found.typ = s.columns[found.column].typ
		return found, nil
	}
	found.steps, found.typ = []string{s.schema[found.column].Member}, s.schema[found.column].Type
	for len(found.rest) > 0 {
		f, err := fieldOfRow(found.typ, found.rest[0], n.position)
		if err != nil {
			return found, err
		}
		found.steps, found.typ, found.rest = append(found.steps, f.Member), f.Type, found.rest[1:]
	}
	return found, nil
}

func fieldOfRow(t Type, name string, at position) (Field, error) {
	if t.Kind == Map {
		return Field{}, failAt(at, "'%s' is in a %s, whose values are found by element_at", name, t)
	}
	if t.Kind != Row {
		return Field{}, failAt(at, "'%s' is a field of no row: the type is %s", name, t)
	}
	f, ok := t.field(name)
	if !ok {
		return f, failAt(at, "Column '%s' cannot be resolved", name)
	}
	return f, nil
}

func (c *compiler) name(sc *scope, n *name) (val, error) {
	if len(n.parts) == 1 && sc.outputs != nil && !sc.within {
		all := sc.outputs[strings.ToLower(n.parts[0])]
		for _, one := range all {
			if one.sql != all[0].sql {
				return val{}, failAt(n.position, "Column '%s' is ambiguous", n.parts[0])
			}
		}
		if len(all) > 0 {
			return all[0], nil
		}
	}
	r, err := c.lookup(sc, n)
	if err != nil {
		return val{}, err
	}
	text := strings.ToLower(strings.Join(n.parts, "."))
	var v val
	if r.source.table != nil {
		v = r.source.path(r.steps, r.typ, text)
	} else {
		v = r.source.value(r.column)
	}
	v.at, v.loose = n.position, text
	v = v.grouped(sc)
	for _, field := range r.rest {
		if v, err = c.field(v, field, n.position); err != nil {
			return v, err
		}
	}
	return v, nil
}

// field is a field of a row.
func (c *compiler) field(base val, name string, at position) (val, error) {
	f, err := fieldOfRow(base.typ, name, at)
	if err != nil {
		return base, err
	}
	if base.source != nil {
		v := base.source.path(append(base.steps[:len(base.steps):len(base.steps)], f.Member), f.Type, base.loose+"."+f.Name)
		v.at = at
		return v, nil
	}
	return c.run(at, f.Type, "vl_field", base, known(at, Of(Varchar), f.Member), kindOf(f.Type)), nil
}

// kindOf tells a function of Go what it is to make of JSON.
func kindOf(t Type) val { return known(position{}, Of(Bigint), int64(t.Kind)) }

// run is a call of a function of Go. What is known beforehand is worked out at once, unless it fails: then it is to fail only if it is reached.
func (c *compiler) run(at position, typ Type, function string, args ...val) val {
	texts := make([]string, len(args))
	values := make([]any, len(args))
	all := true
	for i, a := range args {
		texts[i], values[i] = a.sql, a.value
		all = all && a.known
	}
	if all {
		if value, err := functions[function](values); err == nil {
			return known(at, typ, value)
		}
	}
	return of(at, typ, function+"("+strings.Join(texts, ", ")+")", args...)
}

func (c *compiler) subscript(sc *scope, e *subscript) (val, error) {
	base, err := c.expr(sc, e.base)
	if err != nil {
		return base, err
	}
	index, err := c.expr(sc, e.index)
	if err != nil {
		return index, err
	}
	want := Bigint
	switch base.typ.Kind {
	case Array:
	case Map:
		want = Varchar
	default:
		return base, failAt(e.position, "a subscript needs an array or a map, not %s", base.typ)
	}
	if index.typ.Kind != want && index.typ.Kind != Unknown {
		return base, failAt(e.position, "the subscript of %s must be %s, not %s", base.typ, Of(want), index.typ)
	}
	return c.run(e.position, *base.typ.Elem, "vl_subscript", base, index, kindOf(*base.typ.Elem)), nil
}

func (c *compiler) negation(sc *scope, e *negation) (val, error) {
	x, err := c.expr(sc, e.x)
	if err != nil {
		return x, err
	}
	switch x.typ.Kind {
	case Bigint, Double, DayTime, YearMonth:
		return c.run(e.position, x.typ, "vl_neg", x), nil
	}
	return x, failAt(e.position, "Cannot negate %s", x.typ)
}

func (c *compiler) logical(sc *scope, e *logical) (val, error) {
	var terms []val
	for _, term := range e.terms {
		v, err := c.condition(sc, term, "Logical expression term")
		if err != nil {
			return v, err
		}
		terms = append(terms, v)
	}
	return of(e.position, Of(Boolean), balanced(e.op, terms), terms...), nil
}

// balanced is terms with an operator between. Parentheses make the tree low, as SQLite does not take high ones.
func balanced(op string, terms []val) string {
	if len(terms) == 1 {
		return terms[0].sql
	}
	half := len(terms) / 2
	return "(" + balanced(op, terms[:half]) + " " + op + " " + balanced(op, terms[half:]) + ")"
}

func (c *compiler) binary(sc *scope, e *binary) (val, error) {
	switch e.op {
	case "=", "<>", "<", "<=", ">", ">=":
		l, r, err := c.comparable(sc, e.left, e.right, e.op, e.position, e.op != "=" && e.op != "<>")
		return of(e.position, Of(Boolean), "("+l.sql+" "+e.op+" "+r.sql+")", l, r), err
	}
	l, err := c.expr(sc, e.left)
	if err != nil {
		return l, err
	}
	r, err := c.expr(sc, e.right)
	if err != nil {
		return r, err
	}
	if e.op == "||" {
		if !isText(l) || !isText(r) {
			return l, mismatch(e.position, e.op, l, r)
		}
		return of(e.position, Of(Varchar), "("+l.sql+" || "+r.sql+")", l, r), nil
	}
	return c.arithmetic(e.position, e.op, l, r)
}

func isText(v val) bool { return v.typ.Kind == Varchar || v.typ.Kind == Unknown }

func mismatch(at position, op string, l, r val) error {
	return failAt(at, "'%s' cannot be applied to %s, %s", op, l.typ, r.typ)
}

var arithmeticNames = map[string]string{"+": "vl_add", "-": "vl_sub", "*": "vl_mul", "/": "vl_div", "%": "vl_mod"}

func (c *compiler) arithmetic(at position, op string, l, r val) (val, error) {
	if l.typ.isNumber() && r.typ.Kind == Unknown {
		r.typ = l.typ
	}
	if r.typ.isNumber() && l.typ.Kind == Unknown {
		l.typ = r.typ
	}
	plus, minus := op == "+", op == "-"
	switch {
	case l.typ.isNumber() && r.typ.isNumber():
		typ, _ := common(l.typ, r.typ)
		return c.run(at, typ, arithmeticNames[op], c.double(l, typ), c.double(r, typ)), nil
	case l.typ.isTime() && (plus || minus) && r.typ.Kind == DayTime:
		if l.typ.Kind == Date && r.known && r.value != nil && r.value.(int64)%dayMillis != 0 {
			return l, failAt(at, "Cannot add hour, minutes or seconds to a date")
		}
		return c.run(at, l.typ, arithmeticNames[op], l, r), nil
	case l.typ.isTime() && (plus || minus) && r.typ.Kind == YearMonth:
		if minus {
			r = c.run(at, r.typ, "vl_neg", r)
		}
		return c.run(at, l.typ, "vl_months", l, r), nil
	case plus && r.typ.isTime() && (l.typ.Kind == DayTime || l.typ.Kind == YearMonth):
		return c.arithmetic(at, op, r, l)
	case minus && l.typ.isTime() && l.typ.equal(r.typ):
		return c.run(at, Of(DayTime), "vl_sub", l, r), nil
	case (plus || minus) && (l.typ.Kind == DayTime || l.typ.Kind == YearMonth) && l.typ.equal(r.typ):
		return c.run(at, l.typ, arithmeticNames[op], l, r), nil
	}
	return l, mismatch(at, op, l, r)
}

// double is a number as one of a type.
func (c *compiler) double(v val, typ Type) val {
	if typ.Kind != Double || v.typ.Kind == Double {
		return v
	}
	return c.run(v.at, typ, "vl_double", v)
}

// comparable compiles both sides of a comparison and gives them one type.
func (c *compiler) comparable(sc *scope, left, right expr, op string, at position, ordered bool) (l, r val, err error) {
	if l, err = c.expr(sc, left); err != nil {
		return l, r, err
	}
	if r, err = c.expr(sc, right); err != nil {
		return l, r, err
	}
	if l, err = asTime(l, r); err != nil {
		return l, r, err
	}
	if r, err = asTime(r, l); err != nil {
		return l, r, err
	}
	typ, ok := common(l.typ, r.typ)
	if !ok || ordered && !typ.isOrdered() {
		return l, r, mismatch(at, op, l, r)
	}
	return c.double(l, typ), c.double(r, typ), nil
}

// asTime reads a text that is compared with a time.
func asTime(v, other val) (val, error) {
	if !other.typ.isTime() || v.typ.Kind != Varchar || !v.known {
		return v, nil
	}
	s, _ := v.value.(string)
	ms, ok := parseTime(s)
	if !ok {
		return v, failAt(v.at, "Value cannot be cast to %s: %s", other.typ, s)
	}
	return known(v.at, Of(Timestamp), ms), nil
}

func (c *compiler) in(sc *scope, e *inList) (val, error) {
	var terms []val
	x, err := c.expr(sc, e.x)
	if err != nil {
		return x, err
	}
	plain := true
	var items []string
	for _, one := range e.list {
		l, r, err := c.comparable(sc, e.x, one, "IN", one.place(), false)
		if err != nil {
			return x, err
		}
		plain = plain && l.sql == x.sql
		items = append(items, r.sql)
		terms = append(terms, of(e.position, Of(Boolean), "("+l.sql+" = "+r.sql+")", l, r))
	}
	sql := balanced("OR", terms)
	if plain {
		sql = "(" + x.sql + " IN (" + strings.Join(items, ", ") + "))"
	}
	if e.negated {
		sql = "(NOT " + sql + ")"
	}
	return of(e.position, Of(Boolean), sql, append(terms, x)...), nil
}

func (c *compiler) like(sc *scope, e *like) (val, error) {
	parts := []val{}
	for _, one := range []expr{e.x, e.pattern, e.escape} {
		if one == nil {
			continue
		}
		v, err := c.expr(sc, one)
		if err != nil {
			return v, err
		}
		if !isText(v) {
			return v, failAt(one.place(), "Left side of LIKE expression, pattern and escape must evaluate to a varchar (actual: %s)", v.typ)
		}
		parts = append(parts, v)
	}
	if len(parts) == 3 && parts[2].known {
		if _, err := likeFn([]any{"", "", parts[2].value}); err != nil {
			return val{}, failAt(e.escape.place(), "%v", err)
		}
	}
	v := c.run(e.position, Of(Boolean), "vl_like", parts...)
	if e.negated {
		v = of(e.position, Of(Boolean), "(NOT "+v.sql+")", v)
	}
	return v, nil
}

func (c *compiler) caseOf(sc *scope, e *caseOf) (val, error) {
	var parts []val
	typ := Of(Unknown)
	sql := "(CASE"
	result := func(one expr) (val, error) {
		v, err := c.expr(sc, one)
		if err != nil {
			return v, err
		}
		t, ok := common(typ, v.typ)
		if !ok {
			return v, failAt(one.place(), "All CASE results must be the same type: %s", typ)
		}
		typ = t
		parts = append(parts, v)
		return v, nil
	}
	for i, one := range e.when {
		var when val
		var err error
		if e.operand != nil {
			when, err = c.binary(sc, &binary{one.place(), "=", e.operand, one})
		} else {
			when, err = c.condition(sc, one, "CASE WHEN clause")
		}
		if err != nil {
			return when, err
		}
		parts = append(parts, when)
		then, err := result(e.then[i])
		if err != nil {
			return then, err
		}
		sql += " WHEN " + when.sql + " THEN " + then.sql
	}
	if e.otherwise != nil {
		v, err := result(e.otherwise)
		if err != nil {
			return v, err
		}
		sql += " ELSE " + v.sql
	}
	return of(e.position, typ, sql+" END)", parts...), nil
}

func (c *compiler) cast(x val, e *castOf) (val, error) {
	from, to := x.typ.Kind, e.to.Kind
	allowed := from == to || from == Unknown
	switch to {
	case Varchar:
		allowed = from != Array && from != Map && from != Row
	case Bigint, Double, Boolean:
		allowed = allowed || x.typ.isNumber() || from == Varchar || from == Boolean || from == JSON
	case Timestamp, Date:
		allowed = allowed || x.typ.isTime() || from == Varchar
	case JSON:
		allowed = from != DayTime && from != YearMonth
	}
	if !allowed {
		return x, failAt(e.position, "Cannot cast %s to %s", x.typ, e.to)
	}
	function := "vl_cast"
	if e.try {
		function = "vl_try_cast"
	}
	v := c.run(e.position, e.to, function, x, kindOf(x.typ), kindOf(e.to))
	return v, nil
}

func (c *compiler) array(sc *scope, e *arrayOf) (val, error) {
	typ := Of(Unknown)
	var items []val
	for _, one := range e.items {
		v, err := c.expr(sc, one)
		if err != nil {
			return v, err
		}
		t, ok := common(typ, v.typ)
		if !ok {
			return v, failAt(one.place(), "All ARRAY elements must be the same type: %s", typ)
		}
		typ = t
		items = append(items, v)
	}
	if len(items) > 100 {
		return val{}, failAt(e.position, "an array has more than 100 elements")
	}
	return c.run(e.position, ArrayOf(typ), "vl_array", append([]val{kindOf(typ)}, items...)...), nil
}

// hasNames says whether an expression depends on columns.
func hasNames(e expr) bool {
	switch e := e.(type) {
	case *nullLit, *boolLit, *intLit, *floatLit, *textLit, *typedLit:
		return false
	case *callOf:
		for _, a := range e.args {
			if hasNames(a) {
				return true
			}
		}
		return e.star || e.distinct || isAggregate(e.name)
	case *negation:
		return hasNames(e.x)
	case *binary:
		return hasNames(e.left) || hasNames(e.right)
	case *castOf:
		return hasNames(e.x)
	}
	return true
}
