package notify_test

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"

	"vigil/internal/arn"
	"vigil/internal/clock"
	"vigil/internal/notify"
	"vigil/internal/store"
)

// verify does what a subscriber does, by the developer guide: it fetches the certificate and checks the signature over the members
// in the order of their names.
func verify(t *testing.T, members map[string]any) {
	t.Helper()
	text := func(name string) string { s, _ := members[name].(string); return s }
	_, data := get(t, text("SigningCertURL"))
	block, _ := pem.Decode([]byte(data))
	if block == nil {
		t.Fatalf("no certificate: %s", data)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"}
	if text("Type") != "Notification" {
		names = []string{"Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"}
	}
	var signed strings.Builder
	for _, name := range names {
		if value, ok := members[name]; ok {
			fmt.Fprintf(&signed, "%s\n%s\n", name, value)
		}
	}
	signature, err := base64.StdEncoding.DecodeString(text("Signature"))
	if err != nil {
		t.Fatal(err)
	}
	hash, sum := crypto.SHA1, sha1.Sum([]byte(signed.String()))
	digest := sum[:]
	if text("SignatureVersion") == "2" {
		long := sha256.Sum256([]byte(signed.String()))
		hash, digest = crypto.SHA256, long[:]
	}
	if err := rsa.VerifyPKCS1v15(certificate.PublicKey.(*rsa.PublicKey), hash, digest, signature); err != nil {
		t.Errorf("the signature of %s is not good: %v", text("Type"), err)
	}
}

func TestHandshakeAndNotification(t *testing.T) {
	for _, version := range []string{"1", "2"} {
		t.Run("signature version "+version, func(t *testing.T) {
			h, s := open(t), newSubscriber(t)
			topic := h.topic(t, "alarms", map[string]string{"SignatureVersion": version})
			out := do[sns.SubscribeOutput](t, h, alice, "Subscribe", &sns.SubscribeInput{TopicArn: &topic, Protocol: new("http"), Endpoint: &s.URL})
			if *out.SubscriptionArn != "pending confirmation" {
				t.Errorf("subscribed as %q", *out.SubscriptionArn)
			}

			asked := s.next(t)
			m := asked.members(t)
			verify(t, m)
			if asked.header.Get("X-Amz-Sns-Message-Type") != "SubscriptionConfirmation" || asked.header.Get("X-Amz-Sns-Topic-Arn") != topic ||
				asked.header.Get("X-Amz-Sns-Message-Id") != m["MessageId"] || asked.header.Get("X-Amz-Sns-Subscription-Arn") != "" ||
				asked.header.Get("User-Agent") != "Amazon Simple Notification Service Agent" ||
				asked.header.Get("Content-Type") != "text/plain; charset=UTF-8" {
				t.Errorf("%v", asked.header)
			}
			if m["Type"] != "SubscriptionConfirmation" || m["SignatureVersion"] != version || m["Message"] != "You have chosen to subscribe to the topic "+topic+
				".\nTo confirm the subscription, visit the SubscribeURL included in this message." {
				t.Errorf("%v", m)
			}
			h.publish(t, topic, "too early")

			status, body := get(t, m["SubscribeURL"].(string))
			if status != 200 || !strings.HasPrefix(body, `<ConfirmSubscriptionResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/">`+
				`<ConfirmSubscriptionResult><SubscriptionArn>`+topic+":") {
				t.Fatalf("%d %s", status, body)
			}

			id := *do[sns.PublishOutput](t, h, alice, "Publish", &sns.PublishInput{TopicArn: &topic, Subject: new("Hi <there> & \"you\""), Message: new("line\n\ttwo ü / \x01"),
				MessageAttributes: map[string]types.MessageAttributeValue{"n": {DataType: new("Number"), StringValue: new("1.5")},
					"b": {DataType: new("Binary"), BinaryValue: []byte{1, 2}}}}).MessageId
			got := s.next(t)
			m = got.members(t)
			verify(t, m)
			if m["Type"] != "Notification" || m["MessageId"] != id || m["Subject"] != "Hi <there> & \"you\"" || m["Message"] != "line\n\ttwo ü / \x01" || m["TopicArn"] != topic {
				t.Errorf("%v", m)
			}
			if a, _ := json.Marshal(m["MessageAttributes"]); string(a) != `{"b":{"Type":"Binary","Value":"AQI="},"n":{"Type":"Number","Value":"1.5"}}` {
				t.Errorf("%s", a)
			}
			if got.header.Get("X-Amz-Sns-Message-Type") != "Notification" || !strings.HasPrefix(got.header.Get("X-Amz-Sns-Subscription-Arn"), topic+":") {
				t.Errorf("%v", got.header)
			}
			h.settled(t)
			if s.count() != 2 {
				t.Errorf("%d messages, want the question and one notification", s.count())
			}
		})
	}
}

// The form is SNS's own, to the space.
func TestNotificationForm(t *testing.T) {
	h, s := open(t), newSubscriber(t)
	topic := h.topic(t, "t", nil)
	subscription := h.subscribe(t, topic, s, nil)
	do[sns.PublishOutput](t, h, alice, "Publish", &sns.PublishInput{TopicArn: &topic, Subject: new("S"), Message: new("M")})
	body := s.next(t).body
	m := received{body: body}.members(t)
	want := fmt.Sprintf(`{
  "Type" : "Notification",
  "MessageId" : "%s",
  "TopicArn" : "%s",
  "Subject" : "S",
  "Message" : "M",
  "Timestamp" : "%s",
  "SignatureVersion" : "1",
  "Signature" : "%s",
  "SigningCertURL" : "%s",
  "UnsubscribeURL" : "%s/?Action=Unsubscribe&SubscriptionArn=%s"
}`, m["MessageId"], topic, m["Timestamp"], m["Signature"], m["SigningCertURL"], h.endpoint.URL, subscription)
	if body != want {
		t.Errorf("got\n%s\nwant\n%s", body, want)
	}
	if _, err := time.Parse("2006-01-02T15:04:05.000Z", m["Timestamp"].(string)); err != nil {
		t.Error(err)
	}
}

func TestRawDelivery(t *testing.T) {
	h, s := open(t), newSubscriber(t)
	topic := h.topic(t, "t", nil)
	subscription := h.subscribe(t, topic, s, map[string]string{"RawMessageDelivery": "true"})
	h.publish(t, topic, `{"as":"is"}`)
	got := s.next(t)
	if got.body != `{"as":"is"}` || got.header.Get("X-Amz-Sns-Rawdelivery") != "true" || got.header.Get("X-Amz-Sns-Subscription-Arn") != subscription {
		t.Errorf("%q %v", got.body, got.header)
	}
}

func TestMessageStructure(t *testing.T) {
	h, s := open(t), newSubscriber(t)
	topic := h.topic(t, "t", nil)
	h.subscribe(t, topic, s, nil)
	for message, want := range map[string]string{
		`{"default":"d","http":"h","email":"e"}`: "h",
		`{"default":"d","email":"e","http":7}`:   "d", // what is no text is ignored
	} {
		do[sns.PublishOutput](t, h, alice, "Publish", &sns.PublishInput{TopicArn: &topic, Message: &message, MessageStructure: new("json")})
		m := s.next(t).members(t)
		verify(t, m)
		if m["Message"] != want {
			t.Errorf("%s: %v", message, m["Message"])
		}
	}
}

// The link in a message ends the subscription; the endpoint is told, and can take it back.
func TestUnsubscribeByLinkAndBack(t *testing.T) {
	h, s := open(t), newSubscriber(t)
	topic := h.topic(t, "t", nil)
	subscription := h.subscribe(t, topic, s, nil)
	h.publish(t, topic, "one")
	link := s.next(t).members(t)["UnsubscribeURL"].(string)
	if status, body := get(t, link); status != 200 || !strings.HasPrefix(body, `<UnsubscribeResponse xmlns=`) {
		t.Fatalf("%d %s", status, body)
	}
	told := s.next(t)
	m := told.members(t)
	verify(t, m)
	if m["Type"] != "UnsubscribeConfirmation" || told.header.Get("X-Amz-Sns-Subscription-Arn") != subscription ||
		m["Message"] != "You have chosen to deactivate subscription "+subscription+
			".\nTo cancel this operation and restore the subscription, visit the SubscribeURL included in this message." {
		t.Errorf("%v", m)
	}
	h.publish(t, topic, "two")
	if subs := do[sns.ListSubscriptionsOutput](t, h, alice, "ListSubscriptions", &sns.ListSubscriptionsInput{}).Subscriptions; len(subs) != 0 {
		t.Errorf("still listed: %d", len(subs))
	}
	if status, body := get(t, m["SubscribeURL"].(string)); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	h.publish(t, topic, "three")
	if m := s.next(t).members(t); m["Message"] != "three" {
		t.Errorf("%v", m["Message"])
	}

	records := append(h.records(t, "ConfirmSubscription"), h.records(t, "Unsubscribe")...)
	if len(records) != 3 {
		t.Fatalf("%d records", len(records))
	}
	for _, r := range records {
		if r.UserIdentity.Type != "AWSAccount" || r.UserIdentity.AccountID != "ANONYMOUS_PRINCIPAL" || r.RecipientAccountID != alice || r.AWSRegion != region ||
			r.EventSource != "sns.amazonaws.com" || strings.Contains(string(r.RequestParameters), "oken") || r.ErrorCode != "" {
			t.Errorf("%+v", r)
		}
	}
}

func TestLinksThatDoNothing(t *testing.T) {
	h, s := open(t), newSubscriber(t)
	topic := h.topic(t, "t", nil)
	subscription := h.subscribe(t, topic, s, nil)
	before := len(h.records(t, "ConfirmSubscription")) + len(h.records(t, "Unsubscribe"))
	base := h.endpoint.URL + "/?Action="
	for query, want := range map[string]int{
		"ConfirmSubscription&TopicArn=" + topic + "&Token=0123":  400,
		"ConfirmSubscription&TopicArn=" + topic:                  400,
		"ConfirmSubscription&Token=0123":                         400,
		"ConfirmSubscription&TopicArn=" + topic + "x&Token=0123": 404,
		"Unsubscribe&SubscriptionArn=nonsense":                   400,
		"Unsubscribe&SubscriptionArn=" + topic:                   400,
		"Unsubscribe&SubscriptionArn=" + subscription + "00":     400,
		"Unsubscribe":                   400,
		"DeleteTopic&TopicArn=" + topic: 403,
		"Unsubscribe&X-Amz-Signature=1&SubscriptionArn=" + topic:    403,
		"Unsubscribe&SubscriptionArn=" + topic + ":" + zeroes():     404,
		"Publish&TopicArn=" + topic + "&Message=m&Version=2010-03-": 403,
	} {
		if status, body := get(t, base+query); status != want {
			t.Errorf("%s: %d %s, want %d", query, status, body, want)
		}
	}
	for _, path := range []string{"/SimpleNotificationService-00.pem", "/SimpleNotificationService-.pem"} {
		if status, _ := get(t, h.endpoint.URL+path); status != 404 {
			t.Errorf("%s: %d", path, status)
		}
	}
	if after := len(h.records(t, "ConfirmSubscription")) + len(h.records(t, "Unsubscribe")); after != before {
		t.Errorf("%d records of what was not done", after-before)
	}
}

func zeroes() string { return "00000000-0000-0000-0000-000000000000" }

func TestConfirmSubscription(t *testing.T) {
	h, s := open(t), newSubscriber(t)
	topic := h.topic(t, "t", nil)
	do[sns.SubscribeOutput](t, h, alice, "Subscribe", &sns.SubscribeInput{TopicArn: &topic, Protocol: new("http"), Endpoint: &s.URL})
	first := s.next(t).members(t)["Token"].(string)
	// Subscribed again before it has confirmed, it is asked again, and only the newest token is good.
	again := do[sns.SubscribeOutput](t, h, alice, "Subscribe", &sns.SubscribeInput{TopicArn: &topic, Protocol: new("http"), Endpoint: &s.URL, ReturnSubscriptionArn: true})
	second := s.next(t).members(t)["Token"].(string)
	if _, err := h.call(alice, "ConfirmSubscription", &sns.ConfirmSubscriptionInput{TopicArn: &topic, Token: &first}); err == nil {
		t.Error("an old token confirms")
	}
	for range 2 { // it can be repeated
		out := do[sns.ConfirmSubscriptionOutput](t, h, alice, "ConfirmSubscription",
			&sns.ConfirmSubscriptionInput{TopicArn: &topic, Token: &second, AuthenticateOnUnsubscribe: new("true")})
		if *out.SubscriptionArn != *again.SubscriptionArn {
			t.Errorf("%s, want %s", *out.SubscriptionArn, *again.SubscriptionArn)
		}
	}
	// And again when it has: it keeps its subscription, and is not asked.
	if third := do[sns.SubscribeOutput](t, h, alice, "Subscribe", &sns.SubscribeInput{TopicArn: &topic, Protocol: new("http"), Endpoint: &s.URL}); *third.SubscriptionArn != *again.SubscriptionArn {
		t.Errorf("%s", *third.SubscriptionArn)
	}
	h.settled(t)
	if s.count() != 2 {
		t.Errorf("asked %d times", s.count())
	}
	// AuthenticateOnUnsubscribe: the link in messages does not end it, its owner does.
	h.publish(t, topic, "m")
	if status, body := get(t, s.next(t).members(t)["UnsubscribeURL"].(string)); status != 403 || !strings.Contains(body, "AuthorizationError") {
		t.Errorf("%d %s", status, body)
	}
	if a := do[sns.GetSubscriptionAttributesOutput](t, h, alice, "GetSubscriptionAttributes",
		&sns.GetSubscriptionAttributesInput{SubscriptionArn: again.SubscriptionArn}).Attributes; a["ConfirmationWasAuthenticated"] != "true" || a["PendingConfirmation"] != "false" {
		t.Errorf("%v", a)
	}
	for range 2 { // one that does not exist is no error
		do[sns.UnsubscribeOutput](t, h, alice, "Unsubscribe", &sns.UnsubscribeInput{SubscriptionArn: again.SubscriptionArn})
	}
	h.publish(t, topic, "n")
	h.settled(t)
	if s.count() != 3 {
		t.Errorf("%d messages", s.count())
	}
}

func TestTokensAreValidTwoDays(t *testing.T) {
	h, s := open(t), newSubscriber(t)
	topic := h.topic(t, "t", nil)
	do[sns.SubscribeOutput](t, h, alice, "Subscribe", &sns.SubscribeInput{TopicArn: &topic, Protocol: new("http"), Endpoint: &s.URL})
	url := s.next(t).members(t)["SubscribeURL"].(string)
	h.clock.Advance(49 * time.Hour)
	if status, _ := get(t, url); status != 400 && status != 404 {
		t.Errorf("status %d", status)
	}
	eventually(t, "it is forgotten", func() bool {
		return len(do[sns.ListSubscriptionsOutput](t, h, alice, "ListSubscriptions", &sns.ListSubscriptionsInput{}).Subscriptions) == 0
	})
}

func TestARestartKeepsAll(t *testing.T) {
	dir, clk := place(t), clock.NewMovable(0)
	s := newSubscriber(t)
	h := openIn(t, dir, clk)
	topic := h.topic(t, "t", nil)
	h.subscribe(t, topic, s, nil)
	h.publish(t, topic, "one")
	m := s.next(t).members(t)
	certificate := strings.TrimPrefix(m["SigningCertURL"].(string), h.endpoint.URL)
	h.close()
	h = openIn(t, dir, clk)
	h.publish(t, topic, "two")
	m = s.next(t).members(t)
	verify(t, m)
	if m["Message"] != "two" || strings.TrimPrefix(m["SigningCertURL"].(string), h.endpoint.URL) != certificate {
		t.Errorf("%v", m)
	}
	h.settled(t)
	if s.count() != 3 {
		t.Errorf("%d messages: the question went out again", s.count())
	}
}

// After nine years the key is replaced, and what the old one signed can still be verified.
func TestCertificatesAreRenewed(t *testing.T) {
	dir, clk := place(t), clock.NewMovable(0)
	h, s := openIn(t, dir, clk), newSubscriber(t)
	topic := h.topic(t, "t", nil)
	h.subscribe(t, topic, s, nil)
	h.publish(t, topic, "old")
	old := s.next(t).members(t)
	before := h.endpoint.URL
	h.close()
	clk.Advance(9*365*24*time.Hour + time.Hour)
	h = openIn(t, dir, clk)
	h.publish(t, topic, "new")
	m := s.next(t).members(t)
	verify(t, m)
	old["SigningCertURL"] = strings.Replace(old["SigningCertURL"].(string), before, h.endpoint.URL, 1)
	if old["SigningCertURL"] == m["SigningCertURL"] {
		t.Error("the certificate is the same")
	}
	verify(t, old)
}

func TestEmail(t *testing.T) {
	h := open(t)
	topic := h.topic(t, "t", nil)
	do[sns.SubscribeOutput](t, h, alice, "Subscribe", &sns.SubscribeInput{TopicArn: &topic, Protocol: new("email"), Endpoint: new("bob@example.com")})
	mail := h.mail(t, 0)
	if mail.Subject != "AWS Notification - Subscription Confirmation" || mail.Endpoint != "bob@example.com" || !mail.Secret || len(mail.Schedule) != 50 {
		t.Errorf("%+v", mail)
	}
	_, rest, _ := strings.Cut(string(mail.Body), h.endpoint.URL)
	link, _, _ := strings.Cut(rest, "\n")
	if status, body := get(t, h.endpoint.URL+link); status != 200 {
		t.Fatalf("%q: %d %s", link, status, body)
	}
	to, err := arn.Parse(topic)
	if err != nil {
		t.Fatal(err)
	}
	err = h.watch.Update(context.Background(), func(tx store.Tx) error {
		return h.notify.Publish(tx, to, notify.Message{Subject: strings.Repeat("ä", 150), Text: `{"json":1}`, Mail: "for people"})
	})
	if err != nil {
		t.Fatal(err)
	}
	mail = h.mail(t, 1)
	if mail.Subject != strings.Repeat("ä", 100) || !strings.HasPrefix(string(mail.Body), "for people\n\n--\n") || mail.Secret {
		t.Errorf("%+v: %s", mail, mail.Body)
	}
	h.publish(t, topic, "m")
	if mail = h.mail(t, 2); mail.Subject != "AWS Notification Message" {
		t.Errorf("%+v", mail)
	}
}

func (h *house) mail(t *testing.T, i int) notify.Delivery {
	t.Helper()
	eventually(t, "there is a mail", func() bool { h.mu.Lock(); defer h.mu.Unlock(); return len(h.mails) > i })
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.mails[i]
}

func TestPublishIsPartOfItsTransaction(t *testing.T) {
	h, s := open(t), newSubscriber(t)
	topic := h.topic(t, "t", nil)
	h.subscribe(t, topic, s, nil)
	to, _ := arn.Parse(topic)
	undone := errors.New("undone")
	publish := func(to arn.ARN, text string, end error) error {
		return h.watch.Update(context.Background(), func(tx store.Tx) error {
			if err := h.notify.Publish(tx, to, notify.Message{Text: text}); err != nil {
				return err
			}
			return end
		})
	}
	if err := publish(to, "undone", undone); !errors.Is(err, undone) {
		t.Fatal(err)
	}
	if err := publish(to, "done", nil); err != nil {
		t.Fatal(err)
	}
	if m := s.next(t).members(t); m["Message"] != "done" {
		t.Errorf("%v", m["Message"])
	}
	to.Resource = "gone"
	if err := publish(to, "m", nil); !errors.Is(err, notify.ErrNoTopic) {
		t.Errorf("%v", err)
	}
}

func TestDeliveryPolicies(t *testing.T) {
	h, s := open(t), newSubscriber(t)
	topic := h.topic(t, "t", map[string]string{"DeliveryPolicy": `{"http":{"defaultHealthyRetryPolicy":{"numRetries":1,"minDelayTarget":1,"maxDelayTarget":1},"defaultRequestPolicy":{"headerContentType":"application/json"}}}`})
	h.subscribe(t, topic, s, nil)
	s.mu.Lock()
	s.status = 500
	s.mu.Unlock()
	h.publish(t, topic, "m")
	first := s.next(t)
	eventually(t, "it is tried again", func() bool { h.clock.Advance(2 * time.Second); return s.count() == 3 })
	second := s.next(t)
	if first.header.Get("X-Amz-Sns-Message-Id") != second.header.Get("X-Amz-Sns-Message-Id") || first.body != second.body || first.header.Get("Content-Type") != "application/json" {
		t.Errorf("%v, then %v", first.header, second.header)
	}
	eventually(t, "it is given up", func() bool {
		stats, err := h.outbox.Stats(context.Background())
		return err == nil && stats.Dead == 1
	})
	if s.count() != 3 {
		t.Errorf("%d attempts and a question", s.count())
	}
}

func TestLists(t *testing.T) {
	h := open(t)
	var topics []string
	for i := range 105 {
		topics = append(topics, h.topic(t, fmt.Sprintf("t%03d", i), nil))
		do[sns.SubscribeOutput](t, h, alice, "Subscribe", &sns.SubscribeInput{TopicArn: &topics[0], Protocol: new("email"), Endpoint: new(fmt.Sprintf("a%d@example.com", i))})
	}
	do[sns.CreateTopicOutput](t, h, bob, "CreateTopic", &sns.CreateTopicInput{Name: new("bobs")})
	first := do[sns.ListTopicsOutput](t, h, alice, "ListTopics", &sns.ListTopicsInput{})
	second := do[sns.ListTopicsOutput](t, h, alice, "ListTopics", &sns.ListTopicsInput{NextToken: first.NextToken})
	var listed []string
	for _, topic := range slices.Concat(first.Topics, second.Topics) {
		listed = append(listed, *topic.TopicArn)
	}
	if len(first.Topics) != 100 || second.NextToken != nil || !slices.Equal(listed, topics) {
		t.Errorf("%d and %d topics", len(first.Topics), len(second.Topics))
	}
	subs := do[sns.ListSubscriptionsByTopicOutput](t, h, alice, "ListSubscriptionsByTopic", &sns.ListSubscriptionsByTopicInput{TopicArn: &topics[0]})
	rest := do[sns.ListSubscriptionsByTopicOutput](t, h, alice, "ListSubscriptionsByTopic", &sns.ListSubscriptionsByTopicInput{TopicArn: &topics[0], NextToken: subs.NextToken})
	all := do[sns.ListSubscriptionsOutput](t, h, alice, "ListSubscriptions", &sns.ListSubscriptionsInput{})
	tail := do[sns.ListSubscriptionsOutput](t, h, alice, "ListSubscriptions", &sns.ListSubscriptionsInput{NextToken: all.NextToken})
	if len(subs.Subscriptions) != 100 || len(rest.Subscriptions) != 5 || rest.NextToken != nil || len(all.Subscriptions) != 100 || len(tail.Subscriptions) != 5 {
		t.Errorf("%d, %d; %d, %d subscriptions", len(subs.Subscriptions), len(rest.Subscriptions), len(all.Subscriptions), len(tail.Subscriptions))
	}
	if s := subs.Subscriptions[0]; *s.SubscriptionArn != "PendingConfirmation" || *s.Owner != alice || *s.Protocol != "email" || *s.TopicArn != topics[0] {
		t.Errorf("%+v", s)
	}
	if n := len(do[sns.ListSubscriptionsByTopicOutput](t, h, alice, "ListSubscriptionsByTopic", &sns.ListSubscriptionsByTopicInput{TopicArn: &topics[1]}).Subscriptions); n != 0 {
		t.Errorf("%d subscriptions of another topic", n)
	}
}

func TestTopicAttributesAndTags(t *testing.T) {
	h, s := open(t), newSubscriber(t)
	topic := h.topic(t, "t", map[string]string{"DisplayName": "Tea"})
	h.subscribe(t, topic, s, nil)
	do[sns.SetTopicAttributesOutput](t, h, alice, "SetTopicAttributes", &sns.SetTopicAttributesInput{TopicArn: &topic, AttributeName: new("SignatureVersion"), AttributeValue: new("2")})
	a := do[sns.GetTopicAttributesOutput](t, h, alice, "GetTopicAttributes", &sns.GetTopicAttributesInput{TopicArn: &topic}).Attributes
	for name, want := range map[string]string{
		"TopicArn": topic, "Owner": alice, "DisplayName": "Tea", "SignatureVersion": "2", "SubscriptionsConfirmed": "1", "SubscriptionsPending": "0",
		"SubscriptionsDeleted": "0",
		"EffectiveDeliveryPolicy": `{"http":{"defaultHealthyRetryPolicy":{"minDelayTarget":20,"maxDelayTarget":20,"numRetries":3,"numMaxDelayRetries":0,` +
			`"numNoDelayRetries":0,"numMinDelayRetries":0,"backoffFunction":"linear"},"disableSubscriptionOverrides":false,` +
			`"defaultRequestPolicy":{"headerContentType":"text/plain; charset=UTF-8"}}}`,
	} {
		if a[name] != want {
			t.Errorf("%s: %s", name, a[name])
		}
	}
	if !json.Valid([]byte(a["Policy"])) {
		t.Errorf("Policy: %s", a["Policy"])
	}
	do[sns.TagResourceOutput](t, h, alice, "TagResource", &sns.TagResourceInput{ResourceArn: &topic, Tags: []types.Tag{{Key: new("b"), Value: new("1")}, {Key: new("a"), Value: new("2")}}})
	do[sns.UntagResourceOutput](t, h, alice, "UntagResource", &sns.UntagResourceInput{ResourceArn: &topic, TagKeys: []string{"b", "gone"}})
	if tags := do[sns.ListTagsForResourceOutput](t, h, alice, "ListTagsForResource", &sns.ListTagsForResourceInput{ResourceArn: &topic}).Tags; len(tags) != 1 || *tags[0].Key != "a" || *tags[0].Value != "2" {
		t.Errorf("%v", tags)
	}
	for range 2 { // one that does not exist is no error
		do[sns.DeleteTopicOutput](t, h, alice, "DeleteTopic", &sns.DeleteTopicInput{TopicArn: &topic})
	}
	if n := len(do[sns.ListSubscriptionsOutput](t, h, alice, "ListSubscriptions", &sns.ListSubscriptionsInput{}).Subscriptions); n != 0 {
		t.Errorf("%d subscriptions outlive their topic", n)
	}
}
