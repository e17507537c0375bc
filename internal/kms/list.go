package kms

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/call"
	"vigil/internal/paging"
	"vigil/internal/store"
)

// ListKeys lists the keys of the account and region by id.
func (k *KMS) ListKeys(ctx context.Context, c *call.Call, in *kms.ListKeysInput) (*kms.ListKeysOutput, error) {
	if err := allowAny(c, "kms:ListKeys", in); err != nil {
		return nil, err
	}
	page := paging.New(in.Limit, 100, 1000, c.Operation, c.Account(), c.Region)
	after, err := pageAfter(page, in.Marker)
	if err != nil {
		return nil, err
	}
	keys, err := list(ctx, k.db, func(row store.Scanner) (types.KeyListEntry, error) {
		ref := keyRef{account: c.Account(), region: c.Region}
		err := row.Scan(&ref.id)
		return types.KeyListEntry{KeyArn: new(ref.arn().String()), KeyId: &ref.id}, err
	}, `SELECT id FROM kms_key WHERE account = $1 AND region = $2 AND id > $3 ORDER BY id LIMIT $4`,
		c.Account(), c.Region, after, page.Limit+1)
	if err != nil {
		return nil, err
	}
	keys, next := paging.Cut(page, keys, func(entry types.KeyListEntry) string { return *entry.KeyId })
	return &kms.ListKeysOutput{Keys: keys, NextMarker: next, Truncated: next != nil}, nil
}

// list is what a query finds, never nil.
func list[T any](ctx context.Context, db store.DB, scan func(store.Scanner) (T, error), query string, args ...any) ([]T, error) {
	found := []T{}
	err := db.View(ctx, func(tx store.Tx) error {
		all, err := store.List(tx, scan, query, args...)
		found = append(found, all...)
		return err
	})
	return found, err
}
