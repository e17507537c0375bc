package notify

import (
	"context"
	"maps"

	"github.com/aws/aws-sdk-go-v2/service/sns"

	"vigil/internal/call"
	"vigil/internal/store"
)

// GetSubscriptionAttributes tells all attributes of a subscription.
func (n *Notify) GetSubscriptionAttributes(_ context.Context, c *call.Call, in *sns.GetSubscriptionAttributesInput) (*sns.GetSubscriptionAttributesOutput, error) {
	s, err := n.ownSubscription(c, "SNS:GetSubscriptionAttributes", in.SubscriptionArn)
	if err != nil {
		return nil, err
	}
	attributes := map[string]string{
		"SubscriptionArn":              s.ref.String(),
		"TopicArn":                     s.ref.topic.String(),
		"Owner":                        s.ref.topic.account,
		"Protocol":                     s.protocol,
		"Endpoint":                     s.endpoint,
		"PendingConfirmation":          truth(s.state == pending),
		"ConfirmationWasAuthenticated": truth(s.authenticated),
		"SubscriptionPrincipal":        s.principal,
		"RawMessageDelivery":           "false",
	}
	if t := n.known.topic(s.ref.topic); t != nil && isHTTP(s.protocol) {
		attributes["EffectiveDeliveryPolicy"] = effectiveSubscriptionPolicy(t, s)
	}
	maps.Copy(attributes, s.attributes)
	return &sns.GetSubscriptionAttributesOutput{Attributes: attributes}, nil
}

// SetSubscriptionAttributes sets one attribute: RawMessageDelivery or DeliveryPolicy. Filter policies, dead-letter queues and replay
// are not built yet, and are refused.
func (n *Notify) SetSubscriptionAttributes(_ context.Context, c *call.Call, in *sns.SetSubscriptionAttributesInput) (*sns.SetSubscriptionAttributesOutput, error) {
	s, err := n.ownSubscription(c, "SNS:SetSubscriptionAttributes", in.SubscriptionArn)
	if err != nil {
		return nil, err
	}
	value := text(in.AttributeValue)
	if err := checkSubscriptionAttribute("", s.protocol, *in.AttributeName, value); err != nil {
		return nil, err
	}
	c.Effect(func(tx store.Tx) error {
		now, err := subscriptionIn(tx, s.ref)
		if err != nil {
			return err
		}
		now.attributes = with(now.attributes, *in.AttributeName, value)
		return n.saveSubscription(tx, now)
	})
	return &sns.SetSubscriptionAttributesOutput{}, nil
}

// ownSubscription is the subscription that a call names, if the caller may do that with it.
func (n *Notify) ownSubscription(c *call.Call, action string, name *string) (*subscription, error) {
	ref, err := subscriptionFor(c, name)
	if err != nil {
		return nil, err
	}
	if err := allow(c, action, ref.topic.String(), ref.topic.account); err != nil {
		return nil, err
	}
	s := n.known.subscription(ref)
	if s == nil || s.state == unsubscribed {
		return nil, notFound("Subscription")
	}
	return s, nil
}

// checkSubscriptionAttribute refuses what a subscription's attribute cannot be. prefix says where in the call it is.
func checkSubscriptionAttribute(prefix, protocol, name, value string) error {
	switch name {
	case "RawMessageDelivery":
		if value != "true" && value != "false" {
			return invalid("%sRawMessageDelivery: Invalid value [%s]. Must be true or false.", prefix, value)
		}
		if value == "true" && !isHTTP(protocol) {
			return invalid("%sDelivery protocol [%s] does not support raw message delivery.", prefix, protocol)
		}
	case "DeliveryPolicy":
		if !isHTTP(protocol) && value != "" {
			return invalid("%sDelivery protocol [%s] does not support a delivery policy.", prefix, protocol)
		}
		if _, err := parseSubscriptionPolicy(value); err != nil {
			return invalid("%sDeliveryPolicy: %s", prefix, err)
		}
	case "FilterPolicy", "FilterPolicyScope":
		return call.NotBuilt("A filter policy")
	case "RedrivePolicy":
		return call.NotBuilt("A redrive policy")
	case "SubscriptionRoleArn", "ReplayPolicy":
		return call.NotBuilt("The attribute " + name + " of a subscription")
	default:
		if prefix == "" {
			return invalid("AttributeName")
		}
		return invalid("Attributes Reason: Invalid attribute name: %s", name)
	}
	return nil
}

func isHTTP(protocol string) bool { return protocol == "http" || protocol == "https" }

func truth(b bool) string {
	if b {
		return "true"
	}
	return "false"
}
