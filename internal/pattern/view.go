package pattern

import (
	"net/netip"
)

// A view is what one event says about the fields of a matcher. It is made for a matcher and used for one event after
// another.
type view struct {
	scanner scanner
	values  []value
	// Of each field, its first and its last value, as index+1 into values. asked lists the fields that have any.
	first, last []int32
	asked       []int32

	// elements are the array elements that values are in; the first one stands for no array.
	elements []element
	arrays   int32
	nested   bool // some value is in an array element

	// event counts the events. known has for each condition 2*event if no value of the event satisfies it and 2*event+1
	// if one does; what is less belongs to an earlier event.
	event uint64
	known []uint64

	together together
	search   search
}

// value is one value of a field.
type value struct {
	kind  kind
	text  []byte // of a string what it says, of anything else what is written
	field int32
	in    int32 // the innermost array element that it is in, as index into view.elements
	next  int32 // the field's next value, as index+1

	num    float64
	parsed numberState
}

type numberState byte

const (
	unparsed numberState = iota
	isComparable
	notComparable
)

// element is an object or an array that is an element of an array.
type element struct {
	parent int32 // the element that the array is in
	array  int32
	depth  int32
}

// read takes in an event.
func (v *view) read(m *matcher, event []byte) error {
	err := v.scan(m, event)
	if err == nil && v.scanner.again {
		err = v.scan(m, withoutEqualKeys(event))
	}
	return err
}

func (v *view) scan(m *matcher, event []byte) error {
	for _, f := range v.asked {
		v.first[f], v.last[f] = 0, 0
	}
	v.asked = v.asked[:0]
	v.values = v.values[:0]
	v.elements = append(v.elements[:0], element{})
	v.arrays, v.nested = 0, false
	v.event++
	v.together.steps = 0

	s := &v.scanner
	s.data, s.again = event, false
	if s.objects > 1<<30 {
		s.objects = 0
		clear(s.lastSeen)
	}
	return s.scan(m.root)
}

// add is called by the scanner for each value of a field.
func (v *view) add(field int32, k kind, text []byte, in int32) {
	v.values = append(v.values, value{kind: k, text: text, field: field, in: in})
	at := int32(len(v.values))
	if v.first[field] == 0 {
		v.first[field] = at
		v.asked = append(v.asked, field)
	} else {
		v.values[v.last[field]-1].next = at
	}
	v.last[field] = at
	v.nested = v.nested || in != 0
}

// newElement is called by the scanner for each element of an array that is an object or an array.
func (v *view) newElement(array, parent int32) int32 {
	v.elements = append(v.elements, element{parent: parent, array: array, depth: v.elements[parent].depth + 1})
	return int32(len(v.elements) - 1)
}

// number is the value as a number, if it can be compared as one.
func (v *value) number() (float64, bool) {
	if v.parsed == unparsed {
		v.parsed = notComparable
		if v.kind == kindNumber {
			if f, ok := comparableNumber(string(v.text)); ok {
				v.num, v.parsed = f, isComparable
			}
		}
	}
	return v.num, v.parsed == isComparable
}

// address is the value as an IP address, if it is a string with one in it.
func (v *value) address() (netip.Addr, bool) {
	if v.kind != kindString || len(v.text) > len("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff") {
		return netip.Addr{}, false
	}
	return parseAddress(v.text)
}
