package notify

import (
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/go-json-experiment/json/jsontext"
)

// Types of messages.
const (
	notification             = "Notification"
	subscriptionConfirmation = "SubscriptionConfirmation"
	unsubscribeConfirmation  = "UnsubscribeConfirmation"
)

// envelope is a message in the JSON form that subscribers get, with its signature.
type envelope struct {
	Type, MessageID, TopicARN string
	Subject                   string // of a notification, if it has one
	Message                   string
	Time                      time.Time
	Token                     string // of the other types
	SubscribeURL              string
	SignatureVersion          string
	Signature                 string
	SigningCertURL            string
	UnsubscribeURL            string // of a notification
	Attributes                map[string]types.MessageAttributeValue
}

func (e *envelope) timestamp() string { return e.Time.UTC().Format("2006-01-02T15:04:05.000Z") }

// canonical is what is signed: names and values, a line each, in the order of the names (SNS developer guide, "Verifying the
// signatures of Amazon SNS messages").
func (e *envelope) canonical() string {
	var b strings.Builder
	add := func(name, value string) { b.WriteString(name + "\n" + value + "\n") }
	add("Message", e.Message)
	add("MessageId", e.MessageID)
	if e.Type == notification {
		if e.Subject != "" {
			add("Subject", e.Subject)
		}
	} else {
		add("SubscribeURL", e.SubscribeURL)
	}
	add("Timestamp", e.timestamp())
	if e.Type != notification {
		add("Token", e.Token)
	}
	add("TopicArn", e.TopicARN)
	add("Type", e.Type)
	return b.String()
}

// appendJSON appends the message in SNS's order and spacing.
func (e *envelope) appendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	first := true
	name := func(s string) {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(append(append(dst, "\n  \""...), s...), "\" : "...)
	}
	add := func(member, value string) {
		name(member)
		dst, _ = jsontext.AppendQuote(dst, value)
	}
	add("Type", e.Type)
	add("MessageId", e.MessageID)
	if e.Type != notification {
		add("Token", e.Token)
	}
	add("TopicArn", e.TopicARN)
	if e.Subject != "" {
		add("Subject", e.Subject)
	}
	add("Message", e.Message)
	if e.Type != notification {
		add("SubscribeURL", e.SubscribeURL)
	}
	add("Timestamp", e.timestamp())
	add("SignatureVersion", e.SignatureVersion)
	add("Signature", e.Signature)
	add("SigningCertURL", e.SigningCertURL)
	if e.Type == notification {
		add("UnsubscribeURL", e.UnsubscribeURL)
	}
	if len(e.Attributes) > 0 {
		name("MessageAttributes")
		dst = appendAttributes(dst, e.Attributes)
	}
	return append(dst, "\n}"...)
}

func appendAttributes(dst []byte, attributes map[string]types.MessageAttributeValue) []byte {
	dst = append(dst, '{')
	for i, name := range slices.Sorted(maps.Keys(attributes)) {
		if i > 0 {
			dst = append(dst, ',')
		}
		a := attributes[name]
		value := text(a.StringValue)
		if a.StringValue == nil {
			value = base64.StdEncoding.EncodeToString(a.BinaryValue)
		}
		dst = append(dst, "\n    "...)
		dst, _ = jsontext.AppendQuote(dst, name)
		dst = append(dst, ` : {"Type":`...)
		dst, _ = jsontext.AppendQuote(dst, text(a.DataType))
		dst = append(dst, `,"Value":`...)
		dst, _ = jsontext.AppendQuote(dst, value)
		dst = append(dst, '}')
	}
	return append(dst, "\n  }"...)
}

// headers are those of an HTTP delivery.
func headers(kind, messageID string, ref subscriptionRef, contentType string) map[string]string {
	h := map[string]string{
		"Content-Type":           contentType,
		"User-Agent":             "Amazon Simple Notification Service Agent",
		"x-amz-sns-message-type": kind,
		"x-amz-sns-message-id":   messageID,
		"x-amz-sns-topic-arn":    ref.topic.String(),
	}
	if kind != subscriptionConfirmation {
		h["x-amz-sns-subscription-arn"] = ref.String()
	}
	return h
}

// jsonObject is an object of one text.
func jsonObject(name, value string) ([]byte, error) {
	dst, err := jsontext.AppendQuote([]byte{'{'}, name)
	if err != nil {
		return nil, err
	}
	if dst, err = jsontext.AppendQuote(append(dst, ':'), value); err != nil {
		return nil, err
	}
	return append(dst, '}'), nil
}
