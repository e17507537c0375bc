package selectors

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
)

// Owner is what has the selectors. Trails and event data stores allow different ones.
type Owner int

const (
	Trail Owner = iota
	EventDataStore
)

// maxConditions is how many values all conditions of an owner's advanced selectors have at most.
const maxConditions = 500

// maxStoreSelectors is how many selectors an event data store has at most.
const maxStoreSelectors = 5

// rule is what a field of a selector may be.
type rule struct {
	required bool
	one      bool     // has one operator, Equals or NotEquals, with one value
	operator string   // the only one that is allowed; empty is all
	values   []string // the only ones that are allowed; none is all
}

var (
	anything = rule{}
	yesOrNo  = rule{one: true, operator: "Equals", values: []string{"true", "false"}}
	category = rule{required: true, one: true, operator: "Equals"}
	console  = rule{one: true, values: []string{"true"}}
)

// rules are the fields that a selector of each category may have, and what each may be.
var rules = map[Owner]map[Category]map[string]rule{
	Trail: {
		Management: {
			"eventCategory": category,
			"readOnly":      yesOrNo,
			"eventSource":   {operator: "NotEquals", values: excludable},
		},
		Data:            dataRules,
		NetworkActivity: networkRules,
	},
	EventDataStore: {
		Management: {
			"eventCategory":                category,
			"readOnly":                     yesOrNo,
			"eventSource":                  anything,
			"eventName":                    anything,
			"eventType":                    anything,
			"sessionCredentialFromConsole": console,
			"userIdentity.arn":             anything,
		},
		Data:            dataRules,
		NetworkActivity: networkRules,
	},
}

var dataRules = map[string]rule{
	"eventCategory":                category,
	"resources.type":               {required: true, one: true, operator: "Equals"},
	"resources.ARN":                anything,
	"readOnly":                     yesOrNo,
	"eventSource":                  anything,
	"eventName":                    anything,
	"eventType":                    anything,
	"sessionCredentialFromConsole": console,
	"userIdentity.arn":             anything,
}

var networkRules = map[string]rule{
	"eventCategory":    category,
	"eventSource":      {required: true, operator: "Equals"},
	"eventName":        anything,
	"errorCode":        {operator: "Equals", values: []string{"VpceAccessDenied"}},
	"vpcEndpointId":    anything,
	"userIdentity.arn": anything,
}

// Advanced compiles advanced selectors.
func Advanced(owner Owner, list []types.AdvancedEventSelector) (*Set, error) {
	switch {
	case len(list) == 0:
		return nil, errors.New("there is no advanced event selector")
	case owner == EventDataStore && len(list) > maxStoreSelectors:
		return nil, fmt.Errorf("an event data store has at most %d advanced event selectors, not %d", maxStoreSelectors, len(list))
	}
	set, conditions := new(Set), 0
	for _, one := range list {
		compiled, n, err := compileAdvanced(owner, one.FieldSelectors)
		if err != nil {
			if name := aws.ToString(one.Name); name != "" {
				err = fmt.Errorf("advanced event selector %q: %w", name, err)
			}
			return nil, err
		}
		set.any = append(set.any, compiled)
		conditions += n
	}
	if conditions > maxConditions {
		return nil, fmt.Errorf("advanced event selectors have at most %d condition values in all, not %d", maxConditions, conditions)
	}
	return set, nil
}

// compileAdvanced compiles one selector, and counts the values of its conditions.
func compileAdvanced(owner Owner, fields []types.AdvancedFieldSelector) (s selector, n int, err error) {
	byName := make(map[string]types.AdvancedFieldSelector, len(fields))
	for _, f := range fields {
		name := aws.ToString(f.Field)
		if _, twice := byName[name]; twice {
			return s, 0, fmt.Errorf("field %s is in a selector more than once", name)
		}
		byName[name] = f
	}
	allowed, err := categoryRules(owner, byName)
	if err != nil {
		return s, 0, err
	}
	for name, r := range allowed {
		if _, given := byName[name]; r.required && !given {
			return s, 0, fmt.Errorf("a selector of this category needs the field %s", name)
		}
	}
	for _, f := range fields {
		name := aws.ToString(f.Field)
		r, ok := allowed[name]
		if !ok {
			return s, 0, fmt.Errorf("field %q is not one that a selector of the category %s may have here", name, byName["eventCategory"].Equals[0])
		}
		count, err := r.check(name, f)
		if err != nil {
			return s, 0, err
		}
		n += count
		s.add(name, f)
	}
	return s, n, nil
}

// categoryRules are the rules for the category that a selector names.
func categoryRules(owner Owner, fields map[string]types.AdvancedFieldSelector) (map[string]rule, error) {
	f, ok := fields["eventCategory"]
	if !ok {
		return nil, errors.New("a selector needs the field eventCategory")
	}
	if _, err := category.check("eventCategory", f); err != nil {
		return nil, err
	}
	found, ok := rules[owner][Category(f.Equals[0])]
	if !ok {
		return nil, fmt.Errorf("eventCategory is Management, Data or NetworkActivity, not %q", f.Equals[0])
	}
	return found, nil
}

// resourceType is the form of the types of resources.
var resourceType = regexp.MustCompile(`^AWS::[A-Za-z0-9-]+::[A-Za-z0-9-]+$`)

// check holds a field against its rule, and counts its values.
func (r rule) check(name string, f types.AdvancedFieldSelector) (n int, err error) {
	used := 0
	for _, operator := range []struct {
		name   string
		values []string
	}{
		{"Equals", f.Equals}, {"StartsWith", f.StartsWith}, {"EndsWith", f.EndsWith},
		{"NotEquals", f.NotEquals}, {"NotStartsWith", f.NotStartsWith}, {"NotEndsWith", f.NotEndsWith},
	} {
		if operator.values == nil {
			continue
		}
		used++
		n += len(operator.values)
		switch {
		case len(operator.values) == 0:
			return 0, fmt.Errorf("operator %s of the field %s has no values", operator.name, name)
		case r.operator != "" && operator.name != r.operator:
			return 0, fmt.Errorf("field %s has the operator %s, not %s", name, r.operator, operator.name)
		case r.one && operator.name != "Equals" && operator.name != "NotEquals":
			return 0, fmt.Errorf("field %s has the operator Equals or NotEquals, not %s", name, operator.name)
		}
		for _, v := range operator.values {
			if len(r.values) > 0 && !slices.Contains(r.values, v) {
				return 0, fmt.Errorf("%q is not a value of the field %s here", v, name)
			}
			if name == "resources.type" && !resourceType.MatchString(v) {
				return 0, fmt.Errorf("%q is not a type of resources, such as AWS::S3::Object", v)
			}
		}
	}
	switch {
	case used == 0:
		return 0, fmt.Errorf("field %s has no operator", name)
	case r.one && n != 1:
		return 0, fmt.Errorf("field %s has one value, not %d", name, n)
	}
	return n, nil
}

// add adds a field that has been checked.
func (s *selector) add(name string, f types.AdvancedFieldSelector) {
	switch name {
	case "eventCategory":
		s.category = Category(f.Equals[0])
	case "readOnly":
		s.readOnly = aws.Bool(f.Equals[0] == "true")
	case "resources.type":
		s.resourceType = f.Equals[0]
	case "resources.ARN":
		c := compileCondition(f)
		s.resourceARN = &c
	default:
		s.fields = append(s.fields, fieldTest{values[name], compileCondition(f)})
	}
}

func compileCondition(f types.AdvancedFieldSelector) condition {
	return condition{
		selects:   operators{f.Equals, f.StartsWith, f.EndsWith},
		deselects: operators{f.NotEquals, f.NotStartsWith, f.NotEndsWith},
	}
}
