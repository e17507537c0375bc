package pattern

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// maxDepth is how deep objects and arrays may be nested in an event.
const maxDepth = 1000

var errNotObject = errors.New("pattern: an event must be a JSON object")

// syntaxError is a place where an event stops being JSON. It doesn't repeat any of the event.
type syntaxError int

func (at syntaxError) Error() string {
	return fmt.Sprintf("pattern: the event is not valid JSON at byte %d", int(at))
}

// bad ends a scan: functions that return a position return bad(i) for an error at i.
func bad(i int) int { return -1 - i }

// A scanner goes once over the bytes of an event, checks that they are JSON (RFC 8259, UTF-8) and hands the values of
// the fields in its tree to view.add. Whatever has no node in the tree is only checked.
type scanner struct {
	data []byte
	view *view
	// objects counts the objects; lastSeen holds for each node the object it was last seen in, which finds equal keys.
	objects  int32
	lastSeen []int32
	// again is that the event may have equal keys of which only the last counts.
	again bool
}

// scan reads the whole event.
func (s *scanner) scan(root *node) error {
	i := space(s.data, 0)
	if i == len(s.data) || s.data[i] != '{' {
		if i = skip(s.data, i, 0); i < 0 {
			return syntaxError(-1 - i)
		}
		return errNotObject
	}
	i = s.object(i+1, root, 0, 1)
	if i < 0 {
		return syntaxError(-1 - i)
	}
	if i = space(s.data, i); i < len(s.data) {
		return syntaxError(i)
	}
	return nil
}

// object reads an object from after its brace, for a node with children.
func (s *scanner) object(i int, n *node, in int32, depth int) int {
	if depth > maxDepth {
		return bad(i)
	}
	data := s.data
	s.objects++
	object := s.objects
	i = space(data, i)
	if i < len(data) && data[i] == '}' {
		return i + 1
	}
	for {
		if i >= len(data) || data[i] != '"' {
			return bad(i)
		}
		end, escaped := text(data, i+1)
		if end < 0 {
			return end
		}
		key := stringText(data[i:end], escaped)
		i = space(data, end)
		if i >= len(data) || data[i] != ':' {
			return bad(i)
		}
		i = space(data, i+1)
		to := n.find(key)
		if to == nil && bytes.IndexByte(key, '.') >= 0 {
			// One field may now come from several keys, so that lastSeen does not tell whether two are equal.
			if to = n.findDotted(key); to != nil {
				s.again = true
			}
		}
		if to == nil {
			i = skip(data, i, depth)
		} else {
			if s.lastSeen[to.id] == object {
				s.again = true
			}
			s.lastSeen[to.id] = object
			i = s.value(i, to, in, depth)
		}
		if i < 0 {
			return i
		}
		i = space(data, i)
		if i >= len(data) {
			return bad(i)
		}
		if data[i] == '}' {
			return i + 1
		}
		if data[i] != ',' {
			return bad(i)
		}
		i = space(data, i+1)
	}
}

// value reads a value of the node n. in is the array element it is in.
func (s *scanner) value(i int, n *node, in int32, depth int) int {
	data := s.data
	if i >= len(data) {
		return bad(i)
	}
	switch data[i] {
	case '{':
		if len(n.table) == 0 {
			return skip(data, i, depth)
		}
		return s.object(i+1, n, in, depth+1)
	case '[':
		return s.array(i+1, n, in, depth+1)
	}
	if n.field < 0 {
		return skip(data, i, depth)
	}
	begin := i
	k, end, escaped := scalar(data, i)
	if end < 0 {
		return end
	}
	raw := data[begin:end]
	if k == kindString {
		raw = stringText(raw, escaped)
	}
	s.view.add(n.field, k, raw, in)
	return end
}

// array reads an array from after its bracket. Its elements that are objects or arrays keep what is in them apart; its
// plain elements are values of n as if they stood alone.
func (s *scanner) array(i int, n *node, in int32, depth int) int {
	if depth > maxDepth {
		return bad(i)
	}
	data := s.data
	i = space(data, i)
	if i < len(data) && data[i] == ']' {
		return i + 1
	}
	s.view.arrays++
	array := s.view.arrays
	for {
		if i >= len(data) {
			return bad(i)
		}
		element := in
		if data[i] == '{' || data[i] == '[' {
			element = s.view.newElement(array, in)
		}
		i = s.value(i, n, element, depth)
		if i < 0 {
			return i
		}
		i = space(data, i)
		if i >= len(data) {
			return bad(i)
		}
		if data[i] == ']' {
			return i + 1
		}
		if data[i] != ',' {
			return bad(i)
		}
		i = space(data, i+1)
	}
}

// skip checks a value that nobody asks for.
func skip(data []byte, i, depth int) int {
	if i >= len(data) {
		return bad(i)
	}
	switch data[i] {
	case '{':
		return skipObject(data, i+1, depth+1)
	case '[':
		return skipArray(data, i+1, depth+1)
	}
	_, end, _ := scalar(data, i)
	return end
}

func skipObject(data []byte, i, depth int) int {
	if depth > maxDepth {
		return bad(i)
	}
	i = space(data, i)
	if i < len(data) && data[i] == '}' {
		return i + 1
	}
	for {
		if i >= len(data) || data[i] != '"' {
			return bad(i)
		}
		if i, _ = text(data, i+1); i < 0 {
			return i
		}
		i = space(data, i)
		if i >= len(data) || data[i] != ':' {
			return bad(i)
		}
		if i = skip(data, space(data, i+1), depth); i < 0 {
			return i
		}
		i = space(data, i)
		if i >= len(data) {
			return bad(i)
		}
		if data[i] == '}' {
			return i + 1
		}
		if data[i] != ',' {
			return bad(i)
		}
		i = space(data, i+1)
	}
}

func skipArray(data []byte, i, depth int) int {
	if depth > maxDepth {
		return bad(i)
	}
	i = space(data, i)
	if i < len(data) && data[i] == ']' {
		return i + 1
	}
	for {
		if i = skip(data, i, depth); i < 0 {
			return i
		}
		i = space(data, i)
		if i >= len(data) {
			return bad(i)
		}
		if data[i] == ']' {
			return i + 1
		}
		if data[i] != ',' {
			return bad(i)
		}
		i = space(data, i+1)
	}
}

// scalar reads a string, number or literal and says where it ends.
func scalar(data []byte, i int) (k kind, end int, escaped bool) {
	if i >= len(data) {
		return 0, bad(i), false
	}
	switch c := data[i]; {
	case c == '"':
		end, escaped = text(data, i+1)
		return kindString, end, escaped
	case c == '-' || '0' <= c && c <= '9':
		return kindNumber, number(data, i), false
	}
	for k := kindTrue; k <= kindNull; k++ {
		if word := literals[k]; len(data)-i >= len(word) && string(data[i:i+len(word)]) == word {
			return k, i + len(word), false
		}
	}
	return 0, bad(i), false
}

func number(data []byte, i int) int {
	if data[i] == '-' {
		i++
	}
	switch {
	case i < len(data) && data[i] == '0':
		i++
	default:
		if i = digits(data, i); i < 0 {
			return i
		}
	}
	if i < len(data) && data[i] == '.' {
		if i = digits(data, i+1); i < 0 {
			return i
		}
	}
	if i < len(data) && (data[i] == 'e' || data[i] == 'E') {
		i++
		if i < len(data) && (data[i] == '+' || data[i] == '-') {
			i++
		}
		return digits(data, i)
	}
	return i
}

func digits(data []byte, i int) int {
	begin := i
	for i < len(data) && '0' <= data[i] && data[i] <= '9' {
		i++
	}
	if i == begin {
		return bad(i)
	}
	return i
}

func space(data []byte, i int) int {
	for i < len(data) {
		if c := data[i]; c > ' ' || c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			break
		}
		i++
	}
	return i
}

// text reads a string from after its opening quote to after its closing one. escaped is that it has a backslash.
func text(data []byte, i int) (end int, escaped bool) {
	const (
		low  = 0x0101010101010101
		high = 0x8080808080808080
	)
	for len(data)-i >= 8 {
		// Of eight bytes, the high bit of each that is a quote, a backslash, below a space, or not ASCII. The lowest
		// such bit is right even where borrows make those above it wrong.
		w := binary.LittleEndian.Uint64(data[i:])
		q, b := w^('"'*low), w^('\\'*low)
		special := ((q-low)&^q | (b-low)&^b | (w-' '*low)&^w | w) & high
		if special == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(special) / 8
		if data[i] == '"' {
			return i + 1, escaped
		}
		if i = oddCharacter(data, i, &escaped); i < 0 {
			return i, false
		}
	}
	for i < len(data) {
		c := data[i]
		if c == '"' {
			return i + 1, escaped
		}
		if c >= ' ' && c < utf8.RuneSelf && c != '\\' {
			i++
			continue
		}
		if i = oddCharacter(data, i, &escaped); i < 0 {
			return i, false
		}
	}
	return bad(i), false
}

// oddCharacter reads an escape sequence or a character beyond ASCII.
func oddCharacter(data []byte, i int, escaped *bool) int {
	if data[i] != '\\' {
		if r, size := utf8.DecodeRune(data[i:]); data[i] >= utf8.RuneSelf && (r != utf8.RuneError || size > 1) {
			return i + size
		}
		return bad(i)
	}
	*escaped = true
	if i+1 >= len(data) {
		return bad(i)
	}
	switch data[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
		if i+6 <= len(data) {
			if _, err := hex.Decode(make([]byte, 2), data[i+2:i+6]); err == nil {
				return i + 6
			}
		}
	}
	return bad(i)
}

// stringText is what a string, given with its quotes, stands for.
func stringText(raw []byte, escaped bool) []byte {
	if !escaped {
		return raw[1 : len(raw)-1]
	}
	text, _ := jsontext.AppendUnquote(nil, raw) // its error only says that half a surrogate pair became U+FFFD
	return text
}
