package wire

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"math"
	"reflect"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// DecodeJSON reads body, a request of the AWS JSON protocols, into in, a pointer to a zero input. An empty body is an empty
// object. It returns a *[SerializationError] when body is not JSON, is not an object, goes on after it, or has a value that is
// not of its member's type. What the wire cannot show, such as a member that is missing, is for [Operation.Validate] to say,
// which must follow.
//
// As AWS does, it ignores members that it does not know and takes null as not set. Where AWS's servers are lenient it is not:
// text must be UTF-8, a name may not come twice in one object (a request must not mean one thing here and another to who
// reads its record), a number for an integer member must be whole and in range, binary values must be standard base64 with
// its padding, a list or map may not hold null, and values nest no deeper than maxDepth.
func (o *Operation) DecodeJSON(body []byte, in any) error {
	v := o.input(in)
	if len(body) == 0 {
		return nil
	}
	r := jsonReaders.Get().(*jsonReader)
	r.body = *bytes.NewBuffer(body)
	r.dec.Reset(&r.body)
	err := r.document(o.in, v)
	r.forget()
	jsonReaders.Put(r)
	return err
}

// forget leaves nothing of a request, which may be secret, to the pool.
func (r *jsonReader) forget() {
	r.body = bytes.Buffer{}
	r.dec.Reset(&r.body)
	clear(r.scratch[:cap(r.scratch)])
	if cap(r.scratch) > 64<<10 {
		r.scratch = nil
	}
}

var jsonReaders = sync.Pool{New: func() any { return new(jsonReader) }}

// jsonReader reads one body at a time.
type jsonReader struct {
	body    bytes.Buffer // jsontext reads the body in place and does not write to it
	dec     jsontext.Decoder
	scratch []byte // the last string that had escapes, without them
}

// maxDepth is how deep the values of an input may be nested. No input of AWS's needs a tenth of it.
const maxDepth = 100

func (r *jsonReader) document(p *plan, v reflect.Value) error {
	k := r.dec.PeekKind()
	switch k {
	case jsontext.KindNull, jsontext.KindTrue, jsontext.KindFalse, jsontext.KindNumber, jsontext.KindString:
		return &SerializationError{"The request is not a JSON object"}
	}
	if err := r.value(p, v, k, 0); err != nil {
		return err
	}
	if _, err := r.dec.ReadToken(); err != io.EOF {
		return &SerializationError{"Unexpected data after the end of the request"}
	}
	return nil
}

// value reads a value of kind k, which is next and not null, into v.
func (r *jsonReader) value(p *plan, v reflect.Value, k jsontext.Kind, depth int) error {
	switch p.kind {
	case kindStructure:
		return r.structure(p, v, k, depth)
	case kindList:
		return r.list(p, v, k, depth)
	case kindMap:
		return r.mapping(p, v, k, depth)
	}
	want := jsontext.KindString
	switch p.kind {
	case kindBool:
		want = jsontext.KindTrue
		if k == jsontext.KindFalse {
			want = k
		}
	case kindInt:
		want = jsontext.KindNumber
	case kindFloat, kindTimestamp:
		if k == jsontext.KindString && (p.kind == kindFloat || p.timestamps == iso8601) {
			break
		}
		want = jsontext.KindNumber
	}
	if k != want {
		return r.mismatch(k, p)
	}
	raw, err := r.dec.ReadValue()
	if err != nil {
		return unreadable(err)
	}
	switch p.kind {
	case kindString:
		v.SetString(p.text(r.unquote(raw)))
	case kindBlob:
		return r.blob(v, raw)
	case kindBool:
		v.SetBool(k == jsontext.KindTrue)
	case kindInt:
		n, ok := wholeNumber(raw, p.typ.Bits())
		if !ok {
			return &SerializationError{"NUMBER_VALUE can not be converted to " + p.java}
		}
		v.SetInt(n)
	case kindFloat:
		f, ok := 0.0, false
		if k == jsontext.KindString {
			f, ok = namedReal(r.unquote(raw))
		} else {
			f, ok = parseReal(raw, p.typ.Bits())
		}
		if !ok {
			return r.mismatch(k, p)
		}
		v.SetFloat(f)
	case kindTimestamp:
		t, ok := parseTimestamp(r.unquote(raw), p.timestamps)
		if !ok {
			return r.mismatch(k, p)
		}
		*v.Addr().Interface().(*time.Time) = t
	}
	return nil
}

func (r *jsonReader) structure(p *plan, v reflect.Value, k jsontext.Kind, depth int) error {
	switch {
	case k == jsontext.KindBeginArray:
		return &SerializationError{listNotExpected}
	case k != jsontext.KindBeginObject && k != jsontext.KindInvalid:
		return &SerializationError{"Expected null"} // so AWS says that it wants a structure or null
	case depth > maxDepth:
		return tooDeep
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return unreadable(err)
	}
	for r.dec.PeekKind() != jsontext.KindEndObject {
		name, err := r.dec.ReadValue()
		if err != nil {
			return unreadable(err)
		}
		m := p.byName[string(r.unquote(name))]
		k := r.dec.PeekKind()
		if m == nil || k == jsontext.KindNull {
			if err := r.dec.SkipValue(); err != nil {
				return unreadable(err)
			}
			continue
		}
		if err := r.member(m, v, k, depth); err != nil {
			return err
		}
	}
	if p.union && v.IsNil() {
		return noneChosen
	}
	_, err := r.dec.ReadToken()
	return unreadable(err)
}

// member reads the value of m, which is next, into its structure.
func (r *jsonReader) member(m *member, structure reflect.Value, k jsontext.Kind, depth int) error {
	if m.presence == byText && k == jsontext.KindString {
		v := structure.Field(m.index)
		if err := r.value(m.plan, v, k, depth+1); err != nil {
			return err
		}
		if v.Len() == 0 {
			v.SetString(emptyEnum)
		}
		return nil
	}
	if m.taken(structure) {
		return twoChosen
	}
	return r.value(m.plan, m.slot(structure), k, depth+1)
}

func (r *jsonReader) list(p *plan, v reflect.Value, k jsontext.Kind, depth int) error {
	switch {
	case k == jsontext.KindBeginObject:
		return &SerializationError{structureNotExpected}
	case k != jsontext.KindBeginArray && k != jsontext.KindInvalid:
		return &SerializationError{"Expected list or null"}
	case depth > maxDepth:
		return tooDeep
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return unreadable(err)
	}
	v.Set(reflect.MakeSlice(p.typ, 0, 0)) // set though it may stay empty
	for n := 0; ; n++ {
		k := r.dec.PeekKind()
		switch k {
		case jsontext.KindEndArray:
			_, err := r.dec.ReadToken()
			return unreadable(err)
		case jsontext.KindNull:
			return &SerializationError{"Null found in a list where not expected"}
		}
		v.Grow(1)
		v.SetLen(n + 1)
		if err := r.value(p.elem, v.Index(n), k, depth+1); err != nil {
			return err
		}
	}
}

func (r *jsonReader) mapping(p *plan, v reflect.Value, k jsontext.Kind, depth int) error {
	switch {
	case k == jsontext.KindBeginArray:
		return &SerializationError{listNotExpected}
	case k != jsontext.KindBeginObject && k != jsontext.KindInvalid:
		return &SerializationError{"Expected map or null"}
	case depth > maxDepth:
		return tooDeep
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return unreadable(err)
	}
	texts, plain := v.Addr().Interface().(*map[string]string)
	if plain {
		*texts = map[string]string{}
	} else {
		v.Set(reflect.MakeMap(p.typ))
	}
	for r.dec.PeekKind() != jsontext.KindEndObject {
		name, err := r.dec.ReadValue()
		if err != nil {
			return unreadable(err)
		}
		key := string(r.unquote(name))
		switch k := r.dec.PeekKind(); {
		case k == jsontext.KindNull:
			return &SerializationError{"Null found in a map where not expected"}
		case plain && k == jsontext.KindString:
			raw, err := r.dec.ReadValue()
			if err != nil {
				return unreadable(err)
			}
			(*texts)[key] = string(r.unquote(raw))
		default:
			elem := reflect.New(p.elem.typ).Elem()
			if err := r.value(p.elem, elem, k, depth+1); err != nil {
				return err
			}
			v.SetMapIndex(reflect.ValueOf(key), elem)
		}
	}
	_, err := r.dec.ReadToken()
	return unreadable(err)
}

func (r *jsonReader) blob(v reflect.Value, raw []byte) error {
	blob, ok := parseBlob(r.unquote(raw))
	if !ok {
		return &SerializationError{"STRING_VALUE can not be converted to a Blob"}
	}
	v.SetBytes(blob)
	return nil
}

// unquote is what a string says, and a number as it is. It holds until the next call.
func (r *jsonReader) unquote(raw []byte) []byte {
	if len(raw) < 2 || raw[0] != '"' {
		return raw
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	r.scratch, _ = jsontext.AppendUnquote(r.scratch[:0], raw) // the decoder has found it to be right
	return r.scratch
}

const (
	listNotExpected      = "Start of list found where not expected"
	structureNotExpected = "Start of structure or map found where not expected."
)

var (
	notJSON = &SerializationError{"The request is not valid JSON"}
	tooDeep = &SerializationError{"The request is nested too deep"}
)

// mismatch says that a value of kind k is next, or was there, where p has another type.
func (r *jsonReader) mismatch(k jsontext.Kind, p *plan) error {
	switch k {
	case jsontext.KindBeginArray:
		return &SerializationError{listNotExpected}
	case jsontext.KindBeginObject:
		return &SerializationError{structureNotExpected}
	case jsontext.KindInvalid, jsontext.KindEndArray, jsontext.KindEndObject:
		if _, err := r.dec.ReadToken(); err != nil {
			return unreadable(err)
		}
		return notJSON
	}
	found := map[jsontext.Kind]string{
		jsontext.KindString: "STRING_VALUE",
		jsontext.KindNumber: "NUMBER_VALUE",
		jsontext.KindTrue:   "TRUE_VALUE",
		jsontext.KindFalse:  "FALSE_VALUE",
		jsontext.KindNull:   "NULL_VALUE",
	}[k]
	return &SerializationError{found + " can not be converted to " + p.java}
}

// unreadable is what is told of an error of the decoder, without what it quotes from the request. No error stays none.
func unreadable(err error) error {
	switch {
	case err == nil:
		return nil
	case err == io.EOF, errors.Is(err, io.ErrUnexpectedEOF):
		return &SerializationError{"Unexpected end of input"}
	case errors.Is(err, jsontext.ErrDuplicateName):
		return &SerializationError{"Duplicate member name in an object"}
	}
	return notJSON
}

// wholeNumber reads a JSON number that has no fraction, though it may be written with one: 5.0.
func wholeNumber(raw []byte, bits int) (int64, bool) {
	if n, err := strconv.ParseInt(string(raw), 10, bits); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, false
	}
	n := int64(f)
	return n, bits == 64 || n == int64(int32(n))
}

// namedReal reads the names that AWS's protocols give to what JSON has no number for.
func namedReal(text []byte) (float64, bool) {
	switch string(text) {
	case "NaN":
		return math.NaN(), true
	case "Infinity":
		return math.Inf(1), true
	case "-Infinity":
		return math.Inf(-1), true
	}
	return 0, false
}

// parseReal reads a decimal number, and none of the other forms that Go knows.
func parseReal(text []byte, bits int) (float64, bool) {
	for _, c := range text {
		if (c < '0' || c > '9') && c != '.' && c != '-' && c != '+' && c != 'e' && c != 'E' {
			return 0, false
		}
	}
	f, err := strconv.ParseFloat(string(text), bits)
	return f, err == nil
}

// parseBlob reads standard base64 with its padding, and nothing else: no line ends, no bits left over.
func parseBlob(text []byte) ([]byte, bool) {
	if bytes.IndexByte(text, '\n') >= 0 || bytes.IndexByte(text, '\r') >= 0 { // which Go's decoder skips
		return nil, false
	}
	blob := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Strict().Decode(blob, text)
	return blob[:n], err == nil
}
