package query

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// path is a property selector: the steps from the event to a value in it.
type path []step

type step struct {
	kind  stepKind
	name  string
	index int
}

type stepKind int

const (
	byName   stepKind = iota // .name or ['name']: a member of an object
	byIndex                  // [0]: an element of an array
	wildcard                 // .* or [*]: each member of an object, each element of an array, whichever way it is written
)

// A wildcard may stand once in a selector, and three times in a pattern.
const maxWildcards = 3

func (p path) wildcards() int {
	n := 0
	for _, s := range p {
		if s.kind == wildcard {
			n++
		}
	}
	return n
}

// String writes the selector in the one form that FieldValue.Selector has: $.a.b[0].*, and names of other characters in brackets.
func (p path) String() string {
	var b strings.Builder
	b.WriteByte('$')
	for _, s := range p {
		switch {
		case s.kind == byIndex:
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
		case s.kind == wildcard:
			b.WriteString(".*")
		case s.name == "" || strings.ContainsFunc(s.name, func(r rune) bool { return !isNameRune(r) }):
			b.WriteString(".['" + s.name + "']")
		default:
			b.WriteString("." + s.name)
		}
	}
	return b.String()
}

func isNameRune(r rune) bool { return r == '-' || isWordRune(r) }

// path reads a property selector. Names are of letters, digits, hyphens and underscores; any other name goes into brackets and
// single quotes, in which no character is special: $.['cluster.name']. The service takes neither $[0] nor double quotes.
func (l *lexer) path() (path, *SyntaxError) {
	var p path
	for start := l.at; ; start = l.at {
		if len(p) == 0 {
			l.at++ // the dollar sign, which is one word with the first step
		}
		switch {
		case l.next() == '[' && len(p) > 0:
			l.at++
		case l.next() == '.':
			l.at++
			if l.next() != '[' {
				s, err := l.namedStep(start)
				if err != nil {
					return nil, err
				}
				p = append(p, s)
				continue
			}
			l.at++
			if l.next() != '\'' { // $.[0] is nothing
				return nil, l.invalid(start, l.at)
			}
		case len(p) == 0:
			return nil, l.invalid(start, l.at)
		default:
			return p, nil
		}
		s, err := l.bracketStep(start)
		if err != nil {
			return nil, err
		}
		p = append(p, s)
	}
}

// next is the character at l.at, or zero.
func (l *lexer) next() byte {
	if l.at == len(l.text) {
		return 0
	}
	return l.text[l.at]
}

func (l *lexer) namedStep(start int) (step, *SyntaxError) {
	if l.next() == '*' {
		l.at++
		return step{kind: wildcard}, nil
	}
	from := l.at
	for l.at < len(l.text) {
		r, size := utf8.DecodeRuneInString(l.text[l.at:])
		if !isNameRune(r) {
			break
		}
		l.at += size
	}
	if l.at == from {
		return step{}, l.invalid(start, l.at)
	}
	return step{kind: byName, name: l.text[from:l.at]}, nil
}

// bracketStep reads what follows an opening bracket.
func (l *lexer) bracketStep(start int) (step, *SyntaxError) {
	var s step
	switch c := l.next(); {
	case c == '\'':
		length := strings.IndexByte(l.text[l.at+1:], '\'')
		if length < 0 {
			return step{}, l.invalid(start, len(l.text))
		}
		s = step{kind: byName, name: l.text[l.at+1 : l.at+1+length]}
		l.at += length + 2
	case c == '*':
		s = step{kind: wildcard}
		l.at++
	case '0' <= c && c <= '9':
		from := l.at
		for '0' <= l.next() && l.next() <= '9' {
			l.at++
		}
		index, err := strconv.ParseInt(l.text[from:l.at], 10, 32)
		if err != nil {
			return step{}, &SyntaxError{}
		}
		s = step{kind: byIndex, index: int(index)}
	default:
		return step{}, l.invalid(start, l.at)
	}
	if l.next() != ']' {
		return step{}, l.invalid(start, l.at)
	}
	l.at++
	return s, nil
}

// plan is where in an event the selectors of a pattern lead, as one tree: a walk through an event holds one plan for the value
// that it stands at, or none if no selector leads there.
type plan struct {
	at      []int // the selectors that end at this value
	parents set   // the selectors that have a wildcard for the next step
	fixed   set   // the selectors that lead here or deeper without a wildcard on the way here
	names   []namedPlan
	indexes []indexedPlan
	rest    *plan // for every other member or element
}

type namedPlan struct {
	name string
	plan *plan
}

type indexedPlan struct {
	index int
	plan  *plan
}

// set is a set of selectors by number. maxPattern has no room for more.
type set [3]uint64

const maxSelectors = 64 * len(set{})

func (s *set) add(i int)      { s[i>>6] |= 1 << (i & 63) }
func (s *set) has(i int) bool { return s[i>>6]>>(i&63)&1 != 0 }

func (s *set) addAll(o *set) {
	for i := range s {
		s[i] |= o[i]
	}
}

func (s *set) removeAll(o *set) {
	for i := range s {
		s[i] &^= o[i]
	}
}

// place is a selector and how many of its steps have been taken.
type place struct{ selector, step int }

// newPlan makes the plan of all selectors. A value that a wildcard and a name, or an index, lead to gets one plan for both.
func newPlan(paths []path) *plan {
	places := make([]place, len(paths))
	for i := range paths {
		places[i] = place{selector: i}
	}
	return planFor(paths, places, map[string]*plan{})
}

func planFor(paths []path, places []place, made map[string]*plan) *plan {
	key := placesKey(places)
	if p := made[key]; p != nil {
		return p // two wildcards' worth of ways can lead to the same places
	}
	p := &plan{}
	made[key] = p
	var rest []place
	var ways []step
	for _, at := range places {
		way := paths[at.selector]
		if way[:at.step].wildcards() == 0 {
			p.fixed.add(at.selector)
		}
		switch {
		case at.step == len(way):
			p.at = append(p.at, at.selector)
		case way[at.step].kind == wildcard:
			p.parents.add(at.selector)
			rest = append(rest, place{at.selector, at.step + 1})
		case !slices.Contains(ways, way[at.step]):
			ways = append(ways, way[at.step])
		}
	}
	if len(rest) > 0 {
		p.rest = planFor(paths, rest, made)
	}
	for _, way := range ways {
		next := slices.Clone(rest)
		for _, at := range places {
			if at.step < len(paths[at.selector]) && paths[at.selector][at.step] == way {
				next = append(next, place{at.selector, at.step + 1})
			}
		}
		if way.kind == byName {
			p.names = append(p.names, namedPlan{way.name, planFor(paths, next, made)})
		} else {
			p.indexes = append(p.indexes, indexedPlan{way.index, planFor(paths, next, made)})
		}
	}
	return p
}

func placesKey(places []place) string {
	var b []byte
	for _, at := range places {
		b = append(b, byte(at.selector), byte(at.step), byte(at.step>>8))
	}
	return string(b)
}

func (p *plan) member(name []byte) *plan {
	for i := range p.names {
		if p.names[i].name == string(name) {
			return p.names[i].plan
		}
	}
	return p.rest
}

func (p *plan) element(index int) *plan {
	for i := range p.indexes {
		if p.indexes[i].index == index {
			return p.indexes[i].plan
		}
	}
	return p.rest
}
