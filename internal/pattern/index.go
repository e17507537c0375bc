package pattern

import (
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
	"strings"
)

// An index finds the branches that may hold for an event without going through all of them. Each branch waits at one
// of its conditions, the one that the fewest others wait at: if the branch holds, one of the event's values satisfies
// one of that condition's alternatives, and the value leads to the branch by a table, a sorted list or a tree. What is
// found this way is then tried as a whole.
type index struct {
	matcher
	fields []fieldIndex
	always []int32 // branches that no value leads to
}

// fieldIndex has the branches that wait for a value of one field.
type fieldIndex struct {
	strings   map[string][]int32
	literals  [len(literals)][]int32
	numbers   map[float64][]int32
	digits    map[string][]int32 // numbers that can't be compared, by what is written
	ranges    intervals
	addresses map[netip.Addr][]int32
	blocks    intervals
	prefixes  affixes
	suffixes  affixes

	// The keys of these are folded.
	foldStrings  map[string][]int32
	foldPrefixes affixes
	foldSuffixes affixes

	anyString []int32
	any       []int32
}

// search is where candidates are collected.
type search struct {
	event      uint64
	seen       []uint64 // of each branch, the last event that it was a candidate for
	candidates []int32
	owners     []int32
	folded     []byte
}

func (ix *index) init(patterns [][]branch) {
	ix.matcher.init(patterns)
	ix.assign()
}

// search gives the owners of the branches that hold, in order.
func (ix *index) search(v *view) []int32 {
	s := &v.search
	s.event = v.event
	s.candidates, s.owners = s.candidates[:0], s.owners[:0]
	s.add(ix.always)
	for i := range v.values {
		ix.fields[v.values[i].field].lookUp(s, &v.values[i])
	}
	for _, c := range s.candidates {
		if b := &ix.branches[c]; v.holds(&ix.matcher, b) {
			s.owners = append(s.owners, b.owner)
		}
	}
	slices.Sort(s.owners)
	s.owners = slices.Compact(s.owners)
	return s.owners
}

func (s *search) add(branches []int32) {
	for _, b := range branches {
		if s.seen[b] != s.event {
			s.seen[b] = s.event
			s.candidates = append(s.candidates, b)
		}
	}
}

// lookUp adds the branches that v leads to.
func (f *fieldIndex) lookUp(s *search, v *value) {
	s.add(f.any)
	switch v.kind {
	case kindString:
		f.lookUpString(s, v)
	case kindNumber:
		f.lookUpNumber(s, v)
	default:
		s.add(f.literals[v.kind])
	}
}

func (f *fieldIndex) lookUpString(s *search, v *value) {
	s.add(f.anyString)
	if f.strings != nil {
		s.add(f.strings[string(v.text)])
	}
	f.prefixes.lookUp(s, v.text)
	f.suffixes.lookUp(s, v.text)
	if f.foldStrings != nil || !f.foldPrefixes.empty() || !f.foldSuffixes.empty() {
		s.folded = appendFolded(s.folded[:0], v.text)
		s.add(f.foldStrings[string(s.folded)])
		f.foldPrefixes.lookUp(s, s.folded)
		f.foldSuffixes.lookUp(s, s.folded)
	}
	if f.addresses != nil || !f.blocks.empty() {
		if addr, ok := v.address(); ok {
			s.add(f.addresses[addr])
			f.blocks.lookUp(s, addressPoint(addr))
		}
	}
}

func (f *fieldIndex) lookUpNumber(s *search, v *value) {
	if f.numbers == nil && f.digits == nil && f.ranges.empty() {
		return
	}
	n, ok := v.number()
	if !ok {
		s.add(f.digits[string(v.text)])
		return
	}
	s.add(f.numbers[n])
	f.ranges.lookUp(s, numberPoint(n))
}

// A way is how a value that satisfies an alternative is led to the branches that wait for it: by which part of the
// index, and there by which key or interval.
type way struct {
	by        wayKind
	key       string
	low, high point
}

type wayKind byte

const (
	byString wayKind = iota
	byLiteral
	byNumber
	byDigits
	byAddress
	byFoldString
	byPrefix
	bySuffix
	byFoldPrefix
	byFoldSuffix
	byRange
	byBlock
	byAnyString
	byAny
)

// likely says how much more often a value is led by a way of this kind than by that of one string.
var likely = [...]int{
	byString: 1, byLiteral: 2, byNumber: 1, byDigits: 1, byAddress: 1, byFoldString: 1,
	byPrefix: 4, bySuffix: 4, byFoldPrefix: 4, byFoldSuffix: 4, byRange: 16, byBlock: 4, byAnyString: 1000, byAny: 1000,
}

func (a *alternative) way() way {
	switch a.op {
	case opString:
		return way{by: byString, key: a.text}
	case opLiteral:
		return way{by: byLiteral, key: a.text}
	case opNumber:
		if !a.numeric {
			return way{by: byDigits, key: a.text}
		}
		return way{by: byNumber, key: string(binary.BigEndian.AppendUint64(nil, math.Float64bits(a.num)))}
	case opAddress:
		return way{by: byAddress, key: string(a.addr.AsSlice())}
	case opPrefix:
		return affixWay(byPrefix, a.text)
	case opSuffix:
		return affixWay(bySuffix, a.text)
	case opFold:
		return way{by: byFoldString, key: string(appendFolded(nil, a.text))}
	case opPrefixFold:
		return affixWay(byFoldPrefix, string(appendFolded(nil, a.text)))
	case opSuffixFold:
		return affixWay(byFoldSuffix, string(appendFolded(nil, a.text)))
	case opWildcard:
		switch {
		case a.glob.whole:
			return way{by: byString, key: a.glob.first}
		case len(a.glob.first) >= len(a.glob.last):
			return affixWay(byPrefix, a.glob.first)
		}
		return affixWay(bySuffix, a.glob.last)
	case opRange:
		return way{by: byRange, low: numberPoint(a.low), high: numberPoint(a.high)}
	case opCIDR:
		low, high := blockPoints(a.block)
		return way{by: byBlock, low: low, high: high}
	}
	return way{by: byAny}
}

func affixWay(by wayKind, text string) way {
	if text == "" {
		return way{by: byAnyString}
	}
	return way{by: by, key: text}
}

// assign has each branch wait at one of its conditions.
func (ix *index) assign() {
	ways := make([][]way, len(ix.conditions))
	for n, cond := range ix.conditions {
		for i := range cond.alternatives {
			ways[n] = append(ways[n], cond.alternatives[i].way())
		}
	}
	// How many branches could wait at each way of each field.
	type fieldWay struct {
		field int32
		way   way
	}
	shared := map[fieldWay]int{}
	for _, b := range ix.branches {
		for _, n := range b.conditions {
			for _, w := range ways[n] {
				shared[fieldWay{ix.fieldOf[n], w}]++
			}
		}
	}
	cost := func(n int32) int {
		most := 0
		for _, w := range ways[n] {
			most = max(most, likely[w.by]*shared[fieldWay{ix.fieldOf[n], w}])
		}
		return most
	}

	builders := make([]fieldBuilder, ix.fieldCount)
	for i, b := range ix.branches {
		best, bestCost := int32(-1), math.MaxInt
		for _, n := range b.conditions {
			if ix.conditions[n].absent {
				continue
			}
			if c := cost(n); c < bestCost {
				best, bestCost = n, c
			}
		}
		if best < 0 {
			ix.always = append(ix.always, int32(i))
			continue
		}
		builder := &builders[ix.fieldOf[best]]
		for _, w := range ways[best] {
			builder.wait(w, int32(i))
		}
	}
	ix.fields = make([]fieldIndex, len(builders))
	for i := range builders {
		ix.fields[i] = builders[i].build()
	}
}

// fieldBuilder collects the branches that wait at each way.
type fieldBuilder map[way][]int32

func (f *fieldBuilder) wait(w way, branch int32) {
	if *f == nil {
		*f = fieldBuilder{}
	}
	if at := (*f)[w]; len(at) == 0 || at[len(at)-1] != branch {
		(*f)[w] = append(at, branch)
	}
}

func (f fieldBuilder) build() fieldIndex {
	tables := map[wayKind]map[string][]int32{}
	spans := map[wayKind][]interval{}
	for w, branches := range f {
		switch w.by {
		case byRange, byBlock:
			spans[w.by] = append(spans[w.by], interval{w.low, w.high, branches})
		default:
			if tables[w.by] == nil {
				tables[w.by] = map[string][]int32{}
			}
			tables[w.by][w.key] = branches
		}
	}
	ix := fieldIndex{
		strings: tables[byString], digits: tables[byDigits], foldStrings: tables[byFoldString],
		prefixes: newAffixes(tables[byPrefix], false), suffixes: newAffixes(tables[bySuffix], true),
		foldPrefixes: newAffixes(tables[byFoldPrefix], false), foldSuffixes: newAffixes(tables[byFoldSuffix], true),
		ranges: newIntervals(spans[byRange]), blocks: newIntervals(spans[byBlock]),
		anyString: tables[byAnyString][""], any: tables[byAny][""],
	}
	for k := kindTrue; k <= kindNull; k++ {
		ix.literals[k] = tables[byLiteral][literals[k]]
	}
	for key, branches := range tables[byNumber] {
		if ix.numbers == nil {
			ix.numbers = map[float64][]int32{}
		}
		ix.numbers[math.Float64frombits(binary.BigEndian.Uint64([]byte(key)))] = branches
	}
	for key, branches := range tables[byAddress] {
		if ix.addresses == nil {
			ix.addresses = map[netip.Addr][]int32{}
		}
		addr, _ := netip.AddrFromSlice([]byte(key))
		ix.addresses[addr] = branches
	}
	return ix
}

// affixes finds all prefixes (or suffixes) of a text that are among its keys. The keys are sorted; each knows the
// longest other key that is a prefix of it. Any key that is a prefix of a text sorts before it, and is a prefix of
// every key between, so all of them are among the last key before the text and those it leads to.
type affixes struct {
	keys     []string
	shorter  []int32 // -1 for none
	branches [][]int32
	suffix   bool // keys are compared from their ends
}

func newAffixes(table map[string][]int32, suffix bool) affixes {
	a := affixes{suffix: suffix}
	for key := range table {
		a.keys = append(a.keys, key)
	}
	slices.SortFunc(a.keys, func(x, y string) int {
		n := a.common(x, []byte(y))
		return a.order(x, []byte(y), n)
	})
	for i, key := range a.keys {
		shorter := int32(i - 1)
		for shorter >= 0 && !a.affixOf(a.keys[shorter], key) {
			shorter = a.shorter[shorter]
		}
		a.shorter = append(a.shorter, shorter)
		a.branches = append(a.branches, table[key])
	}
	return a
}

func (a *affixes) empty() bool { return len(a.keys) == 0 }

func (a *affixes) affixOf(short, long string) bool {
	if a.suffix {
		return strings.HasSuffix(long, short)
	}
	return strings.HasPrefix(long, short)
}

func (a *affixes) lookUp(s *search, text []byte) {
	low, high := 0, len(a.keys)
	for low < high {
		mid := int(uint(low+high) / 2)
		if n := a.common(a.keys[mid], text); a.order(a.keys[mid], text, n) <= 0 {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low == 0 {
		return
	}
	n := a.common(a.keys[low-1], text)
	for i := int32(low - 1); i >= 0; i = a.shorter[i] {
		if len(a.keys[i]) <= n {
			s.add(a.branches[i])
		}
	}
}

// common is how many bytes key and text have in common, from the beginning or from the end.
func (a *affixes) common(key string, text []byte) int {
	most := min(len(key), len(text))
	if a.suffix {
		for n := range most {
			if key[len(key)-1-n] != text[len(text)-1-n] {
				return n
			}
		}
		return most
	}
	for n := range most {
		if key[n] != text[n] {
			return n
		}
	}
	return most
}

// order compares key with text, of which n bytes are common.
func (a *affixes) order(key string, text []byte, n int) int {
	switch {
	case n == len(key) || n == len(text):
		return len(key) - len(text)
	case a.suffix:
		return int(key[len(key)-1-n]) - int(text[len(text)-1-n])
	}
	return int(key[n]) - int(text[n])
}
