package query

import (
	"bytes"
	"strconv"
)

// fieldPattern is a pattern for space-delimited log events.
type fieldPattern struct {
	before, after []field // the ellipsis; without one all fields are before it
	ellipsis      bool
	conditions    []comparison
	need          prefilter
}

// field is what the pattern says of one field of the event.
type field struct {
	name      string // may be empty
	condition *expression
}

// parseFieldPattern reads [ … ]: fields with commas between them. A field is a name, a name with conditions of it (status = 4* ||
// status = 5*), nothing, or once the ellipsis, which stands for any number of fields. No fields at all are as good as one ellipsis.
func parseFieldPattern(text string) (*Filter, *SyntaxError) {
	inner, err := enclosed(text, ']')
	if err != nil {
		return nil, err
	}
	ts, err := tokens(inner, 1, false)
	if err != nil {
		return nil, err
	}
	p := &fieldPattern{}
	f := &Filter{form: p}
	if ts[0].kind == tokenEnd {
		p.ellipsis = true
		return f, nil
	}
	read := parser{tokens: ts}
	names := map[string]bool{}
	for {
		if err := p.parseField(&read, names); err != nil {
			return nil, err
		}
		if !read.is(tokenComma) {
			break
		}
	}
	if !read.is(tokenEnd) {
		return nil, read.unexpected()
	}
	for i := range p.conditions {
		if p.conditions[i].kind == regexValue {
			f.regexes++
		}
	}
	if f.regexes > maxRegexes {
		return nil, &SyntaxError{Detail: tooManyRegexes}
	}
	for _, group := range p.terms() {
		if len(p.need) < 2 && len(group) <= maxAlternatives {
			p.need = append(p.need, group)
		}
	}
	return f, nil
}

func (p *fieldPattern) parseField(read *parser, names map[string]bool) *SyntaxError {
	first := read.tokens[0]
	if read.is(tokenEllipsis) {
		if p.ellipsis {
			return &SyntaxError{Detail: "Duplicate field '...'", Offset: first.at}
		}
		p.ellipsis = true
		return nil
	}
	var f field
	switch next := first.kind; {
	case next == tokenComma || next == tokenEnd: // a field without a name
	case len(read.tokens) > 1 && (read.tokens[1].kind == tokenComma || read.tokens[1].kind == tokenEnd):
		if err := fieldName(&first); err != nil {
			return err
		}
		f.name = first.source
		read.tokens = read.tokens[1:]
	default:
		read.condition = p.conditionOf(&f)
		e, err := read.expression()
		if err != nil {
			return err
		}
		f.condition = &e
	}
	if f.name != "" {
		if names[f.name] {
			return &SyntaxError{Detail: "Duplicate field '" + f.name + "'", Offset: first.at}
		}
		names[f.name] = true
	}
	if p.ellipsis {
		p.after = append(p.after, f)
	} else {
		p.before = append(p.before, f)
	}
	return nil
}

// conditionOf reads conditions of f, which gets its name from the first.
func (p *fieldPattern) conditionOf(f *field) func([]token) (int, int, *SyntaxError) {
	return func(ts []token) (int, int, *SyntaxError) {
		if err := fieldName(&ts[0]); err != nil {
			return 0, 0, err
		}
		switch name := ts[0].source; {
		case f.name == "":
			f.name = name
		case f.name != name:
			return 0, 0, &SyntaxError{
				Detail: "Multiple variables used in a single filter. Var1 : " + f.name + ", Var2 : " + name,
				Offset: ts[0].at,
			}
		}
		if ts[1].kind != tokenOperator {
			return 0, 0, &SyntaxError{Offset: ts[1].at}
		}
		c, length, err := newComparison(ts[1:])
		if err == nil && c.ordering() && c.kind != numberValue {
			err = &SyntaxError{Offset: ts[2].at}
		}
		p.conditions = append(p.conditions, c)
		return len(p.conditions) - 1, 1 + length, err
	}
}

// fieldName checks a name: letters, digits, underscores and hyphens, of which the first is no digit.
func fieldName(t *token) *SyntaxError {
	if t.kind != tokenWord && t.kind != tokenNumber {
		return &SyntaxError{Offset: t.at}
	}
	for i, r := range t.source {
		if !isNameRune(r) || i == 0 && (r == '-' || '0' <= r && r <= '9') {
			return invalidTerm(t.source, t.at)
		}
	}
	return nil
}

func (p *fieldPattern) kind() Kind { return SpaceDelimited }

// span is a field's place in the message.
type span struct{ from, to int }

// fewFields is how many fields are found without making room for more.
const fewFields = 32

func (p *fieldPattern) match(message []byte) bool {
	if !p.need.maybe(message) {
		return false
	}
	var room [fewFields]span
	_, ok := p.fields(message, room[:0])
	return ok
}

// fields splits the message, and says whether the pattern matches it.
func (p *fieldPattern) fields(message []byte, room []span) ([]span, bool) {
	fields := p.split(message, room)
	if len(fields) < len(p.before)+len(p.after) || !p.ellipsis && len(fields) != len(p.before) {
		return nil, false
	}
	for i := range p.before {
		if !p.holds(&p.before[i], message, fields[i]) {
			return nil, false
		}
	}
	for i := range p.after {
		if !p.holds(&p.after[i], message, fields[len(fields)-len(p.after)+i]) {
			return nil, false
		}
	}
	return fields, true
}

func (p *fieldPattern) holds(f *field, message []byte, s span) bool {
	return f.condition == nil || f.condition.holds(func(i int) bool {
		return p.conditions[i].ofField(message[s.from:s.to])
	})
}

// split finds the fields, which white space separates. Text in double quotes or brackets is one field without these, if it begins
// the field and is closed; what follows the closing one is the next field, with or without white space. In a pattern without an
// ellipsis the last field is the rest of the message, as it stands there, if that is more than one field. (The guide says that a
// pattern of one field needs a second, empty one; this is why. The service was seen to do the rest.)
func (p *fieldPattern) split(message []byte, fields []span) []span {
	for i := skipWhite(message, 0); i < len(message); {
		end, s := i, span{}
		if n := closing(message[i:]); n > 0 {
			end, s = i+n+1, span{i + 1, i + n}
		} else {
			for end < len(message) && !isSpace(message[end]) {
				end++
			}
			s = span{i, end}
		}
		next := skipWhite(message, end)
		if !p.ellipsis && len(fields) == len(p.before)-1 && next < len(message) {
			return append(fields, span{i, len(message)})
		}
		fields = append(fields, s)
		i = next
	}
	return fields
}

// closing is where the quote or bracket with which text begins is closed, or not above zero.
func closing(text []byte) int {
	switch text[0] {
	case '"':
		return bytes.IndexByte(text[1:], '"') + 1
	case '[':
		return bytes.IndexByte(text, ']')
	}
	return 0
}

func skipWhite(message []byte, i int) int {
	for i < len(message) && isSpace(message[i]) {
		i++
	}
	return i
}

// extract is the fields of a message by name or number.
func (p *fieldPattern) extract(message []byte) (map[string]string, bool) {
	fields, ok := p.fields(message, nil)
	if !ok {
		return nil, false
	}
	values := make(map[string]string, len(fields))
	for i, s := range fields {
		name := ""
		if i < len(p.before) {
			name = p.before[i].name
		} else if j := i - (len(fields) - len(p.after)); j >= 0 {
			name = p.after[j].name
		}
		if name == "" {
			name = strconv.Itoa(i + 1)
		}
		values["$"+name] = string(message[s.from:s.to])
	}
	return values, true
}

func (p *fieldPattern) terms() []Group {
	var all []Group
	size := func(term string) int { return len(term) }
	for _, fields := range [][]field{p.before, p.after} {
		for _, f := range fields {
			if f.condition == nil {
				continue
			}
			for _, terms := range needsOf(f.condition, size, func(i int) needs[string] {
				if term := p.conditions[i].neededTerm(); term != "" {
					return needs[string]{{term}}
				}
				return nil
			}) {
				var group Group
				for _, term := range terms {
					group = append(group, []byte(term))
				}
				all = append(all, group)
			}
		}
	}
	return all
}

func (p *fieldPattern) values() [][]FieldValue { return nil }
