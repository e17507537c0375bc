package presto

import (
	"math"
	"strconv"
	"strings"
)

func (p *parser) expression() (expr, error) {
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	return p.chain("OR", func() (expr, error) { return p.chain("AND", p.negated) })
}

// chain reads operands with AND, or with OR, between.
func (p *parser) chain(op string, operand func() (expr, error)) (expr, error) {
	first, err := operand()
	if err != nil || !p.is(op) {
		return first, err
	}
	l := &logical{position: first.place(), op: op, terms: []expr{first}}
	for p.take(op) {
		one, err := operand()
		if err != nil {
			return nil, err
		}
		l.terms = append(l.terms, one)
	}
	return l, nil
}

func (p *parser) negated() (expr, error) {
	at := p.peek().at
	if !p.take("NOT") {
		return p.predicate()
	}
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	x, err := p.negated()
	return &not{at, x}, err
}

// predicate reads a value, and what is said of it.
func (p *parser) predicate() (expr, error) {
	x, err := p.value()
	if err != nil {
		return nil, err
	}
	for n := 0; ; n++ {
		if n > maxDepth {
			return nil, failAt(p.peek().at, "the statement nests more than %d deep", maxDepth)
		}
		t := p.peek()
		negated := t.is("NOT")
		if negated {
			if next := p.ahead(1); !next.is("BETWEEN") && !next.is("IN") && !next.is("LIKE") {
				return nil, p.unexpected()
			}
			p.next()
		}
		switch op := p.peek(); {
		case op.is("="), op.is("<>"), op.is("!="), op.is("<"), op.is("<="), op.is(">"), op.is(">="):
			x, err = p.comparison(x)
		case op.is("IS"):
			x, err = p.is_(x)
		case op.is("BETWEEN"):
			x, err = p.between(x, negated)
		case op.is("IN"):
			x, err = p.in(x, negated)
		case op.is("LIKE"):
			x, err = p.like(x, negated)
		default:
			return x, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func (p *parser) comparison(x expr) (expr, error) {
	op := p.next()
	if t := p.peek(); (t.is("ALL") || t.is("ANY") || t.is("SOME")) && p.ahead(1).is("(") {
		return nil, p.unexpected()
	}
	right, err := p.value()
	if op.text == "!=" {
		op.text = "<>"
	}
	return &binary{op.at, op.text, x, right}, err
}

func (p *parser) is_(x expr) (expr, error) {
	at := p.next().at
	negated := p.take("NOT")
	if p.take("NULL") {
		return &isNull{at, x, negated}, nil
	}
	if err := p.expect("DISTINCT"); err != nil {
		return nil, failAt(p.peek().at, "mismatched input '%s'. Expecting: 'NULL', 'NOT NULL', 'DISTINCT FROM'", p.peek())
	}
	if err := p.expect("FROM"); err != nil {
		return nil, err
	}
	right, err := p.value()
	return &distinctFrom{at, x, right, negated}, err
}

func (p *parser) between(x expr, negated bool) (expr, error) {
	b := &between{position: p.next().at, x: x, negated: negated}
	var err error
	if b.low, err = p.value(); err != nil {
		return nil, err
	}
	if err := p.expect("AND"); err != nil {
		return nil, err
	}
	b.high, err = p.value()
	return b, err
}

func (p *parser) in(x expr, negated bool) (expr, error) {
	in := &inList{position: p.next().at, x: x, negated: negated}
	if err := p.expect("("); err != nil {
		return nil, err
	}
	if p.is("SELECT") || p.is("WITH") {
		return nil, failAt(p.peek().at, "a subquery in IN is not supported")
	}
	var err error
	if in.list, err = p.list(); err != nil {
		return nil, err
	}
	return in, p.expect(")")
}

func (p *parser) like(x expr, negated bool) (expr, error) {
	l := &like{position: p.next().at, x: x, negated: negated}
	var err error
	if l.pattern, err = p.value(); err == nil && p.take("ESCAPE") {
		l.escape, err = p.value()
	}
	return l, err
}

// value reads sums, products and what they consist of.
func (p *parser) value() (expr, error) {
	return p.operators(p.product, "+", "-", "||")
}

func (p *parser) product() (expr, error) {
	return p.operators(p.signed, "*", "/", "%")
}

func (p *parser) operators(operand func() (expr, error), ops ...string) (expr, error) {
	left, err := operand()
	for n := 0; err == nil; n++ {
		op := ""
		for _, o := range ops {
			if p.is(o) {
				op = o
			}
		}
		if op == "" {
			return left, nil
		}
		if n > maxDepth {
			return nil, failAt(p.peek().at, "an expression has more than %d operators", maxDepth)
		}
		at := p.next().at
		var right expr
		right, err = operand()
		left = &binary{at, op, left, right}
	}
	return nil, err
}

func (p *parser) signed() (expr, error) {
	at := p.peek().at
	if p.take("+") {
		return p.signedAgain()
	}
	if !p.take("-") {
		return p.postfix()
	}
	if t := p.peek(); t.kind == integer { // so that the least bigint can be written
		if n, err := strconv.ParseInt("-"+t.text, 10, 64); err == nil && n == math.MinInt64 {
			p.next()
			return &intLit{at, n}, nil
		}
	}
	x, err := p.signedAgain()
	return &negation{at, x}, err
}

func (p *parser) signedAgain() (expr, error) {
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	return p.signed()
}

// postfix reads a primary expression, its fields and its elements.
func (p *parser) postfix() (expr, error) {
	x, err := p.primary()
	for n := 0; err == nil; n++ {
		if n > maxDepth {
			return nil, failAt(p.peek().at, "the statement nests more than %d deep", maxDepth)
		}
		t := p.peek()
		switch {
		case p.take("."):
			var field string
			at := p.peek().at
			if t := p.peek(); t.kind == word { // also a reserved one: userIdentity.type is a field
				field, err = p.next().text, nil
			} else {
				field, err = p.identifier()
			}
			if n, ok := x.(*name); ok {
				n.parts = append(n.parts, field)
			} else {
				x = &fieldOf{at, x, field}
			}
		case p.take("["):
			var index expr
			if index, err = p.expression(); err == nil {
				err = p.expect("]")
			}
			x = &subscript{t.at, x, index}
		default:
			return x, nil
		}
	}
	return nil, err
}

func (p *parser) primary() (expr, error) {
	t := p.peek()
	switch t.kind {
	case integer:
		p.next()
		n, err := strconv.ParseInt(t.text, 10, 64)
		if err != nil {
			return nil, failAt(t.at, "Invalid numeric literal: %s", t.text)
		}
		return &intLit{t.at, n}, nil
	case decimal:
		p.next()
		f, err := strconv.ParseFloat(t.text, 64)
		if err != nil {
			return nil, failAt(t.at, "Invalid numeric literal: %s", t.text)
		}
		return &floatLit{t.at, f}, nil
	case text:
		p.next()
		return &textLit{t.at, t.text}, nil
	case quotedName, storeID:
		p.next()
		return &name{t.at, []string{t.text}}, nil
	case symbol:
		if !t.is("(") {
			return nil, p.unexpected()
		}
		p.next()
		if p.is("SELECT") || p.is("WITH") {
			return nil, failAt(p.peek().at, "a subquery as a value is not supported")
		}
		x, err := p.expression()
		if err != nil {
			return nil, err
		}
		return x, p.expect(")")
	case word:
		return p.worded()
	}
	return nil, p.unexpected()
}

// worded reads what begins with a word: a name, a call, or one of the forms that have a keyword.
func (p *parser) worded() (expr, error) {
	t := p.peek()
	upper, next := strings.ToUpper(t.text), p.ahead(1)
	switch {
	case upper == "NULL":
		p.next()
		return &nullLit{t.at}, nil
	case upper == "TRUE" || upper == "FALSE":
		p.next()
		return &boolLit{t.at, upper == "TRUE"}, nil
	case upper == "CURRENT_TIMESTAMP" || upper == "CURRENT_DATE" || upper == "LOCALTIMESTAMP":
		p.next()
		return &callOf{position: t.at, name: strings.ToLower(t.text)}, nil
	case upper == "CASE":
		return p.caseOf()
	case upper == "CAST" || upper == "TRY_CAST" && next.is("("):
		return p.cast()
	case upper == "EXTRACT":
		return p.extract()
	case upper == "ARRAY" && next.is("["):
		return p.array()
	case (upper == "TIMESTAMP" || upper == "DATE" || upper == "JSON") && next.kind == text:
		p.next()
		return &typedLit{position: t.at, kind: upper, value: p.next().text}, nil
	case upper == "INTERVAL" && (next.kind == text || next.is("-") || next.is("+")):
		return p.interval()
	case isReserved(t.text):
		return nil, p.unexpected()
	case next.is("("):
		return p.call()
	case next.is("->"):
		return nil, failAt(next.at, "a lambda expression is not supported")
	}
	p.next()
	return &name{t.at, []string{t.text}}, nil
}

func (p *parser) call() (expr, error) {
	t := p.next()
	c := &callOf{position: t.at, name: strings.ToLower(t.text)}
	p.next()
	switch {
	case p.take("*"):
		c.star = true
	case p.is(")"):
	default:
		if p.take("DISTINCT") {
			c.distinct = true
		} else {
			p.take("ALL")
		}
		var err error
		if c.args, err = p.list(); err != nil {
			return nil, err
		}
	}
	if err := p.expect(")"); err != nil {
		return nil, err
	}
	if t := p.peek(); t.is("OVER") || t.is("FILTER") && p.ahead(1).is("(") {
		return nil, p.unexpected()
	}
	return c, nil
}

func (p *parser) caseOf() (expr, error) {
	c := &caseOf{position: p.next().at}
	var err error
	if !p.is("WHEN") {
		if c.operand, err = p.expression(); err != nil {
			return nil, err
		}
	}
	for p.take("WHEN") {
		when, err := p.expression()
		if err != nil {
			return nil, err
		}
		if err := p.expect("THEN"); err != nil {
			return nil, err
		}
		then, err := p.expression()
		if err != nil {
			return nil, err
		}
		c.when, c.then = append(c.when, when), append(c.then, then)
	}
	if len(c.when) == 0 {
		return nil, p.expect("WHEN")
	}
	if p.take("ELSE") {
		if c.otherwise, err = p.expression(); err != nil {
			return nil, err
		}
	}
	return c, p.expect("END")
}

var castTypes = map[string]Kind{"BOOLEAN": Boolean, "TINYINT": Bigint, "SMALLINT": Bigint, "INTEGER": Bigint, "INT": Bigint, "BIGINT": Bigint, "DOUBLE": Double,
	"REAL": Double, "VARCHAR": Varchar, "TIMESTAMP": Timestamp, "DATE": Date, "JSON": JSON}

func (p *parser) cast() (expr, error) {
	t := p.next()
	c := &castOf{position: t.at, try: strings.EqualFold(t.text, "TRY_CAST")}
	if err := p.expect("("); err != nil {
		return nil, err
	}
	var err error
	if c.x, err = p.expression(); err != nil {
		return nil, err
	}
	if err := p.expect("AS"); err != nil {
		return nil, err
	}
	to := p.next()
	kind, ok := castTypes[strings.ToUpper(to.text)]
	if to.kind != word || !ok {
		return nil, failAt(to.at, "a cast to %s is not supported", to)
	}
	c.to = Of(kind)
	return c, p.expect(")")
}

func (p *parser) extract() (expr, error) {
	at := p.next().at
	if err := p.expect("("); err != nil {
		return nil, err
	}
	field := p.next()
	if field.kind != word {
		return nil, failAt(field.at, "mismatched input '%s'. Expecting: <identifier>", field)
	}
	if err := p.expect("FROM"); err != nil {
		return nil, err
	}
	x, err := p.expression()
	if err != nil {
		return nil, err
	}
	name := strings.ToLower(field.text)
	if _, ok := dateParts[name]; !ok {
		return nil, failAt(field.at, "Invalid EXTRACT field: %s", field)
	}
	return &callOf{position: at, name: name, args: []expr{x}}, p.expect(")")
}

func (p *parser) array() (expr, error) {
	a := &arrayOf{position: p.next().at}
	p.next()
	if p.take("]") {
		return a, nil
	}
	var err error
	if a.items, err = p.list(); err != nil {
		return nil, err
	}
	return a, p.expect("]")
}

func (p *parser) interval() (expr, error) {
	l := &typedLit{position: p.next().at, kind: "INTERVAL"}
	if p.take("-") {
		l.negative = true
	} else {
		p.take("+")
	}
	t := p.next()
	if t.kind != text {
		return nil, failAt(t.at, "mismatched input '%s'. Expecting: <string>", t)
	}
	unit := p.next()
	l.value, l.unit = t.text, strings.ToLower(unit.text)
	if _, ok := intervalUnits[l.unit]; !ok || unit.kind != word {
		return nil, failAt(unit.at, "mismatched input '%s'. Expecting: 'DAY', 'HOUR', 'MINUTE', 'MONTH', 'SECOND', 'YEAR'", unit)
	}
	if p.is("TO") {
		return nil, p.unexpected()
	}
	return l, nil
}
