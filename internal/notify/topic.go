package notify

import (
	"context"
	"encoding/json"
	"maps"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/sns"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/store"
)

var (
	topicName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,256}$`)
	fifoName  = regexp.MustCompile(`^[A-Za-z0-9_-]{1,251}\.fifo$`)
)

// CreateTopic makes a topic, or finds the one of that name, if its attributes and tags are not other than those given.
func (n *Notify) CreateTopic(_ context.Context, c *call.Call, in *sns.CreateTopicInput) (*sns.CreateTopicOutput, error) {
	switch {
	case fifoName.MatchString(*in.Name) || in.Attributes["FifoTopic"] == "true":
		return nil, call.NotBuilt("A FIFO topic")
	case !topicName.MatchString(*in.Name):
		return nil, invalid("Topic Name")
	case in.DataProtectionPolicy != nil:
		return nil, call.NotBuilt("A data protection policy")
	}
	ref := topicRef{c.Account(), c.Region, *in.Name}
	c.Touch(topicType, ref.arn())
	if err := allow(c, "SNS:CreateTopic", ref.String(), ref.account); err != nil {
		return nil, err
	}
	attributes := make(map[string]string)
	for name, value := range in.Attributes {
		if err := n.checkTopicAttribute("Attributes Reason: ", name, value); err != nil {
			return nil, err
		}
		if name != "KmsMasterKeyId" || value != "" { // none is none
			attributes[name] = value
		}
	}
	tags, err := tagsOf(in.Tags)
	if err != nil {
		return nil, err
	}
	c.Effect(func(tx store.Tx) error {
		old, err := topicIn(tx, ref)
		if err == nil {
			return sameTopic(old, attributes, tags)
		}
		if !isNotFound(err) {
			return err
		}
		return n.saveTopic(tx, &topic{ref: ref, attributes: attributes, tags: tags, created: c.Time})
	})
	return &sns.CreateTopicOutput{TopicArn: new(ref.String())}, nil
}

// sameTopic reports whether a topic can pass for one of those attributes and tags.
func sameTopic(t *topic, attributes, tags map[string]string) error {
	for name, value := range attributes {
		if t.attribute(name) != value {
			return invalid("Attributes Reason: Topic already exists with different attributes")
		}
	}
	if len(tags) > 0 && !maps.Equal(t.tags, tags) {
		return invalid("Tags Reason: Topic already exists with different tags")
	}
	return nil
}

// DeleteTopic deletes a topic and its subscriptions. One that does not exist is no error.
func (n *Notify) DeleteTopic(_ context.Context, c *call.Call, in *sns.DeleteTopicInput) (*sns.DeleteTopicOutput, error) {
	ref, err := topicFor(c, in.TopicArn)
	if err != nil {
		return nil, err
	}
	if err := allow(c, "SNS:DeleteTopic", ref.String(), ref.account); err != nil {
		return nil, err
	}
	c.Effect(func(tx store.Tx) error {
		for _, statement := range []string{
			`DELETE FROM notify_subscription WHERE account = $1 AND region = $2 AND topic = $3`,
			`DELETE FROM notify_topic WHERE account = $1 AND region = $2 AND name = $3`,
		} {
			if _, err := tx.Exec(statement, ref.account, ref.region, ref.name); err != nil {
				return err
			}
		}
		tx.OnCommit(func() { n.known.removeTopic(ref) })
		return nil
	})
	return &sns.DeleteTopicOutput{}, nil
}

// GetTopicAttributes tells all attributes of a topic.
func (n *Notify) GetTopicAttributes(_ context.Context, c *call.Call, in *sns.GetTopicAttributesInput) (*sns.GetTopicAttributesOutput, error) {
	t, err := n.own(c, "SNS:GetTopicAttributes", in.TopicArn)
	if err != nil {
		return nil, err
	}
	counts := make(map[string]int)
	for _, s := range n.known.of(t.ref) {
		counts[s.state]++
	}
	attributes := map[string]string{
		"TopicArn":                t.ref.String(),
		"Owner":                   t.ref.account,
		"Policy":                  defaultPolicy(t.ref),
		"DisplayName":             "",
		"EffectiveDeliveryPolicy": effectiveTopicPolicy(t.attributes["DeliveryPolicy"]),
		"SubscriptionsConfirmed":  itoa(counts[confirmed]),
		"SubscriptionsPending":    itoa(counts[pending]),
		"SubscriptionsDeleted":    itoa(counts[unsubscribed]),
	}
	maps.Copy(attributes, t.attributes)
	return &sns.GetTopicAttributesOutput{Attributes: attributes}, nil
}

// SetTopicAttributes sets one attribute: DisplayName, DeliveryPolicy, SignatureVersion, KmsMasterKeyId, or TracingConfig, which can only
// be PassThrough. Topic policies and delivery status logging are not built yet, and are refused.
func (n *Notify) SetTopicAttributes(_ context.Context, c *call.Call, in *sns.SetTopicAttributesInput) (*sns.SetTopicAttributesOutput, error) {
	t, err := n.own(c, "SNS:SetTopicAttributes", in.TopicArn)
	if err != nil {
		return nil, err
	}
	value := text(in.AttributeValue)
	if err := n.checkTopicAttribute("", *in.AttributeName, value); err != nil {
		return nil, err
	}
	c.Effect(func(tx store.Tx) error {
		now, err := topicIn(tx, t.ref)
		if err != nil {
			return err
		}
		now.attributes = with(now.attributes, *in.AttributeName, value)
		if value == "" && *in.AttributeName == "KmsMasterKeyId" {
			delete(now.attributes, *in.AttributeName)
		}
		return n.saveTopic(tx, now)
	})
	return &sns.SetTopicAttributesOutput{}, nil
}

// attribute is the value of an attribute that can be set, be it the default one.
func (t *topic) attribute(name string) string {
	if value, ok := t.attributes[name]; ok {
		return value
	}
	switch name {
	case "SignatureVersion":
		return "1"
	case "TracingConfig":
		return "PassThrough"
	case "FifoTopic":
		return "false"
	}
	return ""
}

// checkTopicAttribute refuses what a topic's attribute cannot be. prefix says where in the call it is.
func (n *Notify) checkTopicAttribute(prefix, name, value string) error {
	switch name {
	case "DisplayName":
		if len(value) > 100 {
			return invalid("%sDisplayName: The display name can be at most 100 characters long", prefix)
		}
	case "DeliveryPolicy":
		if _, err := parseTopicPolicy(value); err != nil {
			return invalid("%sDeliveryPolicy: %s", prefix, err)
		}
	case "SignatureVersion":
		if value != "1" && value != "2" {
			return invalid("%sSignatureVersion: Invalid value [%s]. Must be 1 or 2.", prefix, value)
		}
	case "TracingConfig":
		if value == "Active" {
			return call.NotBuilt("Active tracing of a topic")
		}
		if value != "PassThrough" {
			return invalid("%sTracingConfig: Invalid value [%s]. Must be PassThrough or Active.", prefix, value)
		}
	case "FifoTopic":
		if value != "false" {
			return invalid("%sFifoTopic: Invalid value [%s]. Must be true or false.", prefix, value)
		}
	case "Policy":
		return call.NotBuilt("A topic policy of one's own")
	case "KmsMasterKeyId":
		return n.checkMasterKey(prefix, value)
	case "ContentBasedDeduplication", "FifoThroughputScope", "ArchivePolicy", "DataProtectionPolicy", "MaximumMessageSize":
		return call.NotBuilt("The attribute " + name + " of a topic")
	default:
		if strings.HasSuffix(name, "FeedbackRoleArn") || strings.HasSuffix(name, "FeedbackSampleRate") {
			return call.NotBuilt("Delivery status logging")
		}
		if prefix == "" {
			return invalid("AttributeName")
		}
		return invalid("Attributes Reason: Invalid attribute name: %s", name)
	}
	return nil
}

// defaultPolicy is the policy that SNS gives a topic at first: everything for its owner.
func defaultPolicy(ref topicRef) string {
	resource, _ := json.Marshal(ref.String())
	return `{"Version":"2008-10-17","Id":"__default_policy_ID","Statement":[{"Sid":"__default_statement_ID","Effect":"Allow",` +
		`"Principal":{"AWS":"*"},"Action":["SNS:GetTopicAttributes","SNS:SetTopicAttributes","SNS:AddPermission","SNS:RemovePermission",` +
		`"SNS:DeleteTopic","SNS:Subscribe","SNS:ListSubscriptionsByTopic","SNS:Publish"],"Resource":` + string(resource) +
		`,"Condition":{"StringEquals":{"AWS:SourceOwner":"` + ref.account + `"}}}]}`
}

// topicFor is the topic that a call names, in its own region.
func topicFor(c *call.Call, name *string) (topicRef, error) {
	a, err := parseARN("TopicArn", text(name))
	if err != nil {
		return topicRef{}, err
	}
	ref := topicRef{a.Account, a.Region, a.Resource}
	if !topicName.MatchString(ref.name) || a.Region != c.Region || ref.String() != *name {
		return topicRef{}, invalid("TopicArn")
	}
	c.Touch(topicType, a)
	return ref, nil
}

// own is the topic that a call names, if the caller may do that with it.
func (n *Notify) own(c *call.Call, action string, name *string) (*topic, error) {
	ref, err := topicFor(c, name)
	if err != nil {
		return nil, err
	}
	if err := allow(c, action, ref.String(), ref.account); err != nil {
		return nil, err
	}
	t := n.known.topic(ref)
	if t == nil {
		return nil, notFound("Topic")
	}
	return t, nil
}

// parseARN reads the ARN of something of SNS's, which a parameter names.
func parseARN(parameter, name string) (arn.ARN, error) {
	if parts := strings.Split(name, ":"); len(parts) < 6 {
		return arn.ARN{}, invalid("%s Reason: An ARN must have at least 6 elements, not %d", parameter, len(parts))
	}
	a, err := arn.Parse(name)
	if err != nil || a.Service != "sns" {
		return arn.ARN{}, invalid("%s", parameter)
	}
	return a, nil
}
