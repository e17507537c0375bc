package wire

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

type kind uint8

const (
	kindString    kind = iota // string, or a type of the SDK's whose values are an enumeration
	kindBlob                  // []byte
	kindBool                  // bool
	kindInt                   // int32, int64
	kindFloat                 // float32, float64
	kindTimestamp             // time.Time
	kindStructure             // struct, or an interface of the SDK's that is a union; see union.go
	kindList                  // []T
	kindMap                   // map[string]T
)

// plan is how values of one Go type are read, checked and written as one shape of the model.
type plan struct {
	kind   kind
	typ    reflect.Type // without the pointer that a member may have
	java   string       // the type in the words of AWS's servers, with its article: an Integer
	limits *limits      // nil when any value will do

	// sensitive says that no value may be shown: the shape, or what it is a list or map of, is sensitive.
	sensitive bool
	// unrecorded says that a record leaves the value out: it is sensitive or binary.
	unrecorded bool
	// structured says that there are structures inside, so the value has no short form for a message.
	structured bool
	timestamps string // how a timestamp is written: unixTimestamp, iso8601, or empty for the protocol's own form

	members []member           // of a structure, in order of name
	byName  map[string]*member // by name in JSON and CBOR
	union   bool               // exactly one of the members is set

	elem      *plan  // of a list or map
	key       *plan  // of a map
	elemName  string // what query and XML call an element of a list: member
	keyName   string // and the key and the value of a map's entry
	valueName string
}

// member is one member of a structure.
type member struct {
	name      string // in the model and in JSON: KeyId
	path      string // in messages and records: keyId
	wireName  string // in query and XML
	flattened bool   // there without the level of member or entry
	ordinal   int    // among the members
	index     int    // of the struct's field
	presence  presence
	required  bool
	plan      *plan
	variant   reflect.Type // of a union: the struct whose field it is

	jsonKey   []byte // "KeyId":
	recordKey []byte // "keyId":
	cborKey   []byte
}

// presence is how a field says that it is not set.
type presence uint8

const (
	byPointer presence = iota // nil
	byNil                     // a nil slice, map or interface; an empty slice or map is set
	byText                    // an enumeration's empty string
	always                    // a bool or number without a pointer: the model gives it a default
)

// emptyEnum stands in a decoded input for an enumeration that was sent as the empty string, which the SDK's types cannot tell
// from one that was not sent. No enumeration has it, so [Operation.Validate] refuses it and no handler sees it.
const emptyEnum = "\x00"

// get is the member's value in its structure, without a pointer, and whether it is set.
func (m *member) get(structure reflect.Value) (reflect.Value, bool) {
	if m.variant != nil {
		return m.chosen(structure)
	}
	v := structure.Field(m.index)
	switch m.presence {
	case byPointer:
		return v.Elem(), !v.IsNil()
	case byNil:
		return v, !v.IsNil()
	case byText:
		return v, v.Len() > 0
	}
	return v, true
}

// text is raw as a string, which need not be allocated when it is a value of p's enumeration.
func (p *plan) text(raw []byte) string {
	if p.limits != nil && p.limits.enum != nil {
		if known, ok := p.limits.enum[string(raw)]; ok {
			return known
		}
	}
	return string(raw)
}

// slot is where to put the member's value. It allocates what a pointer needs.
func (m *member) slot(structure reflect.Value) reflect.Value {
	if m.variant != nil {
		return m.choose(structure)
	}
	v := structure.Field(m.index)
	if m.presence == byPointer {
		v.Set(reflect.New(m.plan.typ))
		return v.Elem()
	}
	return v
}

// compiler makes the plans of one operation. Shapes may mention themselves, so a plan is known before it is whole.
type compiler struct {
	model *model
	done  map[planKey]*plan
}

type planKey struct {
	shape      string
	typ        reflect.Type
	timestamps string
}

// payload is the plan of an input or output, which the model may not have at all.
func (c *compiler) payload(ref *payloadRef, typ reflect.Type) (*plan, error) {
	if typ == nil || typ.Kind() != reflect.Struct {
		return nil, fmt.Errorf("%v is not a struct", typ)
	}
	if ref == nil {
		p := &plan{kind: kindStructure, typ: typ}
		return p, c.members(p, &shape{Type: "structure"})
	}
	p, err := c.plan(ref.Shape, typ, "")
	if err == nil && p.kind != kindStructure {
		err = fmt.Errorf("%s is not a structure", ref.Shape)
	}
	return p, err
}

// errEventStream says that an operation is not bound because it is answered by a stream of events, which the SDK keeps out of
// the output's fields. No protocol here has them.
var errEventStream = errors.New("a stream of events, which is not built yet")

var (
	timeType = reflect.TypeFor[time.Time]()
	blobType = reflect.TypeFor[[]byte]()
)

// plan is that of a Go type without its pointer.
func (c *compiler) plan(name string, typ reflect.Type, timestamps string) (*plan, error) {
	known := planKey{name, typ, timestamps}
	if p, ok := c.done[known]; ok {
		return p, nil
	}
	s, ok := c.model.Shapes[name]
	if !ok {
		return nil, fmt.Errorf("the model has no shape %s", name)
	}
	p := &plan{typ: typ, sensitive: s.Sensitive}
	c.done[known] = p

	want := func(kinds ...reflect.Kind) error {
		if slices.Contains(kinds, typ.Kind()) {
			return nil
		}
		return fmt.Errorf("%s is a %s in the model and a %v in Go", name, s.Type, typ)
	}
	var err error
	switch s.Type {
	case "string":
		p.kind, p.java, err = kindString, "a String", want(reflect.String)
	case "boolean":
		p.kind, p.java, err = kindBool, "a Boolean", want(reflect.Bool)
	case "integer":
		p.kind, p.java, err = kindInt, "an Integer", want(reflect.Int32)
	case "long":
		p.kind, p.java, err = kindInt, "a Long", want(reflect.Int64)
	case "float":
		p.kind, p.java, err = kindFloat, "a Float", want(reflect.Float32)
	case "double":
		p.kind, p.java, err = kindFloat, "a Double", want(reflect.Float64)
	case "blob":
		p.kind, p.java, p.unrecorded = kindBlob, "a Blob", true
		if typ != blobType {
			err = want()
		}
	case "timestamp":
		p.kind, p.java, p.timestamps = kindTimestamp, "milliseconds since epoch", timestamps
		if p.timestamps == "" {
			p.timestamps = s.TimestampFormat
		}
		if !slices.Contains([]string{"", unixTimestamp, iso8601}, p.timestamps) {
			err = fmt.Errorf("%s has the timestamp form %s, which is not built yet", name, p.timestamps)
		}
		if typ != timeType {
			err = errors.Join(err, want())
		}
	case "structure":
		p.kind, p.structured, p.union = kindStructure, true, s.Union
		if p.union {
			err = c.variants(p, s)
		} else if err = want(reflect.Struct); err == nil {
			err = c.members(p, s)
		}
	case "list":
		p.kind = kindList
		if err = want(reflect.Slice); err == nil {
			err = c.list(p, s)
		}
	case "map":
		p.kind = kindMap
		if err = want(reflect.Map); err == nil {
			err = c.mapping(p, s)
		}
	default:
		err = fmt.Errorf("%s is a %s, which is not built yet", name, s.Type)
	}
	if err != nil {
		return nil, err
	}
	p.unrecorded = p.unrecorded || p.sensitive
	if p.limits, err = newLimits(s, p.kind); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

func (c *compiler) list(p *plan, s *shape) (err error) {
	p.elem, err = c.plan(s.Member.Shape, p.typ.Elem(), s.Member.TimestampFormat)
	if err != nil {
		return err
	}
	p.elemName = s.Member.location("member")
	p.inherit(p.elem)
	return nil
}

func (c *compiler) mapping(p *plan, s *shape) (err error) {
	if p.key, err = c.plan(s.Key.Shape, p.typ.Key(), ""); err != nil {
		return err
	}
	if p.typ.Key() != reflect.TypeFor[string]() {
		return fmt.Errorf("a map of %v: keys other than string are not built yet", p.typ)
	}
	if p.elem, err = c.plan(s.Value.Shape, p.typ.Elem(), s.Value.TimestampFormat); err != nil {
		return err
	}
	p.keyName, p.valueName = s.Key.location("key"), s.Value.location("value")
	p.inherit(p.key)
	p.inherit(p.elem)
	return nil
}

// inherit takes over from what a list or map holds what must then hold for the whole of it.
func (p *plan) inherit(inner *plan) {
	p.structured = p.structured || inner.structured
	if inner.kind != kindStructure { // a structure decides member by member
		p.sensitive = p.sensitive || inner.sensitive
		p.unrecorded = p.unrecorded || inner.unrecorded
	}
}

// members joins the fields of p's struct with the members of s, one to one.
func (c *compiler) members(p *plan, s *shape) error {
	fields := map[string]reflect.StructField{}
	for i := range p.typ.NumField() {
		f := p.typ.Field(i)
		if f.IsExported() && f.Name != "ResultMetadata" { // how the client's call went, which the SDK adds to each output
			fields[f.Name] = f
		}
	}
	names, err := p.enlist(s)
	if err != nil {
		return err
	}
	for i, name := range names {
		if target := c.model.Shapes[s.Members[name].Shape]; target != nil && target.EventStream {
			return fmt.Errorf("%s: %w", name, errEventStream)
		}
		field, ok := fields[exported(name)]
		if !ok {
			return fmt.Errorf("%v lacks the model's member %s", p.typ, name)
		}
		delete(fields, field.Name)
		m := &p.members[i]
		if err := c.member(m, name, s, field); err != nil {
			return fmt.Errorf("%v.%s: %w", p.typ, field.Name, err)
		}
	}
	for name := range fields {
		return fmt.Errorf("%v has %s, which the model has not", p.typ, name)
	}
	return nil
}

// maxMembers is how many members a structure can have. No structure of AWS's has half as many.
const maxMembers = 128

// enlist makes room for the members of s, and returns their names in order.
func (p *plan) enlist(s *shape) ([]string, error) {
	names := slices.Sorted(maps.Keys(s.Members))
	if len(names) > maxMembers {
		return nil, fmt.Errorf("%v has %d members, more than %d", p.typ, len(names), maxMembers)
	}
	p.members = make([]member, len(names))
	p.byName = make(map[string]*member, len(names))
	for i, name := range names {
		p.members[i].ordinal = i
		p.byName[name] = &p.members[i]
	}
	return names, nil
}

// exported is the name that Go gives a member.
func exported(name string) string { return strings.ToUpper(name[:1]) + name[1:] }

func (c *compiler) member(m *member, name string, s *shape, field reflect.StructField) error {
	ref := s.Members[name]
	m.index = field.Index[0]
	m.required = slices.Contains(s.Required, name) && !ref.IdempotencyToken

	typ := field.Type
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	inner, err := c.plan(ref.Shape, typ, ref.TimestampFormat)
	if err != nil {
		return err
	}
	m.plan = inner
	switch {
	case field.Type.Kind() == reflect.Pointer:
		m.presence = byPointer
	case inner.kind == kindList, inner.kind == kindMap, inner.kind == kindBlob, inner.union:
		m.presence = byNil
	case inner.kind == kindString:
		m.presence = byText
		if len(c.model.Shapes[ref.Shape].Enum) == 0 {
			return errors.New("a string without a pointer that is no enumeration cannot be unset")
		}
	case inner.kind == kindBool, inner.kind == kindInt, inner.kind == kindFloat:
		m.presence = always
	default:
		return fmt.Errorf("a %v without a pointer cannot be unset", typ)
	}
	c.name(m, name, ref)
	return nil
}

// name gives m its names in every form, of which JSON and CBOR have the model's own.
func (c *compiler) name(m *member, name string, ref *shapeRef) {
	m.name = name
	m.path = strings.ToLower(name[:1]) + name[1:]
	m.wireName = ref.location(name)
	target := c.model.Shapes[ref.Shape]
	if m.flattened = ref.Flattened || target.Flattened; m.flattened && m.plan.kind == kindList {
		m.wireName = target.Member.location(m.wireName)
	}
	m.jsonKey = quotedKey(name)
	m.recordKey = quotedKey(m.path)
	m.cborKey = appendCBORText(nil, name)
}

func quotedKey(name string) []byte {
	key, _ := jsontext.AppendQuote(nil, name)
	return append(key, ':')
}
