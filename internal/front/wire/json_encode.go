package wire

import (
	"encoding/base64"
	"math"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// AppendJSON appends the body of the response of an AWS JSON protocol. out may be nil. An operation whose model names no output
// has an empty body, any other at least {}. Members that are not set are left out; empty lists and maps that are set are not.
// Times are seconds since 1970, with up to three decimals. Maps are in order of key.
func (o *Operation) AppendJSON(dst []byte, out any) []byte {
	if !o.hasOutput {
		return dst
	}
	v := o.output(out)
	if !v.IsValid() {
		return append(dst, "{}"...)
	}
	return appendStructure(dst, o.out, v, asResponse, nil)
}

// form is what a JSON object is for.
type form bool

const (
	asResponse form = false
	asRecord   form = true // as CloudTrail shows it: see record.go
)

// appendStructure leaves out the members that leaveOut names.
func appendStructure(dst []byte, p *plan, v reflect.Value, f form, leaveOut []string) []byte {
	dst = append(dst, '{')
	first := len(dst)
	for i := range p.members {
		m := &p.members[i]
		if f == asRecord && m.plan.unrecorded || leaveOut != nil && slices.Contains(leaveOut, m.name) {
			continue
		}
		value, set := m.get(v)
		if !set {
			continue
		}
		before := len(dst)
		if before > first {
			dst = append(dst, ',')
		}
		if f == asResponse {
			dst = append(dst, m.jsonKey...)
		} else {
			dst = append(dst, m.recordKey...)
		}
		start := len(dst)
		if m.presence == byText && value.String() == emptyEnum {
			dst = append(dst, `""`...)
			continue
		}
		dst = appendValue(dst, m.plan, value, f)
		if f == asRecord && m.plan.kind == kindStructure && len(dst) == start+len("{}") {
			dst = dst[:before] // all of it was secret or not set
		}
	}
	return append(dst, '}')
}

func appendValue(dst []byte, p *plan, v reflect.Value, f form) []byte {
	switch p.kind {
	case kindString:
		return appendText(dst, v.String())
	case kindBlob:
		dst = append(dst, '"')
		dst = base64.StdEncoding.AppendEncode(dst, v.Bytes())
		return append(dst, '"')
	case kindBool:
		return strconv.AppendBool(dst, v.Bool())
	case kindInt:
		return strconv.AppendInt(dst, v.Int(), 10)
	case kindFloat:
		return appendReal(dst, v.Float(), p.typ.Bits())
	case kindTimestamp:
		return appendTimestamp(dst, p, timeOf(v), f)
	case kindStructure:
		return appendStructure(dst, p, v, f, nil)
	case kindList:
		dst = append(dst, '[')
		for i := range v.Len() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendValue(dst, p.elem, v.Index(i), f)
		}
		return append(dst, ']')
	}
	return appendMap(dst, p, v, f)
}

func appendMap(dst []byte, p *plan, v reflect.Value, f form) []byte {
	dst = append(dst, '{')
	if texts, ok := v.Interface().(map[string]string); ok {
		var few [8]string // most maps need no more, and so no allocation
		keys := few[:0]
		for key := range texts {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		for i, key := range keys {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendText(dst, key), ':')
			dst = appendText(dst, texts[key])
		}
		return append(dst, '}')
	}
	for i, key := range sortedKeys(v) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendText(dst, key.String()), ':')
		dst = appendValue(dst, p.elem, v.MapIndex(key), f)
	}
	return append(dst, '}')
}

// appendText quotes s with as few escapes as JSON allows. What is not UTF-8 in it becomes U+FFFD.
func appendText(dst []byte, s string) []byte {
	dst, _ = jsontext.AppendQuote(dst, s)
	return dst
}

func appendReal(dst []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-Infinity"`...)
	}
	return strconv.AppendFloat(dst, f, 'g', -1, bits)
}

func appendTimestamp(dst []byte, p *plan, t time.Time, f form) []byte {
	switch {
	case f == asRecord:
		dst = append(dst, '"')
		dst = appendRecordTime(dst, t)
		return append(dst, '"')
	case p.timestamps == iso8601:
		dst = append(dst, '"')
		dst = appendISO8601(dst, t)
		return append(dst, '"')
	}
	return appendUnix(dst, t)
}

func timeOf(v reflect.Value) time.Time {
	if v.CanAddr() {
		return *v.Addr().Interface().(*time.Time)
	}
	return v.Interface().(time.Time)
}
