package policy

import "strings"

// condition is one key of one operator of a Condition. All of a statement's conditions must hold for it to apply.
type condition struct {
	key       string // in lower case
	qualifier qualifier
	ifExists  bool
	negated   bool  // the operator's name has Not: none of the policy's values may be met
	test      *test // nil for Null

	missing, present bool // Null: holds when the key is missing, when it is present
}

// qualifier says how an operator treats a key that has many values in the request.
type qualifier uint8

const (
	noQualifier qualifier = iota
	forAllValues
	forAnyValue
)

// holds follows the IAM user guide's "IAM JSON policy elements: Condition operators" and "Conditions with multiple context
// keys or values". Without a qualifier, a key with many values is met when any of them is.
func (c *condition) holds(q *Request) bool {
	values, there := q.values(c.key)
	switch {
	case c.test == nil:
		return there && c.present || !there && c.missing
	case !there && c.ifExists:
		return true
	}
	switch c.qualifier {
	case forAllValues:
		for _, value := range values {
			if c.test.meets(value, q) == c.negated {
				return false
			}
		}
		return true
	case forAnyValue:
		for _, value := range values {
			if c.test.meets(value, q) != c.negated {
				return true
			}
		}
		return false
	}
	for _, value := range values {
		if c.test.meets(value, q) {
			return !c.negated
		}
	}
	return c.negated
}

// operator is what a condition operator's name says, apart from qualifier and IfExists.
type operator struct {
	by      comparison
	order   order
	negated bool
}

// operators by name in lower case, which is how names are compared.
var operators = map[string]operator{
	"stringequals":              {by: byString},
	"stringnotequals":           {by: byString, negated: true},
	"stringequalsignorecase":    {by: byFold},
	"stringnotequalsignorecase": {by: byFold, negated: true},
	"stringlike":                {by: byLike},
	"stringnotlike":             {by: byLike, negated: true},
	"arnequals":                 {by: byARN},
	"arnlike":                   {by: byARN},
	"arnnotequals":              {by: byARN, negated: true},
	"arnnotlike":                {by: byARN, negated: true},
	"numericequals":             {by: byNumber, order: equal},
	"numericnotequals":          {by: byNumber, order: equal, negated: true},
	"numericlessthan":           {by: byNumber, order: less},
	"numericlessthanequals":     {by: byNumber, order: less | equal},
	"numericgreaterthan":        {by: byNumber, order: greater},
	"numericgreaterthanequals":  {by: byNumber, order: greater | equal},
	"dateequals":                {by: byDate, order: equal},
	"datenotequals":             {by: byDate, order: equal, negated: true},
	"datelessthan":              {by: byDate, order: less},
	"datelessthanequals":        {by: byDate, order: less | equal},
	"dategreaterthan":           {by: byDate, order: greater},
	"dategreaterthanequals":     {by: byDate, order: greater | equal},
	"bool":                      {by: byBool},
	"binaryequals":              {by: byBinary},
	"ipaddress":                 {by: byAddress},
	"notipaddress":              {by: byAddress, negated: true},
	"null":                      {by: byPresence},
}

// parseOperator takes a name such as ForAnyValue:StringLikeIfExists apart. Null, which asks whether a key is there, has
// neither qualifier nor IfExists.
func parseOperator(text string) (op operator, c condition, ok bool) {
	name := strings.ToLower(text)
	if before, after, found := strings.Cut(name, ":"); found {
		switch before {
		case "forallvalues":
			c.qualifier = forAllValues
		case "foranyvalue":
			c.qualifier = forAnyValue
		default:
			return op, c, false
		}
		name = after
	}
	name, c.ifExists = strings.CutSuffix(name, "ifexists")
	op, ok = operators[name]
	if name == "null" && (c.qualifier != noQualifier || c.ifExists) {
		return op, c, false
	}
	c.negated = op.negated
	return op, c, ok
}

// take compiles the policy's values into the condition.
func (c *condition) take(op operator, values []string, with syntax) {
	if op.by != byPresence {
		c.test = compileTest(op, values, with)
		return
	}
	for _, value := range values {
		c.missing = c.missing || strings.EqualFold(value, "true")
		c.present = c.present || strings.EqualFold(value, "false")
	}
}

// onlyInIAM are keys that KMS does not have when it asks a key policy. See the KMS developer guide's "kms:ResourceAliases".
func onlyInIAM(key string) bool { return key == "kms:resourcealiases" }

// overlyPermissive is the refusal that KMS has, when a policy is saved, for ForAllValues over a key that has one
// value: it is true when the request has no such key. It is empty for other conditions. See the KMS developer guide's
// "AWS KMS condition keys", under "set operators".
func (c *condition) overlyPermissive() string {
	if c.qualifier != forAllValues {
		return ""
	}
	var what string
	switch {
	case strings.HasPrefix(c.key, "kms:encryptioncontext:"):
		what = "encryption context"
	case strings.HasPrefix(c.key, "aws:requesttag/"):
		what = "tag"
	default:
		return ""
	}
	return "OverlyPermissiveCondition: Using the ForAllValues set operator with a single-valued condition key matches requests " +
		"without the specified " + what + " or with an unspecified " + what + ". To fix, remove ForAllValues."
}
