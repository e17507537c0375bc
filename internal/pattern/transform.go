package pattern

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxVariables is how many variables an InputPathsMap may define.
const MaxVariables = 100

// A Transformer makes a target's input of an event, by an InputPathsMap and an InputTemplate (User Guide, "Amazon
// EventBridge input transformation"). It does not change and may be used by many goroutines.
type Transformer struct {
	parts []part
}

// part is a piece of a template: a text, or a variable.
type part struct {
	text     string
	path     *Path    // of a variable that leads nowhere nil
	reserved reserved // of a predefined variable
	variable bool
	inString bool // the variable stands between quotes
}

type reserved byte

const (
	notReserved reserved = iota
	ruleARN
	ruleName
	ingestionTime
	eventWithoutDetail
	wholeEvent
)

var reservedNames = map[string]reserved{
	"aws.events.rule-arn":             ruleARN,
	"aws.events.rule-name":            ruleName,
	"aws.events.event.ingestion-time": ingestionTime,
	"aws.events.event":                eventWithoutDetail,
	"aws.events.event.json":           wholeEvent,
}

// Delivery is what the predefined variables say besides the event.
type Delivery struct {
	RuleARN  string
	RuleName string
	Ingested time.Time // when the event was received
}

// TemplateError is a placeholder that an InputTemplate may not have.
type TemplateError struct {
	Name  string // the name between < and >
	AsKey bool   // it is a variable, but used as an object key
}

func (e *TemplateError) Error() string {
	if e.AsKey {
		return fmt.Sprintf("InputTemplate uses placeholder %s as an object key.", e.Name)
	}
	return fmt.Sprintf("InputTemplate contains invalid placeholder %s.", e.Name)
}

// For is the message of EventBridge's ValidationException for a target.
func (e *TemplateError) For(target string) string {
	return strings.Replace(e.Error(), "InputTemplate", "InputTemplate for target "+target, 1)
}

// NewTransformer reads a template. paths gives the JSON path of each variable; one that can't be read leads nowhere. It
// fails with a *TemplateError, or for names that begin with "AWS." and more than MaxVariables of them.
func NewTransformer(paths map[string]string, template string) (*Transformer, error) {
	if len(paths) > MaxVariables {
		return nil, fmt.Errorf("InputPathsMap has %d variables, the limit is %d", len(paths), MaxVariables)
	}
	for name := range paths {
		if len(name) >= 4 && strings.EqualFold(name[:4], "AWS.") {
			return nil, fmt.Errorf("InputPathsMap has the variable %s, but a name must not begin with \"AWS.\"", name)
		}
	}
	t := &Transformer{}
	r := templateReader{}
	begin := 0
	for i := 0; i < len(template); {
		name, ok := placeholder(template[i:])
		if !ok {
			r.read(template[i])
			i++
			continue
		}
		p := part{variable: true, inString: r.inString, reserved: reservedNames[name]}
		if path, ok := paths[name]; ok {
			p.path, _ = ParsePath(path)
		} else if p.reserved == notReserved {
			return nil, &TemplateError{Name: name}
		}
		if r.isKey {
			return nil, &TemplateError{Name: name, AsKey: true}
		}
		t.parts = append(t.parts, part{text: template[begin:i]}, p)
		i += len(name) + len("<>")
		begin = i
	}
	t.parts = append(t.parts, part{text: template[begin:]})
	return t, nil
}

// placeholder reads <name> at the beginning of a text.
func placeholder(text string) (name string, ok bool) {
	if !strings.HasPrefix(text, "<") {
		return "", false
	}
	name, _, ok = strings.Cut(text[1:], ">")
	for i := range len(name) {
		c := name[i]
		if !(c == '_' || c == '-' || c == '.' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z') {
			return "", false
		}
	}
	return name, ok && name != ""
}

// templateReader knows where in the template's JSON it is.
type templateReader struct {
	inString, escaped bool
	isKey             bool
	open              []byte
}

func (r *templateReader) read(c byte) {
	switch {
	case r.escaped:
		r.escaped = false
	case r.inString:
		r.inString, r.escaped = c != '"', c == '\\'
	case c == '"':
		r.inString = true
	case c == '{', c == '[':
		r.open = append(r.open, c)
		r.isKey = c == '{'
	case c == '}', c == ']':
		if len(r.open) > 0 {
			r.open = r.open[:len(r.open)-1]
		}
		r.isKey = false
	case c == ',':
		r.isKey = len(r.open) > 0 && r.open[len(r.open)-1] == '{'
	case c == ':':
		r.isKey = false
	}
}

// errInput is that a template did not give what can be delivered. It doesn't repeat any of it.
var errInput = errors.New("the InputTemplate gives neither JSON nor strings in quotes for this event")

// Transform fills in the template for an event. The result is a JSON value or, of a template of several lines, each a
// string in quotes, these lines; a template that gives anything else for the event fails, and nothing can be delivered.
//
// A variable outside of quotes is its JSON value, and "" if the event doesn't have it. Between quotes it is the text of
// its value: a string's without its quotes, an object or array without any quotes, and nothing if there is none. A
// string stays escaped as JSON wants it, so that no event can break a template or add to it; EventBridge itself inserts
// it unescaped.
func (t *Transformer) Transform(event []byte, d Delivery) ([]byte, error) {
	if !isJSON(event) {
		return nil, errors.New("pattern: an event must be a JSON object")
	}
	var out []byte
	for i := range t.parts {
		p := &t.parts[i]
		if !p.variable {
			out = append(out, p.text...)
			continue
		}
		value, ok := p.value(event, d)
		switch {
		case p.inString:
			out = appendInString(out, value)
		case ok:
			out = appendCompact(out, value)
		default:
			out = append(out, `""`...)
		}
	}
	if !isJSON(out) && !areStrings(out) {
		return nil, errInput
	}
	return out, nil
}

// value is the variable's JSON value.
func (p *part) value(event []byte, d Delivery) ([]byte, bool) {
	quoted := func(text string) ([]byte, bool) {
		b, err := jsontext.AppendQuote(nil, text)
		return b, err == nil
	}
	switch p.reserved {
	case ruleARN:
		return quoted(d.RuleARN)
	case ruleName:
		return quoted(d.RuleName)
	case ingestionTime:
		return quoted(d.Ingested.UTC().Format("2006-01-02T15:04:05Z"))
	case eventWithoutDetail:
		return withoutDetail(event), true
	case wholeEvent:
		return event, true
	}
	if p.path == nil {
		return nil, false
	}
	return p.path.in(event)
}

// withoutDetail is <aws.events.event>, with the members that EventBridge gives it, in its order.
func withoutDetail(event []byte) []byte {
	out := []byte{'{'}
	for _, m := range [][2]string{{"id", "id"}, {"account", "account"}, {"detailType", "detail-type"}, {"time", "time"},
		{"source", "source"}, {"region", "region"}, {"resources", "resources"}, {"version", "version"}} {
		path := Path{steps: []pathStep{{name: m[1]}}}
		if value, ok := path.in(event); ok {
			if len(out) > 1 {
				out = append(out, ',')
			}
			out = append(append(append(out, '"'), m[0]...), `":`...)
			out = append(out, value...)
		}
	}
	return append(out, '}')
}

// appendCompact appends a JSON value without the white space between its tokens.
func appendCompact(dst, value []byte) []byte {
	for i := 0; i < len(value); {
		switch c := value[i]; c {
		case ' ', '\t', '\n', '\r':
			i++
		case '"':
			end, _ := text(value, i+1)
			dst = append(dst, value[i:end]...)
			i = end
		default:
			dst = append(dst, c)
			i++
		}
	}
	return dst
}

// appendInString appends the text of a JSON value, to stand between quotes.
func appendInString(dst, value []byte) []byte {
	if len(value) > 0 && value[0] == '"' {
		return append(dst, value[1:len(value)-1]...)
	}
	compact := appendCompact(nil, value)
	for i := 0; i < len(compact); i++ {
		switch c := compact[i]; {
		case c == '"':
		case c == '\\' && compact[i+1] == '"':
			i++
		case c == '\\':
			dst = append(dst, c, compact[i+1])
			i++
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// areStrings says whether text is JSON strings and white space only.
func areStrings(out []byte) bool {
	strings := 0
	for i := space(out, 0); i < len(out); i = space(out, i) {
		if out[i] != '"' {
			return false
		}
		if i, _ = text(out, i+1); i < 0 {
			return false
		}
		strings++
	}
	return strings > 0
}
