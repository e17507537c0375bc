package notify

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/mail"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/google/uuid"

	"vigil/internal/call"
	"vigil/internal/store"
)

// tokenLife is how long a token confirms a subscription.
const tokenLife = 48 * time.Hour

// Subscribe subscribes an endpoint by http, https, email or email-json, and asks it to confirm. One that is subscribed already keeps its
// subscription; one that has not confirmed is asked again, and only the newest token is good.
func (n *Notify) Subscribe(_ context.Context, c *call.Call, in *sns.SubscribeInput) (*sns.SubscribeOutput, error) {
	t, err := n.own(c, "SNS:Subscribe", in.TopicArn)
	if err != nil {
		return nil, err
	}
	if err := n.checkEndpoint(*in.Protocol, text(in.Endpoint)); err != nil {
		return nil, err
	}
	attributes := make(map[string]string)
	for name, value := range in.Attributes {
		if err := checkSubscriptionAttribute("Attributes Reason: ", *in.Protocol, name, value); err != nil {
			return nil, err
		}
		attributes[name] = value
	}
	secret, hash := newToken()
	out := &sns.SubscribeOutput{}
	c.Effect(func(tx store.Tx) error {
		s := &subscription{
			ref: subscriptionRef{t.ref, uuid.NewString()}, protocol: *in.Protocol, endpoint: text(in.Endpoint),
			principal: c.Principal.ARN, attributes: attributes, state: pending,
		}
		old, err := n.subscribed(tx, s)
		if err != nil {
			return err
		}
		if old != nil {
			if !sameAttributes(old.attributes, attributes) {
				return invalid("Attributes Reason: Subscription already exists with different attributes")
			}
			s = old
		}
		name := s.ref.String()
		if s.state == pending && !in.ReturnSubscriptionArn {
			name = "pending confirmation"
		}
		out.SubscriptionArn = &name
		if s.state == confirmed {
			return nil
		}
		s.token, s.expires = hash, c.Time.Add(tokenLife)
		if err := n.saveSubscription(tx, s); err != nil {
			return err
		}
		return n.write(tx, letter{Kind: subscriptionConfirmation, Subscription: s.ref.String(), Token: secret, Time: c.Time})
	})
	return out, nil
}

// subscribed is the subscription of the same endpoint in the topic, or nil, as it is in a transaction.
func (n *Notify) subscribed(tx store.Tx, s *subscription) (*subscription, error) {
	t := s.ref.topic
	if _, err := topicIn(tx, t); err != nil {
		return nil, err
	}
	found, err := scanSubscription(tx.QueryRow(`SELECT `+subscriptionColumns+` FROM notify_subscription
		WHERE account = $1 AND region = $2 AND topic = $3 AND protocol = $4 AND endpoint = $5 AND state <> '`+unsubscribed+`'`,
		t.account, t.region, t.name, s.protocol, s.endpoint))
	if err == store.ErrNoRows {
		return nil, nil
	}
	return found, err
}

// sameAttributes reports whether a subscription can pass for one of those attributes. One that is not given counts as its default.
func sameAttributes(has, given map[string]string) bool {
	normal := func(m map[string]string) map[string]string {
		m = maps.Clone(m)
		if m["RawMessageDelivery"] == "false" {
			delete(m, "RawMessageDelivery")
		}
		maps.DeleteFunc(m, func(_, value string) bool { return value == "" })
		return m
	}
	return len(given) == 0 || maps.Equal(normal(has), normal(given))
}

// checkEndpoint refuses an endpoint that is not of its protocol, and one that nothing could reach.
func (n *Notify) checkEndpoint(protocol, endpoint string) error {
	switch protocol {
	case "http", "https":
		u, err := url.Parse(endpoint)
		if err != nil || !strings.EqualFold(u.Scheme, protocol) || u.Host == "" || u.Hostname() == "" {
			return invalid("Endpoint must match the specified protocol")
		}
		if u.User != nil {
			return call.NotBuilt("An endpoint with a user name in its URL")
		}
	case "email", "email-json":
		a, err := mail.ParseAddress(endpoint)
		if err != nil || a.Name != "" || a.Address != endpoint || strings.ContainsAny(endpoint, "\r\n\x00") {
			return invalid("Email address")
		}
		if !n.config.Mail {
			return invalid("Endpoint Reason: this server was given no relay for mail (--smtp-relay)")
		}
	case "sms", "sqs", "application", "lambda", "firehose":
		return call.NotBuilt("A subscription by the protocol " + protocol)
	default:
		return invalid("Amazon SNS does not support this protocol string: %s", protocol)
	}
	return nil
}

// ConfirmSubscription confirms the subscription that a token was sent for, or brings back one that was given up by a link. It can be
// repeated as long as the token is valid, which is two days. Having the token is what lets a caller confirm, whoever it is.
func (n *Notify) ConfirmSubscription(_ context.Context, c *call.Call, in *sns.ConfirmSubscriptionInput) (*sns.ConfirmSubscriptionOutput, error) {
	ref, err := topicFor(c, in.TopicArn)
	if err != nil {
		return nil, err
	}
	if !isAnonymous(c) {
		if err := allow(c, "SNS:ConfirmSubscription", ref.String(), c.Account()); err != nil {
			return nil, err
		}
	}
	if n.known.topic(ref) == nil {
		return nil, notFound("Topic")
	}
	found := n.byToken(ref, *in.Token)
	if found == nil || c.Time.After(found.expires) {
		return nil, invalid("Token")
	}
	guarded := text(in.AuthenticateOnUnsubscribe)
	switch guarded {
	case "", "false":
	case "true":
		if isAnonymous(c) {
			return nil, &call.Error{Code: "AuthorizationError", Message: "AuthenticateOnUnsubscribe needs a signed request", Status: 403}
		}
	default:
		return nil, invalid("AuthenticateOnUnsubscribe: Invalid value [%s]. Must be true or false.", guarded)
	}
	c.Effect(func(tx store.Tx) error {
		s, err := subscriptionIn(tx, found.ref)
		if err != nil {
			return err
		}
		if !sameToken(s.token, *in.Token) {
			return invalid("Token")
		}
		if s.state == unsubscribed { // and has the endpoint subscribed again since?
			if other, err := n.subscribed(tx, s); err != nil || other != nil {
				return cmp.Or(err, invalid("Token"))
			}
		}
		if s.state != confirmed {
			s.authenticated = !isAnonymous(c)
		}
		s.state, s.guarded = confirmed, s.guarded || guarded == "true"
		return n.saveSubscription(tx, s)
	})
	return &sns.ConfirmSubscriptionOutput{SubscriptionArn: new(found.ref.String())}, nil
}

// byToken is the subscription of a topic that the token was made for.
func (n *Notify) byToken(ref topicRef, secret string) *subscription {
	hash := sha256.Sum256([]byte(secret))
	for _, s := range n.known.of(ref) {
		if string(s.token) == string(hash[:]) { // what is compared is a hash, so how long it takes tells nothing
			return s
		}
	}
	return nil
}

// Unsubscribe ends a subscription. One that does not exist is no error. When it is not its owner who does so, but whoever has the link
// in a message, the endpoint is told, with a link by which it can bring the subscription back within two days.
func (n *Notify) Unsubscribe(_ context.Context, c *call.Call, in *sns.UnsubscribeInput) (*sns.UnsubscribeOutput, error) {
	ref, err := subscriptionFor(c, in.SubscriptionArn)
	if err != nil {
		return nil, err
	}
	if isAnonymous(c) {
		return &sns.UnsubscribeOutput{}, n.unsubscribeByLink(c, ref)
	}
	if err := allow(c, "SNS:Unsubscribe", ref.topic.String(), ref.topic.account); err != nil {
		return nil, err
	}
	c.Effect(func(tx store.Tx) error { return n.dropSubscription(tx, ref) })
	return &sns.UnsubscribeOutput{}, nil
}

func (n *Notify) unsubscribeByLink(c *call.Call, ref subscriptionRef) error {
	s := n.known.subscription(ref)
	if s == nil || s.state != confirmed {
		return notFound("Subscription")
	}
	if s.guarded {
		return &call.Error{Code: "AuthorizationError", Message: "Unsubscribing from this subscription needs a signed request of its owner", Status: 403}
	}
	secret, hash := newToken()
	c.Effect(func(tx store.Tx) error {
		s, err := subscriptionIn(tx, ref)
		if err != nil {
			return err
		}
		if s.state != confirmed || s.guarded {
			return notFound("Subscription")
		}
		s.state, s.token, s.expires = unsubscribed, hash, c.Time.Add(tokenLife)
		if err := n.saveSubscription(tx, s); err != nil {
			return err
		}
		return n.write(tx, letter{Kind: unsubscribeConfirmation, Subscription: ref.String(), Token: secret, Time: c.Time})
	})
	return nil
}

// subscriptionFor is the subscription that a call names, in its own region.
func subscriptionFor(c *call.Call, name *string) (subscriptionRef, error) {
	ref, err := parseSubscription(text(name))
	if err != nil {
		return subscriptionRef{}, err
	}
	if ref.topic.region != c.Region {
		return subscriptionRef{}, invalid("SubscriptionArn")
	}
	c.Touch(topicType, ref.topic.arn())
	return ref, nil
}

func parseSubscription(name string) (subscriptionRef, error) {
	a, err := parseARN("SubscriptionArn", name)
	if err != nil {
		return subscriptionRef{}, err
	}
	topic, id, ok := strings.Cut(a.Resource, ":")
	ref := subscriptionRef{topicRef{a.Account, a.Region, topic}, id}
	if _, err := uuid.Parse(id); err != nil || !ok || len(id) != 36 || !topicName.MatchString(topic) || ref.String() != name {
		return subscriptionRef{}, invalid("SubscriptionArn Reason: An ARN must have the form of a subscription's")
	}
	return ref, nil
}

// newToken makes a token, and what is kept of it.
func newToken() (secret string, hash []byte) {
	random := make([]byte, 64)
	_, _ = rand.Read(random) // never fails
	secret = hex.EncodeToString(random)
	sum := sha256.Sum256([]byte(secret))
	return secret, sum[:]
}

func sameToken(hash []byte, secret string) bool {
	sum := sha256.Sum256([]byte(secret))
	return string(hash) == string(sum[:])
}
