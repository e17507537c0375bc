package pattern

import "sync"

// A matcher holds the branches of one or many patterns, their equal conditions made one, and the tree of their fields.
type matcher struct {
	root                  *node
	nodeCount, fieldCount int
	conditions            []*condition
	fieldOf               []int32 // of each condition
	branches              []joinedBranch
	views                 sync.Pool
}

// joinedBranch is a branch whose conditions are numbers, by their fields in order.
type joinedBranch struct {
	conditions []int32
	owner      int32 // which of the patterns it belongs to
}

// init takes in patterns, which become the owners 0, 1, …
func (m *matcher) init(patterns [][]branch) {
	tree := newFieldTree()
	number := map[[2]string]int32{}
	for owner, branches := range patterns {
		for _, b := range branches {
			joined := joinedBranch{owner: int32(owner), conditions: make([]int32, len(b))}
			for i, cond := range b {
				key := [2]string{cond.field, cond.source}
				n, ok := number[key]
				if !ok {
					n = int32(len(m.conditions))
					number[key] = n
					m.conditions = append(m.conditions, cond)
					m.fieldOf = append(m.fieldOf, tree.field(cond.field))
				}
				joined.conditions[i] = n
			}
			m.branches = append(m.branches, joined)
		}
	}
	m.root, m.nodeCount, m.fieldCount = tree.root, int(tree.nodes), len(tree.fields)
}

// view is an unused view for the matcher; the caller gives it back with done.
func (m *matcher) view() *view {
	if v, ok := m.views.Get().(*view); ok {
		return v
	}
	v := &view{
		first: make([]int32, m.fieldCount),
		last:  make([]int32, m.fieldCount),
		known: make([]uint64, len(m.conditions)),
	}
	v.scanner = scanner{view: v, lastSeen: make([]int32, m.nodeCount)}
	v.search.seen = make([]uint64, len(m.branches))
	return v
}

// done takes a view back, without anything of its event.
func (m *matcher) done(v *view) {
	v.scanner.data = nil
	clear(v.values)
	m.views.Put(v)
}

// holds says whether all conditions of a branch hold.
func (v *view) holds(m *matcher, b *joinedBranch) bool {
	for _, n := range b.conditions {
		if !v.satisfied(m, n) {
			return false
		}
	}
	return !v.nested || v.inSameElements(m, b)
}

// satisfied says whether a condition can hold at all. In an event where values are in array elements, one that takes an
// absent field can, because the field may be absent from one of them.
func (v *view) satisfied(m *matcher, n int32) bool {
	if v.known[n]>>1 == v.event {
		return v.known[n]&1 == 1
	}
	cond, at := m.conditions[n], v.first[m.fieldOf[n]]
	ok := cond.absent && (at == 0 || v.nested)
	for ; at != 0 && !ok; at = v.values[at-1].next {
		ok = cond.matches(&v.values[at-1])
	}
	v.known[n] = v.event << 1
	if ok {
		v.known[n]++
	}
	return ok
}

func (c *condition) matches(v *value) bool {
	for i := range c.alternatives {
		if c.alternatives[i].matches(v) {
			return true
		}
	}
	return false
}

// together is where values are chosen that satisfy all conditions of a branch in the same array elements.
type together struct {
	// values are those that satisfy the conditions, one condition after the other, which end at ends.
	values []int32
	ends   []int
	chosen []int32 // the array elements of the values chosen so far
	steps  int
}

// maxSteps bounds the choosing in one event, to some tens of milliseconds. An event made to need more, with several
// unrelated arrays of thousands of objects, is taken to match where each condition holds by itself: a watcher had
// better see an event too many than have it hidden from him.
const maxSteps = 4_000_000

// inSameElements says whether the conditions of a branch, of which each can hold, hold together: no two of them by
// values in different elements of the same array. Conditions are taken by their fields in order, and a field is absent
// if it has no value in the elements that the fields before it were found in.
func (v *view) inSameElements(m *matcher, b *joinedBranch) bool {
	t := &v.together
	t.values, t.ends, t.chosen = t.values[:0], t.ends[:0], t.chosen[:0]
	for _, n := range b.conditions {
		for at := v.first[m.fieldOf[n]]; at != 0; at = v.values[at-1].next {
			if m.conditions[n].matches(&v.values[at-1]) {
				t.values = append(t.values, at-1)
			}
		}
		t.ends = append(t.ends, len(t.values))
	}
	return v.choose(m, b, 0)
}

// choose goes on with the condition number k of the branch.
func (v *view) choose(m *matcher, b *joinedBranch, k int) bool {
	if k == len(b.conditions) {
		return true
	}
	t := &v.together
	n := b.conditions[k]
	if m.conditions[n].absent && v.absent(m.fieldOf[n]) && v.choose(m, b, k+1) {
		return true
	}
	begin := 0
	if k > 0 {
		begin = t.ends[k-1]
	}
	for i := begin; i < t.ends[k]; i++ {
		in := v.values[t.values[i]].in
		if !v.consistent(in) {
			continue
		}
		if t.steps > maxSteps {
			return true
		}
		t.chosen = append(t.chosen, in)
		ok := v.choose(m, b, k+1)
		t.chosen = t.chosen[:len(t.chosen)-1]
		if ok {
			return true
		}
	}
	return false
}

// absent says whether a field has no value in the elements chosen so far.
func (v *view) absent(field int32) bool {
	for at := v.first[field]; at != 0; at = v.values[at-1].next {
		if v.consistent(v.values[at-1].in) {
			return false
		}
	}
	return true
}

// consistent says whether a value in the element e can be chosen with those that are.
func (v *view) consistent(e int32) bool {
	v.together.steps++
	for _, other := range v.together.chosen {
		if !v.sameElements(e, other) {
			return false
		}
	}
	return true
}

// sameElements says whether two array elements are in the same element of every array that both are in. Going outwards
// from both until they meet, they come from the same element, or one from the other, or from two arrays, or from two
// elements of one array.
func (v *view) sameElements(a, b int32) bool {
	for v.elements[a].depth > v.elements[b].depth {
		a = v.elements[a].parent
	}
	for v.elements[b].depth > v.elements[a].depth {
		b = v.elements[b].parent
	}
	for a != b {
		x, y := v.elements[a], v.elements[b]
		if x.parent == y.parent {
			return x.array != y.array
		}
		a, b = x.parent, y.parent
	}
	return true
}
