package presto

import (
	"fmt"
	"strings"
)

// width is how many columns a source has.
func (s *source) width() int {
	if s.table != nil {
		return len(s.schema)
	}
	return len(s.columns)
}

func (s *source) name(i int) string {
	if s.table != nil {
		return s.schema[i].Name
	}
	return s.columns[i].name
}

// value is a source's column.
func (s *source) value(i int) val {
	if s.table != nil {
		return s.path([]string{s.schema[i].Member}, s.schema[i].Type, s.schema[i].Name)
	}
	return val{sql: fmt.Sprintf("%s.o%d", s.alias, i), typ: s.columns[i].typ, loose: s.columns[i].name}
}

// path is what is at a place of a source's records.
func (s *source) path(steps []string, typ Type, name string) val {
	n := s.table.column(steps, typ)
	return val{sql: fmt.Sprintf("%s.c%d", s.alias, n), typ: typ, source: s, steps: steps, loose: name}
}

// reference is what a name is of a source.
type reference struct {
	source *source
	column int      // of the source
	steps  []string // in its records, if it is a table
	typ    Type
	rest   []string // fields, which are not within reach of steps
}

// lookup finds what a name means: a column, perhaps with its relation before it, and fields behind it.
func (c *compiler) lookup(sc *scope, n *name) (reference, error) {
	parts := n.parts
	sources := sc.from.sources
	if len(parts) > 1 {
		for _, s := range sources {
			if s.called != "" && s.called == strings.ToLower(parts[0]) {
				sources, parts = []*source{s}, parts[1:]
				break
			}
		}
	}
	var found reference
	for _, s := range sources {
		for i := range s.width() {
			if !strings.EqualFold(s.name(i), parts[0]) {
				continue
			}
			if found.source != nil {
				return found, failAt(n.position, "Column '%s' is ambiguous", parts[0])
			}
			found = reference{source: s, column: i, rest: parts[1:]}
		}
	}
	if found.source == nil {
		return found, failAt(n.position, "Column '%s' cannot be resolved", strings.Join(n.parts, "."))
	}
	s := found.source
	if s.table == nil {
		found.typ = s.columns[found.column].typ
		return found, nil
	}
	found.steps, found.typ = []string{s.schema[found.column].Member}, s.schema[found.column].Type
	for len(found.rest) > 0 {
		f, err := fieldOfRow(found.typ, found.rest[0], n.position)
		if err != nil {
			return found, err
		}
		found.steps, found.typ, found.rest = append(found.steps, f.Member), f.Type, found.rest[1:]
	}
	return found, nil
}

func fieldOfRow(t Type, name string, at position) (Field, error) {
	if t.Kind == Map {
		return Field{}, failAt(at, "'%s' is in a %s, whose values are found by element_at", name, t)
	}
	if t.Kind != Row {
		return Field{}, failAt(at, "'%s' is a field of no row: the type is %s", name, t)
	}
	f, ok := t.field(name)
	if !ok {
		return f, failAt(at, "Column '%s' cannot be resolved", name)
	}
	return f, nil
}

func (c *compiler) name(sc *scope, n *name) (val, error) {
	if len(n.parts) == 1 && sc.outputs != nil && !sc.within {
		all := sc.outputs[strings.ToLower(n.parts[0])]
		for _, one := range all {
			if one.sql != all[0].sql {
				return val{}, failAt(n.position, "Column '%s' is ambiguous", n.parts[0])
			}
		}
		if len(all) > 0 {
			return all[0], nil
		}
	}
	r, err := c.lookup(sc, n)
	if err != nil {
		return val{}, err
	}
	text := strings.ToLower(strings.Join(n.parts, "."))
	var v val
	if r.source.table != nil {
		v = r.source.path(r.steps, r.typ, text)
	} else {
		v = r.source.value(r.column)
	}
	v.at, v.loose = n.position, text
	v = v.grouped(sc)
	for _, field := range r.rest {
		if v, err = c.field(v, field, n.position); err != nil {
			return v, err
		}
	}
	return v, nil
}

// field is a field of a row.
func (c *compiler) field(base val, name string, at position) (val, error) {
	f, err := fieldOfRow(base.typ, name, at)
	if err != nil {
		return base, err
	}
	if base.source != nil {
		v := base.source.path(append(base.steps[:len(base.steps):len(base.steps)], f.Member), f.Type, base.loose+"."+f.Name)
		v.at = at
		return v, nil
	}
	return c.run(at, f.Type, "vl_field", base, known(at, Of(Varchar), f.Member), kindOf(f.Type)), nil
}
