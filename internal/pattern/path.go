package pattern

import (
	"fmt"
	"strconv"
	"strings"
)

// A Path is the part of JSONPath that EventBridge knows for InputPath and InputPathsMap: $, names after a dot, indexes
// in brackets, counted from 0 or, below 0, from the end, names in brackets and quotes, and * for every member or element
// (User Guide, "Amazon EventBridge input transformation": dot notation, dashes, underscores, alphanumeric characters,
// array indices, wildcards, forward slashes).
type Path struct {
	steps []pathStep
	many  bool // it has a *
}

type pathStep struct {
	kind  stepKind
	name  string
	index int
}

type stepKind byte

const (
	stepName stepKind = iota
	stepIndex
	stepAll
)

// ParsePath reads a path. EventBridge looks at paths only when an event comes, and takes one that it can't read to lead
// nowhere.
func ParsePath(text string) (*Path, error) {
	rest, ok := strings.CutPrefix(text, "$")
	if !ok {
		return nil, fmt.Errorf("JSON path %q does not begin with $", text)
	}
	p := &Path{}
	for rest != "" {
		var s pathStep
		switch rest[0] {
		case '.':
			end := strings.IndexAny(rest[1:], ".[")
			if end < 0 {
				end = len(rest) - 1
			}
			s.name, rest = rest[1:1+end], rest[1+end:]
			if s.name == "*" {
				s.kind = stepAll
			}
			ok = s.name != "" && !strings.ContainsAny(s.name, "]()@?' \"")
		case '[':
			s, rest, ok = bracket(rest[1:])
		default:
			ok = false
		}
		if !ok {
			return nil, fmt.Errorf("JSON path %q is not of the forms $.name, $.name[0], $['name'] and $.*", text)
		}
		p.many = p.many || s.kind == stepAll
		p.steps = append(p.steps, s)
	}
	return p, nil
}

// bracket reads what follows an opening bracket.
func bracket(text string) (s pathStep, rest string, ok bool) {
	if text != "" && (text[0] == '\'' || text[0] == '"') {
		name, rest, ok := strings.Cut(text[1:], text[:1]+"]")
		return pathStep{kind: stepName, name: name}, rest, ok
	}
	inside, rest, ok := strings.Cut(text, "]")
	if !ok {
		return s, "", false
	}
	if inside == "*" {
		return pathStep{kind: stepAll}, rest, true
	}
	index, err := strconv.Atoi(inside)
	return pathStep{kind: stepIndex, index: index}, rest, err == nil
}

// Select is ParsePath and then Path.Select; a path that can't be read leads nowhere.
func Select(path string, event []byte) ([]byte, bool) {
	p, err := ParsePath(path)
	if err != nil {
		return nil, false
	}
	return p.Select(event)
}

// Select gives the JSON value that the path leads to in event, and false if there is none. A path with * gives an array
// of all that there are. The value may be a part of event and not a copy.
func (p *Path) Select(event []byte) ([]byte, bool) {
	if !isJSON(event) {
		return nil, false
	}
	return p.in(event)
}

// in is Select in an event known to be JSON.
func (p *Path) in(event []byte) ([]byte, bool) {
	var found [][]byte
	found = collect(found, event, space(event, 0), p.steps)
	if p.many {
		all := []byte{'['}
		for i, value := range found {
			if i > 0 {
				all = append(all, ',')
			}
			all = append(all, value...)
		}
		return append(all, ']'), true
	}
	if len(found) == 0 {
		return nil, false
	}
	return found[0], true
}

// collect appends the values that steps lead to from the value at i.
func collect(found [][]byte, data []byte, i int, steps []pathStep) [][]byte {
	if len(steps) == 0 {
		return append(found, data[i:skip(data, i, 0)])
	}
	s := steps[0]
	if data[i] != '{' && data[i] != '[' {
		return found
	}
	names, values := children(data, i)
	switch {
	case s.kind == stepAll:
		for _, v := range values {
			found = collect(found, data, v, steps[1:])
		}
	case s.kind == stepName && data[i] == '{':
		for k := len(names) - 1; k >= 0; k-- {
			if names[k] == s.name {
				return collect(found, data, values[k], steps[1:])
			}
		}
	case s.kind == stepIndex && data[i] == '[':
		if s.index < 0 {
			s.index += len(values)
		}
		if 0 <= s.index && s.index < len(values) {
			return collect(found, data, values[s.index], steps[1:])
		}
	}
	return found
}

// children are the places of the members of the object, or the elements of the array, that begins at i.
func children(data []byte, i int) (names []string, values []int) {
	isObject := data[i] == '{'
	for i = space(data, i+1); data[i] != '}' && data[i] != ']'; {
		if data[i] == ',' {
			i = space(data, i+1)
		}
		if isObject {
			end, escaped := text(data, i+1)
			names = append(names, string(stringText(data[i:end], escaped)))
			i = space(data, space(data, end)+1) // after the colon
		}
		values = append(values, i)
		i = space(data, skip(data, i, 0))
	}
	return names, values
}

func isJSON(data []byte) bool {
	end := skip(data, space(data, 0), 0)
	return end >= 0 && space(data, end) == len(data)
}
