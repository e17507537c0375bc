package wire

import (
	"encoding/base64"
	"math"
	"reflect"
	"strconv"
	"time"
	"unicode/utf8"
)

// AppendXML appends the body of the response of the AWS query protocol, content type text/xml. out may be nil. An operation
// whose model names no output has only its metadata. Members that are not set are left out; empty lists and maps that are set
// are empty elements. Times are ISO 8601 in UTC. What XML 1.0 cannot carry in a text, such as U+0000, becomes U+FFFD.
func (o *Operation) AppendXML(dst []byte, out any, requestID string) []byte {
	response := o.Name + "Response"
	dst = append(dst, '<')
	dst = append(dst, response...)
	dst = append(dst, ` xmlns="`...)
	dst = appendXMLText(dst, o.Service.XMLNamespace)
	dst = append(dst, `">`...)
	if o.hasOutput {
		dst = appendTag(dst, o.resultWrapper)
		if v := o.output(out); v.IsValid() {
			dst = appendXMLMembers(dst, o.out, v)
		}
		dst = appendEndTag(dst, o.resultWrapper)
	}
	dst = append(dst, "<ResponseMetadata><RequestId>"...)
	dst = appendXMLText(dst, requestID)
	dst = append(dst, "</RequestId></ResponseMetadata>"...)
	return appendEndTag(dst, response)
}

func appendXMLMembers(dst []byte, p *plan, v reflect.Value) []byte {
	for i := range p.members {
		m := &p.members[i]
		value, set := m.get(v)
		switch {
		case !set:
		case m.flattened && m.plan.kind == kindList:
			dst = appendXMLList(dst, m.plan, value, m.wireName)
		case m.flattened && m.plan.kind == kindMap:
			dst = appendXMLMap(dst, m.plan, value, m.wireName)
		default:
			dst = appendXMLElement(dst, m.plan, value, m.wireName)
		}
	}
	return dst
}

func appendXMLElement(dst []byte, p *plan, v reflect.Value, name string) []byte {
	dst = appendTag(dst, name)
	switch p.kind {
	case kindString:
		dst = appendXMLText(dst, v.String())
	case kindBlob:
		dst = base64.StdEncoding.AppendEncode(dst, v.Bytes())
	case kindBool:
		dst = strconv.AppendBool(dst, v.Bool())
	case kindInt:
		dst = strconv.AppendInt(dst, v.Int(), 10)
	case kindFloat:
		dst = appendXMLReal(dst, v.Float(), p.typ.Bits())
	case kindTimestamp:
		dst = appendXMLTime(dst, p, timeOf(v))
	case kindStructure:
		dst = appendXMLMembers(dst, p, v)
	case kindList:
		dst = appendXMLList(dst, p, v, p.elemName)
	case kindMap:
		dst = appendXMLMap(dst, p, v, "entry")
	}
	return appendEndTag(dst, name)
}

func appendXMLList(dst []byte, p *plan, v reflect.Value, name string) []byte {
	for i := range v.Len() {
		dst = appendXMLElement(dst, p.elem, v.Index(i), name)
	}
	return dst
}

func appendXMLMap(dst []byte, p *plan, v reflect.Value, name string) []byte {
	for _, key := range sortedKeys(v) {
		dst = appendTag(dst, name)
		dst = appendXMLElement(dst, p.key, key, p.keyName)
		dst = appendXMLElement(dst, p.elem, v.MapIndex(key), p.valueName)
		dst = appendEndTag(dst, name)
	}
	return dst
}

func appendXMLReal(dst []byte, f float64, bits int) []byte {
	switch {
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	}
	return strconv.AppendFloat(dst, f, 'g', -1, bits) // NaN is NaN
}

func appendXMLTime(dst []byte, p *plan, t time.Time) []byte {
	if p.timestamps == unixTimestamp {
		return appendUnix(dst, t)
	}
	return appendISO8601(dst, t)
}

func appendTag(dst []byte, name string) []byte {
	dst = append(dst, '<')
	dst = append(dst, name...)
	return append(dst, '>')
}

func appendEndTag(dst []byte, name string) []byte {
	dst = append(dst, "</"...)
	dst = append(dst, name...)
	return append(dst, '>')
}

// appendXMLText escapes what would not be read as it is written: markup, and the returns that a reader makes into line feeds.
func appendXMLText(dst []byte, s string) []byte {
	for _, r := range s {
		switch {
		case r == '&':
			dst = append(dst, "&amp;"...)
		case r == '<':
			dst = append(dst, "&lt;"...)
		case r == '>':
			dst = append(dst, "&gt;"...)
		case r == '"':
			dst = append(dst, "&quot;"...)
		case r == '\r':
			dst = append(dst, "&#xD;"...)
		case r < ' ' && r != '\t' && r != '\n', r == 0xFFFE, r == 0xFFFF:
			dst = append(dst, "\uFFFD"...)
		default:
			dst = utf8.AppendRune(dst, r) // which is U+FFFD for a byte that is not UTF-8
		}
	}
	return dst
}
