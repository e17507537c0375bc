package notify

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/store"
)

// maxMessage is the size of a message with its attributes, in bytes.
const maxMessage = 256 << 10

// maxSubject is the length of a subject, in characters.
const maxSubject = 100

// Message is what another service publishes.
type Message struct {
	Subject string // at most 100 characters, of which more are cut off; may be empty
	Text    string
	Mail    string // what subscribers by email get instead of Text, if it is not empty
	Cause   Cause

	// From is the service that publishes, such as events.amazonaws.com, and Source the ARN of that for which it does, such as a rule. KMS is
	// asked in their names for a topic that is encrypted.
	From, Source string
}

// Publish sends a message to all confirmed subscribers of a topic, in a transaction of the outbox's database. It returns ErrNoTopic when
// there is no such topic. The message is signed here, which takes about a millisecond when a subscriber gets it in JSON.
// For an encrypted topic it is written down, and Run encrypts and sends it.
func (n *Notify) Publish(tx store.Tx, to arn.ARN, m Message) error {
	ref := topicRef{to.Account, to.Region, to.Resource}
	texts := map[string]string{"default": m.Text}
	if m.Mail != "" {
		texts["email"] = m.Mail
	}
	subject := []rune(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(m.Subject, "\uFFFD")))
	if len(subject) > maxSubject {
		subject = subject[:maxSubject]
	}
	out := &message{id: uuid.NewString(), subject: string(subject), texts: texts, time: n.clock.Now(), cause: m.Cause}
	if t := n.known.topic(ref); t != nil && t.masterKey() != "" {
		return n.hold(tx, to, out, m.From, m.Source)
	}
	deliveries, err := n.address(ref, out)
	if err != nil {
		return err
	}
	return n.enqueue(tx, deliveries)
}

// HasTopic says whether there is a topic.
func (n *Notify) HasTopic(topic arn.ARN) bool {
	return n.known.topic(topicRef{topic.Account, topic.Region, topic.Resource}) != nil
}

// PublishMessage is the operation Publish. It is answered when the message is in the outbox, once for each subscriber.
func (n *Notify) PublishMessage(ctx context.Context, c *call.Call, in *sns.PublishInput) (*sns.PublishOutput, error) {
	if in.PhoneNumber != nil {
		return nil, call.NotBuilt("Publishing to a phone number")
	}
	name := in.TopicArn
	if name == nil {
		name = in.TargetArn
	}
	if name == nil || in.TopicArn != nil && in.TargetArn != nil {
		return nil, invalid("TopicArn or TargetArn Reason: no value for required parameter")
	}
	if in.MessageDeduplicationId != nil {
		return nil, invalid("MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter that is not valid for this topic type")
	}
	t, err := n.own(c, "SNS:Publish", name)
	if err != nil {
		return nil, err
	}
	m := &message{id: uuid.NewString(), subject: text(in.Subject), time: c.Time, attributes: in.MessageAttributes}
	if err := checkAttributes(in.MessageAttributes); err != nil {
		return nil, err
	}
	if in.Subject != nil && !isSubject(m.subject) {
		return nil, invalid("Subject")
	}
	if m.texts, err = textsOf(*in.Message, in.MessageStructure); err != nil {
		return nil, err
	}
	if size(*in.Message, in.MessageAttributes) > maxMessage {
		return nil, invalid("Message too long")
	}
	sealer, err := n.sealer(ctx, t, c.Principal)
	if err != nil {
		return nil, err
	}
	deliveries, err := n.address(t.ref, m)
	if errors.Is(err, ErrNoTopic) {
		return nil, notFound("Topic")
	}
	if err != nil {
		return nil, err
	}
	sealer.seal(deliveries)
	if len(deliveries) > 0 {
		err = n.watch.Update(ctx, func(tx store.Tx) error { return n.enqueue(tx, deliveries) })
		if err != nil {
			return nil, err
		}
	}
	return &sns.PublishOutput{MessageId: &m.id}, nil
}

func (n *Notify) enqueue(tx store.Tx, deliveries []Delivery) error {
	for _, d := range deliveries {
		if err := n.config.Enqueue(tx, d); err != nil {
			return err
		}
	}
	return nil
}

// message is what is sent to all subscribers of a topic.
type message struct {
	id         string
	subject    string
	texts      map[string]string // by protocol, and default
	attributes map[string]types.MessageAttributeValue
	time       time.Time
	cause      Cause
}

func (m *message) text(protocol string) string {
	if text, ok := m.texts[protocol]; ok {
		return text
	}
	return m.texts["default"]
}

// address makes a message a delivery to each confirmed subscriber.
func (n *Notify) address(ref topicRef, m *message) ([]Delivery, error) {
	t := n.known.topic(ref)
	if t == nil {
		return nil, ErrNoTopic
	}
	var deliveries []Delivery
	signatures := make(map[string]string) // by the text that is signed, as many subscribers get the same
	for _, s := range n.known.of(ref) {
		if s.state != confirmed {
			continue
		}
		e := &envelope{
			Type: notification, MessageID: m.id, TopicARN: ref.String(), Subject: m.subject, Message: m.text(s.protocol),
			Time: m.time, UnsubscribeURL: n.unsubscribeURL(s.ref), Attributes: m.attributes,
		}
		d := n.delivery(t, s, e)
		d.Cause = m.cause
		d.Subject = m.subject
		if d.Subject == "" {
			d.Subject = "AWS Notification Message"
		}
		switch {
		case s.protocol == "email":
			d.Body = notificationMail(e)
		case isHTTP(s.protocol) && s.attributes["RawMessageDelivery"] == "true":
			d.Header["x-amz-sns-rawdelivery"] = "true"
			d.Body = []byte(e.Message)
		default:
			if signature, ok := signatures[e.Message]; ok {
				e.Signature = signature
			}
			body, err := n.signed(t, e)
			if err != nil {
				return nil, err
			}
			signatures[e.Message], d.Body = e.Signature, body
		}
		deliveries = append(deliveries, d)
	}
	return deliveries, nil
}

// delivery is a delivery to a subscriber that has no body yet.
func (n *Notify) delivery(t *topic, s *subscription, e *envelope) Delivery {
	d := Delivery{
		ID: e.MessageID + "." + s.ref.id, Protocol: s.protocol, Endpoint: s.endpoint,
		Account: t.ref.account, Region: t.ref.region, Topic: t.ref.String(), Subscription: s.ref.String(),
	}
	if isHTTP(s.protocol) {
		healthy, request := effective(t, s)
		d.Schedule = healthy.schedule()
		d.Header = headers(e.Type, e.MessageID, s.ref, request.HeaderContentType)
		return d
	}
	d.Schedule = mailSchedule
	if e.Type == notification {
		d.Header = map[string]string{"List-Unsubscribe": "<" + e.UnsubscribeURL + ">"} // RFC 2369
	}
	return d
}

// signed is a message with its signature, in JSON. A signature that it has already is kept.
func (n *Notify) signed(t *topic, e *envelope) (body []byte, err error) {
	e.SignatureVersion = t.attribute("SignatureVersion")
	e.SigningCertURL = n.config.Endpoint() + certificatePath(n.signer.id)
	if e.Signature == "" {
		if e.Signature, err = n.signer.sign(e.SignatureVersion, e.canonical()); err != nil {
			return nil, err
		}
	}
	return e.appendJSON(nil), nil
}

func (n *Notify) unsubscribeURL(ref subscriptionRef) string {
	return n.config.Endpoint() + "/?Action=Unsubscribe&SubscriptionArn=" + ref.String()
}

// notificationMail is a message as a mail to a person.
func notificationMail(e *envelope) []byte {
	return []byte(e.Message + "\n\n--\nIf you wish to stop receiving notifications from this topic, please click or visit the link below " +
		"to unsubscribe:\n" + e.UnsubscribeURL + "\n\nPlease do not reply directly to this email.\n")
}

// isSubject reports whether a text can be a subject: up to 100 characters without line breaks and control characters, of which the
// first is not white space.
func isSubject(s string) bool {
	if s == "" || utf8.RuneCountInString(s) > maxSubject || s[0] == ' ' {
		return false
	}
	for _, r := range s {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 {
			return false
		}
	}
	return true
}

// textsOf are the texts of a message, by protocol. Only a message of the structure json has others than the default one.
func textsOf(message string, structure *string) (map[string]string, error) {
	if message == "" {
		return nil, invalid("Empty message")
	}
	if structure == nil || *structure == "" {
		return map[string]string{"default": message}, nil
	}
	if *structure != "json" {
		return nil, invalid("MessageStructure")
	}
	var members map[string]json.RawMessage
	if value := jsontext.Value(message); !value.IsValid() || json.Unmarshal(value, &members) != nil || members == nil { // a name twice is not valid
		return nil, invalid("Message Structure - JSON message body failed to parse")
	}
	texts := make(map[string]string)
	for name, raw := range members {
		var s *string
		if json.Unmarshal(raw, &s) == nil && s != nil { // other values are ignored
			texts[name] = *s
		}
	}
	if _, ok := texts["default"]; !ok {
		return nil, invalid("Message Structure - No default entry in JSON message body")
	}
	return texts, nil
}

// size is the size of a message with the names, types and values of its attributes.
func size(message string, attributes map[string]types.MessageAttributeValue) int {
	n := len(message)
	for name, a := range attributes {
		n += len(name) + len(text(a.DataType)) + len(text(a.StringValue)) + len(a.BinaryValue)
	}
	return n
}
