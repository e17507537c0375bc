package presto

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// What a statement may hold at most. SQLite's own limits are higher.
const (
	maxDepth = 100 // of expressions and queries in each other
	maxItems = 500 // in a list
	maxTerms = 50  // queries put together, and relations joined
)

// reserved words are no names unless they are quoted.
var reserved = strings.Fields(`ALTER AND AS BETWEEN BY CASE CAST CONSTRAINT CREATE CROSS CUBE CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP
	DEALLOCATE DELETE DESCRIBE DISTINCT DROP ELSE END ESCAPE EXCEPT EXECUTE EXISTS EXTRACT FALSE FOR FROM FULL GROUP GROUPING HAVING IN INNER INSERT
	INTERSECT INTO IS JOIN LEFT LIKE LOCALTIME LOCALTIMESTAMP NATURAL NORMALIZE NOT NULL ON OR ORDER OUTER PREPARE RECURSIVE RIGHT ROLLUP SELECT TABLE
	THEN TRUE UESCAPE UNION UNNEST USING VALUES WHEN WHERE WITH`)

func isReserved(s string) bool {
	_, found := slices.BinarySearch(reserved, strings.ToUpper(s))
	return found
}

type parser struct {
	tokens []token
	i      int
	depth  int
	terms  int
}

func parse(statement string) (*query, error) {
	all, err := tokens(statement)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: all}
	if t := p.peek(); !p.is("SELECT") && !p.is("WITH") && !p.is("(") {
		if t.kind == end {
			return nil, failAt(t.at, "the statement is empty")
		}
		return nil, failAt(t.at, "mismatched input '%s'. Only SELECT statements are supported", t)
	}
	q, err := p.query()
	if err != nil {
		return nil, err
	}
	more := p.take(";")
	switch t := p.peek(); {
	case t.kind == end:
		return q, nil
	case more:
		return nil, failAt(t.at, "only one statement is allowed")
	}
	return nil, p.unexpected()
}

func failAt(at position, format string, args ...any) error {
	return &Error{at.line, at.column, fmt.Sprintf(format, args...)}
}

func (p *parser) peek() token { return p.tokens[p.i] }

func (p *parser) ahead(n int) token { return p.tokens[min(p.i+n, len(p.tokens)-1)] }

func (p *parser) next() token {
	t := p.tokens[p.i]
	if t.kind != end {
		p.i++
	}
	return t
}

func (t token) is(s string) bool {
	return t.kind == word && strings.EqualFold(t.text, s) || t.kind == symbol && t.text == s
}

func (p *parser) is(s string) bool { return p.peek().is(s) }

// take passes over a keyword or a symbol if it is there.
func (p *parser) take(s string) bool {
	if p.is(s) {
		p.i++
		return true
	}
	return false
}

func (p *parser) expect(s string) error {
	if p.take(s) {
		return nil
	}
	t := p.peek()
	return failAt(t.at, "mismatched input '%s'. Expecting: '%s'", t, s)
}

// unsupported are words that Presto has a meaning for, where a statement cannot go on here.
var unsupported = strings.Fields("ALL ANY AT CROSS CUBE EXISTS FETCH FILTER FULL GROUPING IGNORE LATERAL NATURAL OFFSET OVER RECURSIVE RESPECT ROLLUP ROW SOME TABLE TABLESAMPLE UNNEST USING VALUES WINDOW WITHIN")

func (p *parser) unexpected() error {
	t := p.peek()
	if t.kind == word && slices.Contains(unsupported, strings.ToUpper(t.text)) {
		return failAt(t.at, "%s is not supported", strings.ToUpper(t.text))
	}
	return failAt(t.at, "mismatched input '%s'", t)
}

// deeper guards against statements that nest too deeply.
func (p *parser) deeper() error {
	if p.depth++; p.depth > maxDepth {
		return failAt(p.peek().at, "the statement nests more than %d deep", maxDepth)
	}
	return nil
}

// another counts queries and relations.
func (p *parser) another() error {
	if p.terms++; p.terms > maxTerms {
		return failAt(p.peek().at, "the statement has more than %d queries and tables", maxTerms)
	}
	return nil
}

func (p *parser) query() (*query, error) {
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	q := &query{limit: -1, at: p.peek().at}
	if p.take("WITH") {
		if p.is("RECURSIVE") {
			return nil, p.unexpected()
		}
		for {
			at := p.peek().at
			name, err := p.identifier()
			if err != nil {
				return nil, err
			}
			if err := p.expect("AS"); err != nil {
				return nil, err
			}
			inner, err := p.inParentheses()
			if err != nil {
				return nil, err
			}
			q.with = append(q.with, withQuery{strings.ToLower(name), inner, at})
			if !p.take(",") {
				break
			}
		}
	}
	var err error
	if q.body, err = p.setOperations(); err != nil {
		return nil, err
	}
	return q, p.tail(q)
}

// tail reads ORDER BY and LIMIT.
func (p *parser) tail(q *query) error {
	if p.take("ORDER") {
		if err := p.expect("BY"); err != nil {
			return err
		}
		for {
			one, err := p.sortItem()
			if err != nil {
				return err
			}
			if q.order = append(q.order, one); len(q.order) > maxItems {
				return failAt(p.peek().at, "ORDER BY has more than %d expressions", maxItems)
			}
			if !p.take(",") {
				break
			}
		}
	}
	if p.take("LIMIT") && !p.take("ALL") {
		t := p.next()
		n, err := strconv.ParseInt(t.text, 10, 64)
		if t.kind != integer || err != nil {
			return failAt(t.at, "mismatched input '%s'. Expecting: 'ALL', <integer>", t)
		}
		q.limit = n
	}
	return nil
}

func (p *parser) sortItem() (sortItem, error) {
	e, err := p.expression()
	if err != nil {
		return sortItem{}, err
	}
	s := sortItem{expr: e}
	if p.take("DESC") {
		s.descending = true
	} else {
		p.take("ASC")
	}
	if p.take("NULLS") {
		if p.take("FIRST") {
			s.nullsFirst = true
		} else if err := p.expect("LAST"); err != nil {
			return s, err
		}
	}
	return s, nil
}

// setOperations reads queries with UNION and EXCEPT between them. INTERSECT binds more tightly.
func (p *parser) setOperations() (any, error) {
	left, err := p.intersections()
	for err == nil && (p.is("UNION") || p.is("EXCEPT")) {
		left, err = p.setOperation(left, p.intersections)
	}
	return left, err
}

func (p *parser) intersections() (any, error) {
	left, err := p.primaryQuery()
	for err == nil && p.is("INTERSECT") {
		left, err = p.setOperation(left, p.primaryQuery)
	}
	return left, err
}

func (p *parser) setOperation(left any, operand func() (any, error)) (any, error) {
	t := p.next()
	s := &setOperation{op: strings.ToUpper(t.text), left: left, at: t.at}
	if p.is("ALL") {
		if s.op != "UNION" {
			return nil, failAt(p.peek().at, "%s ALL is not supported", s.op)
		}
		p.next()
		s.all = true
	} else {
		p.take("DISTINCT")
	}
	var err error
	s.right, err = operand()
	return s, err
}

func (p *parser) primaryQuery() (any, error) {
	if p.is("(") {
		return p.inParentheses()
	}
	return p.selection()
}

func (p *parser) inParentheses() (*query, error) {
	if err := p.expect("("); err != nil {
		return nil, err
	}
	q, err := p.query()
	if err != nil {
		return nil, err
	}
	return q, p.expect(")")
}

func (p *parser) selection() (*selection, error) {
	s := &selection{at: p.peek().at}
	if err := p.another(); err != nil {
		return nil, err
	}
	if err := p.expect("SELECT"); err != nil {
		return nil, err
	}
	if p.take("DISTINCT") {
		s.distinct = true
	} else {
		p.take("ALL")
	}
	var err error
	for {
		one, err := p.item()
		if err != nil {
			return nil, err
		}
		if s.items = append(s.items, one); len(s.items) > maxItems {
			return nil, failAt(one.at, "SELECT has more than %d expressions", maxItems)
		}
		if !p.take(",") {
			break
		}
	}
	if !p.take("FROM") {
		if t := p.peek(); t.kind != end {
			return nil, p.unexpected()
		}
		return nil, failAt(s.at, "SELECT needs FROM with the ID of an event data store")
	}
	if s.from, err = p.relations(); err != nil {
		return nil, err
	}
	if p.take("WHERE") {
		if s.where, err = p.expression(); err != nil {
			return nil, err
		}
	}
	if p.take("GROUP") {
		if err := p.expect("BY"); err != nil {
			return nil, err
		}
		if s.group, err = p.list(); err != nil {
			return nil, err
		}
	}
	if p.take("HAVING") {
		s.having, err = p.expression()
	}
	return s, err
}

func (p *parser) item() (item, error) {
	at := p.peek().at
	if p.take("*") {
		return item{all: true, at: at}, nil
	}
	if t := p.peek(); (t.kind == word || t.kind == quotedName || t.kind == storeID) && p.ahead(1).is(".") && p.ahead(2).is("*") {
		p.i += 3
		return item{all: true, qualifier: strings.ToLower(t.text), at: at}, nil
	}
	e, err := p.expression()
	if err != nil {
		return item{}, err
	}
	alias, err := p.alias()
	return item{expr: e, alias: alias, at: at}, err
}

// alias reads [AS] name, if it is there.
func (p *parser) alias() (string, error) {
	if p.take("AS") {
		return p.identifier()
	}
	t := p.peek()
	switch {
	case t.kind == quotedName:
		return p.identifier()
	case t.kind == word && !isReserved(t.text) && !endsRelation(t):
		return p.identifier()
	}
	return "", nil
}

// endsRelation says whether a word that may be a name has its other meaning where an alias could be.
func endsRelation(t token) bool {
	switch strings.ToUpper(t.text) {
	case "LIMIT", "OFFSET", "FETCH", "TABLESAMPLE", "WINDOW", "OVER", "FILTER":
		return true
	}
	return false
}

func (p *parser) identifier() (string, error) {
	t := p.next()
	if t.kind == quotedName && t.text != "" || t.kind == word && !isReserved(t.text) {
		return t.text, nil
	}
	return "", failAt(t.at, "mismatched input '%s'. Expecting: <identifier>", t)
}

// relations reads what is behind FROM.
func (p *parser) relations() (any, error) {
	left, err := p.relation()
	for err == nil {
		at := p.peek().at
		kind := "INNER"
		switch {
		case p.take("LEFT"), p.take("RIGHT"):
			kind = strings.ToUpper(p.tokens[p.i-1].text)
			p.take("OUTER")
		case p.take("INNER"):
		case p.is("JOIN"):
		case p.is(","), p.is("CROSS"), p.is("FULL"), p.is("NATURAL"):
			return nil, failAt(at, "%s between tables is not supported: use LEFT, RIGHT or INNER JOIN … ON", strings.ToUpper(p.peek().text))
		default:
			return left, nil
		}
		if err := p.expect("JOIN"); err != nil {
			return nil, err
		}
		j := &join{kind: kind, left: left, at: at}
		if j.right, err = p.relation(); err != nil {
			return nil, err
		}
		if err := p.expect("ON"); err != nil {
			return nil, err
		}
		j.on, err = p.expression()
		left = j
	}
	return nil, err
}

func (p *parser) relation() (any, error) {
	if err := p.another(); err != nil {
		return nil, err
	}
	t := p.peek()
	if t.is("(") {
		inner, err := p.inParentheses()
		if err != nil {
			return nil, err
		}
		alias, err := p.alias()
		return &subquery{inner, strings.ToLower(alias), t.at}, err
	}
	table := &tableName{at: t.at}
	switch {
	case t.kind == storeID, t.kind == quotedName:
		p.next()
		table.name = t.text
	case t.kind == word && !isReserved(t.text):
		p.next()
		table.name = t.text
	default:
		return nil, p.unexpected()
	}
	if p.is("(") || p.is(".") {
		return nil, p.unexpected()
	}
	alias, err := p.alias()
	table.alias = strings.ToLower(alias)
	return table, err
}

// list reads expressions with commas between.
func (p *parser) list() (all []expr, err error) {
	for {
		one, err := p.expression()
		if err != nil {
			return nil, err
		}
		if all = append(all, one); len(all) > maxItems {
			return nil, failAt(p.peek().at, "a list has more than %d expressions", maxItems)
		}
		if !p.take(",") {
			return all, nil
		}
	}
}
