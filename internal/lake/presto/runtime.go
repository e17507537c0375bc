package presto

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Function is a function that compiled SQL calls. Its arguments and its result are nil, int64, float64 or string; the arguments are
// only good until it returns. An error fails the query.
type Function func(args []any) (any, error)

// Functions are those that the SQL of a Query may call, by name. Each always has the same result for the same arguments.
func Functions() map[string]Function { return functions }

// functions are strict, which means that one of a NULL is NULL, but for vl_array.
var functions map[string]Function

func init() {
	functions = map[string]Function{
		"vl_add": arith(addInt, func(a, b float64) float64 { return a + b }),
		"vl_sub": arith(subInt, func(a, b float64) float64 { return a - b }),
		"vl_mul": arith(mulInt, func(a, b float64) float64 { return a * b }),
		"vl_div": arith(divInt, func(a, b float64) float64 { return a / b }),
		"vl_mod": arith(modInt, math.Mod),
		"vl_neg": negFn, "vl_double": doubleFn,

		"vl_like": likeFn, "vl_lower": textFn(strings.ToLower), "vl_upper": textFn(strings.ToUpper),
		"vl_trim": textFn(func(s string) string { return strings.Trim(s, " \t\n\r\f\v") }), "vl_length": lengthFn, "vl_replace": replaceFn, "vl_strpos": strposFn,
		"vl_substr": substrFn, "vl_split_part": splitPartFn,

		"vl_timestamp": timestampFn, "vl_part": partFn, "vl_date_add": dateAddFn, "vl_date_diff": dateDiffFn, "vl_date_trunc": dateTruncFn, "vl_months": monthsFn,

		"vl_field": fieldFn, "vl_element_at": elementAtFn, "vl_subscript": subscriptFn, "vl_cardinality": cardinalityFn, "vl_map_keys": mapKeysFn,
		"vl_map_values": mapValuesFn, "vl_contains": containsFn, "vl_array_distinct": arrayDistinctFn, "vl_array_max": extremeFn(1), "vl_array_min": extremeFn(-1), "vl_slice": sliceFn,

		"vl_json_parse": jsonParse, "vl_json_format": func(args []any) (any, error) { return args[0], nil }, "vl_is_json_scalar": isJSONScalarFn, "vl_json_extract": jsonExtractFn,
		"vl_json_extract_scalar": jsonExtractScalarFn, "vl_json_array_get": jsonArrayGetFn, "vl_json_array_length": jsonArrayLengthFn, "vl_json_array_contains": jsonArrayContainsFn,
	}
	for name, f := range functions {
		functions[name] = strict(f)
	}
	functions["vl_array"] = arrayFn
	functions["vl_cast"] = strict(castFn)
	functions["vl_try_cast"] = strict(func(args []any) (any, error) {
		v, err := castFn(args)
		if err != nil {
			return nil, nil
		}
		return v, nil
	})
}

func strict(f Function) Function {
	return func(args []any) (any, error) {
		for _, a := range args {
			if a == nil {
				return nil, nil
			}
		}
		return f(args)
	}
}

func textFn(f func(string) string) Function {
	return func(args []any) (any, error) { return f(args[0].(string)), nil }
}

var (
	errOverflow = fails("bigint overflow")
	errZero     = fails("Division by zero")
)

func arith(ints func(a, b int64) (int64, error), floats func(a, b float64) float64) Function {
	return func(args []any) (any, error) {
		a, isInt := args[0].(int64)
		b, isInt2 := args[1].(int64)
		if isInt && isInt2 {
			return box(ints(a, b))
		}
		return floats(float(args[0]), float(args[1])), nil
	}
}

// box is a result that is nil when there is an error.
func box[T any](v T, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return v, nil
}

func float(v any) float64 {
	switch v := v.(type) {
	case int64:
		return float64(v)
	case float64:
		return v
	}
	return math.NaN()
}

func addInt(a, b int64) (int64, error) {
	if s := a + b; (s > a) == (b > 0) {
		return s, nil
	}
	return 0, errOverflow
}

func subInt(a, b int64) (int64, error) {
	if d := a - b; (d < a) == (b > 0) {
		return d, nil
	}
	return 0, errOverflow
}

func mulInt(a, b int64) (int64, error) {
	if a == 0 || b == 0 {
		return 0, nil
	}
	p := a * b
	if p/b != a || a == -1 && b == math.MinInt64 || b == -1 && a == math.MinInt64 {
		return 0, errOverflow
	}
	return p, nil
}

func divInt(a, b int64) (int64, error) {
	switch {
	case b == 0:
		return 0, errZero
	case a == math.MinInt64 && b == -1:
		return 0, errOverflow
	}
	return a / b, nil
}

func modInt(a, b int64) (int64, error) {
	switch b {
	case 0:
		return 0, errZero
	case -1:
		return 0, nil
	}
	return a % b, nil
}

func negFn(args []any) (any, error) {
	if n, ok := args[0].(int64); ok {
		return box(subInt(0, n))
	}
	return -float(args[0]), nil
}

func doubleFn(args []any) (any, error) { return float(args[0]), nil }

// likeFn is LIKE: % is any text, _ any character, and the escape makes the one behind it plain.
func likeFn(args []any) (any, error) {
	s, pattern := args[0].(string), args[1].(string)
	escape := utf8.RuneError
	if len(args) == 3 {
		e := args[2].(string)
		if utf8.RuneCountInString(e) != 1 {
			return nil, fails("Escape string must be a single character")
		}
		escape, _ = utf8.DecodeRuneInString(e)
	}
	matched, err := likes(s, pattern, escape)
	return truth(matched), err
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

var errEscape = fails("Escape character must be followed by '%%', '_' or the escape character itself")

// likes compares a text with a pattern, going back to the last % where they differ.
func likes(s, pattern string, escape rune) (bool, error) {
	starP, starS := -1, 0
	p, i := 0, 0
	for i < len(s) || p < len(pattern) {
		if p < len(pattern) {
			r, n := utf8.DecodeRuneInString(pattern[p:])
			switch {
			case r == escape && escape != utf8.RuneError:
				next, m := utf8.DecodeRuneInString(pattern[p+n:])
				if next != '%' && next != '_' && next != escape {
					return false, errEscape
				}
				if strings.HasPrefix(s[i:], pattern[p+n:p+n+m]) {
					p, i = p+n+m, i+m
					continue
				}
			case r == '%':
				starP, starS = p+1, i
				p++
				continue
			case i < len(s):
				_, m := utf8.DecodeRuneInString(s[i:])
				if r == '_' || s[i:i+m] == pattern[p:p+n] {
					p, i = p+n, i+m
					continue
				}
			}
		}
		if starP < 0 || starS >= len(s) {
			return false, nil
		}
		_, m := utf8.DecodeRuneInString(s[starS:])
		starS += m
		p, i = starP, starS
	}
	return true, nil
}

func lengthFn(args []any) (any, error) { return int64(utf8.RuneCountInString(args[0].(string))), nil }

// MaxValue is how many bytes a value may have.
const MaxValue = 16 << 20

var errTooLong = fails("a value is larger than 16 MiB")

func replaceFn(args []any) (any, error) {
	s, from, to := args[0].(string), args[1].(string), args[2].(string)
	if n := strings.Count(s, from); len(s)+n*(len(to)-len(from)) > MaxValue {
		return nil, errTooLong
	}
	return strings.ReplaceAll(s, from, to), nil
}

func strposFn(args []any) (any, error) {
	s := args[0].(string)
	i := strings.Index(s, args[1].(string))
	if i < 0 {
		return int64(0), nil
	}
	return int64(utf8.RuneCountInString(s[:i])) + 1, nil
}

func substrFn(args []any) (any, error) {
	runes := []rune(args[0].(string))
	start, n := args[1].(int64), int64(len(runes))
	length := n
	if len(args) == 3 {
		length = args[2].(int64)
	}
	switch {
	case start < 0:
		start += n
	case start == 0:
		return "", nil
	default:
		start--
	}
	if start < 0 || start >= n || length <= 0 {
		return "", nil
	}
	return string(runes[start:min(n, start+min(length, n))]), nil
}

func splitPartFn(args []any) (any, error) {
	s, by, i := args[0].(string), args[1].(string), args[2].(int64)
	if i < 1 {
		return nil, fails("Index must be greater than zero")
	}
	if by == "" {
		return nil, fails("The delimiter may not be the empty string")
	}
	parts := strings.Split(s, by)
	if i > int64(len(parts)) {
		return nil, nil
	}
	return parts[i-1], nil
}

// castFn casts a value from one kind to another.
func castFn(args []any) (any, error) {
	v, from, to := args[0], Kind(args[1].(int64)), Kind(args[2].(int64))
	if from == to {
		return v, nil
	}
	if from == JSON {
		return castJSON(v.(string), to)
	}
	cannot := fails("Value cannot be cast to %s: %s", Of(to), Text(v, Of(from)))
	switch to {
	case Varchar:
		return Text(v, Of(from)), nil
	case JSON:
		return string(encode(v, from)), nil
	case Bigint:
		switch v := v.(type) {
		case string:
			n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
			if err != nil {
				return nil, cannot
			}
			return n, nil
		case float64:
			r := math.RoundToEven(v)
			if f := math.Floor(v); v-f == 0.5 && v >= 0 { // Java rounds a half up, away from zero
				r = f + 1
			}
			if r < -9.2233720368547e18 || r > 9.2233720368547e18 || math.IsNaN(r) {
				return nil, cannot
			}
			return int64(r), nil
		}
		return v, nil
	case Double:
		if s, ok := v.(string); ok {
			f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
			if err != nil {
				return nil, cannot
			}
			return f, nil
		}
		return float(v), nil
	case Boolean:
		if s, ok := v.(string); ok {
			switch strings.ToLower(s) {
			case "t", "true", "1":
				return int64(1), nil
			case "f", "false", "0":
				return int64(0), nil
			}
			return nil, cannot
		}
		return truth(float(v) != 0), nil
	case Timestamp, Date:
		ms, _ := v.(int64)
		if s, ok := v.(string); ok {
			var isTime bool
			if ms, isTime = parseTime(s); !isTime {
				return nil, cannot
			}
		}
		if to == Date {
			ms -= mod(ms, dayMillis)
		}
		return ms, nil
	}
	return nil, cannot
}

func castJSON(s string, to Kind) (any, error) {
	switch s[0] {
	case 'n':
		return nil, nil
	case '{', '[':
		return nil, fails("Cannot cast json to %s: %s", Of(to), s)
	}
	v := decode([]byte(s), Varchar)
	if to == Varchar {
		return v, nil
	}
	return castFn([]any{v, int64(Varchar), int64(to)})
}
