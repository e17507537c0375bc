package kms

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/call"
	"vigil/internal/kms/keycrypt"
)

// GenerateDataKey makes a random data key of 1 to 1024 bytes, and returns it as plaintext and encrypted under a key.
func (k *KMS) GenerateDataKey(ctx context.Context, c *call.Call, in *kms.GenerateDataKeyInput) (*kms.GenerateDataKeyOutput, error) {
	to := k.recipient(c, in.Recipient, "the data key")
	key, err := k.authorize(ctx, c, in.KeyId, use("kms:GenerateDataKey").with(in).from(to), in.GrantTokens...)
	if err != nil {
		return nil, err
	}
	size, err := key.dataKeySize(c.Operation, in.KeySpec, in.NumberOfBytes)
	if err != nil {
		return nil, err
	}
	if err := to.check(); err != nil {
		return nil, err
	}
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	plaintext, blob, err := key.dataKey(ctx, c, size, in.EncryptionContext)
	if err != nil {
		return nil, err
	}
	plaintext, sealed, err := to.seal(plaintext)
	if err != nil {
		return nil, err
	}
	return &kms.GenerateDataKeyOutput{
		CiphertextBlob:         blob,
		CiphertextForRecipient: sealed,
		KeyId:                  &key.text,
		KeyMaterialId:          orNil(key.shownMaterial()),
		Plaintext:              plaintext,
	}, nil
}

// GenerateDataKeyWithoutPlaintext is GenerateDataKey for who will need the plaintext later: Decrypt gives it.
func (k *KMS) GenerateDataKeyWithoutPlaintext(ctx context.Context, c *call.Call, in *kms.GenerateDataKeyWithoutPlaintextInput) (
	*kms.GenerateDataKeyWithoutPlaintextOutput, error) {
	key, err := k.authorize(ctx, c, in.KeyId, use("kms:GenerateDataKeyWithoutPlaintext").with(in), in.GrantTokens...)
	if err != nil {
		return nil, err
	}
	size, err := key.dataKeySize(c.Operation, in.KeySpec, in.NumberOfBytes)
	if err != nil {
		return nil, err
	}
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	plaintext, blob, err := key.dataKey(ctx, c, size, in.EncryptionContext)
	if err != nil {
		return nil, err
	}
	clear(plaintext)
	return &kms.GenerateDataKeyWithoutPlaintextOutput{
		CiphertextBlob: blob,
		KeyId:          &key.text,
		KeyMaterialId:  orNil(key.shownMaterial()),
	}, nil
}

// dataKeySize is how many bytes are asked for, by name or by number. That one of them is given is checked before the
// key is, as AWS KMS does.
func (k *key) dataKeySize(operation string, spec types.DataKeySpec, bytes *int32) (int, error) {
	if (spec == "") == (bytes == nil) {
		return 0, call.Errorf("ValidationException", "Please specify either number of bytes or key spec.")
	}
	if err := k.makesDataKeys(operation); err != nil {
		return 0, err
	}
	switch {
	case bytes != nil:
		return int(*bytes), nil
	case spec == types.DataKeySpecAes128:
		return 16, nil
	}
	return 32, nil
}

func (k *key) dataKey(ctx context.Context, c *call.Call, size int, context map[string]string) (plaintext, blob []byte, err error) {
	plaintext = keycrypt.Random(size)
	blob, err = k.seal(ctx, c, plaintext, context)
	if err != nil {
		return nil, nil, err
	}
	noteMaterial(c, "keyMaterialId", k.shownMaterial())
	return plaintext, blob, nil
}
