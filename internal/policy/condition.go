package policy

import "strings"

// condition is one key of one operator of a Condition, as written. All of a statement's conditions must hold for it to apply.
type condition struct {
	operator  string // as operators has it, without qualifier and IfExists
	qualifier qualifier
	ifExists  bool
	key       string
	values    []string // any of them
}

// qualifier says how an operator treats a key that has many values in the request.
type qualifier string

const (
	noQualifier  qualifier = ""
	forAllValues qualifier = "ForAllValues"
	forAnyValue  qualifier = "ForAnyValue"
)

// operators are the condition operators by their name in lower case, which is how they are compared; see the IAM user guide's
// "IAM JSON policy elements: Condition operators".
var operators = func() map[string]string {
	byName := make(map[string]string)
	for _, name := range []string{
		"StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "StringLike", "StringNotLike",
		"NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericLessThanEquals", "NumericGreaterThan",
		"NumericGreaterThanEquals",
		"DateEquals", "DateNotEquals", "DateLessThan", "DateLessThanEquals", "DateGreaterThan", "DateGreaterThanEquals",
		"Bool", "BinaryEquals", "IpAddress", "NotIpAddress",
		"ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike",
		"Null",
	} {
		byName[strings.ToLower(name)] = name
	}
	return byName
}()

// parseOperator takes a name such as ForAnyValue:StringLikeIfExists apart. Null, which asks whether a key is there, has
// neither qualifier nor IfExists.
func parseOperator(text string) (c condition, ok bool) {
	name := strings.ToLower(text)
	if before, after, found := strings.Cut(name, ":"); found {
		switch before {
		case "forallvalues":
			c.qualifier = forAllValues
		case "foranyvalue":
			c.qualifier = forAnyValue
		default:
			return condition{}, false
		}
		name = after
	}
	name, c.ifExists = strings.CutSuffix(name, "ifexists")
	c.operator, ok = operators[name]
	if c.operator == "Null" && (c.qualifier != noQualifier || c.ifExists) {
		return condition{}, false
	}
	return c, ok
}

// overlyPermissive is the refusal that KMS has, when a policy is saved, for ForAllValues over a key that has one
// value: it is true when the request has no such key. It is empty for other conditions. See the KMS developer guide's
// "AWS KMS condition keys", under "set operators".
func (c *condition) overlyPermissive() string {
	if c.qualifier != forAllValues {
		return ""
	}
	var what string
	switch key := strings.ToLower(c.key); {
	case strings.HasPrefix(key, "kms:encryptioncontext:"):
		what = "encryption context"
	case strings.HasPrefix(key, "aws:requesttag/"):
		what = "tag"
	default:
		return ""
	}
	return "OverlyPermissiveCondition: Using the ForAllValues set operator with a single-valued condition key matches requests " +
		"without the specified " + what + " or with an unspecified " + what + ". To fix, remove ForAllValues."
}
