package kms

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/call"
	"vigil/internal/store"
)

// DescribeKey shows what there is to know of a key but its policy and tags.
func (k *KMS) DescribeKey(ctx context.Context, c *call.Call, in *kms.DescribeKeyInput) (*kms.DescribeKeyOutput, error) {
	key, err := k.authorize(ctx, c, in.KeyId, use("kms:DescribeKey").with(in), in.GrantTokens...)
	if err != nil {
		return nil, err
	}
	return &kms.DescribeKeyOutput{KeyMetadata: key.metadata()}, nil
}

// EnableKey lets a disabled key be used again. It does nothing to a key that is enabled.
func (k *KMS) EnableKey(ctx context.Context, c *call.Call, in *kms.EnableKeyInput) (*kms.EnableKeyOutput, error) {
	key, err := k.authorize(ctx, c, in.KeyId, manage("kms:EnableKey"))
	if err != nil {
		return nil, err
	}
	k.setState(c, key, types.KeyStateEnabled)
	return &kms.EnableKeyOutput{}, nil
}

// DisableKey stops the use of a key until it is enabled again.
func (k *KMS) DisableKey(ctx context.Context, c *call.Call, in *kms.DisableKeyInput) (*kms.DisableKeyOutput, error) {
	key, err := k.authorize(ctx, c, in.KeyId, manage("kms:DisableKey").with(in))
	if err != nil {
		return nil, err
	}
	k.setState(c, key, types.KeyStateDisabled)
	return &kms.DisableKeyOutput{}, nil
}

func (k *KMS) setState(c *call.Call, of *key, state types.KeyState) {
	change := k.change(of.ref, of.switchable,
		`UPDATE kms_key SET state = $4 WHERE account = $1 AND region = $2 AND id = $3`, string(state))
	c.Effect(func(tx store.Tx) error {
		tx.OnCommit(k.wake) // its rotation may have come due while it was disabled
		return change(tx)
	})
	c.Responded("keyId", of.text)
}

// UpdateKeyDescription replaces the description, of 0 to 8192 characters.
func (k *KMS) UpdateKeyDescription(ctx context.Context, c *call.Call, in *kms.UpdateKeyDescriptionInput) (
	*kms.UpdateKeyDescriptionOutput, error) {
	key, err := k.authorize(ctx, c, in.KeyId, manage("kms:UpdateKeyDescription"))
	if err != nil {
		return nil, err
	}
	if err := checkText("description", *in.Description); err != nil {
		return nil, err
	}
	c.Effect(k.change(key.ref, key.changeable,
		`UPDATE kms_key SET description = $4 WHERE account = $1 AND region = $2 AND id = $3`, *in.Description))
	c.Responded("keyId", key.text)
	return &kms.UpdateKeyDescriptionOutput{}, nil
}

// checkText refuses the one character that PostgreSQL does not store.
func checkText(member, text string) error {
	if strings.ContainsRune(text, 0) {
		return call.Errorf("ValidationException",
			"1 validation error detected: Value at '%s' failed to satisfy constraint: Member must not contain the character U+0000", member)
	}
	return nil
}
