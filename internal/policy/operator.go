package policy

import (
	"encoding/base64"
	"net/netip"
	"strings"
	"time"
)

// test compares a value of the request with the policy's, which were compiled for the operator. It is one struct with a
// switch, and not an interface, so that a question stays on the stack.
type test struct {
	by        comparison
	order     order     // of numbers and dates: the outcomes that meet
	texts     []pattern // strings and Booleans; ARNs that only a variable can make one
	arns      []arnPattern
	numbers   []number
	dates     []time.Time
	binaries  [][]byte
	addresses []netip.Prefix
}

// comparison is what a kind of operator does.
type comparison uint8

const (
	byString comparison = iota
	byFold              // without regard to case
	byLike              // with wildcards
	byARN
	byNumber
	byDate
	byBool
	byBinary
	byAddress
	byPresence // Null
)

// order is a set of outcomes of a comparison.
type order uint8

const (
	less order = 1 << iota
	equal
	greater
)

func (o order) has(comparison int) bool {
	switch {
	case comparison < 0:
		return o&less != 0
	case comparison > 0:
		return o&greater != 0
	}
	return o&equal != 0
}

// compileTest compiles the policy's values. One that the operator cannot read is left out: nothing meets it. See the IAM user
// guide's "IAM JSON policy elements: Condition operators". Only String and Arn operators, and Bool, have variables.
func compileTest(op operator, values []string, with syntax) *test {
	t := &test{by: op.by, order: op.order}
	with &= variables
	for _, value := range values {
		switch op.by {
		case byString, byFold, byBool:
			t.texts = append(t.texts, compilePattern(value, with))
		case byLike:
			t.texts = append(t.texts, compilePattern(value, with|wildcards))
		case byARN:
			t.addARN(value, with)
		case byNumber:
			if n, ok := parseNumber(value); ok {
				t.numbers = append(t.numbers, n)
			}
		case byDate:
			if at, ok := parseDate(value); ok {
				t.dates = append(t.dates, at)
			}
		case byBinary:
			if b, err := base64.StdEncoding.DecodeString(value); err == nil {
				t.binaries = append(t.binaries, b)
			}
		case byAddress:
			if network, ok := parseNetwork(value); ok {
				t.addresses = append(t.addresses, network)
			}
		}
	}
	return t
}

// addARN adds an ARN, which is compared part by part. A value that is not an ARN as it stands can only be one by a variable, and
// is then compared whole.
func (t *test) addARN(value string, with syntax) {
	if p, ok := compileARNPattern(value, with|wildcards, with|wildcards); ok {
		t.arns = append(t.arns, p)
	} else if p := compilePattern(value, with); p.form == expanded {
		t.texts = append(t.texts, p)
	}
}

// parseNetwork reads a CIDR block, or an address, which is a block of one. IPv4 in the form of IPv6 is IPv4.
func parseNetwork(text string) (netip.Prefix, bool) {
	const inIPv6 = 96 // bits before those of an IPv4 address
	if network, err := netip.ParsePrefix(text); err == nil {
		if network.Addr().Is4In6() && network.Bits() >= inIPv6 {
			network = netip.PrefixFrom(network.Addr().Unmap(), network.Bits()-inIPv6)
		}
		return network, true
	}
	address, err := netip.ParseAddr(text)
	if err != nil || address.Zone() != "" {
		return netip.Prefix{}, false
	}
	address = address.Unmap()
	return netip.PrefixFrom(address, address.BitLen()), true
}

// meets reports whether a value of the request meets any of the policy's. What cannot be read as the operator's kind of value meets
// nothing.
func (t *test) meets(value string, q *Request) bool {
	switch t.by {
	case byString, byLike:
		return t.meetsText(value, q)
	case byFold:
		return t.meetsFolded(value, q)
	case byBool:
		return (strings.EqualFold(value, "true") || strings.EqualFold(value, "false")) && t.meetsFolded(value, q)
	case byARN:
		for i := range t.arns {
			if t.arns[i].match(value, q) {
				return true
			}
		}
		return t.meetsText(value, q)
	case byNumber:
		return t.meetsNumber(value)
	case byDate:
		return t.meetsDate(value)
	case byBinary:
		return t.meetsBinary(value)
	}
	return t.meetsAddress(value)
}

func (t *test) meetsText(value string, q *Request) bool {
	for i := range t.texts {
		if t.texts[i].match(value, q) {
			return true
		}
	}
	return false
}

func (t *test) meetsFolded(value string, q *Request) bool {
	for i := range t.texts {
		if t.texts[i].matchFold(value, q) {
			return true
		}
	}
	return false
}

func (t *test) meetsNumber(value string) bool {
	n, ok := parseNumber(value)
	if !ok {
		return false
	}
	for i := range t.numbers {
		if t.order.has(n.compare(&t.numbers[i])) {
			return true
		}
	}
	return false
}

func (t *test) meetsDate(value string) bool {
	at, ok := parseDate(value)
	if !ok {
		return false
	}
	for _, date := range t.dates {
		if t.order.has(at.Compare(date)) {
			return true
		}
	}
	return false
}

// meetsBinary compares bytes, which are in Base64 on both sides.
func (t *test) meetsBinary(value string) bool {
	b, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		return false
	}
	for _, want := range t.binaries {
		if string(want) == string(b) {
			return true
		}
	}
	return false
}

func (t *test) meetsAddress(value string) bool {
	address, err := netip.ParseAddr(value)
	if err != nil {
		return false
	}
	address = address.Unmap().WithZone("")
	for _, network := range t.addresses {
		if network.Contains(address) {
			return true
		}
	}
	return false
}
