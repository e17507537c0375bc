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
