package wire

import (
	"fmt"
	"reflect"

	cloudwatch "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	logs "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

// A union is a structure of whose members exactly one is set. The SDK has an interface for it, and for each of its members a
// struct with a field Value, whose pointer is a value of the interface.

// unions are the interfaces with the structs of their members, which Go cannot find by itself.
var unions = map[reflect.Type][]reflect.Type{
	reflect.TypeFor[cloudwatch.EvaluationCriteria](): {
		reflect.TypeFor[cloudwatch.EvaluationCriteriaMemberPromQLCriteria](),
	},
	reflect.TypeFor[cloudwatch.EvaluationWindow](): {
		reflect.TypeFor[cloudwatch.EvaluationWindowMemberSlidingWindow](),
		reflect.TypeFor[cloudwatch.EvaluationWindowMemberWallClockWindow](),
	},
	reflect.TypeFor[logs.IntegrationDetails](): {
		reflect.TypeFor[logs.IntegrationDetailsMemberOpenSearchIntegrationDetails](),
	},
	reflect.TypeFor[logs.ResourceConfig](): {
		reflect.TypeFor[logs.ResourceConfigMemberOpenSearchResourceConfig](),
	},
}

var (
	noneChosen = &SerializationError{"A union has no member set that is known"}
	twoChosen  = &SerializationError{"A union has more than one member set"}
)

// variants joins the structs of a union with the members of s, one to one.
func (c *compiler) variants(p *plan, s *shape) error {
	listed, ok := unions[p.typ]
	if !ok {
		return fmt.Errorf("%v is not known as a union", p.typ)
	}
	structs := map[string]reflect.Type{}
	for _, variant := range listed {
		structs[variant.Name()] = variant
	}
	names, err := p.enlist(s)
	if err != nil {
		return err
	}
	for i, name := range names {
		variant, ok := structs[p.typ.Name()+"Member"+exported(name)]
		if !ok {
			return fmt.Errorf("%v lacks the model's member %s", p.typ, name)
		}
		delete(structs, variant.Name())
		value, _ := variant.FieldByName("Value")
		m := &p.members[i]
		m.variant, m.index = variant, value.Index[0]
		if m.plan, err = c.plan(s.Members[name].Shape, value.Type, s.Members[name].TimestampFormat); err != nil {
			return fmt.Errorf("%v: %w", variant, err)
		}
		c.name(m, name, s.Members[name])
	}
	for _, variant := range structs {
		return fmt.Errorf("%v has %v, which the model has not", p.typ, variant)
	}
	return nil
}

// chosen is the member's value in a union, and whether it is the one that is set.
func (m *member) chosen(union reflect.Value) (reflect.Value, bool) {
	pointer := union.Elem()
	if !pointer.IsValid() || pointer.IsNil() || pointer.Type().Elem() != m.variant {
		return reflect.Value{}, false
	}
	return pointer.Elem().Field(m.index), true
}

// taken says that the member is of a union of which one is set already.
func (m *member) taken(structure reflect.Value) bool { return m.variant != nil && !structure.IsNil() }

// choose sets the member in a union, in which none is set yet, and is where to put its value.
func (m *member) choose(union reflect.Value) reflect.Value {
	pointer := reflect.New(m.variant)
	union.Set(pointer)
	return pointer.Elem().Field(m.index)
}
