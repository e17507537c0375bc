package query

import (
	"bytes"
	"regexp"
	"strings"
)

// operator compares a value of an event with one of the pattern.
type operator int

const (
	equal operator = iota
	notEqual
	less
	lessOrEqual
	greater
	greaterOrEqual
)

var operators = map[string]operator{
	"=": equal, "!=": notEqual, "<": less, "<=": lessOrEqual, ">": greater, ">=": greaterOrEqual,
}

// holds says whether the operator holds for a value that is less than (-1), equal to (0) or greater than (1) the pattern's.
func (o operator) holds(order int) bool {
	switch o {
	case equal:
		return order == 0
	case notEqual:
		return order != 0
	case less:
		return order < 0
	case lessOrEqual:
		return order <= 0
	case greater:
		return order > 0
	}
	return order >= 0
}

// comparison is an operator and the pattern's value.
type comparison struct {
	operator operator
	kind     valueKind
	text     []byte // as written, without quotes
	pieces   [][]byte
	number   decimal
	regex    *regexp.Regexp
}

type valueKind int

const (
	textValue   valueKind = iota
	globValue             // with asterisks: pieces is what stands before, between and after them
	numberValue           // a number without quotes
	regexValue
)

// newComparison reads the operator and value at the front of ts. It returns how many tokens those are.
func newComparison(ts []token) (comparison, int, *SyntaxError) {
	operator, value := ts[0], ts[1]
	c := comparison{operator: operators[operator.source]}
	switch value.kind {
	case tokenString:
		c.setText(value.text)
	case tokenWord:
		// null without quotes is the word of IS NULL, and no value. Other words of the language are.
		if strings.EqualFold(value.source, "null") {
			return c, 0, &SyntaxError{Offset: value.at}
		}
		c.setText(value.source)
	case tokenNumber:
		number, ok := parseDecimal([]byte(value.source))
		if !ok {
			return c, 0, &SyntaxError{Offset: value.at}
		}
		c.kind, c.text, c.number = numberValue, []byte(value.source), number
	case tokenRegex:
		c.kind, c.regex = regexValue, value.regex
	default:
		return c, 0, &SyntaxError{Offset: value.at}
	}
	return c, 2, nil
}

// setText takes a value with its asterisks. They are wildcards wherever they stand, with quotes and without; a text with an asterisk
// in it is found by a regular expression. (The guide of 2020 had them at the ends only. The service has them everywhere, but tries
// only the first place where the next piece occurs, so that *1.1 does not match 1.1.1.1 there. Here it does.)
func (c *comparison) setText(text string) {
	c.text = []byte(text)
	if strings.Contains(text, "*") {
		c.kind = globValue
		c.pieces = bytes.Split(c.text, []byte("*"))
	}
}

// ordering says whether the operator asks which is greater. Only numbers have an order.
func (c *comparison) ordering() bool { return c.operator > notEqual }

// ofText compares a string of an event. A number in the pattern is equal to the string that is written like it, and no other:
// { $.a = 1.0 } matches "1.0" and not "1".
func (c *comparison) ofText(text []byte) bool {
	var is bool
	switch c.kind {
	case globValue:
		is = matchGlob(c.pieces, text)
	case regexValue:
		is = c.regex.Match(text)
	default:
		is = bytes.Equal(c.text, text)
	}
	return c.operator == equal && is || c.operator == notEqual && !is
}

// ofNumber compares a JSON number of an event: with a number by value, with anything else by its text.
func (c *comparison) ofNumber(number []byte) bool {
	if c.kind != numberValue {
		return c.ofText(numberText(number))
	}
	value, ok := numberValueOf(number)
	return ok && c.operator.holds(value.compare(&c.number))
}

// ofField compares a field of a space-delimited event, which is a number if it looks like one. Compared with a number, other
// fields are unequal.
func (c *comparison) ofField(field []byte) bool {
	if c.kind != numberValue {
		return c.ofText(field)
	}
	if isNumber(field) {
		if value, ok := parseDecimal(field); ok {
			return c.operator.holds(value.compare(&c.number))
		}
	}
	return c.operator == notEqual
}

// matchGlob says whether text is the pieces with anything between them. There are at least two.
func matchGlob(pieces [][]byte, text []byte) bool {
	first, last := pieces[0], pieces[len(pieces)-1]
	if len(text) < len(first)+len(last) || !bytes.HasPrefix(text, first) || !bytes.HasSuffix(text, last) {
		return false
	}
	text = text[len(first) : len(text)-len(last)]
	for _, piece := range pieces[1 : len(pieces)-1] {
		i := bytes.Index(text, piece)
		if i < 0 {
			return false
		}
		text = text[i+len(piece):]
	}
	return true
}
