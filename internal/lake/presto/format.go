package presto

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Text is a value as results show it: nil, int64, float64 or string, of a type.
func Text(v any, t Type) string {
	switch v := v.(type) {
	case int64:
		switch t.Kind {
		case Boolean:
			return strconv.FormatBool(v != 0)
		case Timestamp:
			return time.UnixMilli(v).UTC().Format("2006-01-02 15:04:05.000")
		case Date:
			return time.UnixMilli(v).UTC().Format("2006-01-02")
		case Double:
			return javaDouble(float64(v))
		case DayTime:
			return dayTimeText(v)
		case YearMonth:
			sign := ""
			if v < 0 {
				sign, v = "-", -v
			}
			return fmt.Sprintf("%s%d-%d", sign, v/12, v%12)
		}
		return strconv.FormatInt(v, 10)
	case float64:
		return javaDouble(v)
	case string:
		switch t.Kind {
		case Array, Map, Row:
			var b strings.Builder
			writeNested(&b, v, t)
			return b.String()
		}
		return v
	}
	return "null"
}

func dayTimeText(ms int64) string {
	sign := ""
	if ms < 0 {
		sign, ms = "-", -ms
	}
	return fmt.Sprintf("%s%d %02d:%02d:%02d.%03d", sign, ms/dayMillis, ms/3600000%24, ms/60000%60, ms/1000%60, ms%1000)
}

// javaDouble is a double as Java writes it.
func javaDouble(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	a := math.Abs(f)
	if a != 0 && (a < 1e-3 || a >= 1e7) {
		s := strconv.FormatFloat(f, 'e', -1, 64)
		digits, exponent, _ := strings.Cut(s, "e")
		if !strings.Contains(digits, ".") {
			digits += ".0"
		}
		n, _ := strconv.Atoi(exponent)
		return digits + "E" + strconv.Itoa(n)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// writeNested writes an array as [a, b], a map and a row as {k=v, l=w}.
func writeNested(b *strings.Builder, raw string, t Type) {
	open, closing := "{", "}"
	if t.Kind == Array {
		open, closing = "[", "]"
	}
	b.WriteString(open)
	first := true
	next := func() {
		if !first {
			b.WriteString(", ")
		}
		first = false
	}
	if t.Kind == Row {
		values := map[string]jsontext.Value{}
		members(raw, func(name string, v jsontext.Value) bool {
			values[name] = v.Clone()
			return true
		})
		for _, f := range t.Fields {
			next()
			b.WriteString(f.Name + "=" + Text(Decode(values[f.Member], f.Type), f.Type))
		}
	} else {
		members(raw, func(name string, v jsontext.Value) bool {
			next()
			if t.Kind == Map {
				b.WriteString(name + "=")
			}
			b.WriteString(Text(Decode(v, *t.Elem), *t.Elem))
			return true
		})
	}
	b.WriteString(closing)
}
