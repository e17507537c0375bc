package identity

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"vigil/internal/call"
)

// tags are in the order in which they were set. Keys differ by more than their case.
type tags []tag

type tag struct{ Key, Value string }

const maxTags = 50

func (t tags) index(key string) int {
	return slices.IndexFunc(t, func(one tag) bool { return strings.EqualFold(one.Key, key) })
}

// with are the tags with others over them.
func (t tags) with(others tags) tags {
	t = slices.Clone(t)
	for _, one := range others {
		if i := t.index(one.Key); i >= 0 {
			t[i] = one
		} else {
			t = append(t, one)
		}
	}
	return t
}

// without are the tags whose keys are not listed.
func (t tags) without(keys []string) tags {
	return slices.DeleteFunc(slices.Clone(t), func(one tag) bool {
		return slices.ContainsFunc(keys, func(key string) bool { return strings.EqualFold(one.Key, key) })
	})
}

// shown are the tags as the API has them, nil when there are none.
func (t tags) shown() (list []types.Tag) {
	for _, one := range t {
		list = append(list, types.Tag{Key: &one.Key, Value: &one.Value})
	}
	return list
}

// tagsOf reads the tags of a request.
func tagsOf(list []types.Tag) (t tags, err error) {
	for _, one := range list {
		if strings.HasPrefix(strings.ToLower(*one.Key), "aws:") {
			return nil, invalidInput("Tag keys that begin with aws: are reserved.")
		}
		if t.index(*one.Key) >= 0 {
			return nil, invalidInput("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		t = append(t, tag{*one.Key, *one.Value})
	}
	return t, nil
}

// tagged is a place for tags, whatever it is that has them.
type tagged interface {
	thing
	tagList() *tags
}

func (e *entity) tagList() *tags        { return &e.Tags }
func (p *managedPolicy) tagList() *tags { return &p.Tags }
func (p *oidcProvider) tagList() *tags  { return &p.Tags }

// tag sets tags of what the target is.
func (id *Identity) tag(c *call.Call, target target, list []types.Tag) error {
	set, err := tagsOf(list)
	if err != nil {
		return err
	}
	return id.change(c, target, keys{}.requestTags(set), func(t thing) error {
		held := t.(tagged).tagList()
		*held = held.with(set)
		if len(*held) > maxTags {
			return overQuota("TagsPer"+t.at().kind.title(), maxTags)
		}
		return nil
	})
}

// untag takes tags away. Those that are not there are no error.
func (id *Identity) untag(c *call.Call, target target, names []string) error {
	return id.change(c, target, keys{"aws:tagkeys": names}, func(t thing) error {
		held := t.(tagged).tagList()
		*held = held.without(names)
		return nil
	})
}

// tagsPage is a page of the tags of what the target is.
func (id *Identity) tagsPage(c *call.Call, target target, marker *string, maxItems *int32) ([]types.Tag, *string, error) {
	t, err := id.find(c, target)
	if err != nil {
		return nil, nil, err
	}
	list := slices.Clone(*t.(tagged).tagList())
	slices.SortFunc(list, func(a, b tag) int { return strings.Compare(a.Key, b.Key) })
	shown, next, err := page(list, func(one tag) string { return one.Key }, marker, maxItems)
	return append([]types.Tag{}, tags(shown).shown()...), next, err
}

func (id *Identity) tagUser(_ context.Context, c *call.Call, in *iam.TagUserInput) (*iam.TagUserOutput, error) {
	return &iam.TagUserOutput{}, id.tag(c, target{user, *in.UserName}, in.Tags)
}

func (id *Identity) untagUser(_ context.Context, c *call.Call, in *iam.UntagUserInput) (*iam.UntagUserOutput, error) {
	return &iam.UntagUserOutput{}, id.untag(c, target{user, *in.UserName}, in.TagKeys)
}

func (id *Identity) listUserTags(_ context.Context, c *call.Call, in *iam.ListUserTagsInput) (*iam.ListUserTagsOutput, error) {
	list, next, err := id.tagsPage(c, target{user, *in.UserName}, in.Marker, in.MaxItems)
	return &iam.ListUserTagsOutput{Tags: list, IsTruncated: next != nil, Marker: next}, err
}

func (id *Identity) tagRole(_ context.Context, c *call.Call, in *iam.TagRoleInput) (*iam.TagRoleOutput, error) {
	return &iam.TagRoleOutput{}, id.tag(c, target{role, *in.RoleName}, in.Tags)
}

func (id *Identity) untagRole(_ context.Context, c *call.Call, in *iam.UntagRoleInput) (*iam.UntagRoleOutput, error) {
	return &iam.UntagRoleOutput{}, id.untag(c, target{role, *in.RoleName}, in.TagKeys)
}

func (id *Identity) listRoleTags(_ context.Context, c *call.Call, in *iam.ListRoleTagsInput) (*iam.ListRoleTagsOutput, error) {
	list, next, err := id.tagsPage(c, target{role, *in.RoleName}, in.Marker, in.MaxItems)
	return &iam.ListRoleTagsOutput{Tags: list, IsTruncated: next != nil, Marker: next}, err
}

func (id *Identity) tagPolicy(_ context.Context, c *call.Call, in *iam.TagPolicyInput) (*iam.TagPolicyOutput, error) {
	return &iam.TagPolicyOutput{}, id.tag(c, target{managed, *in.PolicyArn}, in.Tags)
}

func (id *Identity) untagPolicy(_ context.Context, c *call.Call, in *iam.UntagPolicyInput) (*iam.UntagPolicyOutput, error) {
	return &iam.UntagPolicyOutput{}, id.untag(c, target{managed, *in.PolicyArn}, in.TagKeys)
}

func (id *Identity) listPolicyTags(_ context.Context, c *call.Call, in *iam.ListPolicyTagsInput) (*iam.ListPolicyTagsOutput, error) {
	list, next, err := id.tagsPage(c, target{managed, *in.PolicyArn}, in.Marker, in.MaxItems)
	return &iam.ListPolicyTagsOutput{Tags: list, IsTruncated: next != nil, Marker: next}, err
}

func (id *Identity) tagOpenIDConnectProvider(_ context.Context, c *call.Call, in *iam.TagOpenIDConnectProviderInput) (*iam.TagOpenIDConnectProviderOutput, error) {
	return &iam.TagOpenIDConnectProviderOutput{}, id.tag(c, target{provider, *in.OpenIDConnectProviderArn}, in.Tags)
}

func (id *Identity) untagOpenIDConnectProvider(_ context.Context, c *call.Call, in *iam.UntagOpenIDConnectProviderInput) (*iam.UntagOpenIDConnectProviderOutput, error) {
	return &iam.UntagOpenIDConnectProviderOutput{}, id.untag(c, target{provider, *in.OpenIDConnectProviderArn}, in.TagKeys)
}

func (id *Identity) listOpenIDConnectProviderTags(_ context.Context, c *call.Call, in *iam.ListOpenIDConnectProviderTagsInput) (*iam.ListOpenIDConnectProviderTagsOutput, error) {
	list, next, err := id.tagsPage(c, target{provider, *in.OpenIDConnectProviderArn}, in.Marker, in.MaxItems)
	return &iam.ListOpenIDConnectProviderTagsOutput{Tags: list, IsTruncated: next != nil, Marker: next}, err
}
