package lake

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"

	"vigil/internal/call"
	"vigil/internal/store"
)

const maxTags = 50

// AddTags adds tags to a store. A tag that it has already gets the new value.
func (l *Lake) AddTags(ctx context.Context, c *call.Call, in *cloudtrail.AddTagsInput) (*cloudtrail.AddTagsOutput, error) {
	if err := checkTags(in.TagsList); err != nil {
		return nil, err
	}
	return &cloudtrail.AddTagsOutput{}, l.effect(ctx, c, in.ResourceId, func(tx store.Tx, s *dataStore) error {
		if s.deleted > 0 {
			return inactiveStore(s.id)
		}
		return putTags(tx, s.id, in.TagsList)
	})
}

// RemoveTags removes tags by their keys. One that the store has not is no error.
func (l *Lake) RemoveTags(ctx context.Context, c *call.Call, in *cloudtrail.RemoveTagsInput) (*cloudtrail.RemoveTagsOutput, error) {
	return &cloudtrail.RemoveTagsOutput{}, l.effect(ctx, c, in.ResourceId, func(tx store.Tx, s *dataStore) error {
		if s.deleted > 0 {
			return inactiveStore(s.id)
		}
		for _, tag := range in.TagsList {
			if _, err := tx.Exec(`DELETE FROM lake_tag WHERE store = $1 AND name = $2`, s.id, aws.ToString(tag.Key)); err != nil {
				return err
			}
		}
		return nil
	})
}

// ListTags lists all tags of stores, in one answer.
func (l *Lake) ListTags(ctx context.Context, c *call.Call, in *cloudtrail.ListTagsInput) (*cloudtrail.ListTagsOutput, error) {
	if in.NextToken != nil {
		return nil, call.Errorf("InvalidTokenException", "The token is not valid: all tags are listed in one answer.")
	}
	out := &cloudtrail.ListTagsOutput{ResourceTagList: []types.ResourceTag{}}
	for _, id := range in.ResourceIdList {
		s, err := l.named(ctx, c, id)
		if err != nil {
			return nil, err
		}
		listed := types.ResourceTag{ResourceId: aws.String(id), TagsList: []types.Tag{}}
		err = l.db.View(ctx, func(tx store.Tx) error {
			tags, err := store.List(tx, func(row store.Scanner) (types.Tag, error) {
				var name, value string
				err := row.Scan(&name, &value)
				return types.Tag{Key: &name, Value: &value}, err
			}, `SELECT name, value FROM lake_tag WHERE store = $1 ORDER BY name`, s.id)
			listed.TagsList = append(listed.TagsList, tags...)
			return err
		})
		if err != nil {
			return nil, err
		}
		out.ResourceTagList = append(out.ResourceTagList, listed)
	}
	return out, nil
}

// checkTags holds tags to CloudTrail's limits: keys of 1 to 128 characters, once each, values of at most 256.
func checkTags(tags []types.Tag) error {
	if len(tags) > maxTags {
		return tooManyTags()
	}
	seen := map[string]bool{}
	for _, tag := range tags {
		key := aws.ToString(tag.Key)
		if n := len([]rune(key)); n < 1 || n > 128 || len([]rune(aws.ToString(tag.Value))) > 256 || seen[key] {
			return call.Errorf("InvalidTagParameterException", "Tag keys must have 1 to 128 characters and be there once, and tag values at most 256 characters.")
		}
		seen[key] = true
	}
	return nil
}

func tooManyTags() error {
	return call.Errorf("TagsLimitExceededException", "The number of tags per resource has exceeded the permitted amount of %d.", maxTags)
}

func putTags(tx store.Tx, id string, tags []types.Tag) error {
	for _, tag := range tags {
		if _, err := tx.Exec(`INSERT INTO lake_tag (store, name, value) VALUES ($1, $2, $3) ON CONFLICT (store, name) DO UPDATE SET value = excluded.value`,
			id, aws.ToString(tag.Key), aws.ToString(tag.Value)); err != nil {
			return err
		}
	}
	var n int
	err := tx.QueryRow(`SELECT COUNT(*) FROM lake_tag WHERE store = $1`, id).Scan(&n)
	if err == nil && n > maxTags {
		err = tooManyTags()
	}
	return err
}
