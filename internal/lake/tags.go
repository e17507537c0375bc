package lake

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"

	"vigil/internal/call"
	"vigil/internal/store"
	"vigil/internal/trail/tags"
)

// AddTags adds tags to a store. A tag that it has already gets the new value.
func (l *Lake) AddTags(ctx context.Context, c *call.Call, in *cloudtrail.AddTagsInput) (*cloudtrail.AddTagsOutput, error) {
	if err := tags.Check(in.TagsList); err != nil {
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
		listed := types.ResourceTag{ResourceId: aws.String(id)}
		err = l.db.View(ctx, func(tx store.Tx) (err error) {
			listed.TagsList, err = tags.List(tx, `SELECT name, value FROM lake_tag WHERE store = $1 ORDER BY name`, s.id)
			return err
		})
		if err != nil {
			return nil, err
		}
		out.ResourceTagList = append(out.ResourceTagList, listed)
	}
	return out, nil
}

func putTags(tx store.Tx, id string, added []types.Tag) error {
	for _, tag := range added {
		if _, err := tx.Exec(`INSERT INTO lake_tag (store, name, value) VALUES ($1, $2, $3) ON CONFLICT (store, name) DO UPDATE SET value = excluded.value`,
			id, aws.ToString(tag.Key), aws.ToString(tag.Value)); err != nil {
			return err
		}
	}
	var n int
	err := tx.QueryRow(`SELECT COUNT(*) FROM lake_tag WHERE store = $1`, id).Scan(&n)
	if err != nil {
		return err
	}
	return tags.CheckCount(n)
}
