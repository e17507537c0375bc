package notify

import (
	"context"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"

	"vigil/internal/call"
	"vigil/internal/store"
)

const pageSize = 100

// ListTopics lists the topics of the account and region by name, 100 at a time.
func (n *Notify) ListTopics(ctx context.Context, c *call.Call, in *sns.ListTopicsInput) (*sns.ListTopicsOutput, error) {
	if err := allow(c, "SNS:ListTopics", topicRef{c.Account(), c.Region, "*"}.String(), c.Account()); err != nil {
		return nil, err
	}
	after, err := position(in.NextToken, 1)
	if err != nil {
		return nil, err
	}
	var found []*topic
	err = n.db.View(ctx, func(tx store.Tx) (err error) {
		found, err = store.List(tx, scanTopic, `SELECT `+topicColumns+` FROM notify_topic
			WHERE account = $1 AND region = $2 AND name > $3 ORDER BY name LIMIT $4`, c.Account(), c.Region, after[0], pageSize+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &sns.ListTopicsOutput{Topics: []types.Topic{}}
	for i, t := range found {
		if i == pageSize {
			out.NextToken = token(found[i-1].ref.name)
			break
		}
		out.Topics = append(out.Topics, types.Topic{TopicArn: new(t.ref.String())})
	}
	return out, nil
}

// ListSubscriptions lists the subscriptions of the account and region, 100 at a time.
func (n *Notify) ListSubscriptions(ctx context.Context, c *call.Call, in *sns.ListSubscriptionsInput) (*sns.ListSubscriptionsOutput, error) {
	if err := allow(c, "SNS:ListSubscriptions", topicRef{c.Account(), c.Region, "*"}.String(), c.Account()); err != nil {
		return nil, err
	}
	after, err := position(in.NextToken, 2)
	if err != nil {
		return nil, err
	}
	subs, next, err := n.subscriptions(ctx, `topic > $4 OR topic = $4 AND id > $5`, c.Account(), c.Region, pageSize+1, after[0], after[1])
	return &sns.ListSubscriptionsOutput{Subscriptions: subs, NextToken: next}, err
}

// ListSubscriptionsByTopic lists the subscriptions of a topic, 100 at a time.
func (n *Notify) ListSubscriptionsByTopic(ctx context.Context, c *call.Call, in *sns.ListSubscriptionsByTopicInput) (*sns.ListSubscriptionsByTopicOutput, error) {
	t, err := n.own(c, "SNS:ListSubscriptionsByTopic", in.TopicArn)
	if err != nil {
		return nil, err
	}
	after, err := position(in.NextToken, 2)
	if err != nil {
		return nil, err
	}
	subs, next, err := n.subscriptions(ctx, `topic = $4 AND id > $5`, t.ref.account, t.ref.region, pageSize+1, t.ref.name, after[1])
	return &sns.ListSubscriptionsByTopicOutput{Subscriptions: subs, NextToken: next}, err
}

// subscriptions are a page of those that meet a condition. Those that were given up by their subscribers are not shown.
func (n *Notify) subscriptions(ctx context.Context, condition string, args ...any) (shown []types.Subscription, next *string, err error) {
	var found []*subscription
	err = n.db.View(ctx, func(tx store.Tx) (err error) {
		found, err = store.List(tx, scanSubscription, `SELECT `+subscriptionColumns+` FROM notify_subscription
			WHERE account = $1 AND region = $2 AND (`+condition+`) AND state <> '`+unsubscribed+`' ORDER BY topic, id LIMIT $3`, args...)
		return err
	})
	shown = []types.Subscription{}
	for i, s := range found {
		if i == pageSize {
			last := found[i-1].ref
			return shown, token(last.topic.name, last.id), nil
		}
		name := s.ref.String()
		if s.state == pending {
			name = "PendingConfirmation"
		}
		shown = append(shown, types.Subscription{
			SubscriptionArn: &name, Owner: new(s.ref.topic.account), Protocol: &s.protocol, Endpoint: &s.endpoint,
			TopicArn: new(s.ref.topic.String()),
		})
	}
	return shown, nil, err
}

// token tells where a list goes on.
func token(last ...string) *string {
	text := base64.RawURLEncoding.EncodeToString([]byte(strings.Join(last, "\n")))
	return &text
}

// position is what a token tells, in so many parts; empty ones for the first page.
func position(token *string, parts int) ([]string, error) {
	if token == nil || *token == "" {
		return make([]string, parts), nil
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(*token)
	last := strings.Split(string(data), "\n")
	if err != nil || len(last) != parts || !utf8.Valid(data) || strings.ContainsRune(string(data), 0) {
		return nil, invalid("NextToken")
	}
	return last, nil
}

func isNotFound(err error) bool {
	var e *call.Error
	return errors.As(err, &e) && e.Code == "NotFound"
}

func itoa(i int) string { return strconv.Itoa(i) }

// text is the text of a member that may not be given.
func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
