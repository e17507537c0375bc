package notify

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"

	"vigil/internal/call"
	"vigil/internal/store"
)

const maxTags = 50 // of a topic

// TagResource adds tags to a topic. A tag that it has already gets the new value.
func (n *Notify) TagResource(_ context.Context, c *call.Call, in *sns.TagResourceInput) (*sns.TagResourceOutput, error) {
	t, err := n.tagged(c, "SNS:TagResource", in.ResourceArn)
	if err != nil {
		return nil, err
	}
	tags, err := tagsOf(in.Tags)
	if err != nil {
		return nil, err
	}
	c.Effect(func(tx store.Tx) error {
		return n.changeTags(tx, t.ref, func(has map[string]string) { maps.Copy(has, tags) })
	})
	return &sns.TagResourceOutput{}, nil
}

// UntagResource removes tags. One that the topic has not is no error.
func (n *Notify) UntagResource(_ context.Context, c *call.Call, in *sns.UntagResourceInput) (*sns.UntagResourceOutput, error) {
	t, err := n.tagged(c, "SNS:UntagResource", in.ResourceArn)
	if err != nil {
		return nil, err
	}
	c.Effect(func(tx store.Tx) error {
		return n.changeTags(tx, t.ref, func(has map[string]string) {
			for _, name := range in.TagKeys {
				delete(has, name)
			}
		})
	})
	return &sns.UntagResourceOutput{}, nil
}

// ListTagsForResource lists a topic's tags by name.
func (n *Notify) ListTagsForResource(_ context.Context, c *call.Call, in *sns.ListTagsForResourceInput) (*sns.ListTagsForResourceOutput, error) {
	t, err := n.tagged(c, "SNS:ListTagsForResource", in.ResourceArn)
	if err != nil {
		return nil, err
	}
	tags := []types.Tag{}
	for _, name := range slices.Sorted(maps.Keys(t.tags)) {
		tags = append(tags, types.Tag{Key: &name, Value: new(t.tags[name])})
	}
	return &sns.ListTagsForResourceOutput{Tags: tags}, nil
}

// tagged is the topic whose tags a call is about. These operations have their own code for one that does not exist.
func (n *Notify) tagged(c *call.Call, action string, name *string) (*topic, error) {
	t, err := n.own(c, action, name)
	if isNotFound(err) {
		return nil, &call.Error{Code: "ResourceNotFound", Message: "Resource does not exist", Status: 404}
	}
	return t, err
}

func (n *Notify) changeTags(tx store.Tx, ref topicRef, change func(map[string]string)) error {
	t, err := topicIn(tx, ref)
	if err != nil {
		return err
	}
	if t.tags == nil {
		t.tags = make(map[string]string)
	}
	change(t.tags)
	if len(t.tags) > maxTags {
		return tooManyTags()
	}
	return n.saveTopic(tx, t)
}

// tagsOf checks tags.
func tagsOf(tags []types.Tag) (map[string]string, error) {
	found := make(map[string]string, len(tags))
	for _, tag := range tags {
		if _, twice := found[*tag.Key]; twice {
			return nil, invalid("Duplicated keys are not allowed.")
		}
		if strings.HasPrefix(strings.ToLower(*tag.Key), "aws:") {
			return nil, invalid("Tag keys that begin with aws: are reserved")
		}
		found[*tag.Key] = *tag.Value
	}
	if len(found) > maxTags {
		return nil, tooManyTags()
	}
	return found, nil
}

func tooManyTags() error {
	return call.Errorf("TagLimitExceeded", "Could not complete request: tag quota of per resource exceeded")
}
