package wire

import (
	"reflect"
	"slices"
	"time"
)

// DecodeCBOR reads body, a request of the Smithy RPC v2 CBOR protocol, into in, a pointer to a zero input. An empty body is an
// empty map. It returns a *[SerializationError] when body is not CBOR (RFC 8949), is not a map, goes on after it, or has a value
// that is not of its member's type. What the wire cannot show is for [Operation.Validate] to say, which must follow.
//
// Lengths may be given or open, and numbers of any width; a member for real numbers takes whole ones. A time is tag 1 with a
// number of seconds since 1970, and is rounded to the millisecond. Members that are not known are ignored, null and undefined
// are not set. As [Operation.DecodeJSON] does, it refuses text that is not UTF-8, a known member or a key that comes twice, null
// in a list or map, and values that nest deeper than maxDepth.
func (o *Operation) DecodeCBOR(body []byte, in any) error {
	v := o.input(in)
	if len(body) == 0 {
		return nil
	}
	r := cborReader{rest: body}
	return r.document(o.in, v)
}

func (r *cborReader) document(p *plan, v reflect.Value) error {
	h, err := r.head()
	if err != nil {
		return err
	}
	if h.major != cborMap {
		return &SerializationError{"The request is not a CBOR map"}
	}
	if err := r.structure(p, v, h, 0); err != nil {
		return err
	}
	if len(r.rest) > 0 {
		return &SerializationError{"Unexpected data after the end of the request"}
	}
	return nil
}

// value reads the value that begins with h and is not null into v.
func (r *cborReader) value(p *plan, v reflect.Value, h cborHead, depth int) error {
	switch p.kind {
	case kindStructure:
		return r.structure(p, v, h, depth)
	case kindList:
		return r.list(p, v, h, depth)
	case kindMap:
		return r.mapping(p, v, h, depth)
	case kindString:
		if h.major == cborText {
			text, err := r.text(h)
			v.SetString(p.text(text))
			return err
		}
	case kindBlob:
		if h.major == cborBytes {
			blob, err := r.text(h)
			v.SetBytes(append([]byte{}, blob...))
			return err
		}
	case kindBool:
		if h.major == cborSimple && (h.info == 20 || h.info == 21) {
			v.SetBool(h.info == 21)
			return nil
		}
	case kindInt:
		if n, ok := h.whole(p.typ.Bits()); ok {
			v.SetInt(n)
			return nil
		}
	case kindFloat:
		if f, ok := h.real(p.typ.Bits()); ok {
			v.SetFloat(f)
			return nil
		}
	case kindTimestamp:
		return r.timestamp(p, v, h)
	}
	return h.mismatch(p)
}

func (r *cborReader) timestamp(p *plan, v reflect.Value, h cborHead) error {
	if h.major != cborTag || h.argument != 1 {
		return h.mismatch(p)
	}
	h, err := r.head()
	if err != nil {
		return err
	}
	seconds, ok := h.real(64)
	if ok {
		*v.Addr().Interface().(*time.Time), ok = timeAt(seconds)
	}
	if !ok {
		return h.mismatch(p)
	}
	return nil
}

func (r *cborReader) structure(p *plan, v reflect.Value, h cborHead, depth int) error {
	switch {
	case h.major == cborList:
		return &SerializationError{listNotExpected}
	case h.major != cborMap:
		return &SerializationError{"Expected null"} // so AWS says that it wants a structure or null
	case depth > maxDepth:
		return tooDeep
	}
	var seen [maxMembers / 64]uint64
	for items := h.items(); ; {
		if more, err := r.next(&items); err != nil || !more {
			if err == nil && p.union && v.IsNil() {
				err = noneChosen
			}
			return err
		}
		name, err := r.name()
		if err != nil {
			return err
		}
		m := p.byName[string(name)]
		h, err := r.head()
		if err != nil {
			return err
		}
		if m == nil {
			if err := r.skip(h, depth+1); err != nil {
				return err
			}
			continue
		}
		if bit := uint64(1) << (m.ordinal % 64); seen[m.ordinal/64]&bit == 0 {
			seen[m.ordinal/64] |= bit
		} else {
			return cborTwice
		}
		if h.null() {
			continue
		}
		if err := r.member(m, v, h, depth); err != nil {
			return err
		}
	}
}

// member reads the value of m, which begins with h, into its structure.
func (r *cborReader) member(m *member, structure reflect.Value, h cborHead, depth int) error {
	if m.taken(structure) {
		return twoChosen
	}
	v := m.slot(structure)
	if err := r.value(m.plan, v, h, depth+1); err != nil {
		return err
	}
	if m.presence == byText && v.Len() == 0 {
		v.SetString(emptyEnum)
	}
	return nil
}

func (r *cborReader) list(p *plan, v reflect.Value, h cborHead, depth int) error {
	switch {
	case h.major == cborMap:
		return &SerializationError{structureNotExpected}
	case h.major != cborList:
		return &SerializationError{"Expected list or null"}
	case depth > maxDepth:
		return tooDeep
	}
	const atOnce = 128 // what a length promises is not believed further than that
	room := 0
	if !h.open() {
		room = int(min(h.argument, atOnce, uint64(len(r.rest))))
	}
	v.Set(reflect.MakeSlice(p.typ, 0, room)) // set though it may stay empty
	reals, _ := v.Addr().Interface().(*[]float64)
	items := h.items()
	for n := 0; ; n++ {
		if more, err := r.next(&items); err != nil || !more {
			return err
		}
		h, err := r.head()
		if err != nil {
			return err
		}
		if h.null() {
			return &SerializationError{"Null found in a list where not expected"}
		}
		if reals != nil { // the values of a metric
			f, ok := h.real(64)
			if !ok {
				return h.mismatch(p.elem)
			}
			*reals = append(*reals, f)
			continue
		}
		v.Grow(1)
		v.SetLen(n + 1)
		if err := r.value(p.elem, v.Index(n), h, depth+1); err != nil {
			return err
		}
	}
}

func (r *cborReader) mapping(p *plan, v reflect.Value, h cborHead, depth int) error {
	switch {
	case h.major == cborList:
		return &SerializationError{listNotExpected}
	case h.major != cborMap:
		return &SerializationError{"Expected map or null"}
	case depth > maxDepth:
		return tooDeep
	}
	v.Set(reflect.MakeMap(p.typ))
	for items := h.items(); ; {
		if more, err := r.next(&items); err != nil || !more {
			return err
		}
		name, err := r.name()
		if err != nil {
			return err
		}
		key := reflect.ValueOf(string(name))
		if v.MapIndex(key).IsValid() {
			return cborTwice
		}
		h, err := r.head()
		if err != nil {
			return err
		}
		if h.null() {
			return &SerializationError{"Null found in a map where not expected"}
		}
		elem := reflect.New(p.elem.typ).Elem()
		if err := r.value(p.elem, elem, h, depth+1); err != nil {
			return err
		}
		v.SetMapIndex(key, elem)
	}
}

// mismatch says that the item has another type than p, in the words in which AWS says it of JSON.
func (h cborHead) mismatch(p *plan) error {
	found := "SIMPLE_VALUE"
	switch {
	case h.major == cborList:
		return &SerializationError{listNotExpected}
	case h.major == cborMap:
		return &SerializationError{structureNotExpected}
	case h.major == cborUint, h.major == cborNegInt, h.major == cborSimple && slices.Contains([]byte{25, 26, 27}, h.info):
		found = "NUMBER_VALUE"
	case h.major == cborBytes:
		found = "BLOB_VALUE"
	case h.major == cborText:
		found = "STRING_VALUE"
	case h.major == cborTag:
		found = "TAG_VALUE"
	case h.info == 20:
		found = "FALSE_VALUE"
	case h.info == 21:
		found = "TRUE_VALUE"
	case h.null():
		found = "NULL_VALUE"
	}
	return &SerializationError{found + " can not be converted to " + p.java}
}
