package pattern

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// This file reads patterns and events a second time, as plainly as can be and sharing nothing with the package: JSON
// becomes a tree, the tree a list of leaves, and every condition is tried on every leaf.

type member struct {
	key   string
	value any
}

type object []member

type num string

// plainJSON reads JSON into object, []any, string, num, bool and nil.
func plainJSON(text string) (any, error) {
	if !utf8.ValidString(text) {
		return nil, errors.New("not UTF-8")
	}
	// AllowInvalidUTF8 is for escaped surrogates without their pair.
	d := jsontext.NewDecoder(strings.NewReader(text), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	v, err := plainValue(d)
	if err == nil {
		if _, e := d.ReadToken(); e != io.EOF {
			err = errors.New("more than one value")
		}
	}
	return v, err
}

func plainValue(d *jsontext.Decoder) (any, error) {
	t, err := d.ReadToken()
	if err != nil {
		return nil, err
	}
	switch t.Kind() {
	case '{':
		o := object{}
		for d.PeekKind() != '}' {
			key, err := d.ReadToken()
			if err != nil {
				return nil, err
			}
			name := key.String()
			v, err := plainValue(d)
			if err != nil {
				return nil, err
			}
			o = append(o, member{name, v})
		}
		_, err = d.ReadToken()
		return o, err
	case '[':
		a := []any{}
		for d.PeekKind() != ']' {
			v, err := plainValue(d)
			if err != nil {
				return nil, err
			}
			a = append(a, v)
		}
		_, err = d.ReadToken()
		return a, err
	case '"':
		return t.String(), nil
	case '0':
		return num(t.String()), nil
	case 'n':
		return nil, nil
	}
	return t.Bool(), nil
}

// leaf is a value of a field, and the array elements it is in: which element of which array.
type leaf struct {
	path  string
	value any
	in    map[int]int
}

func plainLeaves(v any, path string, root bool, in map[int]int, arrays *int) []leaf {
	var all []leaf
	switch v := v.(type) {
	case object:
		for i, m := range v {
			if slices.ContainsFunc(v[i+1:], func(o member) bool { return o.key == m.key }) {
				continue
			}
			at := m.key
			if !root {
				at = path + "." + m.key
			}
			all = append(all, plainLeaves(m.value, at, false, in, arrays)...)
		}
	case []any:
		*arrays++
		array := *arrays
		for i, e := range v {
			elementIn := in
			switch e.(type) {
			case object, []any:
				elementIn = maps.Clone(in)
				elementIn[array] = i
			}
			all = append(all, plainLeaves(e, path, root, elementIn, arrays)...)
		}
	default:
		all = append(all, leaf{path, v, in})
	}
	return all
}

// plainForks are the branches of a pattern: alternatives by field.
func plainForks(v any, path string, root bool, forks []map[string][]any) []map[string][]any {
	for _, m := range v.(object) {
		at := m.key
		if !root {
			at = path + "." + m.key
		}
		switch value := m.value.(type) {
		case object:
			forks = plainForks(value, at, false, forks)
		case []any:
			if m.key == "$or" {
				var after []map[string][]any
				for _, o := range value {
					var copies []map[string][]any
					for _, f := range forks {
						copies = append(copies, maps.Clone(f))
					}
					after = append(after, plainForks(o, path, root, copies)...)
				}
				forks = after
				continue
			}
			for _, f := range forks {
				f[at] = value
			}
		}
	}
	return forks
}

func plainMatch(pattern, event string) bool {
	p, err := plainJSON(pattern)
	if err != nil {
		panic(err)
	}
	e, err := plainJSON(event)
	if err != nil {
		panic(err)
	}
	leaves := plainLeaves(e, "", true, map[int]int{}, new(int))
	for _, fork := range plainForks(p, "", true, []map[string][]any{{}}) {
		if plainTogether(fork, slices.Sorted(maps.Keys(fork)), leaves, map[int]int{}) {
			return true
		}
	}
	return false
}

// plainTogether tries all ways to find the fields, in order, where the leaves in in were found.
func plainTogether(fork map[string][]any, fields []string, leaves []leaf, in map[int]int) bool {
	if len(fields) == 0 {
		return true
	}
	var here []leaf
	for _, l := range leaves {
		if l.path == fields[0] && plainAgree(l.in, in) {
			here = append(here, l)
		}
	}
	for _, alt := range fork[fields[0]] {
		if o, ok := alt.(object); ok && o[0].key == "exists" && o[0].value == false {
			if len(here) == 0 && plainTogether(fork, fields[1:], leaves, in) {
				return true
			}
			continue
		}
		for _, l := range here {
			if plainIs(alt, l.value) {
				both := maps.Clone(in)
				maps.Copy(both, l.in)
				if plainTogether(fork, fields[1:], leaves, both) {
					return true
				}
			}
		}
	}
	return false
}

func plainAgree(a, b map[int]int) bool {
	for array, element := range a {
		if other, ok := b[array]; ok && other != element {
			return false
		}
	}
	return true
}

func plainIs(alt, v any) bool {
	text, isString := v.(string)
	switch alt := alt.(type) {
	case nil:
		return v == nil
	case bool:
		return v == alt
	case num:
		n, ok := v.(num)
		return ok && plainSameNumber(alt, n)
	case string:
		if a := plainIP(alt); a != nil {
			return isString && a.Equal(plainIP(text))
		}
		return v == alt
	case object:
		return plainOperator(alt[0].key, alt[0].value, v)
	}
	panic(fmt.Sprintf("%T", alt))
}

func plainOperator(op string, operand, v any) bool {
	text, isString := v.(string)
	switch op {
	case "exists":
		return operand == true
	case "exactly":
		return v == operand
	case "anything-but":
		return !plainAnyOf("exactly", operand, v)
	case "numeric":
		n, ok := v.(num)
		return ok && plainNumeric(operand.([]any), n)
	}
	if !isString {
		return false
	}
	switch op {
	case "prefix":
		if o, ok := operand.(object); ok {
			return slices.Contains(plainFolds(o[0].value.(string), text), 0)
		}
		return strings.HasPrefix(text, operand.(string))
	case "suffix":
		if o, ok := operand.(object); ok {
			return slices.Contains(plainFolds(o[0].value.(string), text), len([]rune(text))-len([]rune(o[0].value.(string))))
		}
		return strings.HasSuffix(text, operand.(string))
	case "equals-ignore-case":
		return len([]rune(text)) == len([]rune(operand.(string))) && slices.Contains(plainFolds(operand.(string), text), 0)
	case "wildcard":
		return plainWildcard(operand.(string)).MatchString(text)
	case "cidr":
		ip, block, _ := strings.Cut(operand.(string), "/")
		bits, _ := strconv.Atoi(block)
		address, value := plainIP(ip), plainIP(text)
		if value == nil || (address.To4() == nil) != (value.To4() == nil) {
			return false
		}
		size := 128
		if address.To4() != nil {
			address, value, size = address.To4(), value.To4(), 32
		}
		mask := net.CIDRMask(bits, size)
		return address.Mask(mask).Equal(value.Mask(mask))
	}
	panic(op)
}

func plainAnyOf(op string, operand, v any) bool {
	switch operand := operand.(type) {
	case []any:
		return slices.ContainsFunc(operand, func(o any) bool { return plainAnyOf(op, o, v) })
	case object:
		return plainAnyOf(operand[0].key, operand[0].value, v)
	case num:
		return plainIs(operand, v)
	}
	return plainOperator(op, operand, v)
}

// plainFolds are the places in text, in characters, where it has pattern in any case.
func plainFolds(pattern, text string) (places []int) {
	p, v := []rune(pattern), []rune(text)
	for at := 0; at+len(p) <= len(v); at++ {
		same := true
		for i := range p {
			same = same && (v[at+i] == unicode.ToLower(p[i]) || v[at+i] == unicode.ToUpper(p[i]))
		}
		if same {
			places = append(places, at)
		}
	}
	return places
}

func plainWildcard(text string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '*':
			b.WriteString(".*")
		case '\\':
			i++
			b.WriteString(regexp.QuoteMeta(text[i : i+1]))
		default:
			b.WriteString(regexp.QuoteMeta(text[i : i+1]))
		}
	}
	return regexp.MustCompile(b.String() + `\z`)
}

// plainRat is a number that is exactly what its binary64 is written as, nil for all others.
func plainRat(n num) *big.Rat {
	f, err := strconv.ParseFloat(string(n), 64)
	if err != nil {
		return nil
	}
	mantissa, exponent, _ := strings.Cut(strings.ToLower(string(n)), "e")
	if strings.Trim(mantissa, "-0.") == "" {
		return new(big.Rat)
	}
	if e, err := strconv.Atoi(exponent); exponent != "" && (err != nil || e > 5000 || e < -5000) {
		return nil
	}
	exact, _ := new(big.Rat).SetString(string(n))
	shortest, _ := new(big.Rat).SetString(strconv.FormatFloat(f, 'g', -1, 64))
	if exact.Cmp(shortest) != 0 {
		return nil
	}
	return exact
}

func plainSameNumber(a, b num) bool {
	x, y := plainRat(a), plainRat(b)
	if x != nil && y != nil {
		return x.Cmp(y) == 0
	}
	return a == b
}

func plainNumeric(terms []any, n num) bool {
	x := plainRat(n)
	if x == nil {
		return false
	}
	for i := 0; i < len(terms); i += 2 {
		c := x.Cmp(plainRat(terms[i+1].(num)))
		ok := map[string]bool{"=": c == 0, "<": c < 0, "<=": c <= 0, ">": c > 0, ">=": c >= 0}[terms[i].(string)]
		if !ok {
			return false
		}
	}
	return true
}

var (
	plainIPv4 = regexp.MustCompile(`\A[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+\z`)
	plainIPv6 = regexp.MustCompile(`\A[0-9a-fA-F:]*:[0-9a-fA-F:]*\z`)
)

func plainIP(text string) net.IP {
	switch {
	case plainIPv6.MatchString(text):
		return net.ParseIP(text)
	case !plainIPv4.MatchString(text) || len(text) > 15:
		return nil
	}
	var octets []byte
	for _, part := range strings.Split(text, ".") {
		n, err := strconv.Atoi(part)
		if err != nil || n > 255 {
			return nil
		}
		octets = append(octets, byte(n))
	}
	return net.IPv4(octets[0], octets[1], octets[2], octets[3])
}

func TestFoldedIsTheSameForBothCases(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if f := folded(r); f != folded(unicode.ToLower(r)) || f != folded(unicode.ToUpper(r)) {
			t.Errorf("%q %U", r, r)
		}
	}
}
