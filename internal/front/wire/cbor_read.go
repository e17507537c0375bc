package wire

import (
	"encoding/binary"
	"math"
	"unicode/utf8"
)

// cborReader reads one body. It does not write to it, and nothing that it puts into an input is a part of it.
type cborReader struct {
	rest    []byte
	scratch []byte // the last string that came in pieces
}

// cborHead is the beginning of an item: its type and its argument, which is its value or how long it is.
type cborHead struct {
	major    byte
	info     byte
	argument uint64
}

// open says that an item of many has no length, but goes on until a break.
func (h cborHead) open() bool { return h.info == 31 }

// null says that the item is null or undefined.
func (h cborHead) null() bool { return h.major == cborSimple && (h.info == 22 || h.info == 23) }

var (
	notCBOR   = &SerializationError{"The request is not valid CBOR"}
	cborEnd   = &SerializationError{"Unexpected end of input"}
	notUTF8   = &SerializationError{"A text is not valid UTF-8"}
	cborTwice = &SerializationError{"Duplicate member name in an object"}
)

// head reads the beginning of the next item.
func (r *cborReader) head() (cborHead, error) {
	if len(r.rest) == 0 {
		return cborHead{}, cborEnd
	}
	first := r.rest[0]
	h := cborHead{major: first >> 5, info: first & 31, argument: uint64(first & 31)}
	r.rest = r.rest[1:]
	switch {
	case h.info < 24:
		return h, nil
	case h.info < 28:
		width := 1 << (h.info - 24)
		if len(r.rest) < width {
			return h, cborEnd
		}
		switch width {
		case 1:
			h.argument = uint64(r.rest[0])
		case 2:
			h.argument = uint64(binary.BigEndian.Uint16(r.rest))
		case 4:
			h.argument = uint64(binary.BigEndian.Uint32(r.rest))
		case 8:
			h.argument = binary.BigEndian.Uint64(r.rest)
		}
		r.rest = r.rest[width:]
		if h.major == cborSimple && width == 1 && h.argument < 32 { // it has a shorter form, which is the only one
			return h, notCBOR
		}
		return h, nil
	case h.open() && h.major >= cborBytes && h.major <= cborMap:
		return h, nil
	}
	return h, notCBOR // reserved, or a break where there is nothing to break off
}

// whole is the whole number that h is.
func (h cborHead) whole(bits int) (int64, bool) {
	if h.argument > math.MaxInt64 {
		return 0, false
	}
	n := int64(h.argument)
	switch h.major {
	case cborUint:
	case cborNegInt:
		n = -1 - n
	default:
		return 0, false
	}
	return n, bits == 64 || n == int64(int32(n))
}

// real is the number that h is. One that a float32 has no room for is none when there are only 32 bits.
func (h cborHead) real(bits int) (float64, bool) {
	var f float64
	switch {
	case h.major == cborUint:
		f = float64(h.argument)
	case h.major == cborNegInt:
		f = -1 - float64(h.argument)
	case h.major != cborSimple:
		return 0, false
	case h.info == 25:
		f = half(uint16(h.argument))
	case h.info == 26:
		f = float64(math.Float32frombits(uint32(h.argument)))
	case h.info == 27:
		f = math.Float64frombits(h.argument)
	default:
		return 0, false
	}
	return f, bits == 64 || math.IsInf(f, 0) || !math.IsInf(float64(float32(f)), 0)
}

// half is the number of that half-precision float: RFC 8949, appendix D.
func half(bits uint16) float64 {
	exponent, mantissa := int(bits>>10&31), float64(bits&1023)
	var f float64
	switch exponent {
	case 0:
		f = math.Ldexp(mantissa, -24)
	case 31:
		f = math.Inf(1)
		if mantissa != 0 {
			return math.NaN()
		}
	default:
		f = math.Ldexp(mantissa+1024, exponent-25)
	}
	if bits&0x8000 != 0 {
		f = -f
	}
	return f
}

// text reads a string of text or of bytes. It holds until the next call.
func (r *cborReader) text(h cborHead) ([]byte, error) {
	if !h.open() {
		return r.piece(h)
	}
	r.scratch = r.scratch[:0]
	for {
		if len(r.rest) > 0 && r.rest[0] == cborBreak {
			r.rest = r.rest[1:]
			return r.scratch, nil
		}
		next, err := r.head()
		if err != nil {
			return nil, err
		}
		if next.major != h.major || next.open() {
			return nil, notCBOR
		}
		piece, err := r.piece(next)
		if err != nil {
			return nil, err
		}
		r.scratch = append(r.scratch, piece...)
	}
}

// piece reads a string of a known length, which is a part of the body. Every piece of a text is whole UTF-8.
func (r *cborReader) piece(h cborHead) ([]byte, error) {
	if h.argument > uint64(len(r.rest)) {
		return nil, cborEnd
	}
	piece := r.rest[:h.argument]
	r.rest = r.rest[h.argument:]
	if h.major == cborText && !utf8.Valid(piece) {
		return nil, notUTF8
	}
	return piece, nil
}

// cborItems counts the items of a list, or the entries of a map, that are still to be read.
type cborItems struct {
	open bool
	left uint64
}

func (h cborHead) items() cborItems { return cborItems{h.open(), h.argument} }

// next says whether there is another item. When there is not, it has read what ends them.
func (r *cborReader) next(items *cborItems) (bool, error) {
	switch {
	case items.open && len(r.rest) == 0:
		return false, cborEnd
	case items.open && r.rest[0] == cborBreak:
		r.rest = r.rest[1:]
		return false, nil
	case items.open:
		return true, nil
	case items.left == 0:
		return false, nil
	}
	items.left--
	return true, nil
}

// name reads the name of a member, or the key of a map.
func (r *cborReader) name() ([]byte, error) {
	h, err := r.head()
	if err != nil {
		return nil, err
	}
	if h.major != cborText {
		return nil, &SerializationError{"A member's name is not a text"}
	}
	return r.text(h)
}

// skip reads the value that begins with h and forgets it.
func (r *cborReader) skip(h cborHead, depth int) error {
	if depth > maxDepth {
		return tooDeep
	}
	switch h.major {
	case cborBytes, cborText:
		_, err := r.text(h)
		return err
	case cborTag:
		return r.skipNext(depth)
	case cborList, cborMap:
		for items := h.items(); ; {
			if more, err := r.next(&items); err != nil || !more {
				return err
			}
			if err := r.skipNext(depth); err != nil {
				return err
			}
			if h.major == cborMap {
				if err := r.skipNext(depth); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (r *cborReader) skipNext(depth int) error {
	h, err := r.head()
	if err != nil {
		return err
	}
	return r.skip(h, depth+1)
}
