package query

import (
	"strings"
)

// jsonPattern is a pattern for JSON log events.
type jsonPattern struct {
	expression expression
	conditions []jsonCondition
	plan       *plan
	need       prefilter
}

// jsonCondition is a selector and what has to be true of the value that it leads to, if there is one.
type jsonCondition struct {
	path path
	test jsonTest
	comparison
	none bool // != under a wildcard: no value may be equal, and comparison is =
}

type jsonTest int

const (
	compares jsonTest = iota // only strings and numbers can; see the rules below
	isTrue
	isFalse
	isNull
	notExists
)

// The rules, where the guide is short:
//
//   - "If a property selector points to an array or object, the filter pattern won't match": no comparison is true of one, != as
//     little as =. Nor is one true of true, false and null, which have IS, nor of a value that is not there. So != is not the
//     opposite of =, and "the field is there and is a string or number" is { $.a = * }. NOT EXISTS is false for null.
//   - A wildcard asks whether any of the values that it leads to is so; but != asks that none is equal, and only that there is a
//     value to which the wildcard was applied: { $.a[*] != 2 } is true of {"a":[]} and {"a":7}, and false of {}. So does the service.
//   - When an object has a member twice, the last one counts; at a wildcard, and on the way from there, each one does.

// parseJSONPattern reads { … }.
func parseJSONPattern(text string) (*Filter, *SyntaxError) {
	inner, err := enclosed(text, '}')
	if err != nil {
		return nil, err
	}
	ts, err := tokens(inner, 1, true)
	if err != nil {
		return nil, err
	}
	p := &jsonPattern{}
	f := &Filter{form: p}
	wildcards := 0
	read := parser{tokens: ts, condition: func(ts []token) (int, int, *SyntaxError) {
		c, length, err := parseJSONCondition(ts)
		if err != nil {
			return 0, 0, err
		}
		if c.kind == regexValue {
			f.regexes++
		}
		wildcards += c.path.wildcards()
		p.conditions = append(p.conditions, c)
		return len(p.conditions) - 1, length, nil
	}}
	if p.expression, err = read.expression(); err != nil {
		return nil, err
	}
	switch {
	case !read.is(tokenEnd) || len(p.conditions) > maxSelectors:
		return nil, read.unexpected()
	case f.regexes > maxRegexes:
		return nil, &SyntaxError{Detail: tooManyRegexes}
	case wildcards > maxWildcards:
		return nil, &SyntaxError{Detail: tooManyStarsInAll}
	}
	paths := make([]path, len(p.conditions))
	for i := range p.conditions {
		paths[i] = p.conditions[i].path
	}
	p.plan = newPlan(paths)
	p.need = newPrefilter(p.neededTerms())
	return f, nil
}

// parseJSONCondition reads SELECTOR OPERATOR VALUE, SELECTOR IS NULL, IS TRUE or IS FALSE, or SELECTOR NOT EXISTS. The words are
// the same in small letters. IS NOT and EXISTS "currently aren't supported".
func parseJSONCondition(ts []token) (c jsonCondition, length int, err *SyntaxError) {
	if ts[0].kind != tokenPath {
		return c, 0, &SyntaxError{Offset: ts[0].at}
	}
	c.path = ts[0].path
	if c.path.wildcards() > 1 {
		return c, 0, &SyntaxError{Detail: tooManyStars, Offset: ts[0].at}
	}
	switch {
	case ts[1].kind == tokenOperator:
		c.comparison, length, err = newComparison(ts[1:])
		if err == nil && c.ordering() && c.kind != numberValue {
			err = invalidTerm(ts[2].source, ts[2].at)
		}
		if c.operator == notEqual && c.path.wildcards() > 0 {
			c.operator, c.none = equal, true
		}
		return c, 1 + length, err
	case ts[1].isWord("NOT") && ts[2].isWord("EXISTS"):
		c.test = notExists
		return c, 3, nil
	case ts[1].isWord("IS"):
		switch {
		case ts[2].isWord("NULL"):
			c.test = isNull
		case ts[2].isWord("TRUE"):
			c.test = isTrue
		case ts[2].isWord("FALSE"):
			c.test = isFalse
		case ts[2].kind != tokenEnd:
			return c, 0, invalidTerm(ts[2].source, ts[2].at)
		default:
			return c, 0, &SyntaxError{Offset: ts[2].at}
		}
		return c, 3, nil
	}
	return c, 0, &SyntaxError{Offset: ts[1].at}
}

func (t *token) isWord(word string) bool {
	return t.kind == tokenWord && strings.EqualFold(t.source, word)
}

func (p *jsonPattern) kind() Kind { return JSON }

func (p *jsonPattern) match(message []byte) bool {
	if !p.need.maybe(message) {
		return false
	}
	w := walk{data: message, pattern: p}
	return w.event(p.plan) && p.expression.holds(func(i int) bool {
		switch c := &p.conditions[i]; {
		case c.test == notExists:
			return !w.met.has(i)
		case c.none:
			return w.applied.has(i) && !w.met.has(i)
		}
		return w.met.has(i)
	})
}

// meets says whether the test, or comparison, is true of a value that the selector leads to. For NOT EXISTS it is that there is one.
func (c *jsonCondition) meets(kind jsonKind, raw []byte, escaped bool) bool {
	switch c.test {
	case isTrue:
		return kind == jsonTrue
	case isFalse:
		return kind == jsonFalse
	case isNull:
		return kind == jsonNull
	case notExists:
		return true
	}
	switch kind {
	case jsonNumber:
		return c.ofNumber(raw)
	case jsonString:
		return c.ofText(stringText(raw, escaped))
	}
	return false
}

func (p *jsonPattern) neededTerms() needs[string] {
	size := func(term string) int { return len(term) }
	return needsOf(&p.expression, size, func(i int) needs[string] { return p.conditions[i].neededTerms() })
}

func (p *jsonPattern) terms() []Group {
	var all []Group
	for _, group := range p.neededTerms() {
		all = append(all, escapedGroup(group))
	}
	return all
}

func (p *jsonPattern) values() [][]FieldValue {
	size := func(v FieldValue) int { return len(v.Value) }
	return needsOf(&p.expression, size, func(i int) needs[FieldValue] {
		c := &p.conditions[i]
		if c.test != compares || c.operator != equal || c.none || c.kind != textValue {
			return nil
		}
		return needs[FieldValue]{{{Selector: c.path.String(), Value: string(c.text)}}}
	})
}
