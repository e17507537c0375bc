package pattern

import (
	"bytes"
	"net/netip"
	"slices"
)

// op is what an alternative asks of a value.
type op byte

const (
	opString     op = iota // the string text
	opLiteral              // text is true, false or null
	opNumber               // the number num, or where one of the two can't be compared as a number, the number text
	opAddress              // a string that is the IP address addr
	opPrefix               // a string that begins with text
	opSuffix               // a string that ends with text
	opFold                 // the string text, apart from case
	opPrefixFold           // a string that begins with text, apart from case
	opSuffixFold           // a string that ends with text, apart from case
	opWildcard             // a string that glob describes
	opRange                // a number from low to high, both included
	opCIDR                 // a string that is an IP address in block
	opExists               // anything
	opNot                  // anything that is none of others
	opAbsent               // no value; condition.absent takes its place
)

type alternative struct {
	op      op
	text    string
	cases   []letter // of the three Fold operators, the letters of text
	num     float64
	numeric bool
	low     float64
	high    float64
	addr    netip.Addr
	block   netip.Prefix
	glob    glob
	others  []alternative
}

// kind is the JSON type of a value.
type kind byte

const (
	kindString kind = iota
	kindNumber
	kindTrue
	kindFalse
	kindNull
)

var literals = [...]string{kindTrue: "true", kindFalse: "false", kindNull: "null"}

// matches says whether one value of the field is what the alternative asks for.
func (a *alternative) matches(v *value) bool {
	switch a.op {
	case opExists:
		return true
	case opNot:
		return !slices.ContainsFunc(a.others, func(o alternative) bool { return o.matches(v) })
	case opLiteral:
		return v.kind > kindNumber && a.text == literals[v.kind]
	case opNumber, opRange:
		return v.kind == kindNumber && a.matchesNumber(v)
	}
	if v.kind != kindString {
		return false
	}
	switch a.op {
	case opString:
		return string(v.text) == a.text
	case opAddress:
		addr, ok := v.address()
		return ok && addr == a.addr
	case opPrefix:
		return len(v.text) >= len(a.text) && string(v.text[:len(a.text)]) == a.text
	case opSuffix:
		return len(v.text) >= len(a.text) && string(v.text[len(v.text)-len(a.text):]) == a.text
	case opFold:
		n, ok := foldPrefix(v.text, a.cases)
		return ok && n == len(v.text)
	case opPrefixFold:
		_, ok := foldPrefix(v.text, a.cases)
		return ok
	case opSuffixFold:
		return foldSuffix(v.text, a.cases)
	case opWildcard:
		return a.glob.matches(v.text)
	case opCIDR:
		addr, ok := v.address()
		return ok && a.block.Contains(addr)
	}
	return false
}

func (a *alternative) matchesNumber(v *value) bool {
	f, ok := v.number()
	if a.op == opRange {
		return ok && a.low <= f && f <= a.high
	}
	if ok && a.numeric {
		return f == a.num
	}
	return string(v.text) == a.text
}

// A glob is a wildcard pattern without its stars: what a string begins with, what comes somewhere after it in this
// order, and what it ends with. One without any star has only a beginning and is whole.
type glob struct {
	whole  bool
	first  string
	middle [][]byte
	last   string
}

func (g *glob) matches(text []byte) bool {
	if g.whole {
		return string(text) == g.first
	}
	if len(text) < len(g.first)+len(g.last) || string(text[:len(g.first)]) != g.first ||
		string(text[len(text)-len(g.last):]) != g.last {
		return false
	}
	text = text[len(g.first) : len(text)-len(g.last)]
	for _, part := range g.middle {
		i := bytes.Index(text, part)
		if i < 0 {
			return false
		}
		text = text[i+len(part):]
	}
	return true
}
