package wire

import (
	"encoding/binary"
	"math"
	"reflect"
	"strings"
	"unicode/utf8"
)

// The major types of RFC 8949, section 3.1, in the three high bits of an item's first byte.
const (
	cborUint   = 0
	cborNegInt = 1
	cborBytes  = 2
	cborText   = 3
	cborList   = 4
	cborMap    = 5
	cborTag    = 6
	cborSimple = 7 // and floats
)

// First bytes of items that are always written the same.
const (
	cborOpenMap = cborMap<<5 | 31 // a map that ends with cborBreak
	cborBreak   = cborSimple<<5 | 31
	cborFalse   = cborSimple<<5 | 20
	cborTrue    = cborSimple<<5 | 21
	cborFloat32 = cborSimple<<5 | 26
	cborFloat64 = cborSimple<<5 | 27
	cborEpoch   = cborTag<<5 | 1 // a number of seconds since 1970 follows
)

// AppendCBOR appends the body of the response of the Smithy RPC v2 CBOR protocol. out may be nil. An operation whose model names
// no output has an empty body, and then its answer has no content type; any other has at least an empty map. Members that are
// not set are left out; empty lists and maps that are set are not. Structures are maps without a length, as AWS writes them.
// Whole numbers are as short as they can be, others double floats, times double floats of seconds, exact to the millisecond.
// What is not UTF-8 in a text becomes U+FFFD.
func (o *Operation) AppendCBOR(dst []byte, out any) []byte {
	if !o.hasOutput {
		return dst
	}
	v := o.output(out)
	if !v.IsValid() {
		return append(dst, cborOpenMap, cborBreak)
	}
	return appendCBOR(dst, o.out, v)
}

func appendCBOR(dst []byte, p *plan, v reflect.Value) []byte {
	switch p.kind {
	case kindString:
		return appendCBORText(dst, v.String())
	case kindBlob:
		dst = appendCBORHead(dst, cborBytes, uint64(v.Len()))
		return append(dst, v.Bytes()...)
	case kindBool:
		if v.Bool() {
			return append(dst, cborTrue)
		}
		return append(dst, cborFalse)
	case kindInt:
		if n := v.Int(); n < 0 {
			return appendCBORHead(dst, cborNegInt, uint64(-1-n))
		}
		return appendCBORHead(dst, cborUint, uint64(v.Int()))
	case kindFloat:
		return appendCBORReal(dst, v.Float(), p.typ.Bits())
	case kindTimestamp:
		return appendCBORReal(append(dst, cborEpoch), float64(timeOf(v).UnixMilli())/1000, 64)
	case kindStructure:
		return appendCBORStructure(dst, p, v)
	case kindList:
		return appendCBORList(dst, p, v)
	}
	return appendCBORMap(dst, p, v)
}

func appendCBORStructure(dst []byte, p *plan, v reflect.Value) []byte {
	dst = append(dst, cborOpenMap)
	for i := range p.members {
		m := &p.members[i]
		if value, set := m.get(v); set {
			dst = append(dst, m.cborKey...)
			dst = appendCBOR(dst, m.plan, value)
		}
	}
	return append(dst, cborBreak)
}

func appendCBORList(dst []byte, p *plan, v reflect.Value) []byte {
	dst = appendCBORHead(dst, cborList, uint64(v.Len()))
	if reals, ok := v.Interface().([]float64); ok { // the values of a metric
		for _, real := range reals {
			dst = appendCBORReal(dst, real, 64)
		}
		return dst
	}
	for i := range v.Len() {
		dst = appendCBOR(dst, p.elem, v.Index(i))
	}
	return dst
}

func appendCBORMap(dst []byte, p *plan, v reflect.Value) []byte {
	dst = appendCBORHead(dst, cborMap, uint64(v.Len()))
	for _, key := range sortedKeys(v) {
		dst = appendCBORText(dst, key.String())
		dst = appendCBOR(dst, p.elem, v.MapIndex(key))
	}
	return dst
}

func appendCBORText(dst []byte, s string) []byte {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	dst = appendCBORHead(dst, cborText, uint64(len(s)))
	return append(dst, s...)
}

func appendCBORReal(dst []byte, f float64, bits int) []byte {
	if bits == 32 {
		dst = append(dst, cborFloat32)
		return binary.BigEndian.AppendUint32(dst, math.Float32bits(float32(f)))
	}
	dst = append(dst, cborFloat64)
	return binary.BigEndian.AppendUint64(dst, math.Float64bits(f))
}

// appendCBORHead writes the type and the argument of an item.
func appendCBORHead(dst []byte, major byte, argument uint64) []byte {
	major <<= 5
	switch {
	case argument < 24:
		return append(dst, major|byte(argument))
	case argument <= math.MaxUint8:
		return append(dst, major|24, byte(argument))
	case argument <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, major|25), uint16(argument))
	case argument <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, major|26), uint32(argument))
	}
	return binary.BigEndian.AppendUint64(append(dst, major|27), argument)
}
