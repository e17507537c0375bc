package events

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/store"
)

const maxTags = 50 // of a rule or bus

// TagResource adds tags to a rule or an event bus. A tag that it has already gets the new value.
func (e *Events) TagResource(ctx context.Context, c *call.Call, in *eventbridge.TagResourceInput) (*eventbridge.TagResourceOutput, error) {
	on, err := e.tagged(ctx, c, "events:TagResource", *in.ResourceARN)
	if err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	c.Effect(func(tx store.Tx) error {
		if err := on.isThere(tx); err != nil {
			return err
		}
		return putTags(tx, on.arn, in.Tags)
	})
	return &eventbridge.TagResourceOutput{}, nil
}

// UntagResource removes tags. One that the rule or bus has not is no error.
func (e *Events) UntagResource(ctx context.Context, c *call.Call, in *eventbridge.UntagResourceInput) (*eventbridge.UntagResourceOutput, error) {
	on, err := e.tagged(ctx, c, "events:UntagResource", *in.ResourceARN)
	if err != nil {
		return nil, err
	}
	c.Effect(func(tx store.Tx) error {
		if err := on.isThere(tx); err != nil {
			return err
		}
		for _, name := range in.TagKeys {
			_, err := tx.Exec(`DELETE FROM events_tag WHERE account = $1 AND region = $2 AND resource = $3 AND name = $4`,
				on.arn.Account, on.arn.Region, on.arn.Resource, name)
			if err != nil {
				return err
			}
		}
		return nil
	})
	return &eventbridge.UntagResourceOutput{}, nil
}

// ListTagsForResource lists the tags of a rule or an event bus by name.
func (e *Events) ListTagsForResource(ctx context.Context, c *call.Call, in *eventbridge.ListTagsForResourceInput) (*eventbridge.ListTagsForResourceOutput, error) {
	on, err := e.tagged(ctx, c, "events:ListTagsForResource", *in.ResourceARN)
	if err != nil {
		return nil, err
	}
	out := &eventbridge.ListTagsForResourceOutput{Tags: []types.Tag{}}
	err = e.db.View(ctx, func(tx store.Tx) error {
		tags, err := store.List(tx, func(row store.Scanner) (types.Tag, error) {
			var name, value string
			err := row.Scan(&name, &value)
			return types.Tag{Key: &name, Value: &value}, err
		}, `SELECT name, value FROM events_tag WHERE account = $1 AND region = $2 AND resource = $3 ORDER BY name`,
			on.arn.Account, on.arn.Region, on.arn.Resource)
		out.Tags = append(out.Tags, tags...)
		return err
	})
	return out, err
}

// tagged is what has tags: a rule, or a bus when rule has no name.
type tagged struct {
	arn  arn.ARN
	rule ruleRef
}

// tagged is the rule or bus of an ARN, if the caller may do that with it.
func (e *Events) tagged(ctx context.Context, c *call.Call, action, resource string) (*tagged, error) {
	a, err := arn.Parse(resource)
	parts := strings.Split(a.Resource, "/")
	if err != nil || a.Service != "events" || a.Region != c.Region || len(parts) < 2 || len(parts) > 3 {
		return nil, invalid("Parameter %s is not valid. Reason: Provided Arn is not in correct format.", resource)
	}
	if err := allow(c, action, a); err != nil {
		return nil, err
	}
	on := &tagged{a, ruleRef{bus: busRef{a.Account, a.Region, defaultBus}}}
	switch {
	case parts[0] == "event-bus" && len(parts) == 2:
		on.rule.bus.name = parts[1]
	case parts[0] == "rule" && len(parts) == 2:
		on.rule.name = parts[1]
	case parts[0] == "rule":
		on.rule.bus.name, on.rule.name = parts[1], parts[2]
	default:
		return nil, invalid("Parameter %s is not valid. Reason: Only rules and event buses have tags.", resource)
	}
	on.arn = on.rule.bus.arn()
	if on.rule.name != "" {
		on.arn = on.rule.arn()
	}
	return on, e.db.View(ctx, on.isThere)
}

// isThere checks, in a transaction, that the rule or bus is there.
func (t *tagged) isThere(tx store.Tx) error {
	if err := hasBus(tx, t.rule.bus); err != nil || t.rule.name == "" {
		return err
	}
	if had, err := hasRule(tx, t.rule); err != nil || had {
		return err
	}
	return noRule(t.rule)
}

// checkNewTags are tags that something is made with, which takes the permission to tag it.
func checkNewTags(c *call.Call, on arn.ARN, tags []types.Tag) error {
	if len(tags) == 0 {
		return nil
	}
	if err := allow(c, "events:TagResource", on); err != nil {
		return err
	}
	return checkTags(tags)
}

func checkTags(tags []types.Tag) error {
	names := make(map[string]bool, len(tags))
	for _, tag := range tags {
		if names[*tag.Key] {
			return invalid("Duplicate keys are not allowed in the request.")
		}
		names[*tag.Key] = true
		if strings.HasPrefix(strings.ToLower(*tag.Key), "aws:") {
			return invalid("aws: prefixed tag key names are not allowed for external use.")
		}
	}
	if len(tags) > maxTags {
		return tooManyTags()
	}
	return nil
}

func tooManyTags() error {
	return invalid("The number of tags exceeds the limit of %d.", maxTags)
}

func putTags(tx store.Tx, on arn.ARN, tags []types.Tag) error {
	if len(tags) == 0 {
		return nil
	}
	for _, tag := range tags {
		_, err := tx.Exec(`INSERT INTO events_tag (account, region, resource, name, value) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (account, region, resource, name) DO UPDATE SET value = excluded.value`,
			on.Account, on.Region, on.Resource, *tag.Key, *tag.Value)
		if err != nil {
			return err
		}
	}
	n, err := count(tx, `SELECT COUNT(*) FROM events_tag WHERE account = $1 AND region = $2 AND resource = $3`, on.Account, on.Region, on.Resource)
	if err == nil && n > maxTags {
		return tooManyTags()
	}
	return err
}

// forgetTags removes the tags of what is removed.
func forgetTags(tx store.Tx, on arn.ARN) error {
	_, err := tx.Exec(`DELETE FROM events_tag WHERE account = $1 AND region = $2 AND resource = $3`, on.Account, on.Region, on.Resource)
	return err
}
