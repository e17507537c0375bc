// Package selectors decides which events a trail or an event data store takes: CloudTrail's basic and advanced event
// selectors, checked, compiled and matched against the outlines of records. The rules are those of the CloudTrail API reference (EventSelector,
// AdvancedEventSelector, AdvancedFieldSelector) and of the user guide's pages on filtering events.
package selectors

import (
	"bytes"
	"slices"

	"vigil"
)

// Set is a list of selectors, ready to match: it takes an event that any of its selectors matches. A Set does not change, and many
// goroutines may use it. The zero Set takes nothing; see Default.
type Set struct{ any []selector }

// Default is what a trail or a store takes until it is told otherwise: all management events.
func Default() *Set {
	return &Set{any: []selector{{category: Management}}}
}

// Takes says whether an event is one of the set's. Insights events, which are asked for by other means, are never.
func (s *Set) Takes(o *vigil.Outline) bool {
	category := categoryOf(o)
	for i := range s.any {
		if one := &s.any[i]; one.category == category && one.matches(o) {
			return true
		}
	}
	return false
}

// TakesManagement says whether some selector takes management events that read, or that write.
func (s *Set) TakesManagement(readOnly bool) bool {
	for _, one := range s.any {
		if one.category == Management && (one.readOnly == nil || *one.readOnly == readOnly) {
			return true
		}
	}
	return false
}

// DataTypes are the types of resources, such as AWS::S3::Object, whose data events some selector may match. Nobody needs to
// make a record of another data event for the set's sake.
func (s *Set) DataTypes() []string {
	var types []string
	for _, one := range s.any {
		if one.category == Data {
			types = append(types, one.resourceType)
		}
	}
	slices.Sort(types)
	return slices.Compact(types)
}

// Category is the kind of an event.
type Category string

// The categories that selectors may name.
const (
	Management      Category = "Management"
	Data            Category = "Data"
	NetworkActivity Category = "NetworkActivity"
)

// categoryOf is the category of an event. Records of versions before 1.07 have none, and no other events were mixed with
// management events then.
func categoryOf(o *vigil.Outline) Category {
	switch string(o.Category) {
	case "", string(Management):
		return Management
	case string(Data):
		return Data
	case string(NetworkActivity):
		return NetworkActivity
	}
	return ""
}

// selector is one selector: an event of its category that passes all of its tests.
type selector struct {
	category     Category
	readOnly     *bool  // nil is both
	resourceType string // of data events; never empty there
	resourceARN  *condition
	fields       []fieldTest
}

type fieldTest struct {
	value     func(*vigil.Outline) []byte
	condition condition
}

func (s *selector) matches(o *vigil.Outline) bool {
	if s.readOnly != nil && *s.readOnly != o.ReadOnly {
		return false
	}
	for i := range s.fields {
		if f := &s.fields[i]; !f.condition.holds(f.value(o)) {
			return false
		}
	}
	if s.resourceType == "" {
		return true
	}
	for _, r := range o.Resources {
		if string(r.Type) == s.resourceType && (s.resourceARN == nil || s.resourceARN.holds(r.ARN)) {
			return true
		}
	}
	return false
}

// condition is what one field must be: any of what selects it, if anything does, and none of what deselects it.
type condition struct{ selects, deselects operators }

// operators are the values of each operator.
type operators struct{ equals, begins, ends []string }

func (c *condition) holds(value []byte) bool {
	return (c.selects.none() || c.selects.match(value)) && !c.deselects.match(value)
}

func (o *operators) none() bool { return len(o.equals)+len(o.begins)+len(o.ends) == 0 }

func (o *operators) match(value []byte) bool {
	for _, v := range o.equals {
		if string(value) == v {
			return true
		}
	}
	for _, v := range o.begins {
		if len(value) >= len(v) && string(value[:len(v)]) == v {
			return true
		}
	}
	for _, v := range o.ends {
		if len(value) >= len(v) && string(value[len(value)-len(v):]) == v {
			return true
		}
	}
	return false
}

// values are the fields whose conditions are matched as text.
var values = map[string]func(*vigil.Outline) []byte{
	"eventSource":      func(o *vigil.Outline) []byte { return o.EventSource },
	"eventName":        func(o *vigil.Outline) []byte { return o.EventName },
	"eventType":        func(o *vigil.Outline) []byte { return o.EventType },
	"userIdentity.arn": func(o *vigil.Outline) []byte { return o.CallerARN },
	"errorCode":        func(o *vigil.Outline) []byte { return o.ErrorCode },
	"vpcEndpointId":    func(o *vigil.Outline) []byte { return o.VPCEndpointID },
	"sessionCredentialFromConsole": func(o *vigil.Outline) []byte {
		if bytes.EqualFold(o.FromConsole, []byte("true")) {
			return o.FromConsole
		}
		return nil
	},
}
