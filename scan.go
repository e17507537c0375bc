package vigil

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// scanner goes through JSON (RFC 8259). Its methods are given where in the data something begins, and return where it ends. At what is not JSON they fail:
// that is noted, and they return the end of the data, where nothing more is found, so that it is enough to ask at last whether the scanner has failed.
//
// What it goes through has the grammar of JSON, nested as deep as jsontext takes it. A strict scanner moreover fails at whatever else jsontext refuses,
// but for bytes that are not UTF-8, and also at names that it cannot tell apart with little work: those with escapes, those of one hash, and those of an
// object with very many. So what it has gone through is valid, and what it fails at may be.
type scanner struct {
	data   []byte
	strict bool
	plain  bool // data has no backslash
	failed bool
	depth  int      // of the objects and arrays that it is in
	names  []uint64 // the hashes of the names of those objects, if it is strict
}

// object is an object that is gone through.
type object struct {
	begun bool
	first int       // the place of its names among the scanner's
	seen  [4]uint64 // a set of the hashes of its names, by their highest bits
}

const (
	maxScanDepth = 10_000 // as jsontext has it
	maxScanNames = 256    // that an object may have whose names a strict scanner tells apart
)

func (s *scanner) reset(data []byte, strict bool) {
	*s = scanner{data: data, strict: strict, plain: bytes.IndexByte(data, '\\') < 0, names: s.names[:0]}
}

func (s *scanner) fail() (end int) {
	s.failed = true
	return len(s.data)
}

// isEnd says whether all was gone through, and nothing is left.
func (s *scanner) isEnd(at int) bool {
	_, at = s.next(at)
	return !s.failed && at == len(s.data)
}

// next passes over white space and gives the byte behind it and its place: 0 at the end of the data.
func (s *scanner) next(at int) (byte, int) {
	if at < len(s.data) && s.data[at] > ' ' {
		return s.data[at], at
	}
	return s.nextFar(at)
}

func (s *scanner) nextFar(at int) (byte, int) {
	for ; at < len(s.data); at++ {
		switch c := s.data[at]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c, at
		}
	}
	return 0, at
}

// enter enters the object or array that begins at at.
func (s *scanner) enter(at int) int {
	if s.depth++; s.depth > maxScanDepth {
		return s.fail()
	}
	return at + 1
}

// enterObject enters the object that begins at at, and goes to its first member.
func (s *scanner) enterObject(o *object, at int) (name []byte, value int, more bool) {
	o.first = len(s.names)
	return s.member(o, s.enter(at))
}

// member goes to the object's next member, behind the value that ends at at, and gives its name and where its value begins, or the white space before it.
// When there are no more it gives where the object ends.
func (s *scanner) member(o *object, at int) (name []byte, value int, more bool) {
	c, at := s.next(at)
	if c == '}' {
		s.names = s.names[:o.first]
		s.depth--
		return nil, at + 1, false
	}
	if o.begun {
		if c != ',' {
			return nil, s.fail(), false
		}
		c, at = s.next(at + 1)
	}
	o.begun = true
	if c != '"' {
		return nil, s.fail(), false
	}
	begin := at + 1
	if end := quoteEnd(s.data, begin); s.plain && end < len(s.data) && s.data[end] == '"' {
		name, at = s.data[begin:end], end+1
	} else if name, at = s.text(begin - 1); s.strict && len(name) != at-1-begin {
		return nil, s.fail(), false // it has escapes
	}
	if s.strict && !s.isNew(o, begin, at-1) {
		return nil, s.fail(), false
	}
	c, at = s.next(at)
	if c != ':' {
		return nil, s.fail(), false
	}
	return name, at + 1, true
}

// isNew says that a name is surely the object's first of that name, and notes it.
func (s *scanner) isNew(o *object, begin, end int) bool {
	hash := s.nameHash(begin, end)
	word, bit := hash>>62, uint64(1)<<(hash>>56&63)
	if o.seen[word]&bit != 0 && slices.Contains(s.names[o.first:], hash) {
		return false
	}
	o.seen[word] |= bit
	s.names = append(s.names, hash)
	return len(s.names)-o.first <= maxScanNames
}

// nameHash is of a name's length, its first eight bytes and its last eight: names of one object that differ only between are rare.
func (s *scanner) nameHash(begin, end int) uint64 {
	const prime = 0x9e3779b97f4a7c15
	n := end - begin
	if n >= 8 {
		first, last := binary.LittleEndian.Uint64(s.data[begin:]), binary.LittleEndian.Uint64(s.data[end-8:])
		return (first*prime ^ last ^ uint64(n)) * prime
	}
	var all uint64
	for _, c := range s.data[begin:end] {
		all = all<<8 | uint64(c)
	}
	return (all ^ uint64(n)<<56) * prime
}

// element goes to an array's next element, behind the one that ends at at, and gives where it begins. When there are no more it gives where the array ends.
// begun is the array's own.
func (s *scanner) element(begun *bool, at int) (value int, more bool) {
	c, at := s.next(at)
	if c == ']' {
		s.depth--
		return at + 1, false
	}
	if *begun {
		if c != ',' {
			return s.fail(), false
		}
		if c, at = s.next(at + 1); c == ']' {
			return s.fail(), false
		}
	}
	*begun = true
	return at, !s.failed
}

// text reads the string that begins at at.
func (s *scanner) text(at int) (text []byte, end int) {
	quote := quoteEnd(s.data, at+1)
	if s.plain && quote < len(s.data) && s.data[quote] == '"' {
		return s.data[at+1 : quote], quote + 1
	}
	end, escaped := s.farEnd(at, quote)
	if s.failed {
		return nil, end
	}
	if !escaped {
		return s.data[at+1 : end-1], end
	}
	text, err := jsontext.AppendUnquote(nil, s.data[at:end])
	if err != nil {
		return nil, s.fail()
	}
	return text, end
}

// skipText passes over the string that begins at at.
func (s *scanner) skipText(at int) int {
	quote := quoteEnd(s.data, at+1)
	if s.plain && quote < len(s.data) && s.data[quote] == '"' {
		return quote + 1
	}
	end, _ := s.farEnd(at, quote)
	return end
}

// farEnd is where the string ends that begins at at, of which quote is the first quoteEnd, and says whether it has escapes.
func (s *scanner) farEnd(at, quote int) (end int, escaped bool) {
	for quote < len(s.data) && s.data[quote] == '"' && isEscaped(s.data[at+1:quote]) {
		quote = quoteEnd(s.data, quote+1)
	}
	if quote == len(s.data) || s.data[quote] != '"' {
		return s.fail(), false
	}
	end = quote + 1
	escaped = bytes.IndexByte(s.data[at:end], '\\') >= 0
	if escaped && s.strict && !jsontext.Value(s.data[at:end]).IsValid() {
		return s.fail(), false
	}
	return end, escaped
}

// isEscaped says whether what follows text in a string is escaped by its end.
func isEscaped(text []byte) bool {
	n := len(text)
	for n > 0 && text[n-1] == '\\' {
		n--
	}
	return (len(text)-n)%2 == 1
}

// quoteEnd is where the first quote or control character is from at on.
func quoteEnd(data []byte, at int) int {
	const (
		each = 0x0101010101010101
		high = 0x80 * each
	)
	for ; at+8 <= len(data); at += 8 {
		// With that bit of it turned over, a quote comes to stand next to the control characters. A byte less n has its highest bit set if it was
		// less than n, or had that bit itself; the borrow spoils only what is above the first byte that was less.
		word := binary.LittleEndian.Uint64(data[at:])
		if ends := ((word ^ 2*each) - 0x21*each) &^ word & high; ends != 0 {
			return at + bits.TrailingZeros64(ends)>>3
		}
	}
	for ; at < len(data); at++ {
		if c := data[at]; c == '"' || c < ' ' {
			return at
		}
	}
	return len(data)
}

// skip passes over the value that begins at at, or behind white space there.
func (s *scanner) skip(at int) int {
	c, at := s.next(at)
	switch c {
	case '"':
		return s.skipText(at)
	case '{':
		var o object
		_, at, more := s.enterObject(&o, at)
		for ; more; _, at, more = s.member(&o, at) {
			at = s.skip(at)
		}
		return at
	case '[':
		begun := false
		at, more := s.element(&begun, s.enter(at))
		for ; more; at, more = s.element(&begun, at) {
			at = s.skip(at)
		}
		return at
	case 'n':
		return s.literal("null", at)
	case 't':
		return s.literal("true", at)
	case 'f':
		return s.literal("false", at)
	}
	return s.number(at)
}

func (s *scanner) literal(word string, at int) int {
	if end := at + len(word); end <= len(s.data) && string(s.data[at:end]) == word {
		return end
	}
	return s.fail()
}

func (s *scanner) number(at int) int {
	if s.byteAt(at) == '-' {
		at++
	}
	if s.byteAt(at) == '0' {
		at++
	} else {
		at = s.digits(at)
	}
	if s.byteAt(at) == '.' {
		at = s.digits(at + 1)
	}
	if c := s.byteAt(at); c == 'e' || c == 'E' {
		at++
		if c := s.byteAt(at); c == '+' || c == '-' {
			at++
		}
		at = s.digits(at)
	}
	return at
}

// digits passes over one digit or more.
func (s *scanner) digits(at int) int {
	begin := at
	for '0' <= s.byteAt(at) && s.byteAt(at) <= '9' {
		at++
	}
	if at == begin {
		return s.fail()
	}
	return at
}

// byteAt is the byte at at, or 0 at the end of the data.
func (s *scanner) byteAt(at int) byte {
	if at < len(s.data) {
		return s.data[at]
	}
	return 0
}
