package query

import (
	"encoding/binary"
	"encoding/hex"
	"math/bits"

	"github.com/go-json-experiment/json/jsontext"
)

// The walk through a JSON event. It reads the bytes once, from the first to the last, without making anything of them: a general
// JSON reader costs several times as much, and almost all of an event is not asked about. It still has to be all JSON, or it does
// not match. What stands in strings beyond ASCII is passed over as it is.

type jsonKind int

const (
	jsonObject jsonKind = iota
	jsonArray
	jsonString
	jsonNumber
	jsonTrue
	jsonFalse
	jsonNull
)

// maxDepth is how deep objects and arrays may be nested: what is deeper is not JSON here. AWS's limit is not documented; this is
// the usual one of its platform.
const maxDepth = 1000

// walk is one reading of one event, for a pattern or for one selector.
type walk struct {
	data []byte

	pattern *jsonPattern
	met     set // the conditions that are true of a value that their selectors lead to
	applied set // the conditions whose selectors have a wildcard, and lead to a value for it to be applied to

	found struct { // without a pattern: the value that the only selector leads to
		ok      bool
		kind    jsonKind
		raw     []byte // a string's with its quotes
		escaped bool
	}
}

// event reads the whole message. It is false if that is not one JSON object.
func (w *walk) event(p *plan) bool {
	i := skipSpace(w.data, 0)
	if i == len(w.data) || w.data[i] != '{' {
		return false
	}
	i = w.value(i, p, 0)
	return i >= 0 && skipSpace(w.data, i) == len(w.data)
}

// value reads the value at i, to which p leads, and returns where it ends. It is negative, as in all that follows, if there is no
// JSON value.
func (w *walk) value(i int, p *plan, depth int) int {
	if p == nil {
		return skipValue(w.data, i, depth)
	}
	if i == len(w.data) {
		return -1
	}
	w.applied.addAll(&p.parents)
	start := i
	switch w.data[i] {
	case '{':
		w.visit(p, jsonObject, nil, false)
		return w.object(i+1, p, depth+1)
	case '[':
		w.visit(p, jsonArray, nil, false)
		return w.array(i+1, p, depth+1)
	case '"':
		end, escaped := skipString(w.data, i+1)
		if end >= 0 {
			w.visit(p, jsonString, w.data[start:end], escaped)
		}
		return end
	case 't':
		w.visit(p, jsonTrue, nil, false)
		return skipWord(w.data, i)
	case 'f':
		w.visit(p, jsonFalse, nil, false)
		return skipWord(w.data, i)
	case 'n':
		w.visit(p, jsonNull, nil, false)
		return skipWord(w.data, i)
	default:
		end := skipNumber(w.data, i)
		if end >= 0 {
			w.visit(p, jsonNumber, w.data[start:end], false)
		}
		return end
	}
}

// visit asks the conditions whose selectors end here.
func (w *walk) visit(p *plan, kind jsonKind, raw []byte, escaped bool) {
	if w.pattern == nil {
		if len(p.at) > 0 {
			w.found.ok, w.found.kind, w.found.raw, w.found.escaped = true, kind, raw, escaped
		}
		return
	}
	for _, i := range p.at {
		if w.pattern.conditions[i].meets(kind, raw, escaped) {
			w.met.add(i)
		}
	}
}

// object reads what follows an opening brace.
func (w *walk) object(i int, p *plan, depth int) int {
	data := w.data
	if depth > maxDepth {
		return -1
	}
	i = skipSpace(data, i)
	if i < len(data) && data[i] == '}' {
		return i + 1
	}
	for {
		if i == len(data) || data[i] != '"' {
			return -1
		}
		end, escaped := skipString(data, i+1)
		if end < 0 {
			return -1
		}
		next := p.member(stringText(data[i:end], escaped))
		if next != nil { // the member may have been here before
			w.applied.removeAll(&next.fixed)
			w.met.removeAll(&next.fixed)
			w.found.ok = false
		}
		if i = skipSpace(data, end); i == len(data) || data[i] != ':' {
			return -1
		}
		if i = w.value(skipSpace(data, i+1), next, depth); i < 0 {
			return -1
		}
		var more bool
		if i, more = skipComma(data, i, '}'); !more {
			return i
		}
	}
}

// array reads what follows an opening bracket.
func (w *walk) array(i int, p *plan, depth int) int {
	data := w.data
	if depth > maxDepth {
		return -1
	}
	i = skipSpace(data, i)
	if i < len(data) && data[i] == ']' {
		return i + 1
	}
	for n := 0; ; n++ {
		if i = w.value(i, p.element(n), depth); i < 0 {
			return -1
		}
		var more bool
		if i, more = skipComma(data, i, ']'); !more {
			return i
		}
	}
}

// skipComma passes over what follows a member or element: a comma, and then there is more, or end.
func skipComma(data []byte, i int, end byte) (next int, more bool) {
	i = skipSpace(data, i)
	switch {
	case i == len(data):
		return -1, false
	case data[i] == ',':
		return skipSpace(data, i+1), true
	case data[i] == end:
		return i + 1, false
	}
	return -1, false
}

// skipValue passes over a value that nobody asks about.
func skipValue(data []byte, i, depth int) int {
	if i == len(data) {
		return -1
	}
	end := data[i] + 2 // "{" and "}", and "[" and "]", are two apart
	switch data[i] {
	case '{', '[':
		if depth == maxDepth {
			return -1
		}
	case '"':
		i, _ = skipString(data, i+1)
		return i
	case 't', 'f', 'n':
		return skipWord(data, i)
	default:
		return skipNumber(data, i)
	}
	i = skipSpace(data, i+1)
	if i < len(data) && data[i] == end {
		return i + 1
	}
	for {
		if end == '}' {
			if i == len(data) || data[i] != '"' {
				return -1
			}
			if i, _ = skipString(data, i+1); i < 0 {
				return -1
			}
			if i = skipSpace(data, i); i == len(data) || data[i] != ':' {
				return -1
			}
			i = skipSpace(data, i+1)
		}
		if i = skipValue(data, i, depth+1); i < 0 {
			return -1
		}
		var more bool
		if i, more = skipComma(data, i, end); !more {
			return i
		}
	}
}

func skipSpace(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\n' || data[i] == '\r' || data[i] == '\t') {
		i++
	}
	return i
}

// skipString passes over the rest of a string, of which i is the first byte after the quote, and says whether it has escapes.
func skipString(data []byte, i int) (end int, escaped bool) {
	for {
		i = plain(data, i)
		switch {
		case i == len(data):
			return -1, false
		case data[i] == '"':
			return i + 1, escaped
		case data[i] != '\\' || i+1 == len(data):
			return -1, false
		}
		escaped = true
		switch data[i+1] {
		case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			i += 2
		case 'u':
			if len(data) < i+6 {
				return -1, false
			}
			if _, err := hex.Decode(make([]byte, 2), data[i+2:i+6]); err != nil {
				return -1, false
			}
			i += 6
		default:
			return -1, false
		}
	}
}

// plain passes over bytes that mean themselves in a string, eight at a time: all but quotes, backslashes and control characters.
func plain(data []byte, i int) int {
	const each, high = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(data); i += 8 {
		x := binary.LittleEndian.Uint64(data[i:])
		quote, slash := x^each*'"', x^each*'\\'
		// In each term a byte's high bit is set if the byte is the one looked for. A borrow may set it in the bytes after that, so
		// only the first is sure.
		if found := ((quote-each)&^quote | (slash-each)&^slash | (x-each*' ')&^x) & high; found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for i < len(data) && data[i] != '"' && data[i] != '\\' && data[i] >= ' ' {
		i++
	}
	return i
}

// stringText is what a string, given with its quotes, stands for.
func stringText(raw []byte, escaped bool) []byte {
	if !escaped {
		return raw[1 : len(raw)-1]
	}
	text, _ := jsontext.AppendUnquote(nil, raw) // its error only says that half a surrogate pair became U+FFFD
	return text
}

// skipNumber passes over a number.
func skipNumber(data []byte, i int) int {
	if i < len(data) && data[i] == '-' {
		i++
	}
	from := i
	if i = skipDigits(data, i); i == from || data[from] == '0' && i > from+1 {
		return -1
	}
	if i < len(data) && data[i] == '.' {
		from = i + 1
		if i = skipDigits(data, from); i == from {
			return -1
		}
	}
	if i < len(data) && (data[i] == 'e' || data[i] == 'E') {
		i++
		if i < len(data) && (data[i] == '+' || data[i] == '-') {
			i++
		}
		from = i
		if i = skipDigits(data, from); i == from {
			return -1
		}
	}
	return i
}

func skipDigits(data []byte, i int) int {
	for i < len(data) && '0' <= data[i] && data[i] <= '9' {
		i++
	}
	return i
}

// skipWord passes over true, false or null.
func skipWord(data []byte, i int) int {
	word := "true"
	switch data[i] {
	case 'f':
		word = "false"
	case 'n':
		word = "null"
	}
	if len(data)-i < len(word) || string(data[i:i+len(word)]) != word {
		return -1
	}
	return i + len(word)
}

// appendEscaped writes text as it stands in a JSON string that has no needless escapes.
func appendEscaped(dst []byte, text string) []byte {
	for i := range len(text) {
		switch c := text[i]; c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, `\b`...)
		case '\f':
			dst = append(dst, `\f`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			if c < ' ' {
				dst = append(dst, '\\', 'u', '0', '0', '0'+c>>4, "0123456789abcdef"[c&15])
			} else {
				dst = append(dst, c)
			}
		}
	}
	return dst
}
