package presto

import (
	"bytes"
	"cmp"
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// decode makes a value of some kind of JSON.
func decode(raw jsontext.Value, kind Kind) any {
	if len(raw) == 0 || raw[0] == 'n' {
		return nil
	}
	switch kind {
	case Boolean:
		switch string(raw) {
		case "true", `"true"`:
			return int64(1)
		case "false", `"false"`:
			return int64(0)
		}
		return nil
	case Bigint, DayTime, YearMonth:
		n, err := strconv.ParseInt(string(raw), 10, 64)
		if err != nil {
			return nil
		}
		return n
	case Double:
		f, err := strconv.ParseFloat(string(raw), 64)
		if err != nil {
			return nil
		}
		return f
	case Timestamp, Date:
		if raw[0] != '"' {
			return decode(raw, Bigint)
		}
		if ms, ok := parseTime(unquote(raw)); ok {
			return ms
		}
		return nil
	case Varchar:
		if raw[0] == '"' {
			return unquote(raw)
		}
	}
	return string(raw)
}

// Decode makes what a column of a type holds of the JSON that a record has at its path: nil, int64 or string.
func Decode(raw []byte, t Type) any {
	switch t.Kind {
	case Map:
		if len(raw) == 0 || raw[0] != '{' {
			return nil
		}
	case Row:
		if len(raw) == 0 || raw[0] != '{' {
			return nil
		}
	case Array:
		if len(raw) == 0 || raw[0] != '[' {
			return nil
		}
	}
	return decode(raw, t.Kind)
}

func unquote(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 && len(raw) >= 2 {
		return string(raw[1 : len(raw)-1])
	}
	s, _ := jsontext.AppendUnquote(nil, raw)
	return string(s)
}

func quote(s string) jsontext.Value {
	q, _ := jsontext.AppendQuote(nil, s)
	return q
}

// encode makes JSON of a value of some kind.
func encode(v any, kind Kind) jsontext.Value {
	switch v := v.(type) {
	case int64:
		if kind == Boolean {
			return strconv.AppendBool(nil, v != 0)
		}
		if kind == Timestamp || kind == Date {
			return quote(Text(v, Of(kind)))
		}
		return strconv.AppendInt(nil, v, 10)
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return jsontext.Value("null")
		}
		return jsontext.Value(javaDouble(v))
	case string:
		if kind == Varchar {
			return quote(v)
		}
		return jsontext.Value(v)
	}
	return jsontext.Value("null")
}

// members gives the members of an object, or the elements of an array with empty names, in order, until yield says no. What is no
// JSON has none.
func members(raw string, yield func(name string, value jsontext.Value) bool) {
	d := jsontext.NewDecoder(strings.NewReader(raw), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	kind := d.PeekKind()
	if kind != '{' && kind != '[' {
		return
	}
	_, _ = d.ReadToken()
	for {
		if k := d.PeekKind(); k == '}' || k == ']' || k == 0 {
			return
		}
		name := ""
		if kind == '{' {
			t, err := d.ReadToken()
			if err != nil {
				return
			}
			name = t.String()
		}
		v, err := d.ReadValue()
		if err != nil || !yield(name, v) {
			return
		}
	}
}

func elements(raw string) (all []jsontext.Value) {
	members(raw, func(_ string, v jsontext.Value) bool {
		all = append(all, v.Clone())
		return true
	})
	return all
}

func arrayText(all []jsontext.Value) string {
	var b strings.Builder
	b.WriteByte('[')
	for i, v := range all {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(v)
	}
	b.WriteByte(']')
	return b.String()
}

// fieldFn is a field of a row.
func fieldFn(args []any) (any, error) {
	return member(args[0].(string), args[1].(string), Kind(args[2].(int64)))
}

func member(raw, want string, kind Kind) (found any, _ error) {
	members(raw, func(name string, v jsontext.Value) bool {
		if name == want {
			found = decode(v, kind)
			return false
		}
		return true
	})
	return found, nil
}

func elementAtFn(args []any) (any, error) {
	raw, kind := args[0].(string), Kind(args[2].(int64))
	if key, ok := args[1].(string); ok {
		return member(raw, key, kind)
	}
	all, i := elements(raw), args[1].(int64)
	if i == 0 {
		return nil, fails("SQL array indices start at 1")
	}
	if i < 0 {
		i += int64(len(all)) + 1
	}
	if i < 1 || i > int64(len(all)) {
		return nil, nil
	}
	return decode(all[i-1], kind), nil
}

func subscriptFn(args []any) (any, error) {
	raw, kind := args[0].(string), Kind(args[2].(int64))
	if key, ok := args[1].(string); ok {
		var v any
		err := fails("Key not present in map: %s", key)
		members(raw, func(name string, value jsontext.Value) bool {
			if name != key {
				return true
			}
			v, err = decode(value, kind), nil
			return false
		})
		return v, err
	}
	all, i := elements(raw), args[1].(int64)
	switch {
	case i == 0:
		return nil, fails("SQL array indices start at 1")
	case i < 0:
		return nil, fails("Array subscript is negative")
	case i > int64(len(all)):
		return nil, fails("Array subscript out of bounds")
	}
	return decode(all[i-1], kind), nil
}

func cardinalityFn(args []any) (any, error) {
	n := int64(0)
	members(args[0].(string), func(string, jsontext.Value) bool {
		n++
		return true
	})
	return n, nil
}

func mapKeysFn(args []any) (any, error) {
	var keys []jsontext.Value
	members(args[0].(string), func(name string, _ jsontext.Value) bool {
		keys = append(keys, quote(name))
		return true
	})
	return arrayText(keys), nil
}

// mapValuesFn has the values of a map as texts, as a map of varchar to varchar has them.
func mapValuesFn(args []any) (any, error) {
	var values []jsontext.Value
	members(args[0].(string), func(_ string, v jsontext.Value) bool {
		values = append(values, encode(decode(v, Varchar), Varchar))
		return true
	})
	return arrayText(values), nil
}

func arrayFn(args []any) (any, error) {
	kind := Kind(args[0].(int64))
	var all []jsontext.Value
	size := 0
	for _, a := range args[1:] {
		v := encode(a, kind)
		if size += len(v); size > MaxValue {
			return nil, errTooLong
		}
		all = append(all, v)
	}
	return arrayText(all), nil
}

func containsFn(args []any) (any, error) {
	kind, null := Kind(args[2].(int64)), false
	for _, e := range elements(args[0].(string)) {
		v := decode(e, kind)
		if v == nil {
			null = true
		} else if compare(v, args[1]) == 0 {
			return int64(1), nil
		}
	}
	if null {
		return nil, nil
	}
	return int64(0), nil
}

func compare(a, b any) int {
	if s, ok := a.(string); ok {
		t, _ := b.(string)
		return strings.Compare(s, t)
	}
	if m, ok := a.(int64); ok {
		if n, ok := b.(int64); ok {
			return cmp.Compare(m, n)
		}
	}
	return cmp.Compare(float(a), float(b))
}

func arrayDistinctFn(args []any) (any, error) {
	seen := map[string]bool{}
	var all []jsontext.Value
	for _, e := range elements(args[0].(string)) {
		if !seen[string(e)] {
			seen[string(e)] = true
			all = append(all, e)
		}
	}
	return arrayText(all), nil
}

func extremeFn(sign int) Function {
	return func(args []any) (any, error) {
		var best any
		for _, e := range elements(args[0].(string)) {
			v := decode(e, Kind(args[1].(int64)))
			if v == nil {
				return nil, nil
			}
			if best == nil || sign*compare(v, best) > 0 {
				best = v
			}
		}
		return best, nil
	}
}

func sliceFn(args []any) (any, error) {
	all, start, length := elements(args[0].(string)), args[1].(int64), args[2].(int64)
	n := int64(len(all))
	switch {
	case start == 0:
		return nil, fails("SQL array indices start at 1")
	case length < 0:
		return nil, fails("length must be greater than or equal to 0")
	case start < 0:
		start += n + 1
	}
	if start < 1 || start > n {
		return "[]", nil
	}
	return arrayText(all[start-1 : min(n, start-1+min(length, n))]), nil
}

// value reads a text as JSON, its members in order of their names.
func parseJSON(s string) (jsontext.Value, error) {
	v := jsontext.Value(s)
	if err := v.Canonicalize(jsontext.CanonicalizeRawInts(false), jsontext.CanonicalizeRawFloats(false)); err != nil {
		return nil, fails("Cannot convert value to JSON: '%s'", clip(s))
	}
	return v, nil
}

func clip(s string) string {
	if len(s) > 100 {
		return strings.ToValidUTF8(s[:100], "") + "..."
	}
	return s
}

func jsonParse(args []any) (any, error) {
	v, err := parseJSON(args[0].(string))
	return box(string(v), err)
}

func isJSONScalarFn(args []any) (any, error) {
	v, err := parseJSON(args[0].(string))
	if err != nil {
		return nil, err
	}
	return truth(v[0] != '{' && v[0] != '['), nil
}

// parsePath reads a path such as $.store.book[0]["a b"].
func parsePath(path string) (steps []string, err error) {
	bad := fails("Invalid JSON path: '%s'", path)
	rest, ok := strings.CutPrefix(path, "$")
	if !ok {
		return nil, bad
	}
	for rest != "" {
		switch {
		case rest[0] == '.':
			n := strings.IndexAny(rest[1:], ".[")
			if n < 0 {
				n = len(rest) - 1
			}
			if n == 0 || strings.ContainsAny(rest[1:1+n], `"'*]`) {
				return nil, bad
			}
			steps, rest = append(steps, rest[1:1+n]), rest[1+n:]
		case strings.HasPrefix(rest, `["`), strings.HasPrefix(rest, `['`):
			end := strings.Index(rest[2:], rest[1:2]+"]")
			if end < 0 {
				return nil, bad
			}
			steps, rest = append(steps, rest[2:2+end]), rest[2+end+2:]
		case rest[0] == '[':
			end := strings.IndexByte(rest, ']')
			if end < 2 {
				return nil, bad
			}
			if _, err := strconv.ParseUint(rest[1:end], 10, 31); err != nil {
				return nil, bad
			}
			steps, rest = append(steps, rest[1:end]), rest[end+1:]
		default:
			return nil, bad
		}
	}
	return steps, nil
}

// follow is what is at a path, or nil.
func follow(raw, path string) (jsontext.Value, error) {
	steps, err := parsePath(path)
	if err != nil {
		return nil, err
	}
	v, err := parseJSON(raw)
	if err != nil {
		return nil, nil
	}
	for _, step := range steps {
		var found jsontext.Value
		n := 0
		isArray := v[0] == '['
		members(string(v), func(name string, value jsontext.Value) bool {
			if isArray {
				name = strconv.Itoa(n)
				n++
			}
			if name == step {
				found = value.Clone()
			}
			return found == nil
		})
		if v = found; v == nil {
			return nil, nil
		}
	}
	return v, nil
}

func jsonExtractFn(args []any) (any, error) {
	v, err := follow(args[0].(string), args[1].(string))
	if v == nil || err != nil {
		return nil, err
	}
	return string(v), nil
}

func jsonExtractScalarFn(args []any) (any, error) {
	v, err := follow(args[0].(string), args[1].(string))
	if v == nil || err != nil || v[0] == '{' || v[0] == '[' {
		return nil, err
	}
	return decode(v, Varchar), nil
}

func jsonArray(s string) (all []jsontext.Value, ok bool) {
	v, err := parseJSON(s)
	if err != nil || v[0] != '[' {
		return nil, false
	}
	return elements(string(v)), true
}

func jsonArrayGetFn(args []any) (any, error) {
	all, ok := jsonArray(args[0].(string))
	i := args[1].(int64)
	if i < 0 {
		i += int64(len(all))
	}
	if !ok || i < 0 || i >= int64(len(all)) {
		return nil, nil
	}
	return string(all[i]), nil
}

func jsonArrayLengthFn(args []any) (any, error) {
	all, ok := jsonArray(args[0].(string))
	if !ok {
		return nil, nil
	}
	return int64(len(all)), nil
}

func jsonArrayContainsFn(args []any) (any, error) {
	all, ok := jsonArray(args[0].(string))
	if !ok {
		return nil, nil
	}
	want, kind := args[1], Kind(args[2].(int64))
	for _, e := range all {
		if kind == Varchar && e[0] != '"' || kind == Boolean && e[0] != 't' && e[0] != 'f' {
			continue
		}
		if v := decode(e, kind); v != nil && compare(v, want) == 0 {
			return int64(1), nil
		}
	}
	return int64(0), nil
}
