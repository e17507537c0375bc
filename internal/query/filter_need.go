package query

import (
	"bytes"
	"slices"
	"strings"
)

// Group is literals of which a matching message contains at least one.
type Group [][]byte

// Terms says what the bytes of a matching message contain: at least one literal of each group. Nothing may be known, and then there
// are no groups; and a message that has them all need not match. It is for passing over messages, or whole pages of them, unread.
//
// A JSON event may spell a character in more than one way. Where it matters, the group also has the beginnings of the other spellings
// (`\u`, `\/`), so that the statement holds for every message.
func (f *Filter) Terms() []Group { return f.form.terms() }

// FieldValue is a value that a JSON event has to have.
type FieldValue struct {
	Selector string // as in the pattern, with .* for a wildcard
	Value    string // the text of the string or number there, without quotes and escapes
}

// Values says which values a JSON event has if it matches: at least one of each list. As with Terms, this may be nothing. It is for
// indexes of events by their values, such as key ARNs.
func (f *Filter) Values() [][]FieldValue { return f.form.values() }

// needs is a list of groups of which a matching message has at least one member each.
type needs[T comparable] [][]T

// needsOf works out the needs of an expression from those of its conditions. size says how much a member tells of a message.
func needsOf[T comparable](e *expression, size func(T) int, condition func(int) needs[T]) needs[T] {
	switch e.kind {
	case leaf:
		return condition(e.condition)
	case allOf:
		var all needs[T]
		for i := range e.sides {
			for _, group := range needsOf(&e.sides[i], size, condition) {
				if !slices.ContainsFunc(all, func(g []T) bool { return slices.Equal(g, group) }) {
					all = append(all, group)
				}
			}
		}
		return all
	}
	// Of two sides, one of any group of the first or one of any group of the second is needed. The best of each say enough.
	var union []T
	for i := range e.sides {
		best := bestGroup(needsOf(&e.sides[i], size, condition), size)
		if best == nil {
			return nil
		}
		for _, member := range best {
			if !slices.Contains(union, member) {
				union = append(union, member)
			}
		}
	}
	return needs[T]{union}
}

// bestGroup is the group whose least telling member tells most.
func bestGroup[T comparable](n needs[T], size func(T) int) []T {
	var best []T
	most := 0
	for _, group := range n {
		if least := leastSize(group, size); least > most {
			best, most = group, least
		}
	}
	return best
}

func leastSize[T comparable](group []T, size func(T) int) int {
	least := size(group[0])
	for _, member := range group[1:] {
		least = min(least, size(member))
	}
	return least
}

// neededTerms is what an event has in its bytes if the condition is true of it, as it is spelt in JSON without needless escapes.
func (c *jsonCondition) neededTerms() needs[string] {
	if c.test == compares && c.operator == equal && !c.none {
		if term := c.neededValue(); term != "" {
			return needs[string]{{term}}
		}
	}
	// The members on the way to the value, if there has to be one.
	longest := ""
	for _, s := range c.path {
		if c.none && s.kind == wildcard {
			break
		}
		if s.kind == byName && len(s.name) > len(longest) {
			longest = s.name
		}
	}
	if longest == "" || c.test == notExists {
		return nil
	}
	return needs[string]{{string(appendEscaped([]byte{'"'}, longest)) + `"`}}
}

// neededValue is what stands in an event of which = is true. It is empty if that may be many things, as with a number, which is the
// same with another exponent.
func (c *jsonCondition) neededValue() string {
	switch c.kind {
	case textValue:
		text := string(c.text)
		if !mayBeNumber(text) {
			return string(appendEscaped([]byte{'"'}, text)) + `"`
		}
		if isNumber(text) && isWhole(c.text) {
			return text // "12" or 12
		}
	case globValue:
		longest := ""
		for i, piece := range c.pieces {
			text := string(piece)
			if mayBeNumber(text) {
				continue
			}
			term := string(appendEscaped(nil, text))
			if i == 0 {
				term = `"` + term
			}
			if i == len(c.pieces)-1 {
				term += `"`
			}
			if len(term) > len(longest) {
				longest = term
			}
		}
		return longest
	case regexValue:
		if prefix, _ := c.regex.LiteralPrefix(); !mayBeNumber(prefix) {
			return string(appendEscaped(nil, prefix))
		}
	}
	return ""
}

// mayBeNumber says whether text may be, or be a part of, what numberText makes of a number, which can be spelt in other ways.
func mayBeNumber(text string) bool {
	return strings.Trim(text, "-.0123456789EInfity") == ""
}

// escapedGroup is the group for terms in JSON: the terms, and what an event has that spells one of them differently. Apart from the
// escapes that are always needed there are \/ and, for any character, \u.
func escapedGroup(terms []string) Group {
	var group Group
	slash := false
	for _, term := range terms {
		group = append(group, []byte(term))
		slash = slash || strings.Contains(term, "/")
	}
	if slash {
		group = append(group, []byte(`\/`))
	}
	return append(group, []byte(`\u`))
}

// prefilter passes over events that cannot match before they are read. It has the two groups that tell most.
type prefilter []Group

// maxAlternatives is how many terms of a group may be looked for before reading the event is cheaper.
const maxAlternatives = 8

func newPrefilter(n needs[string]) prefilter {
	n = slices.DeleteFunc(n, func(group []string) bool { return len(group) > maxAlternatives })
	size := func(group []string) int { return leastSize(group, func(term string) int { return len(term) }) }
	slices.SortStableFunc(n, func(a, b []string) int { return size(b) - size(a) })
	var p prefilter
	for _, group := range n[:min(2, len(n))] {
		escaped := escapedGroup(group)
		for i := range group {
			escaped[i] = quickTerm(escaped[i])
		}
		p = append(p, escaped)
	}
	return p
}

// quickTerm is the part of a term that is found quickly: without the quote in front, of which events are full, and no longer than
// bytes.Index has fast ways for. The end of an ARN is what is rare in it.
func quickTerm(term []byte) []byte {
	if len(term) > 2 && term[0] == '"' {
		term = term[1:]
	}
	return term[max(0, len(term)-32):]
}

// maybe is false if the message does not match.
func (p prefilter) maybe(message []byte) bool {
	for _, group := range p {
		if !containsAny(message, group) {
			return false
		}
	}
	return true
}

// neededTerm is what stands in a field of which = is true. Fields have no escapes.
func (c *comparison) neededTerm() string {
	longest := ""
	switch {
	case c.operator != equal:
	case c.kind == textValue:
		longest = string(c.text)
	case c.kind == globValue:
		for _, piece := range c.pieces {
			if len(piece) > len(longest) {
				longest = string(bytes.Clone(piece))
			}
		}
	case c.kind == regexValue:
		longest, _ = c.regex.LiteralPrefix()
	}
	return longest
}
