package wire

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// limits are the constraints that a shape has of its own. A length is that of a string in characters, of a blob in bytes, of
// a list or map in elements.
//
// Characters are Unicode code points, as Smithy defines the length trait. AWS's servers are written in Java and some may
// count UTF-16 units instead; a text that only the one or the other way of counting refuses has characters beyond U+FFFF
// and is within a factor of two of the limit.
type limits struct {
	hasMin, hasMax   bool
	min, max         int64
	minText, maxText string
	minReal, maxReal float64 // of a kindFloat

	pattern     *regexp.Regexp
	patternText string

	enum     map[string]string // each value by itself, so that a decoder need not allocate it again
	enumText string
}

func newLimits(s *shape, k kind) (*limits, error) {
	l := &limits{}
	noun := "length"
	if k == kindInt || k == kindFloat {
		noun = "value"
	}
	var err error
	if s.Min != "" {
		l.hasMin = true
		l.minText = fmt.Sprintf("Member must have %s greater than or equal to %s", noun, s.Min)
		if l.min, l.minReal, err = bound(s.Min, k); err != nil {
			return nil, err
		}
	}
	if s.Max != "" {
		l.hasMax = true
		l.maxText = fmt.Sprintf("Member must have %s less than or equal to %s", noun, s.Max)
		if l.max, l.maxReal, err = bound(s.Max, k); err != nil {
			return nil, err
		}
	}
	if s.Pattern != "" {
		l.patternText = "Member must satisfy regular expression pattern: " + s.Pattern
		if s.RE2 != "" {
			l.pattern, err = regexp.Compile(`\A(?:` + s.RE2 + `)\z`)
		} else {
			l.pattern, err = compilePattern(s.Pattern)
		}
		if err != nil {
			return nil, err
		}
	}
	if len(s.Enum) > 0 {
		l.enum = make(map[string]string, len(s.Enum))
		for _, value := range s.Enum {
			l.enum[value] = value
		}
		l.enumText = "Member must satisfy enum value set: [" + strings.Join(s.Enum, ", ") + "]"
	}
	if !l.hasMin && !l.hasMax && l.pattern == nil && l.enum == nil {
		return nil, nil
	}
	return l, nil
}

func bound(n json.Number, k kind) (int64, float64, error) {
	if k == kindFloat {
		real, err := n.Float64()
		return 0, real, err
	}
	whole, err := n.Int64()
	return whole, 0, err
}

// all are the texts of every constraint, in the order in which AWS lists them for the elements of a list or map.
func (l *limits) all() []string {
	if l == nil {
		return nil
	}
	return slices.DeleteFunc([]string{l.maxText, l.minText, l.patternText, l.enumText}, func(s string) bool { return s == "" })
}

// Validate checks in, the operation's input, by the constraints of the model: what is required, lengths, ranges, patterns and
// enumerations, inside lists, maps and structures too. It returns a *[ValidationError] that tells of every violation, in the
// order of the members' names, up to 100 of them.
func (o *Operation) Validate(in any) error {
	found := o.in.validateMembers(nil, o.input(in))
	if len(found) == 0 {
		return nil
	}
	found = found[:min(len(found), maxViolations)]
	var b strings.Builder
	if b.WriteString(strconv.Itoa(len(found))); len(found) == 1 {
		b.WriteString(" validation error detected: ")
	} else {
		b.WriteString(" validation errors detected: ")
	}
	for i, f := range found {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(f.value)
		b.WriteString(" at '")
		b.WriteString(f.path)
		b.WriteString("' failed to satisfy constraint: ")
		b.WriteString(f.constraint)
	}
	return &ValidationError{Message: b.String()}
}

// maxViolations keeps what a small request can make of an answer, and of a record, within bounds.
const maxViolations = 100

// violation is one constraint that a value does not satisfy. Its path grows from the right while the checks return.
type violation struct {
	value      string // Value '1025'
	path       string // tags.1.member.tagKey
	constraint string
}

// within puts a step in front of the paths of those that were found since from.
func within(found []violation, from int, step string) {
	for i := from; i < len(found); i++ {
		if found[i].path == "" {
			found[i].path = step
		} else {
			found[i].path = step + "." + found[i].path
		}
	}
}

// validateMembers adds to found what is wrong with the members of structure v.
func (p *plan) validateMembers(found []violation, v reflect.Value) []violation {
	for i := range p.members {
		m := &p.members[i]
		before := len(found)
		value, set := m.get(v)
		switch {
		case set:
			found = m.plan.validate(found, value)
		case m.required && m.plan.sensitive:
			found = append(found, violation{value: "Value", constraint: notNull})
		case m.required:
			found = append(found, violation{value: "Value null", constraint: notNull})
		}
		if len(found) > before {
			within(found, before, m.path)
		}
	}
	return found
}

const notNull = "Member must not be null"

// validate adds to found what is wrong with v, which is set, and with what it holds.
func (p *plan) validate(found []violation, v reflect.Value) []violation {
	for _, text := range p.broken(v) {
		found = append(found, violation{value: p.shown(v), constraint: text})
	}
	switch p.kind {
	case kindStructure:
		return p.validateMembers(found, v)
	case kindList:
		return p.validateList(found, v)
	case kindMap:
		return p.validateMap(found, v)
	}
	return found
}

func (p *plan) validateList(found []violation, v reflect.Value) []violation {
	if p.elem.limits != nil {
		for i := range v.Len() {
			if p.elem.breaks(v.Index(i)) {
				found = append(found, violation{value: p.shown(v), constraint: p.elem.element("Member must satisfy constraint: [")})
				break // the constraint is the list's: AWS tells of it once
			}
		}
	}
	if !p.elem.holds() {
		return found
	}
	for i := range v.Len() {
		before := len(found)
		if before >= maxViolations {
			break
		}
		if found = p.elem.validateInside(found, v.Index(i)); len(found) > before {
			within(found, before, strconv.Itoa(i+1)+".member")
		}
	}
	return found
}

func (p *plan) validateMap(found []violation, v reflect.Value) []violation {
	if p.key.limits == nil && p.elem.limits == nil && !p.elem.holds() {
		return found
	}
	keys := sortedKeys(v)
	if slices.ContainsFunc(keys, p.key.breaks) {
		found = append(found, violation{value: p.shown(v), constraint: p.key.element("Map keys must satisfy constraint: [")})
	}
	if slices.ContainsFunc(keys, func(key reflect.Value) bool { return p.elem.breaks(v.MapIndex(key)) }) {
		found = append(found, violation{value: p.shown(v), constraint: p.elem.element("Map value must satisfy constraint: [")})
	}
	if !p.elem.holds() {
		return found
	}
	for _, key := range keys {
		before := len(found)
		if before >= maxViolations {
			break
		}
		if found = p.elem.validateInside(found, v.MapIndex(key)); len(found) > before {
			within(found, before, key.String()+".member")
		}
	}
	return found
}

// holds says that p is of values in which there are others.
func (p *plan) holds() bool {
	return p.kind == kindStructure || p.kind == kindList || p.kind == kindMap
}

// validateInside checks what an element holds; its own constraints are told as its list's or map's.
func (p *plan) validateInside(found []violation, v reflect.Value) []violation {
	switch p.kind {
	case kindStructure:
		return p.validateMembers(found, v)
	case kindList:
		return p.validateList(found, v)
	}
	return p.validateMap(found, v)
}

// element is how AWS says what every element must satisfy: all of it, not only what one did not.
func (p *plan) element(intro string) string {
	return intro + strings.Join(p.limits.all(), ", ") + "]"
}

func (p *plan) breaks(v reflect.Value) bool { return len(p.broken(v)) > 0 }

// broken are the texts of those of p's own constraints that v does not satisfy.
func (p *plan) broken(v reflect.Value) (texts []string) {
	l := p.limits
	if l == nil {
		return nil
	}
	var tooLow, tooHigh bool
	switch p.kind {
	case kindString:
		s := v.String()
		if l.enum != nil {
			if _, ok := l.enum[s]; !ok {
				texts = append(texts, l.enumText)
			}
		}
		if l.pattern != nil && !l.pattern.MatchString(s) {
			texts = append(texts, l.patternText)
		}
		tooLow, tooHigh = l.outside(int64(utf8.RuneCountInString(s)))
	case kindBlob, kindList, kindMap:
		tooLow, tooHigh = l.outside(int64(v.Len()))
	case kindInt:
		tooLow, tooHigh = l.outside(v.Int())
	case kindFloat: // not a number is outside of every range
		tooLow, tooHigh = l.hasMin && !(v.Float() >= l.minReal), l.hasMax && !(v.Float() <= l.maxReal)
	}
	if tooLow {
		texts = append(texts, l.minText)
	}
	if tooHigh {
		texts = append(texts, l.maxText)
	}
	return texts
}

func (l *limits) outside(n int64) (tooLow, tooHigh bool) {
	return l.hasMin && n < l.min, l.hasMax && n > l.max
}

// shown is how a message shows a value: as Java prints it. Values that must not be shown, binary ones and those with
// structures inside, which Java prints by their address, are not.
func (p *plan) shown(v reflect.Value) string {
	if p.unrecorded || p.structured {
		return "Value"
	}
	return "Value '" + string(p.appendJava(nil, v)) + "'"
}

func (p *plan) appendJava(dst []byte, v reflect.Value) []byte {
	switch p.kind {
	case kindString:
		if s := v.String(); s != emptyEnum || p.limits == nil || p.limits.enum == nil {
			dst = append(dst, s...)
		}
	case kindBool:
		dst = strconv.AppendBool(dst, v.Bool())
	case kindInt:
		dst = strconv.AppendInt(dst, v.Int(), 10)
	case kindFloat:
		dst = strconv.AppendFloat(dst, v.Float(), 'g', -1, p.typ.Bits())
	case kindTimestamp:
		dst = append(dst, v.Interface().(time.Time).String()...)
	case kindList:
		dst = append(dst, '[')
		for i := range v.Len() {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = p.elem.appendJava(dst, v.Index(i))
		}
		dst = append(dst, ']')
	case kindMap:
		dst = append(dst, '{')
		for i, key := range sortedKeys(v) {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = append(dst, key.String()...)
			dst = append(dst, '=')
			dst = p.elem.appendJava(dst, v.MapIndex(key))
		}
		dst = append(dst, '}')
	}
	return dst
}

// sortedKeys are the keys of a map whose order must not be left to chance.
func sortedKeys(v reflect.Value) []reflect.Value {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	return keys
}
