package pattern

import (
	"bytes"
	"strings"
)

// A node is where a reader stands after the keys that led to it: the tree of all fields that patterns name, by the
// parts of their names between dots. Only what has a node is looked at in an event.
type node struct {
	id    int32 // counted through the tree, the root is 0
	field int32 // the field that ends here, or -1

	// Children in an open-addressed table, by slot(key); its length is a power of two and at least twice theirs.
	table []child
}

type child struct {
	key  string
	node *node
}

// fieldTree numbers the fields in the order they are asked for.
type fieldTree struct {
	root   *node
	nodes  int32
	fields map[string]int32
}

func newFieldTree() *fieldTree {
	return &fieldTree{root: &node{field: -1}, nodes: 1, fields: map[string]int32{}}
}

// field is the number of a field.
func (t *fieldTree) field(name string) int32 {
	if f, ok := t.fields[name]; ok {
		return f
	}
	at := t.root
	for part := range strings.SplitSeq(name, ".") {
		next := at.find([]byte(part))
		if next == nil {
			next = &node{id: t.nodes, field: -1}
			t.nodes++
			at.add(part, next)
		}
		at = next
	}
	f := int32(len(t.fields))
	t.fields[name] = f
	at.field = f
	return f
}

func (n *node) add(key string, to *node) {
	old := n.table
	used := 1
	for _, c := range old {
		if c.node != nil {
			used++
		}
	}
	if 2*used <= len(old) {
		n.insert(key, to)
		return
	}
	n.table = make([]child, max(2, 2*len(old)))
	for _, c := range old {
		if c.node != nil {
			n.insert(c.key, c.node)
		}
	}
	n.insert(key, to)
}

func (n *node) insert(key string, to *node) {
	mask := uint32(len(n.table) - 1)
	i := slot(key) & mask
	for n.table[i].node != nil {
		i = (i + 1) & mask
	}
	n.table[i] = child{key, to}
}

// find is the child for one part of a field's name.
func (n *node) find(key []byte) *node {
	if len(n.table) == 0 {
		return nil
	}
	mask := uint32(len(n.table) - 1)
	for i := slot(key) & mask; ; i = (i + 1) & mask {
		c := &n.table[i]
		if c.node == nil {
			return nil
		}
		if c.key == string(key) {
			return c.node
		}
	}
}

// findDotted is the node for a key of an event that has dots in it.
func (n *node) findDotted(key []byte) *node {
	for n != nil {
		part, rest, dotted := bytes.Cut(key, []byte("."))
		n = n.find(part)
		if !dotted {
			return n
		}
		key = rest
	}
	return nil
}

// slot spreads the keys of JSON objects, which differ in length, first, middle or last character.
func slot[S string | []byte](key S) uint32 {
	n := len(key)
	if n == 0 {
		return 0
	}
	h := uint32(n) + uint32(key[0])<<8 + uint32(key[n/2])<<16 + uint32(key[n-1])<<24
	return (h * 0x9E3779B1) >> 16
}
