package notify

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/sns/types"

	"vigil/internal/call"
)

var (
	attributeName = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)
	attributeType = regexp.MustCompile(`^(String|Number|Binary)(\.[A-Za-z0-9_.-]+)?$`)
)

// checkAttributes refuses what message attributes cannot be (SNS developer guide, "Amazon SNS message attributes").
func checkAttributes(attributes map[string]types.MessageAttributeValue) error {
	for name, a := range attributes {
		if err := checkAttributeName(name); err != nil {
			return err
		}
		if err := checkAttribute(name, a); err != nil {
			return err
		}
	}
	return nil
}

func checkAttributeName(name string) error {
	lower := strings.ToLower(name)
	switch {
	case len(name) > 256:
		return badAttribute("Length of message attribute name must be less than 256 bytes.")
	case !attributeName.MatchString(name):
		return badAttribute("Message attribute name can contain only the characters A-Z, a-z, 0-9, underscore (_), hyphen (-), and period (.).")
	case strings.HasPrefix(name, "."), strings.HasSuffix(name, "."):
		return badAttribute("Message attribute name can not start or end with '.' character.")
	case strings.Contains(name, ".."):
		return badAttribute("Message attribute name can not have successive '.' character.")
	case strings.HasPrefix(lower, "aws."), strings.HasPrefix(lower, "amazon."):
		return badAttribute("Message attribute name can not start with 'AWS.' or 'Amazon.'.")
	}
	return nil
}

func checkAttribute(name string, a types.MessageAttributeValue) error {
	kind := text(a.DataType)
	if len(kind) > 256 || !attributeType.MatchString(kind) {
		return badAttribute("The message attribute '" + name +
			"' has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.")
	}
	binary := strings.HasPrefix(kind, "Binary")
	if text(a.StringValue) == "" && len(a.BinaryValue) == 0 {
		return badAttribute("The message attribute '" + name + "' must contain non-empty message attribute value for message attribute type '" + kind + "'.")
	}
	if binary && len(a.BinaryValue) == 0 {
		return badAttribute("The message attribute '" + name + "' with type 'Binary' must use field 'Binary'.")
	}
	if !binary && text(a.StringValue) == "" {
		return badAttribute("The message attribute '" + name + "' with type '" + kind + "' must use field 'String'.")
	}
	if strings.HasPrefix(kind, "Number") {
		if _, err := strconv.ParseFloat(*a.StringValue, 64); err != nil {
			return badAttribute("Could not cast message attribute '" + name + "' value to number.")
		}
	}
	if kind == "String.Array" {
		var values []any
		if err := json.Unmarshal([]byte(*a.StringValue), &values); err != nil {
			return badAttribute("The message attribute '" + name + "' of type 'String.Array' must be a JSON array.")
		}
	}
	return nil
}

func badAttribute(message string) error { return call.Errorf("ParameterValueInvalid", "%s", message) }
