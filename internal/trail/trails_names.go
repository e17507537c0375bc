package trail

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"vigil/internal/arn"
	"vigil/internal/call"
)

// checkTrailName holds a name to CloudTrail's naming requirements.
func checkTrailName(name string) error {
	invalid := func(format string, args ...any) error {
		return call.Errorf("InvalidTrailNameException", format, args...)
	}
	switch n := len(name); {
	case n < 3:
		return invalid("Trail name too short. Minimum allowed length: 3 characters. Specified name length: %d characters.", n)
	case n > 128:
		return invalid("Trail name too long. Maximum allowed length: 128 characters. Specified name length: %d characters.", n)
	case !isAlphanumeric(name[0]):
		return invalid("Trail name must starts with a letter or number.")
	case !isAlphanumeric(name[len(name)-1]):
		return invalid("Trail name must ends with a letter or number.")
	}
	for i := range len(name) {
		if isAlphanumeric(name[i]) {
			continue
		}
		if !strings.ContainsRune("._-", rune(name[i])) {
			return invalid("Trail name or ARN can only contain uppercase letters, lowercase letters, numbers, periods (.), hyphens (-), and underscores (_).")
		}
		if !isAlphanumeric(name[i-1]) {
			return invalid("Trail name must not have adjacent periods, hyphens or underscores.")
		}
	}
	if isIPv4(name) {
		return invalid("Trail name must not be in IP address format.")
	}
	return nil
}

// checkBucketName holds a name to the naming rules of general purpose buckets.
func checkBucketName(name string) error {
	valid := len(name) >= 3 && len(name) <= 63 && !isIPv4(name) && !strings.Contains(name, "..")
	for i := range len(name) {
		c := name[i]
		inner := i > 0 && i < len(name)-1 && (c == '.' || c == '-')
		valid = valid && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || inner)
	}
	if !valid {
		return call.Errorf("InvalidS3BucketNameException", "The bucket name %s is not valid.", name)
	}
	return nil
}

// maxPrefix is how many characters a bucket's prefix has at most.
const maxPrefix = 200

// checkPrefix holds a prefix to what has one reading: validate-logs puts a slash behind whatever the prefix is, and what reads URLs takes the folders . and .. away.
func checkPrefix(prefix string) error {
	if n := utf8.RuneCountInString(prefix); n > maxPrefix {
		return call.Errorf("InvalidS3PrefixException", "The S3 key prefix has %d characters. It must have at most %d.", n, maxPrefix)
	}
	valid := !strings.ContainsFunc(prefix, unicode.IsControl)
	for folder := range strings.SplitSeq(prefix, "/") {
		valid = valid && folder != "." && folder != ".." && (folder != "" || prefix == "")
	}
	if !valid {
		return call.Errorf("InvalidS3PrefixException", "The S3 key prefix %q is not valid. It must not begin or end with a slash, nor have two in a row, "+
			"folders that are called . or .., or control characters.", prefix)
	}
	return nil
}

// checkGroup holds a trail's log group and role to what can be told of their names: both are there or neither, the group is of
// the trail's account and home region, and the role is one of IAM. Whether they exist is seen on delivery.
func checkGroup(t *aTrail) error {
	if t.groupARN == "" && t.roleARN == "" {
		return nil
	}
	if _, ok := groupName(t.groupARN, t.home, t.account); !ok {
		return call.Errorf("InvalidCloudWatchLogsLogGroupArnException", "CloudTrail cannot validate the specified log group ARN. "+
			"With a role, it must be arn:aws:logs:REGION:ACCOUNT:log-group:NAME:* with the trail's home region and account.")
	}
	if a, err := arn.Parse(t.roleARN); err != nil || a.Service != "iam" || a.Type() != "role" || a.ID() == "" {
		return call.Errorf("InvalidCloudWatchLogsRoleArnException", "CloudTrail cannot validate the specified role ARN. "+
			"With a log group, it must be arn:aws:iam::ACCOUNT:role/NAME.")
	}
	return nil
}

// topicOf is the ARN of a topic that is given by its name, which is one of the trail's account and home region, or by its ARN.
func (t *aTrail) topicOf(text string) string {
	if text == "" || strings.HasPrefix(text, "arn:") {
		return text
	}
	return arn.New("sns", t.home, t.account, text).String()
}

// topicName is what SnsTopicName says: the topic's name, as CloudTrail has it for those who still read that.
func (t *aTrail) topicName() string {
	topic, err := arn.Parse(t.topicARN)
	if err != nil {
		return ""
	}
	return topic.Resource
}

// maxTopic is the length of a topic's ARN or name.
const maxTopic = 256

// checkTopic holds a trail's topic to the form of an ARN of SNS (SNS API Reference, CreateTopic: 1 to 256 letters, digits, hyphens and underscores).
func checkTopic(t *aTrail) error {
	if t.topicARN == "" {
		return nil
	}
	topic, err := arn.Parse(t.topicARN)
	valid := err == nil && topic.Service == "sns" && topic.Region != "" && topic.Account != "" && topic.Resource != "" && len(topic.Resource) <= maxTopic
	for i := range len(topic.Resource) {
		c := topic.Resource[i]
		valid = valid && (isAlphanumeric(c) || c == '-' || c == '_')
	}
	if !valid {
		return call.Errorf("InvalidSnsTopicNameException", "The SNS topic name or ARN %s is not valid.", t.topicARN)
	}
	return nil
}

// groupName is the name in the ARN of all streams of a log group, if that is of a region and account.
func groupName(text, region, account string) (string, bool) {
	a, err := arn.Parse(text)
	if err != nil || a.Service != "logs" || a.Region != region || a.Account != account || a.Partition != arn.Partition(region) {
		return "", false
	}
	name, ok := strings.CutPrefix(a.Resource, "log-group:")
	if !ok {
		return "", false
	}
	name, ok = strings.CutSuffix(name, ":*")
	return name, ok && name != "" && !strings.Contains(name, ":")
}

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

func isIPv4(name string) bool {
	a, err := netip.ParseAddr(name)
	return err == nil && a.Is4()
}
