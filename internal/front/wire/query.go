package wire

import (
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// DecodeQuery reads form, a request of the AWS query protocol, into in, a pointer to a zero input. Lists are Name.member.1,
// maps are Name.entry.1.key and Name.entry.1.value, structures Name.Member, each as the model names them; times are ISO 8601
// and binary values standard base64. A list or map that is given as Name= is empty. It returns a *[SerializationError] when
// a value is not of its member's type, when a parameter is there twice, or when one is not UTF-8.
//
// Parameters that the input does not have, as Action and Version, are ignored. The elements of a list come in the order of
// their numbers, which need not be without gaps. [Operation.Validate] must follow.
func (o *Operation) DecodeQuery(form url.Values, in any) error {
	v := o.input(in)
	all := make(parameters, 0, len(form))
	for name, values := range form {
		if len(values) != 1 {
			return &SerializationError{"A parameter was found more than once"}
		}
		if !utf8.ValidString(name) || !utf8.ValidString(values[0]) {
			return &SerializationError{"A parameter is not valid UTF-8"}
		}
		all = append(all, parameter{name, values[0]})
	}
	slices.SortFunc(all, func(a, b parameter) int { return strings.Compare(a.name, b.name) })
	return all.structure(o.in, v, "", 0)
}

var valueNotExpected = &SerializationError{"Value found where not expected"}

type parameter struct{ name, value string }

// parameters are in order of name, so all those under one prefix are together.
type parameters []parameter

// under are the parameters whose names begin with prefix.
func (ps parameters) under(prefix string) parameters {
	first, _ := slices.BinarySearchFunc(ps, prefix, func(p parameter, s string) int { return strings.Compare(p.name, s) })
	last := first
	for last < len(ps) && strings.HasPrefix(ps[last].name, prefix) {
		last++
	}
	return ps[first:last]
}

// at is the value of the parameter of that name.
func (ps parameters) at(name string) (value string, found bool) {
	i, found := slices.BinarySearchFunc(ps, name, func(p parameter, s string) int { return strings.Compare(p.name, s) })
	if !found {
		return "", false
	}
	return ps[i].value, true
}

func (ps parameters) structure(p *plan, v reflect.Value, prefix string, depth int) error {
	if depth > maxDepth {
		return tooDeep
	}
	for i := range p.members {
		m := &p.members[i]
		if err := ps.member(m, v, prefix+m.wireName, depth); err != nil {
			return err
		}
	}
	if p.union && v.IsNil() {
		return noneChosen
	}
	return nil
}

func (ps parameters) member(m *member, structure reflect.Value, name string, depth int) error {
	value, given := ps.at(name)
	if !m.plan.holds() {
		if !given {
			return nil
		}
		if m.taken(structure) {
			return twoChosen
		}
		v := m.slot(structure)
		if err := setText(m.plan, v, value); err != nil {
			return err
		}
		if m.presence == byText && v.Len() == 0 {
			v.SetString(emptyEnum)
		}
		return nil
	}
	inside := ps.under(name + ".")
	if !given && len(inside) == 0 {
		return nil
	}
	if m.taken(structure) {
		return twoChosen
	}
	if given && (value != "" || len(inside) > 0) {
		return valueNotExpected
	}
	return inside.inside(m.plan, m.slot(structure), name, m.flattened, depth+1)
}

// inside reads what holds other values, all of whose parameters begin with name and a dot.
func (ps parameters) inside(p *plan, v reflect.Value, name string, flattened bool, depth int) error {
	switch p.kind {
	case kindList:
		return ps.list(p, v, name, flattened, depth)
	case kindMap:
		return ps.mapping(p, v, name, flattened, depth)
	}
	return ps.structure(p, v, name+".", depth)
}

func (ps parameters) list(p *plan, v reflect.Value, name string, flattened bool, depth int) error {
	prefix := name + "."
	if !flattened {
		prefix += p.elemName + "."
	}
	numbers, err := ps.numbers(prefix)
	if err != nil {
		return err
	}
	v.Set(reflect.MakeSlice(p.typ, len(numbers), len(numbers)))
	for i, number := range numbers {
		if err := ps.element(p.elem, v.Index(i), prefix+strconv.Itoa(number), depth); err != nil {
			return err
		}
	}
	return nil
}

func (ps parameters) mapping(p *plan, v reflect.Value, name string, flattened bool, depth int) error {
	prefix := name + "."
	if !flattened {
		prefix += "entry."
	}
	numbers, err := ps.numbers(prefix)
	if err != nil {
		return err
	}
	v.Set(reflect.MakeMapWithSize(p.typ, len(numbers)))
	for _, number := range numbers {
		entry := prefix + strconv.Itoa(number) + "."
		key, given := ps.at(entry + p.keyName)
		if !given {
			return &SerializationError{"A map's entry has no key"}
		}
		if v.MapIndex(reflect.ValueOf(key)).IsValid() {
			return &SerializationError{"A map's key was found more than once"}
		}
		elem := reflect.New(p.elem.typ).Elem()
		if err := ps.element(p.elem, elem, entry+p.valueName, depth); err != nil {
			return err
		}
		v.SetMapIndex(reflect.ValueOf(key), elem)
	}
	return nil
}

// element reads the value of that name, which a list or map has.
func (ps parameters) element(p *plan, v reflect.Value, name string, depth int) error {
	value, given := ps.at(name)
	if p.holds() {
		if value != "" {
			return valueNotExpected
		}
		return ps.under(name+".").inside(p, v, name, false, depth+1)
	}
	if !given {
		return &SerializationError{structureNotExpected}
	}
	return setText(p, v, value)
}

// numbers are those of the elements whose parameters begin with prefix, in order.
func (ps parameters) numbers(prefix string) ([]int, error) {
	var numbers []int
	for _, p := range ps.under(prefix) {
		text, _, _ := strings.Cut(p.name[len(prefix):], ".")
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || strconv.Itoa(n) != text {
			return nil, &SerializationError{"A list's element has no valid number"}
		}
		if len(numbers) == 0 || numbers[len(numbers)-1] != n {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return slices.Compact(numbers), nil
}

// setText reads a value that holds no others.
func setText(p *plan, v reflect.Value, text string) error {
	switch p.kind {
	case kindString:
		v.SetString(text)
		return nil
	case kindBlob:
		if blob, ok := parseBlob([]byte(text)); ok {
			v.SetBytes(blob)
			return nil
		}
	case kindBool:
		if text == "true" || text == "false" {
			v.SetBool(text == "true")
			return nil
		}
	case kindInt:
		if n, err := strconv.ParseInt(text, 10, p.typ.Bits()); err == nil {
			v.SetInt(n)
			return nil
		}
	case kindFloat:
		f, ok := namedReal([]byte(text))
		if !ok {
			f, ok = parseReal([]byte(text), p.typ.Bits())
		}
		if ok {
			v.SetFloat(f)
			return nil
		}
	case kindTimestamp:
		form := p.timestamps
		if form == "" {
			form = iso8601
		}
		if t, ok := parseTimestamp([]byte(text), form); ok {
			*v.Addr().Interface().(*time.Time) = t
			return nil
		}
	}
	return &SerializationError{"STRING_VALUE can not be converted to " + p.java}
}
