package query

import (
	"strconv"
	"strings"
)

// Selector reads one value from the events that a filter matches: a metric's value or a dimension's. It does not change: any number
// of goroutines may use it.
type Selector struct {
	text string
	source
}

// source is where a selector finds its value.
type source interface {
	value(message []byte) (string, bool)
}

// Selector reads a selector for the events of this filter: "$.latency" or "$.users[0].id" for a JSON pattern, which need not be in
// the pattern, and "$bytes" or, by its place, "$7" for a space-delimited one, which has to have the name. A wildcard does not select
// one value, and the events of unstructured patterns have none. The error is a *SyntaxError.
func (f *Filter) Selector(text string) (*Selector, error) {
	s, err := f.form.selector(text)
	if err != nil {
		return nil, err
	}
	return &Selector{text: text, source: s}, nil
}

// String is the selector as it was given to Filter.Selector.
func (s *Selector) String() string { return s.text }

// Text is the value in a message that the filter matches: a field's text, or a JSON string without quotes and escapes, or a JSON
// number. A number that is not whole is as AWS writes it: 1.50 is "1.5", 1e3 "1000.0". A JSON true or false is its name, though
// metric filters are documented for strings and numbers only. There is no value in what is null, an object, an array or not there.
func (s *Selector) Text(message []byte) (string, bool) { return s.value(message) }

// jsonSource is a selector in a JSON event.
type jsonSource struct{ plan *plan }

func (p *jsonPattern) selector(text string) (source, error) {
	if err := checkText(text); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(text, "$.") {
		return nil, &SyntaxError{}
	}
	l := lexer{text: text, inJSON: true}
	way, err := l.path()
	if err != nil {
		return nil, err
	}
	if l.at < len(text) {
		return nil, l.invalid(l.at, l.at)
	}
	if way.wildcards() > 0 {
		return nil, &SyntaxError{Offset: strings.Index(text, "*")}
	}
	return jsonSource{newPlan([]path{way})}, nil
}

func (s jsonSource) value(message []byte) (string, bool) {
	w := walk{data: message}
	if !w.event(s.plan) || !w.found.ok {
		return "", false
	}
	switch w.found.kind {
	case jsonString:
		return string(stringText(w.found.raw, w.found.escaped)), true
	case jsonNumber:
		return string(numberText(w.found.raw)), true
	case jsonTrue:
		return "true", true
	case jsonFalse:
		return "false", true
	}
	return "", false
}

// fieldSource is a field of a space-delimited event.
type fieldSource struct {
	pattern *fieldPattern
	index   int // from the first field or, below zero, from the last
}

func (p *fieldPattern) selector(text string) (source, error) {
	name, ok := strings.CutPrefix(text, "$")
	if !ok || name == "" {
		return nil, &SyntaxError{}
	}
	for i, f := range p.before {
		if f.name == name {
			return fieldSource{p, i}, nil
		}
	}
	for i, f := range p.after {
		if f.name == name {
			return fieldSource{p, i - len(p.after)}, nil
		}
	}
	if n, err := strconv.ParseUint(name, 10, 31); err == nil && n > 0 {
		return fieldSource{p, int(n) - 1}, nil
	}
	return nil, &SyntaxError{Offset: 1}
}

func (s fieldSource) value(message []byte) (string, bool) {
	var room [fewFields]span
	fields, ok := s.pattern.fields(message, room[:0])
	if !ok {
		return "", false
	}
	i := s.index
	if i < 0 {
		i += len(fields)
	}
	if i >= len(fields) {
		return "", false
	}
	return string(message[fields[i].from:fields[i].to]), true
}
