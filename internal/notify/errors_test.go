package notify_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"
)

// What is refused, and in which words. TOPIC and SUB stand for the ARNs of a topic and of its confirmed subscription.
func TestRefusals(t *testing.T) {
	h, s := open(t), newSubscriber(t)
	topic := h.topic(t, "t", map[string]string{"DisplayName": "Tea"})
	sub := h.subscribe(t, topic, s, nil)
	const prefix = "arn:aws:sns:us-west-2:111122223333:"
	attribute := func(kind, value string) map[string]types.MessageAttributeValue {
		return map[string]types.MessageAttributeValue{"a": {DataType: &kind, StringValue: &value}}
	}
	named := func(name string) map[string]types.MessageAttributeValue {
		return map[string]types.MessageAttributeValue{name: {DataType: new("String"), StringValue: new("v")}}
	}
	publish := func(message string) *sns.PublishInput { return &sns.PublishInput{TopicArn: &topic, Message: &message} }
	subscribe := func(protocol, endpoint string, attributes map[string]string) *sns.SubscribeInput {
		return &sns.SubscribeInput{TopicArn: &topic, Protocol: &protocol, Endpoint: &endpoint, Attributes: attributes}
	}
	for _, c := range []struct {
		op   string
		in   any
		want string
	}{
		{"CreateTopic", &sns.CreateTopicInput{Name: new("a b")}, "InvalidParameter: Invalid parameter: Topic Name"},
		{"CreateTopic", &sns.CreateTopicInput{Name: new(strings.Repeat("a", 257))}, "InvalidParameter: Invalid parameter: Topic Name"},
		{"CreateTopic", &sns.CreateTopicInput{Name: new("a.fifo")}, "UnsupportedOperationException: A FIFO topic is not supported by this version of Vigil."},
		{"CreateTopic", &sns.CreateTopicInput{Name: new("t"), Attributes: map[string]string{"DisplayName": "Coffee"}},
			"InvalidParameter: Invalid parameter: Attributes Reason: Topic already exists with different attributes"},
		{"CreateTopic", &sns.CreateTopicInput{Name: new("t"), Tags: []types.Tag{{Key: new("a"), Value: new("b")}}},
			"InvalidParameter: Invalid parameter: Tags Reason: Topic already exists with different tags"},
		{"CreateTopic", &sns.CreateTopicInput{Name: new("u"), Attributes: map[string]string{"Colour": "red"}},
			"InvalidParameter: Invalid parameter: Attributes Reason: Invalid attribute name: Colour"},
		{"SetTopicAttributes", &sns.SetTopicAttributesInput{TopicArn: &topic, AttributeName: new("Colour")}, "InvalidParameter: Invalid parameter: AttributeName"},
		{"SetTopicAttributes", &sns.SetTopicAttributesInput{TopicArn: &topic, AttributeName: new("Policy"), AttributeValue: new("{}")},
			"UnsupportedOperationException: A topic policy of one's own is not supported by this version of Vigil."},
		{"SetTopicAttributes", &sns.SetTopicAttributesInput{TopicArn: &topic, AttributeName: new("KmsMasterKeyId"), AttributeValue: new("alias/k")},
			"UnsupportedOperationException: Encryption of a topic is not supported by this version of Vigil."},
		{"SetTopicAttributes", &sns.SetTopicAttributesInput{TopicArn: &topic, AttributeName: new("DeliveryPolicy"), AttributeValue: new(`{"http":{"defaultHealthyRetryPolicy":{"numRetries":101}}}`)},
			"InvalidParameter: Invalid parameter: DeliveryPolicy: numRetries must be between 0 and 100"},
		{"GetTopicAttributes", &sns.GetTopicAttributesInput{TopicArn: new("nonsense")},
			"InvalidParameter: Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 1"},
		{"GetTopicAttributes", &sns.GetTopicAttributesInput{TopicArn: new("arn:aws:sns:us-west-2:x")},
			"InvalidParameter: Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 5"},
		{"GetTopicAttributes", &sns.GetTopicAttributesInput{TopicArn: new("arn:aws:sns:eu-west-1:111122223333:t")}, "InvalidParameter: Invalid parameter: TopicArn"},
		{"GetTopicAttributes", &sns.GetTopicAttributesInput{TopicArn: new(prefix + "gone")}, "NotFound: Topic does not exist"},
		{"GetTopicAttributes", &sns.GetTopicAttributesInput{TopicArn: new("arn:aws:sns:us-west-2:444455556666:bobs")},
			"AuthorizationError: User: arn:aws:iam::111122223333:root is not authorized to perform: SNS:GetTopicAttributes on this resource because the resource does not exist in this Region, " +
				"no resource-based policies allow access, or a resource-based policy explicitly denies access"},
		{"ListTagsForResource", &sns.ListTagsForResourceInput{ResourceArn: new(prefix + "gone")}, "ResourceNotFound: Resource does not exist"},
		{"ListTopics", &sns.ListTopicsInput{NextToken: new("%")}, "InvalidParameter: Invalid parameter: NextToken"},
		{"Subscribe", subscribe("pigeon", "x", nil), "InvalidParameter: Invalid parameter: Amazon SNS does not support this protocol string: pigeon"},
		{"Subscribe", subscribe("sqs", "arn:aws:sqs:us-west-2:111122223333:q", nil),
			"UnsupportedOperationException: A subscription by the protocol sqs is not supported by this version of Vigil."},
		{"Subscribe", subscribe("https", "http://example.com/", nil), "InvalidParameter: Invalid parameter: Endpoint must match the specified protocol"},
		{"Subscribe", subscribe("http", "", nil), "InvalidParameter: Invalid parameter: Endpoint must match the specified protocol"},
		{"Subscribe", subscribe("email", "bob", nil), "InvalidParameter: Invalid parameter: Email address"},
		{"Subscribe", subscribe("email", "b@example.com\r\nBcc: e@example.com", nil), "InvalidParameter: Invalid parameter: Email address"},
		{"Subscribe", subscribe("http", "http://example.com/", map[string]string{"RawMessageDelivery": "yes"}),
			"InvalidParameter: Invalid parameter: Attributes Reason: RawMessageDelivery: Invalid value [yes]. Must be true or false."},
		{"Subscribe", subscribe("http", "http://example.com/", map[string]string{"Colour": "red"}),
			"InvalidParameter: Invalid parameter: Attributes Reason: Invalid attribute name: Colour"},
		{"Subscribe", subscribe("http", "http://example.com/", map[string]string{"FilterPolicy": "{}"}),
			"UnsupportedOperationException: A filter policy is not supported by this version of Vigil."},
		{"Subscribe", subscribe("http", s.URL, map[string]string{"RawMessageDelivery": "true"}),
			"InvalidParameter: Invalid parameter: Attributes Reason: Subscription already exists with different attributes"},
		{"Subscribe", &sns.SubscribeInput{TopicArn: new(prefix + "gone"), Protocol: new("http"), Endpoint: &s.URL}, "NotFound: Topic does not exist"},
		{"SetSubscriptionAttributes", &sns.SetSubscriptionAttributesInput{SubscriptionArn: &sub, AttributeName: new("RawMessageDelivery"), AttributeValue: new("1")},
			"InvalidParameter: Invalid parameter: RawMessageDelivery: Invalid value [1]. Must be true or false."},
		{"SetSubscriptionAttributes", &sns.SetSubscriptionAttributesInput{SubscriptionArn: &sub, AttributeName: new("Colour")}, "InvalidParameter: Invalid parameter: AttributeName"},
		{"GetSubscriptionAttributes", &sns.GetSubscriptionAttributesInput{SubscriptionArn: new(topic + ":" + zeroes())}, "NotFound: Subscription does not exist"},
		{"Unsubscribe", &sns.UnsubscribeInput{SubscriptionArn: new("PendingConfirmation")},
			"InvalidParameter: Invalid parameter: SubscriptionArn Reason: An ARN must have at least 6 elements, not 1"},
		{"ConfirmSubscription", &sns.ConfirmSubscriptionInput{TopicArn: &topic, Token: new("00")}, "InvalidParameter: Invalid parameter: Token"},

		{"Publish", publish(""), "InvalidParameter: Invalid parameter: Empty message"},
		{"Publish", publish(strings.Repeat("a", 256<<10+1)), "InvalidParameter: Invalid parameter: Message too long"},
		{"Publish", &sns.PublishInput{TopicArn: &topic, Message: new(strings.Repeat("a", 256<<10-7)), MessageAttributes: attribute("String", "v")},
			"InvalidParameter: Invalid parameter: Message too long"},
		{"Publish", &sns.PublishInput{Message: new("m")}, "InvalidParameter: Invalid parameter: TopicArn or TargetArn Reason: no value for required parameter"},
		{"Publish", &sns.PublishInput{TopicArn: new(prefix + "gone"), Message: new("m")}, "NotFound: Topic does not exist"},
		{"Publish", &sns.PublishInput{TopicArn: &topic, Message: new("m"), Subject: new("")}, "InvalidParameter: Invalid parameter: Subject"},
		{"Publish", &sns.PublishInput{TopicArn: &topic, Message: new("m"), Subject: new("a\nb")}, "InvalidParameter: Invalid parameter: Subject"},
		{"Publish", &sns.PublishInput{TopicArn: &topic, Message: new("m"), Subject: new(strings.Repeat("a", 101))}, "InvalidParameter: Invalid parameter: Subject"},
		{"Publish", &sns.PublishInput{TopicArn: &topic, Message: new("m"), MessageStructure: new("json")},
			"InvalidParameter: Invalid parameter: Message Structure - JSON message body failed to parse"},
		{"Publish", &sns.PublishInput{TopicArn: &topic, Message: new(`{"default":"a","default":"b"}`), MessageStructure: new("json")},
			"InvalidParameter: Invalid parameter: Message Structure - JSON message body failed to parse"},
		{"Publish", &sns.PublishInput{TopicArn: &topic, Message: new(`{"http":"m"}`), MessageStructure: new("json")},
			"InvalidParameter: Invalid parameter: Message Structure - No default entry in JSON message body"},
		{"Publish", &sns.PublishInput{TopicArn: &topic, Message: new("m"), MessageAttributes: attribute("Colour", "red")},
			"ParameterValueInvalid: The message attribute 'a' has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String."},
		{"Publish", &sns.PublishInput{TopicArn: &topic, Message: new("m"), MessageAttributes: attribute("String", "")},
			"ParameterValueInvalid: The message attribute 'a' must contain non-empty message attribute value for message attribute type 'String'."},
		{"Publish", &sns.PublishInput{TopicArn: &topic, Message: new("m"), MessageAttributes: attribute("Binary", "text")},
			"ParameterValueInvalid: The message attribute 'a' with type 'Binary' must use field 'Binary'."},
		{"Publish", &sns.PublishInput{TopicArn: &topic, Message: new("m"), MessageAttributes: named("a..b")},
			"ParameterValueInvalid: Message attribute name can not have successive '.' character."},
		{"Publish", &sns.PublishInput{TopicArn: &topic, Message: new("m"), MessageAttributes: named(strings.Repeat("a", 257))},
			"ParameterValueInvalid: Length of message attribute name must be less than 256 bytes."},
		{"Publish", &sns.PublishInput{PhoneNumber: new("+1"), Message: new("m")},
			"UnsupportedOperationException: Publishing to a phone number is not supported by this version of Vigil."},
	} {
		_, err := h.call(alice, c.op, c.in)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", c.op, err, c.want)
		}
	}
	h.settled(t)
	if s.count() != 1 {
		t.Errorf("%d messages were sent", s.count())
	}
}
