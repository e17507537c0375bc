package presto

import (
	"strings"
)

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
