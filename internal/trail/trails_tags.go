package trail

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/store"
	"vigil/internal/trail/tags"
)

// AddTags adds tags to a trail, which is named by its ARN. A tag whose key the trail has gets the new value.
func (t *Trail) AddTags(_ context.Context, c *call.Call, in *cloudtrail.AddTagsInput) (*cloudtrail.AddTagsOutput, error) {
	found, err := t.tagged(c, "AddTags", aws.ToString(in.ResourceId))
	if err != nil {
		return nil, err
	}
	if err := tags.Check(in.TagsList); err != nil {
		return nil, err
	}
	t.effect(c, found, func(tx store.Tx, now *aTrail, _ []*aTrail) error {
		for _, tag := range in.TagsList {
			if err := now.putTag(tx, tag); err != nil {
				return err
			}
		}
		var n int
		if err := tx.QueryRow(`SELECT COUNT(*) FROM trail_tag WHERE trail = $1`, now.id).Scan(&n); err != nil {
			return err
		}
		return tags.CheckCount(n)
	})
	return &cloudtrail.AddTagsOutput{}, nil
}

// RemoveTags removes tags from a trail by their keys, be their values what they may. What the trail has not is passed over.
func (t *Trail) RemoveTags(_ context.Context, c *call.Call, in *cloudtrail.RemoveTagsInput) (*cloudtrail.RemoveTagsOutput, error) {
	found, err := t.tagged(c, "RemoveTags", aws.ToString(in.ResourceId))
	if err != nil {
		return nil, err
	}
	if err := tags.Check(in.TagsList); err != nil {
		return nil, err
	}
	t.effect(c, found, func(tx store.Tx, now *aTrail, _ []*aTrail) error {
		for _, tag := range in.TagsList {
			if _, err := tx.Exec(`DELETE FROM trail_tag WHERE trail = $1 AND name = $2`, now.id, aws.ToString(tag.Key)); err != nil {
				return err
			}
		}
		return nil
	})
	return &cloudtrail.RemoveTagsOutput{}, nil
}

// ListTags shows the tags of trails, each named by its ARN, in one answer.
func (t *Trail) ListTags(ctx context.Context, c *call.Call, in *cloudtrail.ListTagsInput) (*cloudtrail.ListTagsOutput, error) {
	if in.NextToken != nil {
		return nil, call.Errorf("InvalidTokenException", "The token is not valid: all tags are listed in one answer.")
	}
	out := &cloudtrail.ListTagsOutput{ResourceTagList: []types.ResourceTag{}}
	for _, id := range in.ResourceIdList {
		found, err := t.tagged(c, "ListTags", id)
		if err != nil {
			return nil, err
		}
		one := types.ResourceTag{ResourceId: &id}
		err = t.main.View(ctx, func(tx store.Tx) error {
			one.TagsList, err = tags.List(tx, `SELECT name, value FROM trail_tag WHERE trail = $1 ORDER BY name`, found.id)
			return err
		})
		if err != nil {
			return nil, err
		}
		out.ResourceTagList = append(out.ResourceTagList, one)
	}
	return out, nil
}

// tagged finds the trail that an ARN names, for the operations on resources that have tags.
func (t *Trail) tagged(c *call.Call, operation, id string) (*aTrail, error) {
	named, err := arn.Parse(id)
	if err != nil || named.Service != "cloudtrail" || named.Type() == "" || named.ID() == "" {
		return nil, call.Errorf("CloudTrailARNInvalidException", "The ARN %s is not valid. Its format is arn:aws:cloudtrail:REGION:ACCOUNT:trail/NAME.", id)
	}
	if named.Type() != "trail" {
		return nil, call.Errorf("ResourceTypeNotSupportedException", "The resource type %s is not supported.", named.Type())
	}
	if err := allowTrail(c, operation, named); err != nil {
		return nil, err
	}
	all := t.trailsOf(c.Account())
	i := slices.IndexFunc(all, func(one *aTrail) bool { return one.arn() == named })
	if i < 0 {
		return nil, call.Errorf("ResourceNotFoundException", "The resource %s is not found.", id)
	}
	return all[i], nil
}

func (t *aTrail) putTag(tx store.Tx, tag types.Tag) error {
	_, err := tx.Exec(`INSERT INTO trail_tag (trail, name, value) VALUES ($1, $2, $3) ON CONFLICT (trail, name) DO UPDATE SET value = excluded.value`,
		t.id, aws.ToString(tag.Key), aws.ToString(tag.Value))
	return err
}
