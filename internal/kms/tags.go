package kms

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/call"
	"vigil/internal/paging"
	"vigil/internal/store"
)

const maxTags = 50 // of a key

// TagResource adds tags to a key, of which it can have 50. A tag that it has already gets the new value.
func (k *KMS) TagResource(ctx context.Context, c *call.Call, in *kms.TagResourceInput) (*kms.TagResourceOutput, error) {
	key, err := k.authorize(ctx, c, in.KeyId, manage("kms:TagResource").with(in))
	if err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	c.Effect(func(tx store.Tx) error {
		if err := key.stillChangeable(tx); err != nil {
			return err
		}
		tx.OnCommit(func() { k.keys.forget(key.ref) })
		return putTags(tx, key.ref, in.Tags)
	})
	c.Responded("keyId", key.text)
	return &kms.TagResourceOutput{}, nil
}

// UntagResource removes tags. One that the key has not is no error, unless it is one that only AWS could give.
func (k *KMS) UntagResource(ctx context.Context, c *call.Call, in *kms.UntagResourceInput) (*kms.UntagResourceOutput, error) {
	key, err := k.authorize(ctx, c, in.KeyId, manage("kms:UntagResource").with(in))
	if err != nil {
		return nil, err
	}
	for _, name := range in.TagKeys {
		if reservedTag(name) {
			return nil, reservedTags()
		}
	}
	if err := checkText("tagKeys", strings.Join(in.TagKeys, "")); err != nil {
		return nil, err
	}
	c.Effect(func(tx store.Tx) error {
		if err := key.stillChangeable(tx); err != nil {
			return err
		}
		tx.OnCommit(func() { k.keys.forget(key.ref) })
		for _, name := range in.TagKeys {
			_, err := tx.Exec(`DELETE FROM kms_tag WHERE account = $1 AND region = $2 AND key_id = $3 AND name = $4`,
				key.ref.account, key.ref.region, key.ref.id, name)
			if err != nil {
				return err
			}
		}
		return nil
	})
	c.Responded("keyId", key.text)
	return &kms.UntagResourceOutput{}, nil
}

// ListResourceTags lists a key's tags by name.
func (k *KMS) ListResourceTags(ctx context.Context, c *call.Call, in *kms.ListResourceTagsInput) (*kms.ListResourceTagsOutput, error) {
	key, err := k.authorize(ctx, c, in.KeyId, manage("kms:ListResourceTags"))
	if err != nil {
		return nil, err
	}
	page := paging.New(in.Limit, 50, 50, c.Operation, key.text)
	after, err := pageAfter(page, in.Marker)
	if err != nil {
		return nil, err
	}
	tags, err := list(ctx, k.db, func(row store.Scanner) (tag types.Tag, err error) {
		var name, value string
		err = row.Scan(&name, &value)
		return types.Tag{TagKey: &name, TagValue: &value}, err
	}, `SELECT name, value FROM kms_tag WHERE account = $1 AND region = $2 AND key_id = $3 AND name > $4 ORDER BY name LIMIT $5`,
		key.ref.account, key.ref.region, key.ref.id, after, page.Limit+1)
	if err != nil {
		return nil, err
	}
	tags, next := paging.Cut(page, tags, func(t types.Tag) string { return *t.TagKey })
	return &kms.ListResourceTagsOutput{Tags: tags, NextMarker: next, Truncated: next != nil}, nil
}

func checkTags(tags []types.Tag) error {
	if len(tags) > maxTags {
		return call.Errorf("TagException", "Too many tags")
	}
	names := make(map[string]bool, len(tags))
	for _, tag := range tags {
		name := *tag.TagKey
		if names[name] {
			return call.Errorf("TagException", "Duplicate tag keys")
		}
		names[name] = true
		if reservedTag(name) {
			return reservedTags()
		}
		if err := checkText("tags", name+*tag.TagValue); err != nil {
			return err
		}
	}
	return nil
}

func readTags(tx store.Tx, of keyRef) (tags []types.Tag, err error) {
	rows, err := tx.Query(`SELECT name, value FROM kms_tag WHERE account = $1 AND region = $2 AND key_id = $3 ORDER BY name`,
		of.account, of.region, of.id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return nil, err
		}
		tags = append(tags, types.Tag{TagKey: &name, TagValue: &value})
	}
	return tags, rows.Err()
}

func reservedTag(name string) bool { return strings.HasPrefix(strings.ToLower(name), "aws:") }

func reservedTags() error {
	return call.Errorf("TagException", "Tags beginning with aws: are reserved")
}

// stillChangeable asks again, in an effect's transaction, whether the key can be changed.
func (k *key) stillChangeable(tx store.Tx) error {
	state, err := stateOf(tx, k.ref)
	if err != nil {
		return err
	}
	return k.changeable(state)
}

func putTags(tx store.Tx, ref keyRef, tags []types.Tag) error {
	if len(tags) == 0 {
		return nil
	}
	for _, tag := range tags {
		_, err := tx.Exec(`INSERT INTO kms_tag (account, region, key_id, name, value) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (account, region, key_id, name) DO UPDATE SET value = excluded.value`,
			ref.account, ref.region, ref.id, *tag.TagKey, *tag.TagValue)
		if err != nil {
			return err
		}
	}
	var count int
	err := tx.QueryRow(`SELECT COUNT(*) FROM kms_tag WHERE account = $1 AND region = $2 AND key_id = $3`,
		ref.account, ref.region, ref.id).Scan(&count)
	if err == nil && count > maxTags {
		err = call.Errorf("LimitExceededException", "%s would have %d tags. The limit is %d.", ref.arn(), count, maxTags)
	}
	return err
}
