// Package query holds the language in which log events are asked for: the filter patterns of CloudWatch Logs, as metric filters,
// subscription filters, FilterLogEvents and TestMetricFilter take them. It knows bytes, not log groups.
//
// It follows the CloudWatch Logs user guide, "Filter pattern syntax for metric filters, subscription filters, filter log events,
// and Live Tail", and the examples of the API reference's TestMetricFilter. Where the guide is silent, the code does what the
// service was seen to do, or decides, and says which of the two in a comment.
package query

import (
	"strings"
	"unicode/utf8"
)

// Kind says for which form of log event a pattern is written. AWS tells them apart by the pattern's first character.
type Kind int

// Kinds.
const (
	Unstructured   Kind = iota // terms, or one regular expression; also the empty pattern
	JSON                       // { … }
	SpaceDelimited             // [ … ]
)

// maxPattern is the most characters that a pattern may have, from the API model's FilterPattern.
const maxPattern = 1024

// maxRegexes is the most regular expressions in a JSON or space-delimited pattern. An unstructured one has room for one.
const maxRegexes = 2

// Filter is a filter pattern, ready to be asked about messages. It does not change: any number of goroutines may use it.
type Filter struct {
	text    string
	form    form
	regexes int
}

// form is a pattern of one of the three kinds.
type form interface {
	kind() Kind
	match(message []byte) bool
	terms() []Group
	values() [][]FieldValue
	selector(text string) (source, error)
}

// ParseFilter reads a pattern. The error is a *SyntaxError. White space around the pattern has no meaning; a pattern of nothing else
// matches every message.
func ParseFilter(pattern string) (*Filter, error) {
	text := strings.TrimFunc(pattern, func(r rune) bool { return r < utf8.RuneSelf && isSpace(byte(r)) })
	f, err := parseFilter(text)
	if err != nil {
		err.Offset += strings.Index(pattern, text)
		return nil, err
	}
	f.text = pattern
	return f, nil
}

func parseFilter(text string) (*Filter, *SyntaxError) {
	if err := checkText(text); err != nil {
		return nil, err
	}
	switch {
	case text == "":
		return &Filter{form: &termPattern{}}, nil
	case text[0] == '{':
		return parseJSONPattern(text)
	case text[0] == '[':
		return parseFieldPattern(text)
	case text[0] == '%':
		return parseRegexPattern(text)
	}
	return parseTermPattern(text)
}

// checkText refuses what no request can have: the door has already checked the length, and JSON that is not UTF-8 is none.
func checkText(text string) *SyntaxError {
	if utf8.RuneCountInString(text) > maxPattern || !utf8.ValidString(text) {
		return &SyntaxError{}
	}
	return nil
}

// String is the pattern as it was given to ParseFilter.
func (f *Filter) String() string { return f.text }

// Kind is the form of log event that the pattern is for. Only JSON and SpaceDelimited patterns have selectors, and so metric
// values from events and dimensions.
func (f *Filter) Kind() Kind { return f.form.kind() }

// Regexes is how many regular expressions the pattern has: AWS allows five patterns that have any for each log group.
func (f *Filter) Regexes() int { return f.regexes }

// Match says whether the pattern matches the message.
//
// A JSON pattern matches only a message that is one JSON object and, around it, nothing but white space.
func (f *Filter) Match(message []byte) bool { return f.form.match(message) }

// Extract is Match, and the values that TestMetricFilter gives as extractedValues: for a space-delimited pattern each field by its
// name ("$status") or, if it has none, by its place counted from one ("$4"). The other kinds extract nothing, and have an empty
// map; the fields of JSON events are read with a Selector.
func (f *Filter) Extract(message []byte) (map[string]string, bool) {
	if fields, ok := f.form.(*fieldPattern); ok {
		return fields.extract(message)
	}
	if !f.Match(message) {
		return nil, false
	}
	return map[string]string{}, true
}

// SyntaxError says why a pattern, or a selector, is not one.
type SyntaxError struct {
	// Detail is what AWS says of this mistake. It is empty where AWS says no more than that the pattern is invalid: "Invalid metric
	// filter pattern" from PutMetricFilter and TestMetricFilter, "Invalid filter pattern" from the other operations.
	Detail string
	// Offset is where in the pattern the mistake was seen, in bytes.
	Offset int
}

func (e *SyntaxError) Error() string {
	if e.Detail == "" {
		return "Invalid filter pattern"
	}
	return e.Detail
}

// The texts of AWS.
const (
	badRegex       = "Failed to compile regular expression."
	tooManyRegexes = "Your input has exceeded the maximum of 2 regular expressions per filter pattern."
	tooManyStars   = "Your filter pattern has a JSON path selector that exceeds the maximum of 1 wildcard allowed per json selector."
	// AWS's own text for too many wildcards in all is not known; this one is made like the one above.
	tooManyStarsInAll = "Your filter pattern exceeds the maximum of 3 wildcards allowed in JSON path selectors."
)

func invalidTerm(term string, at int) *SyntaxError {
	return &SyntaxError{Detail: "Invalid character(s) in term '" + term + "'", Offset: at}
}

func mustEndWith(open, end byte, at int) *SyntaxError {
	return &SyntaxError{
		Detail: "If a filter pattern starts with '" + string(open) + "' it must end with '" + string(end) + "'",
		Offset: at,
	}
}

// enclosed is what stands between a pattern's first and last character, which have to belong together.
func enclosed(text string, end byte) (string, *SyntaxError) {
	if len(text) < 2 || text[len(text)-1] != end {
		return "", mustEndWith(text[0], end, len(text))
	}
	return text[1 : len(text)-1], nil
}

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }
